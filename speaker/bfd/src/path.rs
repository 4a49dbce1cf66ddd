//! Between whom a session runs, and over what.

use std::net::IpAddr;
use std::ops::RangeInclusive;

/// Where packets of single-hop sessions go (RFC 5881 §4).
pub const SINGLE_HOP_PORT: u16 = 3784;
/// Where packets of multihop sessions go (RFC 5883 §5).
pub const MULTI_HOP_PORT: u16 = 4784;
/// Where packets come from; each session keeps one (RFC 5881 §4).
pub const SOURCE_PORTS: RangeInclusive<u16> = 49152..=65535;

/// Number by which the kernel knows an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceIndex(pub u32);

/// How far away the peer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hops {
    /// On the same link (RFC 5881).
    Single,
    /// Behind routers (RFC 5883).
    Multi,
}

impl Hops {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Single, Self::Multi];

    /// The UDP port that packets go to.
    pub const fn port(self) -> u16 {
        match self {
            Self::Single => SINGLE_HOP_PORT,
            Self::Multi => MULTI_HOP_PORT,
        }
    }
}

/// One session: two paths that differ are two sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    // The order of the fields is that of the search for a packet without Your Discriminator: what every packet has comes first.
    /// One or several.
    pub hops: Hops,
    /// The VRF device, where the peer is in one.
    pub vrf: Option<InterfaceIndex>,
    /// The other side.
    pub peer: IpAddr,
    /// The one interface that packets come and go by; a link-local peer needs it. Any, if nothing is written.
    pub interface: Option<InterfaceIndex>,
    /// This side; the kernel's choice, if nothing is written.
    pub local: Option<IpAddr>,
}

impl Path {
    /// Whether packets that came by this interface, to this address, may belong here.
    pub(crate) fn admits(&self, interface: InterfaceIndex, to: IpAddr) -> bool {
        self.interface.is_none_or(|own| own == interface) && self.local.is_none_or(|local| local == to)
    }

    /// The first of all paths to a peer, in order.
    pub(crate) const fn first(hops: Hops, vrf: Option<InterfaceIndex>, peer: IpAddr) -> Self {
        Self { hops, vrf, peer, interface: None, local: None }
    }

    /// Whether the other path leads to the same peer.
    pub(crate) fn same_peer(&self, other: &Self) -> bool {
        (self.hops, self.vrf, self.peer) == (other.hops, other.vrf, other.peer)
    }
}
