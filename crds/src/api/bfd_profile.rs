//! `BFDProfile`: how fast a BFD session beside a BGP session notices that the peer is gone.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec_may_be_missing;

/// The settings of the BFD sessions that use the profile.
#[expect(clippy::duplicated_attributes, reason = "every printer column has a type and a path")]
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "metallb.io",
    version = "v1beta1",
    kind = "BFDProfile",
    plural = "bfdprofiles",
    singular = "bfdprofile",
    namespaced,
    derive = "PartialEq",
    derive = "Default",
    status = "BFDProfileStatus",
    doc = "The settings of a BFD session that a BGPPeer asks for by name.",
    printcolumn(name = "Passive Mode", type_ = "boolean", json_path = ".spec.passiveMode"),
    printcolumn(name = "Transmit Interval", type_ = "integer", json_path = ".spec.transmitInterval"),
    printcolumn(name = "Receive Interval", type_ = "integer", json_path = ".spec.receiveInterval"),
    printcolumn(name = "Multiplier", type_ = "integer", json_path = ".spec.detectMultiplier")
)]
#[serde(default, remote = "Self")]
pub struct BFDProfileSpec {
    /// The shortest interval between control packets that this side can take, in milliseconds; 300 if nothing is written.
    #[serde(rename = "receiveInterval", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 60000))]
    pub receive_interval: Option<u32>,
    /// The shortest interval, before jitter, between control packets that this side wants to send, in milliseconds; 300 if nothing is
    /// written.
    #[serde(rename = "transmitInterval", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 60000))]
    pub transmit_interval: Option<u32>,
    /// How many packets in a row may be lost before the session is down; 3 if nothing is written.
    #[serde(rename = "detectMultiplier", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 255))]
    pub detect_multiplier: Option<u32>,
    /// The shortest interval between echo packets that this side can take, in milliseconds; 50 if nothing is written.
    #[serde(rename = "echoInterval", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 60000))]
    pub echo_interval: Option<u32>,
    /// Whether echo packets are sent as well. Not across several hops, and not to peers that IPv6 addresses are announced to.
    #[serde(rename = "echoMode", skip_serializing_if = "Option::is_none")]
    pub echo_mode: Option<bool>,
    /// Whether this side waits for the other one to start.
    #[serde(rename = "passiveMode", skip_serializing_if = "Option::is_none")]
    pub passive_mode: Option<bool>,
    /// The lowest TTL of a packet from a peer several hops away; 254 if nothing is written.
    #[serde(rename = "minimumTtl", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 254))]
    pub minimum_ttl: Option<u32>,
}

spec_may_be_missing!(BFDProfileSpec);

/// Nothing: the kind has a status, and MetalLB never wrote any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BFDProfileStatus {}
