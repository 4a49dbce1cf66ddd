//! What goes over a BGP connection: messages as values.
//!
//! ```text
//!  0                 16       18    19                       4,096 or 65,535
//! +------------------+--------+-----+--------------------------------------+
//! | marker: all ones | length | type| body                                 |
//! +------------------+--------+-----+--------------------------------------+
//!                                 1   OPEN           RFC 4271 §4.2, 5492, 9072
//!                                 2   UPDATE         RFC 4271 §4.3, 4760, 6793, 7606, 7911
//!                                 3   NOTIFICATION   RFC 4271 §4.5, 8538, 9003
//!                                 4   KEEPALIVE      no body
//!                                 5   ROUTE-REFRESH  RFC 2918, 7313
//! ```
//!
//! Numbers are big-endian. What a session agreed on and the bytes depend on is in [`Encoding`].
//!
//! ```text
//!   stream --> frame --> Message::decode --> Decoded: message, and the flaw that it was taken in spite of
//!                 \             \-----------> DecodeError: offset, problem with its values, rule, NOTIFICATION
//!   Message::encode --> octets, or EncodeError: what has no form in what was agreed on
//! ```
//!
//! Promises, each with a test:
//! - any octets are read without a panic, and with memory in proportion to them;
//! - what is written is read back as the same value, here and by two decoders of other people;
//! - an error of a peer names the first octet that is wrong, and leads to what RFC 4271 §6 and RFC 7606 say.

mod as_path;
mod attributes;
mod capability;
mod community;
mod encode_error;
mod encoding;
mod error;
mod family;
mod frame;
mod message;
mod notification;
mod open;
mod prefix;
mod reader;
mod refresh;
mod update;
mod writer;

pub use as_path::{AsPath, Asn, Segment};
pub use attributes::{Aggregator, Attributes, UnknownAttribute};
pub use capability::{AddPathFamily, AddPathMode, Capability, ExtendedNextHop, GracefulFamily, GracefulRestart, Role};
pub use community::{Community, ExtendedCommunity, LargeCommunity};
pub use encode_error::EncodeError;
pub use encoding::{Encoding, PeerKind};
pub use error::{DecodeError, Flaw, PrefixField, Problem, Treatment};
pub use family::{AfiSafi, Families, Family};
pub use frame::{HEADER, frame};
pub use message::{Decoded, Message};
pub use notification::Notification;
pub use open::Open;
pub use prefix::{Nlri, PathId, Prefix};
pub use refresh::{RefreshSubtype, RouteRefresh};
pub use update::{NextHop, Reach, Unreach, Update};

/// The longest message unless the peers agreed on more (RFC 4271 §4.1).
pub const MAX_MESSAGE: usize = 4_096;

/// The longest message after both sent [`Capability::ExtendedMessage`]; OPEN and KEEPALIVE stay below [`MAX_MESSAGE`] (RFC 8654 §4).
pub const MAX_EXTENDED_MESSAGE: usize = 65_535;
