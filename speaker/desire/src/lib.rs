//! What the speakers should announce, from where, and why not: here by layer 2, in [`bgp`] by BGP.
//!
//! ```text
//!   Service + its endpoints + Resolved + nodes   --service-->   Wish: addresses, the nodes that may own them, interfaces here
//!                                                               or a Refusal: why nobody may
//!   all Wishes, by key                           --Book----->   by address: who wants it, who may own it, in which order
//! ```
//!
//! # Promises
//!
//! * The nodes that may own an address, and the order they are ranked in, are the same on every node that sees the same objects: who
//!   asks changes only the interfaces and the reason why that node itself is left out.
//! * An address is wanted if and only if some Service wishes for it, and then at least one node may own it.
//! * Whatever the objects say, there is an answer, and a no has a reason.
//!
//! Who of the nodes that may own an address does own it is for the election to settle; who is alive plays no part here.
//! Which Services are of this installation's class is for the caller to filter ([`herald_crds::model::Service::handled_by`]).

pub mod bgp;
mod book;
mod gate;
mod refusal;
mod share;
mod tree;

use std::collections::BTreeMap;

use herald_crds::model::{NodeFacts, Resolved};

pub use book::{Book, Wishes};
pub use gate::{Wish, service};
pub use refusal::Refusal;
pub use share::{Address, Desired};
pub use tree::{Iter, Tree};

/// What a decision is made from, beside the Service itself.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The configuration in force.
    pub resolved: &'a Resolved,
    /// Every node of the cluster, by name.
    pub nodes: &'a BTreeMap<String, NodeFacts>,
    /// The name of the node that asks.
    pub me: &'a str,
    /// Whether the label that keeps load balancers away from a node is ignored.
    pub ignore_exclude_label: bool,
}
