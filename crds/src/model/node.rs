//! What a Node object says that matters here.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::Node;

use super::range::parse_ip;
use super::select::Labels;
use crate::keys::{DRAIN_ANNOTATION, EXCLUDE_LABEL};

/// One node, as far as announcing goes. Readiness and taints play no part: who is alive, the speakers tell each other. A cordon
/// plays one where the node is annotated so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeFacts {
    /// The labels of the node.
    pub labels: Labels,
    /// Its addresses of type `InternalIP`, in the order of the object.
    pub addresses: Vec<IpAddr>,
    /// Whether the condition `NetworkUnavailable` is true.
    pub network_unavailable: bool,
    /// Whether its annotation says that it is to announce nothing.
    pub drained: bool,
}

impl NodeFacts {
    /// Whether the node carries the label that keeps load balancers away from it.
    pub fn is_excluded(&self) -> bool {
        self.labels.contains_key(EXCLUDE_LABEL)
    }
}

impl From<&Node> for NodeFacts {
    fn from(node: &Node) -> Self {
        let status = node.status.as_ref();
        let addresses = status.and_then(|s| s.addresses.as_deref()).unwrap_or_default();
        let conditions = status.and_then(|s| s.conditions.as_deref()).unwrap_or_default();
        Self {
            labels: node.metadata.labels.clone().unwrap_or_default(),
            addresses: addresses
                .iter()
                .filter(|address| address.type_ == "InternalIP")
                .filter_map(|address| parse_ip(&address.address))
                .collect(),
            drained: is_drained(node),
            network_unavailable: conditions.iter().any(|c| c.type_ == "NetworkUnavailable" && c.status == "True"),
        }
    }
}

/// Anything but the two words and `false` says nothing: a node whose annotation is a typing error goes on.
fn is_drained(node: &Node) -> bool {
    let annotation = node.metadata.annotations.as_ref().and_then(|all| all.get(DRAIN_ANNOTATION));
    match annotation.map(String::as_str) {
        Some("true") => true,
        Some("on-cordon") => node.spec.as_ref().is_some_and(|spec| spec.unschedulable == Some(true)),
        Some(_) | None => false,
    }
}
