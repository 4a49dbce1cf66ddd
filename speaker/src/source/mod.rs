//! Where the speaker learns what is wanted.

mod config;
pub(crate) mod key;
mod kind;
pub(crate) mod kube;
mod secrets;
mod snapshot;
pub(crate) mod uids;

use herald_crds::model::{NodeFacts, Resolved, ServiceKey};
use herald_desire::{Desired, Tree, Wishes, bgp};
use std::{collections::BTreeMap, sync::Arc};

/// What this node should know and do, whole, as of the newest objects. A copy costs nothing, and shares with the one before it what is the same.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Picture {
    /// Every node of the cluster, by name.
    pub(crate) nodes: Arc<BTreeMap<String, NodeFacts>>,
    /// Every address that is to be announced by layer 2, by some node.
    pub(crate) desired: Desired,
    /// What came of each Service of our class.
    pub(crate) wishes: Wishes,
    /// The configuration in force, with the peers of BGP, their passwords and what is announced to them. Nothing until every kind was listed
    /// that BGP is made of: a session that was up before a restart is not to see half of its routes.
    pub(crate) resolved: Option<Arc<Resolved>>,
    /// What each Service of our class wishes for by BGP from this node.
    pub(crate) bgp_wishes: Tree<ServiceKey, bgp::Wish>,
    /// The routes of each BGP peer of this node; none before `resolved`.
    pub(crate) bgp: bgp::Desired,
}
