//! The configuration as read, before anything is made of it.

use std::collections::BTreeMap;

use super::NodeFacts;
use super::select::Labels;
use crate::api::{IPAddressPool, L2Advertisement};

/// The small part of a snapshot, resolved whole: everything but Services and endpoints.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// The pools of Herald's namespace, by name.
    pub pools: BTreeMap<String, IPAddressPool>,
    /// The layer-2 advertisements of Herald's namespace, by name.
    pub l2_advertisements: BTreeMap<String, L2Advertisement>,
    /// The labels of every namespace, by name.
    pub namespaces: BTreeMap<String, Labels>,
    /// Every node, by name.
    pub nodes: BTreeMap<String, NodeFacts>,
}
