//! Where the speaker learns what is wanted.

mod config;
pub(crate) mod key;
mod kind;
pub(crate) mod kube;
mod secrets;
mod snapshot;

use herald_crds::model::{NodeFacts, Resolved, ServiceKey};
use herald_desire::{Desired, Refusal, Wish, bgp};
use std::{collections::BTreeMap, sync::Arc};

/// What this node should know and do, whole, as of the newest objects.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Picture {
    /// Every node of the cluster, by name.
    pub(crate) nodes: BTreeMap<String, NodeFacts>,
    /// Every address that is to be announced by layer 2, by some node.
    pub(crate) desired: Desired,
    /// What came of each Service of our class.
    pub(crate) wishes: Arc<BTreeMap<ServiceKey, Result<Wish, Refusal>>>,
    /// The configuration in force, with the peers of BGP, their passwords and what is announced to them. Nothing until every kind was listed
    /// that BGP is made of: a session that was up before a restart is not to see half of its routes.
    pub(crate) resolved: Option<Arc<Resolved>>,
    /// What came of each Service of our class for BGP on this node.
    pub(crate) bgp_wishes: Arc<BTreeMap<ServiceKey, Result<bgp::Wish, Refusal>>>,
    /// The routes of each BGP peer of this node; none before `resolved`.
    pub(crate) bgp: bgp::Desired,
}
