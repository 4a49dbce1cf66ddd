//! `ServiceBGPStatus`: to which BGP peers a node announces a Service. Written by speakers only.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{null_as_default, spec_may_be_missing};

/// Nothing: all that is known is in the status.
#[expect(clippy::duplicated_attributes, reason = "every printer column has a type and a path")]
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "metallb.io",
    version = "v1beta1",
    kind = "ServiceBGPStatus",
    plural = "servicebgpstatuses",
    singular = "servicebgpstatus",
    namespaced,
    derive = "PartialEq",
    derive = "Default",
    status = "MetalLBServiceBGPStatus",
    doc = "Shows to which BGP peers a node is to announce the addresses of a Service.",
    printcolumn(name = "Node", type_ = "string", json_path = ".status.node"),
    printcolumn(name = "Service Name", type_ = "string", json_path = ".status.serviceName"),
    printcolumn(name = "Service Namespace", type_ = "string", json_path = ".status.serviceNamespace")
)]
#[serde(default, remote = "Self")]
pub struct ServiceBGPStatusSpec {}

spec_may_be_missing!(ServiceBGPStatusSpec);

/// Which node announces the Service to whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct MetalLBServiceBGPStatus {
    /// The node that announces.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_as_default")]
    #[schemars(extend("x-kubernetes-validations" = [{"rule": "self == oldSelf", "message": "Value is immutable"}]))]
    pub node: String,
    /// The name of the Service.
    #[serde(rename = "serviceName", skip_serializing_if = "String::is_empty", deserialize_with = "null_as_default")]
    #[schemars(extend("x-kubernetes-validations" = [{"rule": "self == oldSelf", "message": "Value is immutable"}]))]
    pub service_name: String,
    /// The namespace of the Service.
    #[serde(
        rename = "serviceNamespace",
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_default"
    )]
    #[schemars(extend("x-kubernetes-validations" = [{"rule": "self == oldSelf", "message": "Value is immutable"}]))]
    pub service_namespace: String,
    /// The BGPPeers it is to be announced to, by name and sorted; whether their sessions are up is not said here.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub peers: Vec<String>,
}
