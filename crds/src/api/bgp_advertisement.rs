//! `BGPAdvertisement`: which pools are announced to BGP peers, from which nodes, and with which attributes.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{null_as_default, spec_may_be_missing};

/// What a `BGPAdvertisement` announces, to whom, and how.
#[expect(clippy::duplicated_attributes, reason = "every printer column has a type and a path")]
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "metallb.io",
    version = "v1beta1",
    kind = "BGPAdvertisement",
    plural = "bgpadvertisements",
    singular = "bgpadvertisement",
    namespaced,
    derive = "PartialEq",
    derive = "Default",
    status = "BGPAdvertisementStatus",
    doc = "Announces the addresses of the selected IPAddressPools to BGP peers.",
    printcolumn(name = "IPAddressPools", type_ = "string", json_path = ".spec.ipAddressPools"),
    printcolumn(name = "IPAddressPool Selectors", type_ = "string", json_path = ".spec.ipAddressPoolSelectors"),
    printcolumn(name = "Peers", type_ = "string", json_path = ".spec.peers"),
    printcolumn(name = "Node Selectors", type_ = "string", json_path = ".spec.nodeSelectors", priority = 10)
)]
#[serde(default, remote = "Self")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.serviceSelectors) || size(self.serviceSelectors) == 0 || ((!has(self.aggregationLength) || self.aggregationLength == 32) && (!has(self.aggregationLengthV6) || self.aggregationLengthV6 == 128))",
    "message": "serviceSelectors can be used only without aggregation: aggregationLength must be 32 and aggregationLengthV6 must be 128",
}]))]
pub struct BGPAdvertisementSpec {
    /// The length of the IPv4 prefixes announced: addresses with the same first bits are announced as one. 32 announces each by itself.
    #[serde(rename = "aggregationLength", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub aggregation_length: Option<i32>,
    /// The length of the IPv6 prefixes announced. 128 announces each address by itself.
    #[serde(rename = "aggregationLengthV6", skip_serializing_if = "Option::is_none")]
    pub aggregation_length_v6: Option<i32>,
    /// LOCAL_PREF of the routes, on sessions inside one AS; of two routes the one with the higher number is preferred.
    #[serde(rename = "localPref", skip_serializing_if = "is_zero", deserialize_with = "null_as_default")]
    #[schemars(range(min = 0, max = 4_294_967_295_u32))]
    pub local_pref: u32,
    /// The communities of the routes: `11:22`, `large:11:22:33`, or the name of an alias that a Community object defines.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub communities: Vec<String>,
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
    /// The nodes that announce, by label; any selector is enough, and none means every node.
    #[serde(rename = "nodeSelectors", skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub node_selectors: Vec<LabelSelector>,
    /// The BGPPeers to announce to, by name; none means all of them.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub peers: Vec<String>,
    /// The Services to announce, by the labels of the Service; any selector is enough, and none means every Service. Only without
    /// aggregation.
    #[serde(rename = "serviceSelectors", skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub service_selectors: Vec<LabelSelector>,
}

impl Default for BGPAdvertisementSpec {
    fn default() -> Self {
        Self {
            aggregation_length: Some(32),
            aggregation_length_v6: Some(128),
            local_pref: 0,
            communities: Vec::new(),
            ip_address_pools: Vec::new(),
            ip_address_pool_selectors: Vec::new(),
            node_selectors: Vec::new(),
            peers: Vec::new(),
            service_selectors: Vec::new(),
        }
    }
}

spec_may_be_missing!(BGPAdvertisementSpec);

/// Nothing: the kind has a status, and MetalLB never wrote any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BGPAdvertisementStatus {}

fn is_zero(n: &u32) -> bool {
    *n == 0
}
