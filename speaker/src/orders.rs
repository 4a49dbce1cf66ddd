//! From what the cluster wants and what this node is to what the pulse thread does. Pure.
//!
//! Addresses are many: of those only the ones are looked at that differ from the last time, unless this node's interfaces changed.

use crate::{
    node::{Interface, NodeView},
    pulse::{Address, Orders},
    source::Picture,
};
use herald_crds::model::{Interfaces, NodeFacts};
use herald_desire::{Desired, Tree};
use herald_election::{Fitness, Link, NodeId};
use herald_l2::{InterfaceIndex, MacAddr};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, SocketAddr},
};

/// Hosts that are asked for a sign of life where there is no gateway: enough that some are up.
const WITNESSES: usize = 8;

/// Which node this is, and where its heartbeats go.
#[derive(Clone, Debug)]
pub(crate) struct Me {
    pub(crate) node: String,
    /// The user's choice of address, if any.
    pub(crate) address: Option<IpAddr>,
    pub(crate) port: u16,
}

/// Why there can be no orders yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// No Node object of this name.
    Node(String),
    /// The Node object has no InternalIP.
    Address(String),
    /// The address is on no interface.
    Interface(IpAddr),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(name) => {
                write!(f, "there is no Node {name}; set --node-name to the name of this node's Node object")
            }
            Self::Address(name) => write!(f, "Node {name} has no InternalIP; set --ml-bindaddr"),
            Self::Interface(ip) => write!(f, "no interface of this node has the address {ip}; set --ml-bindaddr"),
        }
    }
}

/// Makes orders, each from the last ones.
pub(crate) struct Orderer {
    me: Me,
    desired: Desired,
    interfaces: BTreeMap<InterfaceIndex, herald_l2::Interface>,
    addresses: Tree<IpAddr, Address>,
    /// How many addresses were looked at so far.
    looks: usize,
}

impl Orderer {
    pub(crate) fn new(me: Me) -> Self {
        Self { me, desired: Desired::default(), interfaces: BTreeMap::new(), addresses: Tree::new(), looks: 0 }
    }

    /// The name of this node.
    pub(crate) fn node(&self) -> &str {
        &self.me.node
    }

    /// Makes the orders.
    ///
    /// # Errors
    /// This node's place in the segment is not known.
    pub(crate) fn orders(&mut self, picture: &Picture, view: &NodeView) -> Result<Orders, Missing> {
        let orders = frame(&self.me, picture, view)?;
        if self.interfaces != orders.interfaces {
            self.interfaces.clone_from(&orders.interfaces);
            (self.desired, self.addresses) = (Desired::default(), Tree::new());
        }
        picture.desired.addresses.since(&self.desired.addresses, |ip, _, wanted| {
            self.looks += 1;
            match wanted.map(|wanted| address(wanted, &self.interfaces)) {
                Some(address) if self.addresses.get(ip) == Some(&address) => {}
                Some(address) => self.addresses.insert(*ip, address),
                None => drop(self.addresses.remove(ip)),
            }
        });
        self.desired = picture.desired.clone();
        Ok(Orders { addresses: self.addresses.clone(), ..orders })
    }
}

fn address(wanted: &herald_desire::Address, interfaces: &BTreeMap<InterfaceIndex, herald_l2::Interface>) -> Address {
    let election = herald_election::Address {
        candidates: wanted.candidates.iter().map(|name| NodeId::of(name)).collect(),
        preference: wanted.preference.iter().map(|(name, weight)| (NodeId::of(name), *weight)).collect(),
        order_by: wanted.order_by,
    };
    Address { election, interfaces: chosen(interfaces, &wanted.interfaces) }
}

/// Everything but the addresses.
fn frame(me: &Me, picture: &Picture, view: &NodeView) -> Result<Orders, Missing> {
    let address = match me.address {
        Some(address) => address,
        None => {
            let node = picture.nodes.get(&me.node).ok_or_else(|| Missing::Node(me.node.clone()))?;
            *node.addresses.first().ok_or_else(|| Missing::Address(me.node.clone()))?
        }
    };
    let (index, interface) = view.holding(address).ok_or(Missing::Interface(address))?;
    let link = if interface.up { Link::Up } else { Link::Down };
    let members = picture
        .nodes
        .iter()
        .filter(|(name, _)| **name != me.node)
        .filter_map(|(name, node)| Some((NodeId::of(name), SocketAddr::new(same_family(node, address)?, me.port))))
        .collect::<BTreeMap<_, _>>();
    let nodes = picture
        .nodes
        .iter()
        .filter(|(name, _)| **name != me.node)
        .map(|(name, node)| (NodeId::of(name), node.addresses.clone()))
        .collect();
    let interfaces = view
        .announcing()
        .map(|(index, interface, mac)| {
            let interface = herald_l2::Interface {
                name: interface.name.clone(),
                mac: MacAddr(mac),
                addresses: interface.addresses.clone(),
                gateways: interface.gateways.clone(),
            };
            (InterfaceIndex(index), interface)
        })
        .collect::<BTreeMap<_, _>>();
    let peers =
        members.values().filter_map(|member| view.neighbours.get(&member.ip())).map(|mac| MacAddr(*mac)).collect();
    Ok(Orders {
        heartbeat: SocketAddr::new(address, me.port),
        heartbeat_interface: InterfaceIndex(index),
        link,
        fitness: Fitness::default(),
        witnesses: witnesses(interface, view, &members),
        members,
        nodes,
        addresses: Tree::new(),
        interfaces,
        peers,
        bfd: BTreeMap::new(),
    })
}

/// The gateways of the heartbeats' segment, or, where there is none, a few hosts there that the kernel knows.
fn witnesses(segment: &Interface, view: &NodeView, members: &BTreeMap<NodeId, SocketAddr>) -> BTreeSet<IpAddr> {
    if !segment.gateways.is_empty() {
        return segment.gateways.iter().copied().collect();
    }
    let is_member = |ip: &IpAddr| members.values().any(|member| member.ip() == *ip);
    let on_segment = |ip: &IpAddr| segment.addresses.iter().any(|network| network.contains(ip));
    view.neighbours.keys().filter(|ip| on_segment(ip) && !is_member(ip)).copied().take(WITNESSES).collect()
}

/// A node's address of the family in which this node speaks.
fn same_family(node: &NodeFacts, address: IpAddr) -> Option<IpAddr> {
    node.addresses.iter().copied().find(|ip| ip.is_ipv4() == address.is_ipv4())
}

/// The interfaces that an advertisement chose, as far as this node has them.
fn chosen(
    interfaces: &BTreeMap<InterfaceIndex, herald_l2::Interface>,
    choice: &Interfaces,
) -> BTreeSet<InterfaceIndex> {
    interfaces.iter().filter(|(_, interface)| choice.include(&interface.name)).map(|(index, _)| *index).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use herald_crds::model::ServiceKey;
    use herald_desire::Address as Desired;
    use std::{net::Ipv4Addr, sync::Arc};

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn me() -> Me {
        Me { node: "a".to_owned(), address: None, port: 7790 }
    }

    fn node(addresses: &[&str]) -> NodeFacts {
        NodeFacts { addresses: addresses.iter().map(|text| ip(text)).collect(), ..NodeFacts::default() }
    }

    fn nodes<const N: usize>(nodes: [(String, NodeFacts); N]) -> Arc<BTreeMap<String, NodeFacts>> {
        Arc::new(nodes.into())
    }

    fn made(me: &Me, picture: &Picture, view: &NodeView) -> Result<Orders, Missing> {
        Orderer::new(me.clone()).orders(picture, view)
    }

    /// Nodes a and b on one LAN, dual stack; c has IPv6 only.
    fn picture(interfaces: Interfaces) -> Picture {
        let address = |text: &str| {
            let address = Desired {
                services: [ServiceKey::new("default", "web")].into(),
                pool: "lan".to_owned(),
                candidates: ["a".to_owned(), "b".to_owned()].into(),
                preference: BTreeMap::new(),
                interfaces: interfaces.clone(),
                order_by: ip("192.0.2.100"),
            };
            (ip(text), address)
        };
        Picture {
            nodes: nodes([
                ("a".to_owned(), node(&["192.0.2.1", "2001:db8::1"])),
                ("b".to_owned(), node(&["192.0.2.2", "2001:db8::2"])),
                ("c".to_owned(), node(&["2001:db8::3"])),
            ]),
            desired: herald_desire::Desired { addresses: [address("192.0.2.100"), address("2001:db8::100")].into() },
            ..Picture::default()
        }
    }

    fn view() -> NodeView {
        let interface = |name: &str, addresses: &[&str]| Interface {
            name: name.to_owned(),
            mac: Some([2, 0, 0, 0, 0, 1]),
            up: true,
            neighbours: true,
            enslaved: false,
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
            gateways: Vec::new(),
        };
        NodeView {
            interfaces: [
                (2, interface("eth0", &["192.0.2.1/24", "2001:db8::1/64"])),
                (3, interface("eth1", &["198.51.100.1/24"])),
            ]
            .into(),
            neighbours: [(ip("192.0.2.2"), [2, 0, 0, 0, 0, 2]), (ip("192.0.2.77"), [2, 0, 0, 0, 0, 0x77])].into(),
        }
    }

    #[test]
    fn heartbeats_go_to_the_nodes_that_speak_this_node_s_family() {
        let orders = made(&me(), &picture(Interfaces::All), &view()).unwrap();
        assert_eq!(orders.heartbeat, "192.0.2.1:7790".parse().unwrap());
        assert_eq!(orders.members, [(NodeId::of("b"), "192.0.2.2:7790".parse().unwrap())].into());
        assert_eq!(orders.nodes[&NodeId::of("b")], [ip("192.0.2.2"), ip("2001:db8::2")]);

        let by_choice = Me { address: Some(ip("2001:db8::1")), ..me() };
        let by_choice = made(&by_choice, &picture(Interfaces::All), &view()).unwrap();
        assert_eq!(by_choice.heartbeat, "[2001:db8::1]:7790".parse().unwrap());
        assert_eq!(by_choice.members.len(), 2, "c speaks IPv6");
    }

    #[test]
    fn only_members_count_as_peers() {
        let orders = made(&me(), &picture(Interfaces::All), &view()).unwrap();
        assert_eq!(orders.peers, [MacAddr([2, 0, 0, 0, 0, 2])].into());
    }

    #[test]
    fn an_address_is_answered_on_the_interfaces_that_its_advertisement_names() {
        for (choice, expected) in [
            (Interfaces::All, vec![2, 3]),
            (Interfaces::Named(["eth1".to_owned()].into()), vec![3]),
            (Interfaces::Named(["eth9".to_owned()].into()), vec![]),
        ] {
            let orders = made(&me(), &picture(choice), &view()).unwrap();
            for ip in [ip("192.0.2.100"), ip("2001:db8::100")] {
                let found: Vec<_> = orders.addresses.get(&ip).unwrap().interfaces.iter().map(|index| index.0).collect();
                assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn a_node_without_a_place_on_the_segment_says_what_is_missing() {
        let unknown = Me { node: "z".to_owned(), ..me() };
        assert_eq!(made(&unknown, &picture(Interfaces::All), &view()), Err(Missing::Node("z".to_owned())));
        let mut bare = picture(Interfaces::All);
        bare.nodes = nodes([("a".to_owned(), node(&[]))]);
        assert_eq!(made(&me(), &bare, &view()), Err(Missing::Address("a".to_owned())));
        assert_eq!(
            made(&me(), &picture(Interfaces::All), &NodeView::default()),
            Err(Missing::Interface(ip("192.0.2.1")))
        );
    }

    #[test]
    fn the_gateway_is_the_witness_or_else_hosts_that_are_no_nodes() {
        let found = made(&me(), &picture(Interfaces::All), &view()).unwrap().witnesses;
        assert_eq!(found, [ip("192.0.2.77")].into());
        let mut view = view();
        view.interfaces.get_mut(&2).unwrap().gateways = vec![ip("192.0.2.254")];
        let found = made(&me(), &picture(Interfaces::All), &view).unwrap().witnesses;
        assert_eq!(found, [ip("192.0.2.254")].into());
    }

    #[test]
    fn a_link_without_carrier_is_said() {
        let mut view = view();
        view.interfaces.get_mut(&2).unwrap().up = false;
        let orders = made(&me(), &picture(Interfaces::All), &view).unwrap();
        assert_eq!(orders.link, Link::Down);
        assert!(!orders.interfaces.contains_key(&InterfaceIndex(2)), "nothing is announced there");
    }

    #[test]
    fn of_many_addresses_only_those_are_looked_at_that_changed() {
        let mut first = picture(Interfaces::All);
        let one = first.desired.addresses.get(&ip("192.0.2.100")).unwrap().clone();
        for number in 0..10_000_u32 {
            first.desired.addresses.insert(Ipv4Addr::from(0x0a00_0000 + number).into(), one.clone());
        }
        let mut orderer = Orderer::new(me());
        let before = orderer.orders(&first, &view()).unwrap();
        assert_eq!((orderer.looks, before.addresses.len()), (10_002, 10_002));
        assert_eq!(orderer.orders(&first, &view()).unwrap(), before);
        assert_eq!(orderer.looks, 10_002, "nothing changed");

        let mut second = first.clone();
        let (changed, gone) = (ip("10.0.19.136"), ip("192.0.2.100"));
        let address = second.desired.addresses.get(&changed).unwrap().clone();
        second.desired.addresses.insert(changed, Desired { candidates: ["b".to_owned()].into(), ..address });
        second.desired.addresses.remove(&gone);
        let after = orderer.orders(&second, &view()).unwrap();
        assert_eq!(orderer.looks, 10_004);
        let mut differ = Vec::new();
        after.addresses.since(&before.addresses, |ip, _, _| differ.push(*ip));
        assert_eq!(differ, [changed, gone]);
        assert_eq!(after, made(&me(), &second, &view()).unwrap(), "as if made from nothing");

        let mut moved = view();
        moved.interfaces.remove(&3);
        let elsewhere = orderer.orders(&second, &moved).unwrap();
        assert_eq!(elsewhere, made(&me(), &second, &moved).unwrap());
    }
}
