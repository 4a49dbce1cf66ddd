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

mod as_path;
mod attributes;
mod capability;
mod community;
mod encoding;
mod family;
mod notification;
mod open;
mod prefix;
mod refresh;
mod update;

pub use as_path::{AsPath, Asn, Segment};
pub use attributes::{Aggregator, Attributes, UnknownAttribute};
pub use capability::{AddPathFamily, AddPathMode, Capability, ExtendedNextHop, GracefulFamily, GracefulRestart, Role};
pub use community::{Community, ExtendedCommunity, LargeCommunity};
pub use encoding::{Encoding, PeerKind};
pub use family::{AfiSafi, Families, Family};
pub use notification::Notification;
pub use open::Open;
pub use prefix::{Nlri, PathId, Prefix};
pub use refresh::{RefreshSubtype, RouteRefresh};
pub use update::{NextHop, Reach, Unreach, Update};

use crate::iana::MessageType;

/// The longest message unless the peers agreed on more (RFC 4271 §4.1).
pub const MAX_MESSAGE: usize = 4_096;

/// The longest message after both sent [`Capability::ExtendedMessage`]; OPEN and KEEPALIVE stay below [`MAX_MESSAGE`] (RFC 8654 §4).
pub const MAX_EXTENDED_MESSAGE: usize = 65_535;

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
}
