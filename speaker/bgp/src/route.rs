//! What is wanted to be said about a route, and what that means towards one peer.
//!
//! Attributes that the AS border decides about:
//!
//! | | iBGP | eBGP |
//! |---|---|---|
//! | AS_PATH | empty, whatever is to be prepended | our AS as the peer sees it, once and as often again as asked |
//! | LOCAL_PREF | always, [`LOCAL_PREF`] unless given (RFC 4271 §5.1.5) | never |
//! | MULTI_EXIT_DISC | if given | if given |
//! | OTC (RFC 9234 §5) | never | our AS, if the roles say that only customers may learn the route |
//!
//! MetalLB's own speaker sends LOCAL_PREF 0 on iBGP where none is given, which makes the route worse than any other; its
//! FRR mode leaves the choice to FRR, which sends 100. So do we; a zero that was asked for is sent as a zero.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use crate::iana::Origin;
use crate::peer::OwnAddresses;
use crate::wire::{
    AsPath, Asn, Attributes, Community, Encoding, Families, Family, LargeCommunity, NextHop, PeerKind, Prefix,
};

/// The whole wanted set. Attributes are shared: thousands of prefixes have a handful of different ones.
pub type Routes = BTreeMap<Prefix, Arc<Route>>;

/// What is wanted to be said about a prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route {
    /// Where the peer is to send what is meant for the prefix.
    pub next_hop: NextHopChoice,
    /// For iBGP only; nothing is [`LOCAL_PREF`].
    pub local_pref: Option<u32>,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// How often our AS stands in the path beyond the one time it must, on eBGP.
    pub prepend: u8,
    /// RFC 1997.
    pub communities: BTreeSet<Community>,
    /// RFC 8092.
    pub large_communities: BTreeSet<LargeCommunity>,
}

/// Where the peer is to send traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NextHopChoice {
    /// To us: our address of the session; if the prefix is of the other family, our address of that family, or the
    /// session's own where the peers agreed on [RFC 8950](crate::peer::Settings::extended_next_hop).
    #[default]
    Own,
    /// To a third party on the subnet that we share with the peer (RFC 4271 §5.1.3), such as an address that moves
    /// between nodes by itself.
    Given(IpAddr),
    /// To our link-local address.
    LinkLocal,
}

/// LOCAL_PREF on iBGP where none is given: what every implementation takes for "no preference".
pub const LOCAL_PREF: u32 = 100;

/// Why a wanted route is not sent to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NotSent {
    /// The peers did not agree on the family.
    Family(Family),
    /// The session is of the other family, we know no address of our own of this one, and RFC 8950 is not agreed on.
    NoOwnAddress(Family),
    /// A next hop of this kind fits no prefix of the family.
    NextHopFamily(Family),
    /// The interface towards the peer has no link-local address that we know.
    NoLinkLocal,
    /// The attributes alone fill a message.
    TooLong,
}

impl std::fmt::Display for NotSent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Family(family) => write!(f, "the peer does not take {family}: activate the family on the peer"),
            Self::NoOwnAddress(family) => {
                write!(
                    f,
                    "this node has no own address to be the next hop of {family}: give it one, or enable extended next hop on both sides"
                )
            }
            Self::NextHopFamily(family) => {
                write!(
                    f,
                    "the given next hop does not fit {family}: give one of that family, or enable extended next hop on both sides"
                )
            }
            Self::NoLinkLocal => f.write_str("the interface towards the peer has no link-local address"),
            Self::TooLong => f.write_str("the attributes do not fit a message: use fewer communities"),
        }
    }
}

/// What a session agreed on, as far as it decides how a route is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How messages to the peer are written; also tells iBGP from eBGP.
    pub encoding: Encoding,
    /// What may be sent.
    pub families: Families,
    /// Our AS as the peer sees it.
    pub local_as: Asn,
    /// Our address of the connection.
    pub local: IpAddr,
    /// Our other addresses.
    pub own: OwnAddresses,
    /// The value of OTC, if routes to this peer get one.
    pub only_to_customer: Option<Asn>,
    /// Begin and end of a refresh are marked (RFC 7313).
    pub marks_refresh: bool,
}

impl Terms {
    /// Returns the next hop of a route.
    ///
    /// # Errors
    ///
    /// Why there is none that the peer would understand.
    pub fn next_hop(&self, family: Family, choice: NextHopChoice) -> Result<NextHop, NotSent> {
        if !self.families.contains(family) {
            return Err(NotSent::Family(family));
        }
        let over_v6 = family == Family::V6Unicast || self.encoding.extended_next_hop.contains(family);
        match choice {
            NextHopChoice::Own => self.own_next_hop(family, over_v6),
            NextHopChoice::Given(IpAddr::V4(ip)) if family == Family::V4Unicast => Ok(NextHop::V4(ip)),
            NextHopChoice::Given(IpAddr::V6(global)) if over_v6 => Ok(NextHop::V6 { global, link_local: None }),
            NextHopChoice::Given(_) => Err(NotSent::NextHopFamily(family)),
            NextHopChoice::LinkLocal if !over_v6 => Err(NotSent::NextHopFamily(family)),
            NextHopChoice::LinkLocal => {
                let global = self.link_local().ok_or(NotSent::NoLinkLocal)?;
                Ok(NextHop::V6 { global, link_local: None })
            }
        }
    }

    fn own_next_hop(&self, family: Family, over_v6: bool) -> Result<NextHop, NotSent> {
        match (family, self.local) {
            (Family::V4Unicast, IpAddr::V4(ip)) => Ok(NextHop::V4(ip)),
            // On an unnumbered link the IPv4 address of another interface would not be reachable: what was agreed on
            // counts first.
            (_, IpAddr::V6(local)) if over_v6 => Ok(self.v6(local)),
            (Family::V4Unicast, IpAddr::V6(_)) => self.own.v4.map(NextHop::V4).ok_or(NotSent::NoOwnAddress(family)),
            (Family::V6Unicast, _) => {
                let global = self.own.v6.ok_or(NotSent::NoOwnAddress(family))?;
                Ok(NextHop::V6 { global, link_local: None })
            }
        }
    }

    /// A peer on our link gets both addresses if there are both (RFC 2545 §3).
    fn v6(&self, local: Ipv6Addr) -> NextHop {
        match (local.is_unicast_link_local(), self.own.v6) {
            (true, Some(global)) => NextHop::V6 { global, link_local: Some(local) },
            _ => NextHop::V6 { global: local, link_local: None },
        }
    }

    fn link_local(&self) -> Option<Ipv6Addr> {
        match self.local {
            IpAddr::V6(local) if local.is_unicast_link_local() => Some(local),
            _ => self.own.link_local,
        }
    }

    /// Says whether a route is said in other terms as it is in these.
    pub(crate) fn says_as(&self, other: &Self, family: Family, route: &Route) -> bool {
        let apart_from_addresses = Self { local: other.local, own: other.own, ..*self };
        apart_from_addresses == *other
            && self.next_hop(family, route.next_hop) == other.next_hop(family, route.next_hop)
    }

    /// Returns the path attributes of a route, next hop aside.
    pub fn attributes(&self, route: &Route) -> Attributes {
        let common = Attributes {
            origin: Some(Origin::Igp),
            med: route.med,
            communities: route.communities.clone(),
            large_communities: route.large_communities.clone(),
            ..Attributes::default()
        };
        match self.encoding.peer {
            PeerKind::Internal => Attributes {
                as_path: Some(AsPath::default()),
                local_pref: Some(route.local_pref.unwrap_or(LOCAL_PREF)),
                ..common
            },
            PeerKind::External => Attributes {
                as_path: Some(AsPath::sequence(&vec![self.local_as; 1 + usize::from(route.prepend)])),
                only_to_customer: self.only_to_customer,
                ..common
            },
        }
    }
}

#[cfg(test)]
mod tests;
