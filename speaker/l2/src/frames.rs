//! What we say, in words of the protocols: one function per sentence, for both families.
//!
//! | sentence     | IPv4                                                 | IPv6                                       |
//! |--------------|------------------------------------------------------|--------------------------------------------|
//! | `answer`     | reply to who asked                                   | NA to who asked, S=1 O=1                   |
//! | `defence`    | the same: the target is 0.0.0.0 (RFC 5227 §2.1.1)    | NA to ff02::1, S=0 O=1 (RFC 4861 §7.2.4)   |
//! | `broadcast`  | request for itself to everybody (RFC 5227 §2.3)      | NA to ff02::1, S=0 O=1 (RFC 4861 §7.2.6)   |
//! | `second`     | reply to itself to everybody                         | the same to ff02::2 (RFC 9131 §4)          |
//! | `directed`   | request for the client, to its MAC address           | NS for the client, to its MAC address      |
//! | `probe`      | request from 0.0.0.0 to everybody (RFC 5227 §1.1)    | NS from :: to its group, with a nonce      |
//! | `undirected` | request for the gateway, to everybody                | NS for the gateway, to its group           |
//!
//! Why these flags: O=0 is for addresses that several nodes answer for, anycast and proxied ones (RFC 4861 §7.2.4).
//! Ours has one owner at a time, and with O=0 a neighbour that holds the old owner's link-layer address keeps it
//! (§7.2.5), so O is always set. S only answers a solicitation from an address; a probe from :: gets S=0. R is never
//! set: the address forwards for nobody.
//!
//! Why a request moves an entry: whoever is asked takes over the asker's addresses (RFC 826; RFC 4861 §7.2.3), also
//! hosts that ignore unasked announcements.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::wire::arp::{Arp, Operation};
use crate::wire::ethernet::multicast;
use crate::wire::ndp::{Message, Ndp, probe, solicited_node};
use crate::{Client, Interface, MacAddr};

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// The question for a host's Ethernet address that the interface asks from an own address of the same subnet: whoever is there
/// answers, whatever it runs. Nothing if the interface has no such address.
#[must_use]
pub fn question(interface: &Interface, target: IpAddr) -> Option<Vec<u8>> {
    let source = interface.addresses.iter().find(|network| network.contains(&target))?.addr();
    Voice { mac: interface.mac, link_local: None }.undirected(source, target)
}

/// Who speaks: an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Voice {
    pub(crate) mac: MacAddr,
    /// Source of advertisements; without one the announced address itself.
    pub(crate) link_local: Option<Ipv6Addr>,
}

impl Voice {
    pub(crate) fn answer_v4(&self, ip: Ipv4Addr, client: MacAddr, client_ip: Ipv4Addr) -> Vec<u8> {
        self.arp(Operation::Reply, ip, client, client_ip).frame(client)
    }

    pub(crate) fn answer_v6(&self, ip: Ipv6Addr, client: MacAddr, client_ip: Ipv6Addr) -> Vec<u8> {
        self.advertisement(ip, client_ip, true).frame(self.mac, client)
    }

    pub(crate) fn defence_v6(&self, ip: Ipv6Addr) -> Vec<u8> {
        self.advertisement(ip, ALL_NODES, false).frame(self.mac, multicast(ALL_NODES))
    }

    /// The question whether anybody has an address; it claims nothing.
    pub(crate) fn probe(&self, ip: IpAddr, nonce: [u8; 6]) -> Vec<u8> {
        match ip {
            IpAddr::V4(ip) => {
                let probe = self.arp(Operation::Request, Ipv4Addr::UNSPECIFIED, MacAddr::ZERO, ip);
                probe.frame(MacAddr::BROADCAST)
            }
            IpAddr::V6(ip) => probe(self.mac, ip, nonce),
        }
    }

    pub(crate) fn broadcast(&self, ip: IpAddr) -> Vec<u8> {
        match ip {
            IpAddr::V4(ip) => self.arp(Operation::Request, ip, MacAddr::ZERO, ip).frame(MacAddr::BROADCAST),
            IpAddr::V6(ip) => self.advertisement(ip, ALL_NODES, false).frame(self.mac, multicast(ALL_NODES)),
        }
    }

    pub(crate) fn second(&self, ip: IpAddr) -> Vec<u8> {
        match ip {
            IpAddr::V4(ip) => self.arp(Operation::Reply, ip, self.mac, ip).frame(MacAddr::BROADCAST),
            IpAddr::V6(ip) => self.advertisement(ip, ALL_ROUTERS, false).frame(self.mac, multicast(ALL_ROUTERS)),
        }
    }

    /// Returns `None` if the client is of the other family.
    pub(crate) fn directed(&self, ip: IpAddr, client: Client) -> Option<Vec<u8>> {
        match (ip, client.ip) {
            (IpAddr::V4(ip), IpAddr::V4(to)) => {
                Some(self.arp(Operation::Request, ip, MacAddr::ZERO, to).frame(client.mac))
            }
            (IpAddr::V6(ip), IpAddr::V6(to)) => Some(self.solicitation(ip, to, to).frame(self.mac, client.mac)),
            _ => None,
        }
    }

    /// Returns `None` if the gateway is of the other family.
    pub(crate) fn undirected(&self, ip: IpAddr, gateway: IpAddr) -> Option<Vec<u8>> {
        match (ip, gateway) {
            (IpAddr::V4(ip), IpAddr::V4(to)) => {
                Some(self.arp(Operation::Request, ip, MacAddr::ZERO, to).frame(MacAddr::BROADCAST))
            }
            (IpAddr::V6(ip), IpAddr::V6(to)) => {
                let group = solicited_node(to);
                Some(self.solicitation(ip, group, to).frame(self.mac, multicast(group)))
            }
            _ => None,
        }
    }

    fn arp(&self, operation: Operation, ip: Ipv4Addr, target_mac: MacAddr, target_ip: Ipv4Addr) -> Arp {
        Arp { operation, sender_mac: self.mac, sender_ip: ip, target_mac, target_ip }
    }

    fn advertisement(&self, ip: Ipv6Addr, destination: Ipv6Addr, solicited: bool) -> Ndp {
        Ndp {
            source: self.link_local.unwrap_or(ip),
            destination,
            target: ip,
            message: Message::Advertisement { solicited, overrides: true },
            mac: Some(self.mac),
        }
    }

    fn solicitation(&self, ip: Ipv6Addr, destination: Ipv6Addr, target: Ipv6Addr) -> Ndp {
        Ndp { source: ip, destination, target, message: Message::Solicitation, mac: Some(self.mac) }
    }
}
