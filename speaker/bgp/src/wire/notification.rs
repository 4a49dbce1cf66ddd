//! NOTIFICATION: why a session ends (RFC 4271 §4.5).
//!
//! ```text
//!  0      1         2                              Cease 2 and 4, RFC 9003 §2:
//! +------+---------+------+                       +--------+----------------+
//! | code | subcode | data |                       | length | text, UTF-8    |
//! +------+---------+------+                       +--------+----------------+
//! ```

use crate::iana::{CeaseSubcode, ErrorCode, FsmSubcode, HeaderSubcode, OpenSubcode, RefreshSubcode, UpdateSubcode};

/// A NOTIFICATION message. Any numbers are legal: the session ends whatever they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// What kind of error, see [`ErrorCode`].
    pub code: u8,
    /// Which one, 0 if not known.
    pub subcode: u8,
    /// What helps to find the cause; its form depends on the codes.
    pub data: Vec<u8>,
}

impl Notification {
    /// The longest text for the operator, in octets (RFC 9003 §2): what its length octet can say.
    pub const MAX_TEXT: usize = 255;

    /// Builds a message without data.
    pub fn new(code: ErrorCode, subcode: u8) -> Self {
        Self { code: code.number(), subcode, data: Vec::new() }
    }

    /// Builds a Cease without data.
    pub fn cease(subcode: CeaseSubcode) -> Self {
        Self::new(ErrorCode::Cease, subcode.number())
    }

    /// Builds an Administrative Shutdown or Reset with a text for the peer's operator (RFC 9003 §2), cut at a character border
    /// to what fits. An empty text sends none.
    pub fn cease_with_text(subcode: CeaseSubcode, text: &str) -> Self {
        let text = &text[..text.floor_char_boundary(Self::MAX_TEXT)];
        let mut notification = Self::cease(subcode);
        if let Ok(length @ 1..) = u8::try_from(text.len()) {
            notification.data.push(length);
            notification.data.extend_from_slice(text.as_bytes());
        }
        notification
    }

    /// Wraps a message so that the peer drops the session and its routes at once, although it keeps them over restarts
    /// otherwise (RFC 8538 §3.1).
    pub fn hard_reset(inner: &Self) -> Self {
        let mut notification = Self::cease(CeaseSubcode::HardReset);
        notification.data.extend([inner.code, inner.subcode]);
        notification.data.extend_from_slice(&inner.data);
        notification
    }

    /// Returns the message inside a Hard Reset, nothing if this is none or it holds none.
    pub fn hard_reset_reason(&self) -> Option<Self> {
        if self.cease_subcode() != Some(CeaseSubcode::HardReset) {
            return None;
        }
        let (&[code, subcode], data) = self.data.split_first_chunk()?;
        Some(Self { code, subcode, data: data.to_vec() })
    }

    /// Returns the kind of error if it is registered.
    pub fn error_code(&self) -> Option<ErrorCode> {
        ErrorCode::of(self.code)
    }

    /// Returns the subcode of a Cease, nothing if this is none or the number is not registered.
    pub fn cease_subcode(&self) -> Option<CeaseSubcode> {
        CeaseSubcode::of(self.subcode).filter(|_| self.error_code() == Some(ErrorCode::Cease))
    }

    /// Returns the text for the operator of an Administrative Shutdown or Reset, also from inside a Hard Reset.
    ///
    /// Octets that are not UTF-8 become U+FFFD, control characters become spaces: the text is shown in logs and statuses
    /// (RFC 9003 §4 warns of both). A length octet that promises more than there is returns nothing.
    pub fn shutdown_text(&self) -> Option<String> {
        if let Some(inner) = self.hard_reset_reason() {
            return inner.shutdown_text();
        }
        let (CeaseSubcode::AdministrativeShutdown | CeaseSubcode::AdministrativeReset) = self.cease_subcode()? else {
            return None;
        };
        let (length, rest) = self.data.split_first()?;
        let bytes = rest.get(..usize::from(*length)).filter(|bytes| !bytes.is_empty())?;
        let text = String::from_utf8_lossy(bytes);
        Some(text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect())
    }

    /// Returns the registered name of the subcode, nothing for 0 where that only means "not specified".
    pub fn subcode_name(&self) -> Option<&'static str> {
        match self.error_code()? {
            ErrorCode::MessageHeader => HeaderSubcode::of(self.subcode).map(HeaderSubcode::name),
            ErrorCode::Open => OpenSubcode::of(self.subcode).map(OpenSubcode::name),
            ErrorCode::Update => UpdateSubcode::of(self.subcode).map(UpdateSubcode::name),
            ErrorCode::FiniteStateMachine => FsmSubcode::of(self.subcode).map(FsmSubcode::name),
            ErrorCode::Cease => CeaseSubcode::of(self.subcode).map(CeaseSubcode::name),
            ErrorCode::RouteRefresh => RefreshSubcode::of(self.subcode).map(RefreshSubcode::name),
            ErrorCode::HoldTimerExpired | ErrorCode::SendHoldTimerExpired => None,
        }
    }
}

impl std::fmt::Display for Notification {
    /// Writes the numbers and what they mean: `Cease (6), Administrative Shutdown (2): "maintenance"`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let code = self.error_code().map_or("unknown error", ErrorCode::name);
        write!(f, "{code} ({})", self.code)?;
        match self.subcode_name() {
            Some(name) => write!(f, ", {name} ({})", self.subcode)?,
            None if self.subcode != 0 => write!(f, ", subcode {}", self.subcode)?,
            None => {}
        }
        match (self.hard_reset_reason(), self.shutdown_text()) {
            (Some(inner), _) => write!(f, ": {inner}"),
            (None, Some(text)) => write!(f, ": {text:?}"),
            (None, None) => Ok(()),
        }
    }
}
