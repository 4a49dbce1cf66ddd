//! Capabilities: what a speaker can do (RFC 5492).

use std::fmt;

use super::{AfiSafi, Asn};
use crate::iana::CapabilityCode;

mod codec;

/// One capability.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Speaks a family (RFC 4760 §8).
    MultiProtocol(AfiSafi),
    /// Answers a request to send everything again (RFC 2918 §2).
    RouteRefresh,
    /// Marks the begin and the end of such an answer (RFC 7313 §3.1).
    EnhancedRouteRefresh,
    /// Takes a next hop of another family than the prefix (RFC 8950 §4).
    ExtendedNextHop(Vec<ExtendedNextHop>),
    /// Takes messages of up to 65,535 octets (RFC 8654 §3).
    ExtendedMessage,
    /// Keeps forwarding while the session restarts (RFC 4724 §3, RFC 8538 §2).
    GracefulRestart(GracefulRestart),
    /// Has a four-octet AS number, this one (RFC 6793 §3).
    FourOctetAs(Asn),
    /// Sends or takes several paths for a prefix (RFC 7911 §4).
    AddPath(Vec<AddPathFamily>),
    /// Its part in the business between the two (RFC 9234 §4.1).
    Role(Role),
    /// A capability that has no meaning here.
    Unknown {
        /// Code of the capability.
        code: u8,
        /// Its value.
        bytes: Vec<u8>,
    },
}

impl Capability {
    /// Returns the code.
    pub fn code(&self) -> u8 {
        let code = match self {
            Self::MultiProtocol(_) => CapabilityCode::MultiProtocol,
            Self::RouteRefresh => CapabilityCode::RouteRefresh,
            Self::EnhancedRouteRefresh => CapabilityCode::EnhancedRouteRefresh,
            Self::ExtendedNextHop(_) => CapabilityCode::ExtendedNextHop,
            Self::ExtendedMessage => CapabilityCode::ExtendedMessage,
            Self::GracefulRestart(_) => CapabilityCode::GracefulRestart,
            Self::FourOctetAs(_) => CapabilityCode::FourOctetAs,
            Self::AddPath(_) => CapabilityCode::AddPath,
            Self::Role(_) => CapabilityCode::Role,
            Self::Unknown { code, .. } => return *code,
        };
        code.number()
    }
}

/// Prefixes of a family may have a next hop of another one (RFC 8950 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtendedNextHop {
    /// Family of the prefixes.
    pub family: AfiSafi,
    /// AFI of the next hop.
    pub next_hop_afi: u16,
}

/// What a speaker promises about its next restart, and says about the last one (RFC 4724 §3).
///
/// ```text
///  0 1 2 3 4             15
/// +-+-+---+---------------+ +------+------+-+-------+
/// |R|N|   | time, seconds | | AFI  | SAFI |F|       | ...
/// +-+-+---+---------------+ +------+------+-+-------+
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GracefulRestart {
    /// R: the speaker has restarted and sends its routes only after it has heard the peer's.
    pub restart_state: bool,
    /// N: a NOTIFICATION and an expired hold timer are treated as a restart as well (RFC 8538 §2).
    pub notification_bit: bool,
    /// How long the session may be away, in seconds; at most [`GracefulRestart::MAX_TIME`].
    pub time: u16,
    /// The families whose routes are kept.
    pub families: Vec<GracefulFamily>,
}

impl GracefulRestart {
    /// The longest restart time, in seconds: twelve bits.
    pub const MAX_TIME: u16 = 0x0fff;
}

/// A family whose routes are kept over a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GracefulFamily {
    /// Family of the prefixes.
    pub family: AfiSafi,
    /// F: forwarding did survive the last restart.
    pub forwarding: bool,
}

/// What a speaker does with several paths for a prefix of a family (RFC 7911 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddPathFamily {
    /// Family of the prefixes.
    pub family: AfiSafi,
    /// In which direction.
    pub mode: AddPathMode,
}

/// In which direction a speaker uses path identifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddPathMode {
    /// It takes several paths.
    Receive,
    /// It sends several paths.
    Send,
    /// It does both.
    Both,
}

impl AddPathMode {
    /// Says whether the speaker takes several paths.
    pub fn receives(self) -> bool {
        matches!(self, Self::Receive | Self::Both)
    }

    /// Says whether the speaker sends several paths.
    pub fn sends(self) -> bool {
        matches!(self, Self::Send | Self::Both)
    }
}

/// The part that the sender plays towards the receiver (RFC 9234 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// 0: gives the receiver transit.
    Provider,
    /// 1: passes routes on between its clients.
    RouteServer,
    /// 2: takes part at a route server.
    RouteServerClient,
    /// 3: gets transit from the receiver.
    Customer,
    /// 4: both exchange their customers' routes.
    Peer,
    /// A number that the document does not name; it fits no other role.
    Unassigned(u8),
}

impl Role {
    /// Returns the number as it travels.
    pub fn number(self) -> u8 {
        match self {
            Self::Provider => 0,
            Self::RouteServer => 1,
            Self::RouteServerClient => 2,
            Self::Customer => 3,
            Self::Peer => 4,
            Self::Unassigned(number) => number,
        }
    }

    /// Returns the role that a number stands for.
    pub fn of(number: u8) -> Self {
        match number {
            0 => Self::Provider,
            1 => Self::RouteServer,
            2 => Self::RouteServerClient,
            3 => Self::Customer,
            4 => Self::Peer,
            other => Self::Unassigned(other),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Provider => f.write_str("provider"),
            Self::RouteServer => f.write_str("route server"),
            Self::RouteServerClient => f.write_str("route server client"),
            Self::Customer => f.write_str("customer"),
            Self::Peer => f.write_str("peer"),
            Self::Unassigned(number) => write!(f, "role {number}"),
        }
    }
}
