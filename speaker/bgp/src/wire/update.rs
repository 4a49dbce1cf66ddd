//! UPDATE: what is reachable from now on, and what no longer is (RFC 4271 §4.3, RFC 4760).
//!
//! ```text
//! +---------+------------------+---------+-----------------------------------+-------------+
//! | length  | withdrawn (IPv4) | length  | attributes, among them            | NLRI (IPv4) |
//! | 2       |                  | 2       | MP_REACH_NLRI and MP_UNREACH_NLRI |             |
//! +---------+------------------+---------+-----------------------------------+-------------+
//! ```

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::{AfiSafi, Attributes, Family, Nlri};

mod decode;
mod encode;

/// An UPDATE message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// IPv4 prefixes that are no longer reachable.
    pub withdrawn: Vec<Nlri>,
    /// What holds for [`Update::nlri`] and [`Update::reach`].
    pub attributes: Attributes,
    /// IPv4 prefixes that are reachable by [`Attributes::next_hop`].
    pub nlri: Vec<Nlri>,
    /// MP_REACH_NLRI: prefixes that bring their own next hop.
    pub reach: Option<Reach>,
    /// MP_UNREACH_NLRI: prefixes of a named family that are no longer reachable.
    pub unreach: Option<Unreach>,
    /// Families that this speaker does not know and of which the message says something, which is not read.
    pub others: BTreeSet<AfiSafi>,
}

impl Update {
    /// Builds the message that ends the first batch of a family (RFC 4724 §2).
    pub fn end_of_rib(family: Family) -> Self {
        match family {
            Family::V4Unicast => Self::default(),
            family => Self { unreach: Some(Unreach { family, nlri: Vec::new() }), ..Self::default() },
        }
    }

    /// Returns the family whose first batch the message ends, nothing if it says anything else.
    pub fn ends_rib_of(&self) -> Option<Family> {
        if let Some(Unreach { family, nlri }) = &self.unreach
            && nlri.is_empty()
        {
            return (*self == Self { unreach: self.unreach.clone(), ..Self::default() }).then_some(*family);
        }
        (*self == Self::default()).then_some(Family::V4Unicast)
    }
}

/// The MP_REACH_NLRI attribute (RFC 4760 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Family of the prefixes.
    pub family: Family,
    /// Where to send what is meant for them.
    pub next_hop: NextHop,
    /// Prefixes of that family.
    pub nlri: Vec<Nlri>,
}

/// The MP_UNREACH_NLRI attribute (RFC 4760 §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreach {
    /// Family of the prefixes.
    pub family: Family,
    /// Prefixes of that family; none in an end-of-RIB.
    pub nlri: Vec<Nlri>,
}

/// The next hop in MP_REACH_NLRI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NextHop {
    /// Four octets, for IPv4 prefixes.
    V4(Ipv4Addr),
    /// Sixteen or thirty-two octets (RFC 2545 §3), for IPv6 prefixes, or for IPv4 ones after [`super::Capability::ExtendedNextHop`].
    V6 {
        /// The global address, or the link-local one where there is no other.
        global: Ipv6Addr,
        /// The address on the link that both peers are on.
        link_local: Option<Ipv6Addr>,
    },
}
