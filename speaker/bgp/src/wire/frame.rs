//! The header of a message, and where in a stream the message ends (RFC 4271 §4.1, §6.1).

use super::{DecodeError, Encoding, Problem};
use crate::iana::MessageType;

/// Octets of a header: marker, length, type.
pub const HEADER: usize = 19;

const MARKER: usize = 16;

/// Finds the first message at the begin of a stream, and returns its length; nothing if more octets are needed to tell.
///
/// A header that is wrong is seen as soon as the octet that makes it wrong: a peer that speaks another protocol, or one
/// that says a length that was not agreed on, makes nobody wait for the rest.
///
/// # Errors
///
/// What is wrong with the header. The stream has no more messages.
pub fn frame(stream: &[u8], encoding: &Encoding) -> Result<Option<usize>, DecodeError> {
    let marker = stream.iter().take(MARKER).position(|octet| *octet != 0xff);
    if let Some((offset, found)) = marker.and_then(|at| Some((at, *stream.get(at)?))) {
        return Err(DecodeError::new(offset, Problem::Marker { found }));
    }
    let Some([length @ .., kind]) = stream.get(MARKER..HEADER) else { return Ok(None) };
    let &[high, low] = length else { return Ok(None) };
    let found = u16::from_be_bytes([high, low]);
    let Some(kind) = MessageType::of(*kind) else {
        return Err(DecodeError::new(HEADER - 1, Problem::Type { found: *kind }));
    };
    let (min, max) = (shortest(kind), longest(kind, encoding));
    if found < min || found > max {
        return Err(DecodeError::new(MARKER, Problem::Length { found, min, max }));
    }
    Ok(Some(usize::from(found)).filter(|length| stream.len() >= *length))
}

/// RFC 4271 §6.1. A ROUTE-REFRESH of a wrong length has an error of its own (RFC 7313 §5).
const fn shortest(kind: MessageType) -> u16 {
    match kind {
        MessageType::Open => 29,
        MessageType::Update => 23,
        MessageType::Notification => 21,
        MessageType::Keepalive | MessageType::RouteRefresh => 19,
    }
}

fn longest(kind: MessageType, encoding: &Encoding) -> u16 {
    match kind {
        MessageType::Keepalive => 19,
        _ => u16::try_from(encoding.max_len(kind)).unwrap_or(u16::MAX),
    }
}
