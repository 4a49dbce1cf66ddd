//! `BGPPeer` as old manifests write it.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BGPPeerStatus, is_false};
use crate::api::{null_as_default, spec_may_be_missing};

/// A router, and how to talk to it.
#[expect(clippy::duplicated_attributes, reason = "every printer column has a type and a path")]
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "metallb.io",
    version = "v1beta1",
    kind = "BGPPeer",
    plural = "bgppeers",
    singular = "bgppeer",
    namespaced,
    storage = false,
    deprecated = "v1beta1 is deprecated, please use v1beta2",
    derive = "PartialEq",
    derive = "Default",
    status = "BGPPeerStatus",
    doc = "A BGP router that addresses are announced to.",
    printcolumn(name = "Address", type_ = "string", json_path = ".spec.peerAddress"),
    printcolumn(name = "ASN", type_ = "string", json_path = ".spec.peerASN"),
    printcolumn(name = "BFD Profile", type_ = "string", json_path = ".spec.bfdProfile"),
    printcolumn(name = "Multi Hops", type_ = "string", json_path = ".spec.ebgpMultiHop")
)]
#[serde(default, remote = "Self")]
pub struct BGPPeerSpec {
    /// The AS number of this side.
    #[serde(rename = "myASN")]
    #[schemars(range(min = 0, max = 4_294_967_295_u32))]
    pub my_asn: u32,
    /// The AS number of the router.
    #[serde(rename = "peerASN")]
    #[schemars(range(min = 0, max = 4_294_967_295_u32))]
    pub peer_asn: u32,
    /// The address of the router.
    #[serde(rename = "peerAddress")]
    pub peer_address: String,
    /// The address of this side.
    #[serde(rename = "sourceAddress", skip_serializing_if = "String::is_empty", deserialize_with = "null_as_default")]
    pub source_address: String,
    /// The TCP port of the router; 0 or nothing means 179.
    #[serde(rename = "peerPort", skip_serializing_if = "no_port", deserialize_with = "null_as_default")]
    #[schemars(range(min = 0, max = 16384))]
    pub peer_port: u16,
    /// How long a silent session is kept, as in `90s`.
    #[serde(rename = "holdTime", skip_serializing_if = "Option::is_none")]
    pub hold_time: Option<String>,
    /// How often this side shows that it is alive.
    #[serde(rename = "keepaliveTime", skip_serializing_if = "Option::is_none")]
    pub keepalive_time: Option<String>,
    /// The BGP identifier of this side, written like an IPv4 address.
    #[serde(rename = "routerID", skip_serializing_if = "String::is_empty", deserialize_with = "null_as_default")]
    pub router_id: String,
    /// The nodes that talk to the router, by label; any selector is enough, and none means every node.
    #[serde(rename = "nodeSelectors", skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub node_selectors: Vec<NodeSelector>,
    /// The password of the TCP connection (TCP MD5).
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_as_default")]
    pub password: String,
    /// The BFDProfile of the BFD session beside this one; without it there is no BFD session.
    #[serde(rename = "bfdProfile", skip_serializing_if = "String::is_empty", deserialize_with = "null_as_default")]
    pub bfd_profile: String,
    /// Whether the router, of another AS, is several hops away.
    #[serde(rename = "ebgpMultiHop", skip_serializing_if = "is_false", deserialize_with = "null_as_default")]
    pub ebgp_multi_hop: bool,
}

spec_may_be_missing!(BGPPeerSpec);

/// Nodes by label, all of whose conditions must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NodeSelector {
    /// The labels a node must have.
    #[serde(rename = "matchLabels", skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_default")]
    pub match_labels: BTreeMap<String, String>,
    /// What else must be true of its labels.
    #[serde(rename = "matchExpressions", skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub match_expressions: Vec<MatchExpression>,
}

/// A condition on a label.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MatchExpression {
    /// The label.
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub operator: String,
    /// The values the operator compares with.
    #[schemars(length(min = 1))]
    pub values: Vec<String>,
}

fn no_port(port: &u16) -> bool {
    *port == 0
}
