//! What the announcer is told: the whole set of interfaces and addresses, each time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use crate::{InterfaceIndex, MacAddr};

/// Everything the announcer should know and do from now on. The whole set; what is absent is over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Interfaces that may announce: the L3 device (bond, bridge, VLAN), never a port of it.
    pub interfaces: BTreeMap<InterfaceIndex, Interface>,
    /// Addresses this node owns, or may come to own.
    pub addresses: BTreeMap<IpAddr, Address>,
    /// MAC addresses of other nodes, as far as known. A claim from one of them is reported, never answered with a
    /// counter-claim: it is a take-over of which the election has not told us yet, and the election settles it.
    /// May be empty; then such a claim costs one corrective burst.
    pub peers: BTreeSet<MacAddr>,
}

/// One interface that may announce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Name, for people.
    pub name: String,
    /// The MAC address put into answers and announcements.
    pub mac: MacAddr,
    /// The interface's own addresses with their prefixes, link-local included.
    pub addresses: Vec<IpNet>,
    /// Next hops of default routes through this interface. They are told of a take-over even if they never asked.
    pub gateways: Vec<IpAddr>,
}

/// One announced address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// What this node is for the address.
    pub role: Role,
    /// Where it may be announced. Indexes that are not in [`Wanted::interfaces`] are skipped.
    pub interfaces: BTreeSet<InterfaceIndex>,
}

/// What this node is for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// It answers and announces.
    Owner,
    /// It says nothing, but learns who asks, and has joined the solicited-node group already.
    Standby,
}
