//! `L2Advertisement`: which pools are announced by ARP and NDP, from which nodes, on which interfaces.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{null_as_default, spec_may_be_missing};

/// What an `L2Advertisement` announces, and from where.
#[expect(clippy::duplicated_attributes, reason = "every printer column has a type and a path")]
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "metallb.io",
    version = "v1beta1",
    kind = "L2Advertisement",
    plural = "l2advertisements",
    singular = "l2advertisement",
    namespaced,
    derive = "PartialEq",
    derive = "Default",
    status = "L2AdvertisementStatus",
    doc = "Announces the addresses of the selected IPAddressPools on the local segment, by ARP and NDP.",
    printcolumn(name = "IPAddressPools", type_ = "string", json_path = ".spec.ipAddressPools"),
    printcolumn(name = "IPAddressPool Selectors", type_ = "string", json_path = ".spec.ipAddressPoolSelectors"),
    printcolumn(name = "Interfaces", type_ = "string", json_path = ".spec.interfaces"),
    printcolumn(name = "Node Selectors", type_ = "string", json_path = ".spec.nodeSelectors", priority = 10)
)]
#[serde(default, remote = "Self")]
pub struct L2AdvertisementSpec {
    /// The pools to announce, by name. With no selectors either, all pools are announced.
    #[serde(rename = "ipAddressPools", skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub ip_address_pools: Vec<String>,
    /// Pools to announce, by label; any selector is enough, and so is a name in `ipAddressPools`.
    #[serde(
        rename = "ipAddressPoolSelectors",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub ip_address_pool_selectors: Vec<LabelSelector>,
    /// The nodes that may announce, by label; any selector is enough, and none means every node.
    #[serde(rename = "nodeSelectors", skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub node_selectors: Vec<LabelSelector>,
    /// The interfaces to announce on, by exact name; none means every interface.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub interfaces: Vec<String>,
    /// The Services to announce, by the labels of the Service; any selector is enough, and none means every Service.
    #[serde(rename = "serviceSelectors", skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub service_selectors: Vec<LabelSelector>,
    /// Which of the eligible nodes are preferred. The weights of all matching entries add up.
    #[serde(
        rename = "preferredNodeSelectors",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub preferred_node_selectors: Vec<PreferredNodeSelector>,
}

spec_may_be_missing!(L2AdvertisementSpec);

/// One preference for some nodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PreferredNodeSelector {
    /// How much a matching node is preferred, from 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    pub weight: i32,
    /// The preferred nodes, by label; an empty selector matches every node.
    pub preference: LabelSelector,
}

/// Nothing yet: the kind has a status so that a later version can fill it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct L2AdvertisementStatus {}
