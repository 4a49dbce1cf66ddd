//! From what the cluster wants and what this node is to whom it talks BGP with, and how. Pure.

use super::Order;
use crate::{
    net::tcp::Link,
    node::{Interface, NodeView},
};
use herald_bfd::{Echo, Hops, InterfaceIndex, Interval, Path, Role};
use herald_bgp::{
    CONNECT_RETRY_TIME, HOLD_TIME, Offer, OwnAddresses, RemoteAs, Restart, Settings, Start,
    wire::{self, Asn, Families},
};
use herald_crds::model::{BfdProfile, Family, NodeFacts, Peer, Place, Resolved};
use herald_desire::bgp::{self, Desired, Routes};
use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    num::NonZeroU8,
    time::Duration,
};

/// How long a router that agreed to keeps our routes while this process is replaced: image pulls and slow API servers included. FRR's own
/// default; halved, a slow roll-out loses the routes, doubled, a node that does not come back attracts traffic for minutes.
const RESTART_TIME: Duration = Duration::from_secs(120);

/// What the peers of this node are made of.
pub(crate) struct World<'a> {
    /// The name of this node.
    pub(crate) node: &'a str,
    /// Its Node object, if there is one.
    pub(crate) facts: Option<&'a NodeFacts>,
    /// Its network.
    pub(crate) view: &'a NodeView,
    /// The configuration in force.
    pub(crate) resolved: &'a Resolved,
    /// The routes of each peer.
    pub(crate) desired: &'a Desired,
}

/// Why there is no talking to a peer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Unusable {
    /// It is behind an interface.
    Unnumbered(String),
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unnumbered(interface) => write!(
                f,
                "peers behind an interface ({interface}) are not supported yet: give the router's address in spec.peerAddress instead"
            ),
        }
    }
}

/// The peers of this node, by name, and those that cannot be talked to.
pub(crate) fn orders(world: &World<'_>) -> (BTreeMap<String, Order>, BTreeMap<String, Unusable>) {
    let (mut orders, mut unusable) = (BTreeMap::new(), BTreeMap::new());
    for (name, routes) in world.desired {
        let Some(peer) = world.resolved.bgp_peers.get(name) else { continue };
        match order(world, peer, routes.clone()) {
            Ok(order) => drop(orders.insert(name.clone(), order)),
            Err(why) => drop(unusable.insert(name.clone(), why)),
        }
    }
    (orders, unusable)
}

fn order(world: &World<'_>, peer: &Peer, routes: Routes) -> Result<Order, Unusable> {
    let ip = match &peer.place {
        Place::Address(ip) => *ip,
        Place::Interface(name) => return Err(Unusable::Unnumbered(name.clone())),
    };
    let link = Link {
        peer: SocketAddr::new(ip, peer.port),
        local: peer.source,
        vrf: peer.vrf.clone(),
        password: peer.password.clone(),
    };
    let towards = world.view.interfaces.values().find(|interface| shares_a_network(interface, ip));
    let own = own_addresses(world, towards, peer.source);
    let settings = Settings {
        local_as_override: peer.local_asn.map(Asn),
        hold_time: peer.hold.unwrap_or(HOLD_TIME),
        keepalive_time: peer.keepalive.filter(|keepalive| !keepalive.is_zero()),
        connect_retry_time: peer.connect.unwrap_or(CONNECT_RETRY_TIME),
        families: families(peer),
        extended_next_hop: if ip.is_ipv6() { Offer::Yes } else { Offer::No },
        // Whether an earlier process left routes behind is not known; saying so costs nothing where it did not.
        graceful_restart: peer
            .graceful_restart
            .then_some(Restart { restart_time: RESTART_TIME, start: Start::Restarted }),
        own,
        ..Settings::new(Asn(peer.my_asn), remote_as(peer), router_id(world, peer))
    };
    let hops = if peer.multi_hop || towards.is_none() { Hops::Multi } else { Hops::Single };
    let bfd = peer.bfd.as_ref().map(|profile| {
        let vrf = peer.vrf.as_ref().and_then(|vrf| index_of(world.view, vrf));
        (Path { hops, vrf, peer: ip, interface: None, local: peer.source }, bfd_settings(profile))
    });
    Ok(Order { link, settings, routes, bfd })
}

fn remote_as(peer: &Peer) -> RemoteAs {
    match peer.remote {
        herald_crds::model::RemoteAs::Exactly(asn) => RemoteAs::Exactly(Asn(asn)),
        herald_crds::model::RemoteAs::Internal => RemoteAs::Internal,
        herald_crds::model::RemoteAs::External => RemoteAs::External,
    }
}

fn families(peer: &Peer) -> Families {
    let of = |family| match family {
        Family::V4 => wire::Family::V4Unicast,
        Family::V6 => wire::Family::V6Unicast,
    };
    bgp::families(peer).map(of).collect()
}

fn shares_a_network(interface: &Interface, ip: IpAddr) -> bool {
    interface.addresses.iter().any(|network| network.contains(&ip))
}

fn index_of(view: &NodeView, name: &str) -> Option<InterfaceIndex> {
    view.interfaces.iter().find(|(_, interface)| interface.name == name).map(|(index, _)| InterfaceIndex(*index))
}

/// The user's choice, else the node's IPv4 address, else a number made of its name: the same at every start, so that a router that waits
/// for this speaker to restart knows it again.
fn router_id(world: &World<'_>, peer: &Peer) -> Ipv4Addr {
    let of_node = world.facts.and_then(|facts| facts.addresses.iter().find_map(|ip| v4(*ip)));
    peer.router_id.or(of_node).unwrap_or_else(|| {
        // FNV-1a. Zero is no identifier (RFC 6286 §2.1).
        let hash =
            world.node.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        Ipv4Addr::from(hash.max(1))
    })
}

/// Next hops where the session's own address is of the other family: the source address, else what the interface towards the peer has, else
/// what the node has.
fn own_addresses(world: &World<'_>, towards: Option<&Interface>, source: Option<IpAddr>) -> OwnAddresses {
    let of_interface = || towards.into_iter().flat_map(|interface| &interface.addresses).map(|network| network.addr());
    let of_node = || world.facts.into_iter().flat_map(|facts| facts.addresses.iter().copied());
    let all = || source.into_iter().chain(of_interface()).chain(of_node());
    OwnAddresses {
        v4: all().find_map(v4),
        v6: all().filter_map(v6).find(|ip| !ip.is_unicast_link_local()),
        link_local: of_interface().filter_map(v6).find(Ipv6Addr::is_unicast_link_local),
    }
}

fn v4(ip: IpAddr) -> Option<Ipv4Addr> {
    if let IpAddr::V4(ip) = ip { Some(ip) } else { None }
}

fn v6(ip: IpAddr) -> Option<Ipv6Addr> {
    if let IpAddr::V6(ip) = ip { Some(ip) } else { None }
}

fn bfd_settings(profile: &BfdProfile) -> herald_bfd::Settings {
    herald_bfd::Settings {
        desired_min_tx: Interval::saturating(profile.transmit_interval),
        required_min_rx: Interval::saturating(profile.receive_interval),
        detect_mult: NonZeroU8::new(profile.detect_multiplier).unwrap_or(NonZeroU8::MIN),
        role: if profile.passive_mode { Role::Passive } else { Role::Active },
        minimum_ttl_hops: profile.minimum_ttl,
        echo: if profile.echo_mode { Echo::Asked } else { Echo::Off },
    }
}

#[cfg(test)]
mod tests;
