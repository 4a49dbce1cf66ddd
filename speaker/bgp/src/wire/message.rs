//! Messages, and the way from octets to them and back.

use super::frame::HEADER;
use super::reader::Reader;
use super::{DecodeError, EncodeError, Encoding, Flaw, Notification, Open, Problem, RouteRefresh, Update, frame};
use crate::iana::MessageType;

/// One message.
#[expect(clippy::large_enum_variant, reason = "one is handled at a time, and the large one is the frequent one")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Opens a session.
    Open(Open),
    /// Changes what is reachable.
    Update(Update),
    /// Ends a session and says why.
    Notification(Notification),
    /// Confirms an OPEN; later, says that the sender is alive.
    Keepalive,
    /// Asks for everything again, or marks the begin and end of that.
    RouteRefresh(RouteRefresh),
}

/// A message as it is to be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// What it says, after the treatment of what was wrong with it.
    pub message: Message,
    /// What was wrong with an UPDATE, without costing the session (RFC 7606).
    pub flaw: Option<Flaw>,
}

impl Message {
    /// Returns the type in the header.
    pub fn message_type(&self) -> MessageType {
        match self {
            Self::Open(_) => MessageType::Open,
            Self::Update(_) => MessageType::Update,
            Self::Notification(_) => MessageType::Notification,
            Self::Keepalive => MessageType::Keepalive,
            Self::RouteRefresh(_) => MessageType::RouteRefresh,
        }
    }

    /// Writes the message.
    ///
    /// # Errors
    ///
    /// What of it cannot be said, or not in what was agreed on.
    pub fn encode(&self, encoding: &Encoding) -> Result<Vec<u8>, EncodeError> {
        let kind = self.message_type();
        let mut bytes = vec![0xff; HEADER - 3];
        bytes.extend([0, 0, kind.number()]);
        match self {
            Self::Open(open) => open.write(&mut bytes)?,
            Self::Update(update) => update.write(&mut bytes, encoding)?,
            Self::Notification(Notification { code, subcode, data }) => {
                bytes.extend([*code, *subcode]);
                bytes.extend_from_slice(data);
            }
            Self::Keepalive => {}
            Self::RouteRefresh(refresh) => refresh.write(&mut bytes),
        }
        let (octets, max) = (bytes.len(), encoding.max_len(kind));
        let too_long = EncodeError::MessageTooLong { message: kind, octets, max };
        let length = u16::try_from(octets).ok().filter(|_| octets <= max).ok_or(too_long)?;
        bytes[HEADER - 3..HEADER - 1].copy_from_slice(&length.to_be_bytes());
        Ok(bytes)
    }

    /// Reads one whole message, as [`frame`](super::frame()) finds it.
    ///
    /// # Errors
    ///
    /// Why the connection cannot go on. What can be lived with is in [`Decoded::flaw`].
    pub fn decode(message: &[u8], encoding: &Encoding) -> Result<Decoded, DecodeError> {
        let length = || {
            let found = u16::try_from(message.len()).unwrap_or(u16::MAX);
            DecodeError::new(message.len().min(16), Problem::Length { found, min: 19, max: u16::MAX })
        };
        let Some(octets) = frame(message, encoding)? else { return Err(length()) };
        if octets != message.len() {
            return Err(length());
        }
        let mut body = Reader::new(message);
        let header: Option<[u8; HEADER]> = body.array();
        let kind = header.and_then(|header| MessageType::of(header[HEADER - 1])).ok_or_else(length)?;
        let message = match kind {
            MessageType::Open => Self::Open(Open::read(body)?),
            MessageType::Update => {
                let (update, flaw) = Update::read(body, encoding)?;
                return Ok(Decoded { message: Self::Update(update), flaw });
            }
            MessageType::Notification => {
                let [code, subcode] = body.array().ok_or_else(length)?;
                Self::Notification(Notification { code, subcode, data: body.rest().to_vec() })
            }
            MessageType::Keepalive => Self::Keepalive,
            MessageType::RouteRefresh => Self::RouteRefresh(RouteRefresh::read(body, message)?),
        };
        Ok(Decoded { message, flaw: None })
    }
}
