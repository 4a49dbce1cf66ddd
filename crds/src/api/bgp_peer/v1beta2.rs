//! `BGPPeer` as it is stored.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BGPPeerStatus, is_false, is_zero};
use crate::api::{null_as_default, spec_may_be_missing};

/// A router, and how to talk to it.
#[expect(clippy::duplicated_attributes, reason = "every printer column has a type and a path")]
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "metallb.io",
    version = "v1beta2",
    kind = "BGPPeer",
    plural = "bgppeers",
    singular = "bgppeer",
    namespaced,
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
    /// The AS number of the router. Exactly one of `peerASN` and `dynamicASN` is written.
    #[serde(rename = "peerASN", skip_serializing_if = "is_zero", deserialize_with = "null_as_default")]
    #[schemars(range(min = 0, max = 4_294_967_295_u32))]
    pub peer_asn: u32,
    /// Takes whatever AS number the router has: `internal` if it is ours, `external` if it is not. Exactly one of `peerASN` and
    /// `dynamicASN` is written.
    #[serde(rename = "dynamicASN", skip_serializing_if = "Option::is_none")]
    pub dynamic_asn: Option<DynamicAsn>,
    /// The AS number shown to this router in place of `myASN`.
    #[serde(rename = "localASN", skip_serializing_if = "is_zero", deserialize_with = "null_as_default")]
    #[schemars(range(min = 1, max = 4_294_967_295_u32))]
    pub local_asn: u32,
    /// The address of the router. Exactly one of `peerAddress` and `interface` is written.
    #[serde(rename = "peerAddress", skip_serializing_if = "String::is_empty", deserialize_with = "null_as_default")]
    pub peer_address: String,
    /// The interface behind which the router is, for a session without configured addresses. Exactly one of `peerAddress` and
    /// `interface` is written.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_as_default")]
    pub interface: String,
    /// The address of this side.
    #[serde(rename = "sourceAddress", skip_serializing_if = "String::is_empty", deserialize_with = "null_as_default")]
    pub source_address: String,
    /// The TCP port of the router.
    #[serde(rename = "peerPort")]
    #[schemars(range(min = 1, max = 16384))]
    pub peer_port: u16,
    /// How long a silent session is kept, as in `90s`; 0 or at least 3 seconds. The shorter one of both sides holds.
    #[serde(rename = "holdTime", skip_serializing_if = "Option::is_none")]
    pub hold_time: Option<String>,
    /// How often this side shows that it is alive; a third of the hold time if nothing is written.
    #[serde(rename = "keepaliveTime", skip_serializing_if = "Option::is_none")]
    pub keepalive_time: Option<String>,
    /// How long to wait between attempts to connect, in whole seconds.
    #[serde(rename = "connectTime", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = [
        {"rule": "duration(self).getSeconds() >= 1 && duration(self).getSeconds() <= 65535", "message": "connect time should be between 1 seconds to 65535"},
        {"rule": "duration(self).getMilliseconds() % 1000 == 0", "message": "connect time should contain a whole number of seconds"},
    ]))]
    pub connect_time: Option<String>,
    /// The BGP identifier of this side, written like an IPv4 address.
    #[serde(rename = "routerID", skip_serializing_if = "String::is_empty", deserialize_with = "null_as_default")]
    pub router_id: String,
    /// The nodes that talk to the router, by label; any selector is enough, and none means every node.
    #[serde(rename = "nodeSelectors", skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub node_selectors: Vec<LabelSelector>,
    /// The password of the TCP connection (TCP MD5).
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_as_default")]
    pub password: String,
    /// The Secret that holds the password, in place of `password`: of type `kubernetes.io/basic-auth`, in the namespace of this object.
    #[serde(rename = "passwordSecret", skip_serializing_if = "Option::is_none")]
    pub password_secret: Option<PasswordSecret>,
    /// The BFDProfile of the BFD session beside this one; without it there is no BFD session.
    #[serde(rename = "bfdProfile", skip_serializing_if = "String::is_empty", deserialize_with = "null_as_default")]
    pub bfd_profile: String,
    /// Whether the router keeps the routes for a while when this side restarts. Cannot be changed.
    #[serde(rename = "enableGracefulRestart", skip_serializing_if = "is_false", deserialize_with = "null_as_default")]
    #[schemars(extend("x-kubernetes-validations" = [{"rule": "self == oldSelf", "message": "EnableGracefulRestart cannot be changed after creation"}]))]
    pub enable_graceful_restart: bool,
    /// Whether the router, of another AS, is several hops away.
    #[serde(rename = "ebgpMultiHop", skip_serializing_if = "is_false", deserialize_with = "null_as_default")]
    pub ebgp_multi_hop: bool,
    /// The Linux VRF that the session lives in.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_as_default")]
    pub vrf: String,
    /// Deprecated: has no effect beside `dualStackAddressFamily`.
    #[serde(rename = "disableMP", deserialize_with = "null_as_default")]
    pub disable_mp: bool,
    /// Whether routes of both families are exchanged, and not only those of the family of the session itself.
    #[serde(rename = "dualStackAddressFamily", deserialize_with = "null_as_default")]
    pub dual_stack_address_family: bool,
}

impl Default for BGPPeerSpec {
    fn default() -> Self {
        Self {
            my_asn: 0,
            peer_asn: 0,
            dynamic_asn: None,
            local_asn: 0,
            peer_address: String::new(),
            interface: String::new(),
            source_address: String::new(),
            peer_port: 179,
            hold_time: None,
            keepalive_time: None,
            connect_time: None,
            router_id: String::new(),
            node_selectors: Vec::new(),
            password: String::new(),
            password_secret: None,
            bfd_profile: String::new(),
            enable_graceful_restart: false,
            ebgp_multi_hop: false,
            vrf: String::new(),
            disable_mp: false,
            dual_stack_address_family: false,
        }
    }
}

spec_may_be_missing!(BGPPeerSpec);

/// Which AS numbers of a router are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DynamicAsn {
    /// Only ours.
    Internal,
    /// Any but ours.
    External,
}

/// The Secret that holds a password.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct PasswordSecret {
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_as_default")]
    pub name: String,
    /// Its namespace, which can only be that of the BGPPeer.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_as_default")]
    pub namespace: String,
}
