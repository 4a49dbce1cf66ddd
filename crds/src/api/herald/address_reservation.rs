//! `AddressReservation`: addresses that are kept for somebody.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which addresses are kept, for whom, and how long.
#[expect(clippy::duplicated_attributes, reason = "every printer column has a type and a path")]
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "heraldlb.io",
    version = "v1alpha1",
    kind = "AddressReservation",
    plural = "addressreservations",
    singular = "addressreservation",
    namespaced,
    derive = "PartialEq",
    doc = "Keeps addresses of IPAddressPools for a Service, for Services with certain labels, or for nobody.",
    printcolumn(name = "Addresses", type_ = "string", json_path = ".spec.addresses"),
    printcolumn(name = "Namespace", type_ = "string", json_path = ".spec.for.namespace"),
    printcolumn(name = "Service", type_ = "string", json_path = ".spec.for.name"),
    printcolumn(name = "Until", type_ = "date", json_path = ".spec.until")
)]
#[serde(rename_all = "camelCase")]
pub struct AddressReservationSpec {
    /// The addresses, each entry as in an IPAddressPool: a CIDR or a range. An address outside all pools is kept from the moment a pool holds it.
    pub addresses: Vec<String>,
    /// Who may have them. Without it nobody gets them.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub beneficiary: Option<Beneficiary>,
    /// When the reservation ends. Without it, when the object is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// Whether others get the addresses once nothing else is left for them.
    #[serde(default)]
    pub yields: bool,
}

/// The Services that addresses are kept for. What is given must match all together; at least one must be given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Beneficiary {
    /// Their namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The name of one Service; needs the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Labels of the Services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}
