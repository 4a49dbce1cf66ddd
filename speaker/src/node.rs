//! What this node is: its interfaces, their addresses, and whether a neighbour could hear it.

use ipnet::IpNet;
use std::{collections::BTreeMap, net::IpAddr};

/// The node's network as of now. Compared as a whole: an equal view is no news.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NodeView {
    /// Every interface, by index.
    pub(crate) interfaces: BTreeMap<u32, Interface>,
    /// The Ethernet addresses that the kernel knows of hosts on the LAN, as of the last look.
    pub(crate) neighbours: BTreeMap<IpAddr, [u8; 6]>,
}

/// One interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    /// Its name.
    pub(crate) name: String,
    /// Its Ethernet address, if it has one.
    pub(crate) mac: Option<[u8; 6]>,
    /// Administratively up and with carrier.
    pub(crate) up: bool,
    /// Answers neighbours: broadcast, not loopback, ARP not switched off.
    pub(crate) neighbours: bool,
    /// A port of a bond, bridge or VRF: addresses are announced on the device above it.
    pub(crate) enslaved: bool,
    /// Its addresses with their prefixes, link-local ones too.
    pub(crate) addresses: Vec<IpNet>,
    /// Next hops of default routes through it.
    pub(crate) gateways: Vec<IpAddr>,
}

impl NodeView {
    /// The interfaces on which addresses may be announced: up, with an Ethernet address, answering neighbours, not a port of
    /// something else and not one of [`VIRTUAL`].
    pub(crate) fn announcing(&self) -> impl Iterator<Item = (u32, &Interface, [u8; 6])> {
        self.interfaces
            .iter()
            .filter(|(_, interface)| interface.up && interface.neighbours && !interface.enslaved)
            .filter(|(_, interface)| !VIRTUAL.iter().any(|prefix| interface.name.starts_with(prefix)))
            .filter_map(|(index, interface)| Some((*index, interface, interface.mac?)))
    }

    /// The interface that holds an address.
    pub(crate) fn holding(&self, ip: IpAddr) -> Option<(u32, &Interface)> {
        self.interfaces
            .iter()
            .find(|(_, interface)| interface.addresses.iter().any(|address| address.addr() == ip))
            .map(|(index, interface)| (*index, interface))
    }
}

/// Names that container networks and hypervisors give to interfaces that lead to no LAN; the set that MetalLB leaves out by
/// default (`announcedInterfacesToExclude`).
const VIRTUAL: [&str; 14] = [
    "docker",
    "cbr",
    "dummy",
    "virbr",
    "lxcbr",
    "veth",
    "lo",
    "cali",
    "tunl",
    "flannel",
    "kube-ipvs",
    "cni",
    "nodelocaldns",
    "lxc",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str) -> Interface {
        Interface {
            name: name.to_owned(),
            mac: Some([2, 0, 0, 0, 0, 1]),
            up: true,
            neighbours: true,
            enslaved: false,
            addresses: vec!["192.0.2.1/24".parse().unwrap(), "2001:db8::1/64".parse().unwrap()],
            gateways: Vec::new(),
        }
    }

    #[test]
    fn only_an_interface_that_neighbours_can_reach_announces() {
        let mut view = NodeView::default();
        view.interfaces.insert(1, interface("eth0"));
        view.interfaces.insert(2, interface("veth1234"));
        view.interfaces.insert(3, Interface { up: false, ..interface("eth1") });
        view.interfaces.insert(4, Interface { enslaved: true, ..interface("eth2") });
        view.interfaces.insert(5, Interface { neighbours: false, ..interface("tun0") });
        view.interfaces.insert(6, Interface { mac: None, ..interface("wg0") });
        assert_eq!(view.announcing().map(|(index, ..)| index).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn an_address_is_found_in_either_family() {
        let mut view = NodeView::default();
        view.interfaces.insert(7, interface("eth0"));
        for ip in ["192.0.2.1", "2001:db8::1"] {
            assert_eq!(view.holding(ip.parse().unwrap()).map(|(index, _)| index), Some(7));
        }
        assert_eq!(view.holding("192.0.2.2".parse().unwrap()), None);
    }
}
