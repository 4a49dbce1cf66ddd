//! Why a session changed its state, as it is said on the wire.

use std::fmt;

/// `bfd.LocalDiag`, five bits (RFC 5880 §4.1 and IANA's registry). Unknown values survive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Diagnostic(u8);

impl Diagnostic {
    /// Nothing to say.
    pub const NONE: Self = Self(0);
    /// No packet came for a Detection Time.
    pub const DETECTION_TIME_EXPIRED: Self = Self(1);
    /// The echo function lost its packets.
    pub const ECHO_FAILED: Self = Self(2);
    /// The other side said Down.
    pub const NEIGHBOR_SIGNALED_DOWN: Self = Self(3);
    /// The forwarding plane was reset.
    pub const FORWARDING_PLANE_RESET: Self = Self(4);
    /// Something outside BFD says that the path is down.
    pub const PATH_DOWN: Self = Self(5);
    /// A path behind this one is down.
    pub const CONCATENATED_PATH_DOWN: Self = Self(6);
    /// Somebody wants it so.
    pub const ADMINISTRATIVELY_DOWN: Self = Self(7);
    /// A path behind this one is down in the other direction.
    pub const REVERSE_CONCATENATED_PATH_DOWN: Self = Self(8);

    /// Takes the low five bits.
    pub(crate) const fn from_bits(bits: u8) -> Self {
        Self(bits & 0x1f)
    }

    /// The number on the wire.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Word for logs and statuses; all values without a name share one.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NONE => "none",
            Self::DETECTION_TIME_EXPIRED => "detection-time-expired",
            Self::ECHO_FAILED => "echo-failed",
            Self::NEIGHBOR_SIGNALED_DOWN => "neighbor-signaled-down",
            Self::FORWARDING_PLANE_RESET => "forwarding-plane-reset",
            Self::PATH_DOWN => "path-down",
            Self::CONCATENATED_PATH_DOWN => "concatenated-path-down",
            Self::ADMINISTRATIVELY_DOWN => "administratively-down",
            Self::REVERSE_CONCATENATED_PATH_DOWN => "reverse-concatenated-path-down",
            _ => "unassigned",
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
