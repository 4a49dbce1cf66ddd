//! What the bytes of a session depend on beside the message itself.

use super::{Families, MAX_EXTENDED_MESSAGE, MAX_MESSAGE};
use crate::iana::MessageType;

/// What both peers agreed on, for one direction of a session.
///
/// The default is what holds before any OPEN: two-octet AS numbers, 4,096 octets, nothing optional, an external peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Encoding {
    /// AS numbers in AS_PATH and AGGREGATOR have four octets (RFC 6793 §4.1).
    pub four_octet_as: bool,
    /// Messages may be as long as [`MAX_EXTENDED_MESSAGE`] (RFC 8654 §4).
    pub extended_message: bool,
    /// Families whose prefixes carry a path identifier in this direction (RFC 7911 §3).
    pub add_path: Families,
    /// Families whose next hop may be of IPv6 although their prefixes are of IPv4 (RFC 8950 §4).
    pub extended_next_hop: Families,
    /// Which attributes are mandatory and which are not welcome.
    pub peer: PeerKind,
}

impl Encoding {
    /// Returns the longest message of a type, in octets, header included.
    pub const fn max_len(&self, message: MessageType) -> usize {
        match message {
            MessageType::Open | MessageType::Keepalive => MAX_MESSAGE,
            _ if self.extended_message => MAX_EXTENDED_MESSAGE,
            _ => MAX_MESSAGE,
        }
    }
}

/// On which side of the AS border a peer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerKind {
    /// The same AS: iBGP.
    Internal,
    /// Another AS: eBGP.
    #[default]
    External,
}
