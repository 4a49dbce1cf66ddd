//! What cannot be said to a peer.

use super::{AfiSafi, Family};
use crate::iana::{AttributeCode, MessageType};

/// Why a message has no form on the wire: the value, what would have been right, and the rule where there is one. Nothing that a peer sends leads here: these are values that contradict the
/// protocol or what was agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// RFC 4271 §4.1, RFC 8654 §4.
    #[error("{message} of {octets} octets, expected at most {max} (RFC 4271 §4.1, RFC 8654 §4)")]
    MessageTooLong {
        /// Which message.
        message: MessageType,
        /// With its header.
        octets: usize,
        /// What was agreed on.
        max: usize,
    },
    /// RFC 4271 §4.2.
    #[error("a version of {0}, expected 4 (RFC 4271 §4.2)")]
    Version(u8),
    /// RFC 7607 §2.
    #[error("an AS number of 0, expected another (RFC 7607 §2)")]
    ZeroAs,
    /// RFC 4271 §4.2.
    #[error("a hold time of {0} s, expected 0, or 3 and more (RFC 4271 §4.2)")]
    HoldTime(u16),
    /// RFC 6286 §2.1.
    #[error("an identifier of 0.0.0.0, expected another (RFC 6286 §2.1)")]
    ZeroIdentifier,
    /// RFC 5492 §4.
    #[error("a value of {octets} octets in capability {code}, expected at most 255 (RFC 5492 §4)")]
    CapabilityTooLong {
        /// Code of the capability.
        code: u8,
        /// In octets.
        octets: usize,
    },
    /// [`super::Capability::Unknown`] with a code that has a variant of its own, and a value that this variant could hold.
    #[error("capability {0} as an unknown one, expected its own variant")]
    KnownCapability(u8),
    /// RFC 8654 §4.
    #[error("optional parameters of {0} octets, expected at most 4067 (RFC 8654 §4)")]
    ParametersTooLong(usize),
    /// RFC 4724 §3.
    #[error("a restart time of {0} s, expected at most 4095 (RFC 4724 §3)")]
    RestartTime(u16),
    /// The withdrawn routes, the attributes or one of them need a length that two octets cannot say.
    #[error("a part of UPDATE of {0} octets, expected at most 65535 (RFC 4271 §4.3)")]
    PartTooLong(usize),
    /// A prefix stands among those of the other family.
    #[error("a prefix among those of {0}, expected of that family (RFC 4760 §5)")]
    PrefixFamily(Family),
    /// RFC 7911 §3: all prefixes of a family carry an identifier, or none does.
    #[error("a path identifier that is missing, or that was not agreed on, in {0} (RFC 7911 §3)")]
    PathId(Family),
    /// RFC 8950 §3, RFC 4760 §3.
    #[error("a next hop of the other family for {0}, which was not agreed on (RFC 8950 §3, RFC 4760 §3)")]
    NextHopFamily(Family),
    /// RFC 2545 §3.
    #[error("a second next hop that is not link-local (RFC 2545 §3)")]
    NotLinkLocal,
    /// RFC 4271 §5, RFC 4760 §3.
    #[error("no {0} beside reachable prefixes (RFC 4271 §5, RFC 4760 §3)")]
    Missing(AttributeCode),
    /// RFC 4271 §5.1.5, RFC 4456 §8.
    #[error("{0} to an external peer (RFC 4271 §5.1.5, RFC 4456 §8)")]
    Unwelcome(AttributeCode),
    /// MP_REACH_NLRI without prefixes says nothing.
    #[error("MP_REACH_NLRI without a prefix (RFC 4760 §3)")]
    NoPrefix,
    /// RFC 4271 §4.3 b.
    #[error("a segment of {0} AS numbers, expected 1 to 255 (RFC 4271 §4.3)")]
    Segment(usize),
    /// [`super::UnknownAttribute`] with a code that has a field of its own.
    #[error("attribute {0} as an unknown one, expected its own field")]
    KnownAttribute(u8),
    /// RFC 4271 §4.3: attributes that nobody has to know are optional.
    #[error("attribute {0} as an unknown one without the optional flag (RFC 4271 §4.3)")]
    UnknownWellKnown(u8),
    /// RFC 4271 §5: an attribute stands there once.
    #[error("attribute {0} twice, or before one of a lower code (RFC 4271 §5)")]
    UnknownOrder(u8),
    /// Routes of a family that this speaker does not know.
    #[error("routes of {0}, which this speaker does not announce")]
    OtherFamily(AfiSafi),
}
