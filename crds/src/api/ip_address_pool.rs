//! `IPAddressPool`: the addresses that may be handed out, and to whom.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::null_as_default;

/// What an `IPAddressPool` holds and who may take from it.
#[expect(clippy::duplicated_attributes, reason = "every printer column has a type and a path")]
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "metallb.io",
    version = "v1beta1",
    kind = "IPAddressPool",
    plural = "ipaddresspools",
    singular = "ipaddresspool",
    namespaced,
    derive = "PartialEq",
    status = "IPAddressPoolStatus",
    doc = "A pool of IP addresses that can be allocated to Services of type LoadBalancer.",
    printcolumn(name = "Auto Assign", type_ = "boolean", json_path = ".spec.autoAssign"),
    printcolumn(name = "Avoid Buggy IPs", type_ = "boolean", json_path = ".spec.avoidBuggyIPs"),
    printcolumn(name = "Addresses", type_ = "string", json_path = ".spec.addresses")
)]
pub struct IPAddressPoolSpec {
    /// The addresses of the pool: CIDRs and inclusive `start-end` ranges, of both families if wanted. A single address is written
    /// as a /32 or /128.
    #[serde(deserialize_with = "null_as_default")]
    pub addresses: Vec<String>,
    /// Whether addresses are taken from this pool without being asked for it. Without it only a Service that requests the pool or one of
    /// its addresses gets one.
    #[serde(rename = "autoAssign", default = "yes")]
    pub auto_assign: bool,
    /// Whether IPv4 addresses ending in .0 and .255 are left out, for equipment that takes them for network and broadcast addresses.
    #[serde(rename = "avoidBuggyIPs", default)]
    pub avoid_buggy_ips: bool,
    /// Restricts the pool to some Services, and ranks it among the pools that a Service may use.
    #[serde(rename = "serviceAllocation", default, skip_serializing_if = "Option::is_none")]
    pub service_allocation: Option<ServiceAllocation>,
}

/// Which Services a pool is for. Namespace conditions and service selectors must both hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceAllocation {
    /// The rank among the pools a Service may use: smaller is preferred, 0 or nothing comes last.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: i64,
    /// The namespaces that may use the pool.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub namespaces: Vec<String>,
    /// Namespaces that may use the pool, by label; any selector is enough, and so is a name in `namespaces`.
    #[serde(
        rename = "namespaceSelectors",
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub namespace_selectors: Vec<LabelSelector>,
    /// The Services that may use the pool, by the labels of the Service; any selector is enough.
    #[serde(
        rename = "serviceSelectors",
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub service_selectors: Vec<LabelSelector>,
}

/// How much of the pool is in use. Written by the controller only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct IPAddressPoolStatus {
    /// IPv4 addresses in use; one that several Services share counts once.
    #[serde(rename = "assignedIPv4")]
    pub assigned_ipv4: i64,
    /// IPv6 addresses in use; one that several Services share counts once.
    #[serde(rename = "assignedIPv6")]
    pub assigned_ipv6: i64,
    /// IPv4 addresses left.
    #[serde(rename = "availableIPv4")]
    pub available_ipv4: i64,
    /// IPv6 addresses left; the largest int64 where there are too many to count.
    #[serde(rename = "availableIPv6")]
    pub available_ipv6: i64,
}

fn yes() -> bool {
    true
}

fn is_zero(n: &i64) -> bool {
    *n == 0
}
