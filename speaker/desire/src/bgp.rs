//! What one node should announce by BGP, to whom, and why not.
//!
//! ```text
//!   Service + its endpoints + Resolved + nodes   --service-->   Wish: prefixes and the advertisements that ask for them
//!                                                               or a Refusal: why this node announces nothing for it
//!   all Wishes                                   --Book----->   by peer of this node: its routes, whole
//! ```
//!
//! Nobody is elected: every node that passes the gates announces, and the routers choose. So all of this is about the node that asks.
//!
//! # Promises
//!
//! * A prefix is announced to a peer if and only if some Service asks for that: an aggregate goes with the last Service in it.
//! * What a route says does not depend on the order of Services or advertisements.
//! * Every peer of the node is there, also the one that gets nothing: a session without routes is one that an operator can see.

mod book;
mod gate;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use herald_crds::model::{Community, Family, Peer, Place};
use ipnet::IpNet;

use crate::Tree;

pub use book::Book;
pub use gate::service;

/// What one Service wants announced from this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The pool the addresses belong to.
    pub pool: String,
    /// Its addresses, in the order of its status.
    pub ips: Vec<IpAddr>,
    /// The prefixes around them, each with the names of the advertisements that ask for it.
    pub prefixes: BTreeMap<IpNet, BTreeSet<String>>,
    /// The peers of this node that get at least one of them, by name; never empty.
    pub peers: BTreeSet<String>,
}

/// The routes of every peer of this node, by the peer's name.
pub type Desired = BTreeMap<String, Routes>;

/// The routes of one peer. Thousands of prefixes share a handful of attributes.
pub type Routes = Tree<IpNet, Arc<Attributes>>;

/// What is said about a prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attributes {
    /// LOCAL_PREF inside the AS; zero where no advertisement names one.
    pub local_pref: u32,
    /// The communities of all advertisements that ask for the prefix.
    pub communities: BTreeSet<Community>,
}

/// The families of the routes that are exchanged with a peer: the session's own, and the other one where the user asks for both. A peer
/// behind an interface is spoken to over IPv6.
pub fn families(peer: &Peer) -> impl Iterator<Item = Family> {
    let own = match peer.place {
        Place::Address(ip) => Family::of(ip),
        Place::Interface(_) => Family::V6,
    };
    let both = peer.both_families;
    [Family::V4, Family::V6].into_iter().filter(move |&family| both || family == own)
}

/// Whether routes of the family of a prefix are exchanged with a peer.
fn takes(peer: &Peer, prefix: &IpNet) -> bool {
    families(peer).any(|family| family == Family::of(prefix.addr()))
}
