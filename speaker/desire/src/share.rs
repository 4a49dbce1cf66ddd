//! All Services together: by address, who wants it and who may own it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use herald_crds::model::{Interfaces, ServiceKey};

use crate::{Tree, Wish};

/// Everything that should be announced at layer 2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    /// By address; an address that nobody wishes for is not there.
    pub addresses: Tree<IpAddr, Address>,
}

/// One address that should be announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The Services that want it.
    pub services: BTreeSet<ServiceKey>,
    /// The pool it belongs to.
    pub pool: String,
    /// The nodes that may own it, by name; never empty.
    pub candidates: BTreeSet<String>,
    /// How much some of them are preferred; a node that is not listed is not.
    pub preference: BTreeMap<String, u32>,
    /// The interfaces of this node to announce it on.
    pub interfaces: Interfaces,
    /// What the candidates are ranked by: the first address of the Service, so that both families of it come to lie on one node.
    pub order_by: IpAddr,
}

/// Puts the wishes for one address together; nothing where nobody wishes for it.
///
/// Services that share an address and have the traffic policy Local have the same pod selector, so they have the same nodes, but they
/// do not learn of a change at the same instant. A node that lacks an endpoint of one of them would drop its traffic: so an address is
/// for the nodes that serve all its Services. While there is none, it is for those that serve some: better part of the traffic than none.
pub(crate) fn address(ip: IpAddr, wishes: &[(&ServiceKey, &Wish)]) -> Option<Address> {
    let ((_, first), others) = wishes.split_first()?;
    let order_by = |wish: &Wish| wish.ips.first().copied().unwrap_or(ip);
    let mut whole = Address {
        services: wishes.iter().map(|(key, _)| (*key).clone()).collect(),
        pool: first.pool.clone(),
        candidates: first.candidates.clone(),
        preference: first.preference.clone(),
        interfaces: first.interfaces.clone(),
        order_by: order_by(first),
    };
    for (_, wish) in others {
        whole.candidates.retain(|node| wish.candidates.contains(node));
        for (node, &weight) in &wish.preference {
            let sum = whole.preference.entry(node.clone()).or_default();
            *sum = weight.max(*sum);
        }
        whole.interfaces = whole.interfaces.union(&wish.interfaces);
        whole.order_by = whole.order_by.min(order_by(wish));
    }
    if whole.candidates.is_empty() {
        whole.candidates = wishes.iter().flat_map(|(_, wish)| &wish.candidates).cloned().collect();
    }
    Some(whole)
}
