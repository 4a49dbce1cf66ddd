//! From what the cluster wants and what this node is to what the pulse thread does. Pure.

use crate::{
    node::NodeView,
    pulse::{Address, Orders},
    source::Picture,
};
use herald_crds::model::{Interfaces, NodeFacts};
use herald_election::{Link, NodeId};
use herald_l2::{InterfaceIndex, MacAddr};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, SocketAddr},
};

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

/// Makes the orders.
///
/// # Errors
/// This node's place in the segment is not known.
pub(crate) fn orders(me: &Me, picture: &Picture, view: &NodeView) -> Result<Orders, Missing> {
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
    let addresses = picture
        .desired
        .addresses
        .iter()
        .map(|(ip, address)| {
            let election = herald_election::Address {
                candidates: address.candidates.iter().map(|name| NodeId::of(name)).collect(),
                order_by: address.order_by,
            };
            (*ip, Address { election, interfaces: chosen(&interfaces, &address.interfaces) })
        })
        .collect();
    let peers =
        members.values().filter_map(|member| view.neighbours.get(&member.ip())).map(|mac| MacAddr(*mac)).collect();
    Ok(Orders {
        heartbeat: SocketAddr::new(address, me.port),
        heartbeat_interface: InterfaceIndex(index),
        link,
        members,
        addresses,
        interfaces,
        peers,
    })
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
