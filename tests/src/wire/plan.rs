//! Who has which name and address on the segment: pure, the same in every lab.
//!
//! | member | MAC | IPv4 | IPv6 |
//! |---|---|---|---|
//! | node 7 | `02:00:00:00:00:07` | 10.66.1.7 | fd00:10:66::1:7 |
//! | client 1 | `02:00:00:0c:00:01` | 10.66.2.1 | fd00:10:66::2:1 |
//! | control plane | `02:00:00:0a:00:01` | 10.66.0.10 | fd00:10:66::a |
//! | router | `02:00:00:0e:00:01` | 10.66.0.1 | fd00:10:66::ff |
//! | room for VIPs | the owner's | 10.66.100.0/22 | fd00:10:66::100:0/112 |
//! | pods of node 7 | | 10.244.7.0/24 | fd00:10:244:7::/64 |
//! | behind the router | | 10.99.0.0/24 | fd00:10:99::/64 |
//!
//! Numbers read the same in decimal everywhere: node 12 is `...:00:12` and `::1:12`.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

use ipnet::{Ipv4Net, Ipv6Net};

use super::WireOptions;

/// An Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Node(u8),
    Client(u8),
    ControlPlane,
    Router,
    Outside,
}

/// A member to be made.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) mac: Mac,
    pub(super) v4: Ipv4Addr,
    pub(super) v6: Ipv6Addr,
}

/// All members, the router after those that it is for.
pub(super) fn places(options: &WireOptions) -> Vec<Place> {
    let mut roles: Vec<Role> = (1..=options.nodes).map(Role::Node).collect();
    roles.push(Role::ControlPlane);
    roles.extend((1..=options.clients).map(Role::Client));
    if options.router {
        roles.extend([Role::Router, Role::Outside]);
    }
    roles.into_iter().map(place).collect()
}

fn place(role: Role) -> Place {
    let (name, mac, v4, v6) = match role {
        Role::Node(number) => {
            (format!("node{number}"), Mac([2, 0, 0, 0, 0, as_read(number)]), node_v4(number), node_v6(number))
        }
        Role::Client(number) => (
            format!("client{number}"),
            Mac([2, 0, 0, 0x0c, 0, as_read(number)]),
            Ipv4Addr::new(10, 66, 2, number),
            lan_v6(2, as_read(number)),
        ),
        Role::ControlPlane => ("control".to_owned(), Mac([2, 0, 0, 0x0a, 0, 1]), CONTROL_V4, CONTROL_V6),
        Role::Router => ("router".to_owned(), Mac([2, 0, 0, 0x0e, 0, 1]), ROUTER_V4, ROUTER_V6),
        Role::Outside => ("outside".to_owned(), OUTSIDE_MAC, OUTSIDE_V4, OUTSIDE_V6),
    };
    Place { name, role, mac, v4, v6 }
}

/// The IPv4 address of a node.
#[must_use]
pub const fn node_v4(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 66, 1, number)
}

/// The IPv6 address of a node.
#[must_use]
pub const fn node_v6(number: u8) -> Ipv6Addr {
    lan_v6(1, as_read(number))
}

/// The IPv4 addresses of a node's pods.
#[must_use]
pub fn pods_v4(number: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(10, 244, number, 0), 24)
}

/// The IPv6 addresses of a node's pods.
#[must_use]
pub fn pods_v6(number: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0x10, 0x244, as_read(number) as u16, 0, 0, 0, 0), 64)
}

/// The name of another namespace of the same lab.
pub(super) fn sibling(full_name: &str, name: &str) -> String {
    let lab = full_name.rsplit_once('-').map_or(full_name, |(lab, _)| lab);
    format!("{lab}-{name}")
}

/// The number whose hexadecimal digits are the decimal ones of `number`, which is below 100.
pub(super) const fn as_read(number: u8) -> u8 {
    number / 10 * 16 + number % 10
}

const fn lan_v6(group: u16, number: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, 0x10, 0x66, 0, 0, 0, group, number as u16)
}

/// The name of a member's interface on the segment.
pub const INTERFACE: &str = "eth0";
/// The switch's bridge.
pub const BRIDGE: &str = "br0";
/// The whole segment, IPv4.
pub const LAN_V4: &str = "10.66.0.0/16";
/// The whole segment, IPv6.
pub const LAN_V6: &str = "fd00:10:66::/64";
/// Addresses on the segment that no member has: for load balancers.
pub const VIPS_V4: &str = "10.66.100.0/22";
/// As [`VIPS_V4`], IPv6.
pub const VIPS_V6: &str = "fd00:10:66::100:0/112";
/// All pods, IPv4: kube-proxy's and the controller manager's cluster CIDR.
pub const PODS_V4: &str = "10.244.0.0/16";
/// All pods, IPv6.
pub const PODS_V6: &str = "fd00:10:244::/48";
/// The API server's address.
pub const CONTROL_V4: Ipv4Addr = Ipv4Addr::new(10, 66, 0, 10);
/// The API server's address, IPv6.
pub const CONTROL_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x10, 0x66, 0, 0, 0, 0, 0x0a);
/// The router on the segment.
pub const ROUTER_V4: Ipv4Addr = Ipv4Addr::new(10, 66, 0, 1);
/// The router on the segment, IPv6.
pub const ROUTER_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x10, 0x66, 0, 0, 0, 0, 0xff);

pub(super) const LAN_V4_PREFIX: u8 = 16;
pub(super) const LAN_V6_PREFIX: u8 = 64;
pub(super) const BRIDGE_MAC: Mac = Mac([2, 0, 0, 0xff, 0, 1]);
pub(super) const ROUTER_OUTSIDE_MAC: Mac = Mac([2, 0, 0, 0x0e, 0, 2]);
pub(super) const ROUTER_OUTSIDE_V4: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
pub(super) const ROUTER_OUTSIDE_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x10, 0x99, 0, 0, 0, 0, 1);
pub(super) const OUTSIDE_MAC: Mac = Mac([2, 0, 0, 0x0c, 1, 1]);
pub(super) const OUTSIDE_V4: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 10);
pub(super) const OUTSIDE_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x10, 0x99, 0, 0, 0, 0, 0x0a);
