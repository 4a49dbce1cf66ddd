//! Why a packet led to nothing: one variant per rule, for one counter with a label.

/// Why a packet was discarded. In the order in which the rules are applied (RFC 5881 §5, then RFC 5880 §6.8.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Drop {
    /// It came over one hop with another TTL than 255: somebody farther away sent it (RFC 5881 §5).
    Ttl,
    /// It ends before its Length field.
    Truncated,
    /// Another version than 1.
    Version,
    /// The Length field says less than 24, or less than 26 with the A bit.
    LengthTooShort,
    /// The Length field says more than came.
    LengthBeyondPacket,
    /// Detect Mult is 0.
    DetectMult,
    /// The M bit is set.
    Multipoint,
    /// My Discriminator is 0.
    MyDiscriminator,
    /// Your Discriminator names no session of ours.
    UnknownSession,
    /// Your Discriminator is 0 and the state is Init or Up.
    YourDiscriminator,
    /// Your Discriminator is 0, and no session is wanted with the sender.
    UnknownPeer,
    /// Your Discriminator names a session with somebody else, or over another port, interface or VRF.
    OtherPath,
    /// It came over several hops with a TTL below the session's minimum (RFC 5883 §5).
    TtlBelowMinimum,
    /// The A bit is set, and no authentication is in use.
    Authentication,
    /// The session is administratively down here.
    AdminDown,
}

impl Drop {
    /// Every reason, in order.
    pub const ALL: [Self; 15] = [
        Self::Ttl,
        Self::Truncated,
        Self::Version,
        Self::LengthTooShort,
        Self::LengthBeyondPacket,
        Self::DetectMult,
        Self::Multipoint,
        Self::MyDiscriminator,
        Self::UnknownSession,
        Self::YourDiscriminator,
        Self::UnknownPeer,
        Self::OtherPath,
        Self::TtlBelowMinimum,
        Self::Authentication,
        Self::AdminDown,
    ];

    /// Word for logs and metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ttl => "ttl",
            Self::Truncated => "truncated",
            Self::Version => "version",
            Self::LengthTooShort => "length-too-short",
            Self::LengthBeyondPacket => "length-beyond-packet",
            Self::DetectMult => "detect-mult",
            Self::Multipoint => "multipoint",
            Self::MyDiscriminator => "my-discriminator",
            Self::UnknownSession => "unknown-session",
            Self::YourDiscriminator => "your-discriminator",
            Self::UnknownPeer => "unknown-peer",
            Self::OtherPath => "other-path",
            Self::TtlBelowMinimum => "ttl-below-minimum",
            Self::Authentication => "authentication",
            Self::AdminDown => "admin-down",
        }
    }
}
