//! `ServiceL2Status`: which node answers for a Service on the local segment. Written by speakers only.

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
    kind = "ServiceL2Status",
    plural = "servicel2statuses",
    singular = "servicel2status",
    namespaced,
    derive = "PartialEq",
    derive = "Default",
    status = "MetalLBServiceL2Status",
    doc = "Shows which node answers for the addresses of a Service on the local segment.",
    printcolumn(name = "Allocated Node", type_ = "string", json_path = ".status.node"),
    printcolumn(name = "Service Name", type_ = "string", json_path = ".status.serviceName"),
    printcolumn(name = "Service Namespace", type_ = "string", json_path = ".status.serviceNamespace")
)]
#[serde(default, remote = "Self")]
pub struct ServiceL2StatusSpec {}

spec_may_be_missing!(ServiceL2StatusSpec);

/// Who answers for the Service, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct MetalLBServiceL2Status {
    /// The node that answers.
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
    /// The interfaces on which the node answers; nothing means all of them.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub interfaces: Vec<InterfaceInfo>,
}

/// An interface on which a node answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct InterfaceInfo {
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_as_default")]
    pub name: String,
}
