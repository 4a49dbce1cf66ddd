//! `Community`: names for BGP communities.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{null_as_default, spec_may_be_missing};

/// The names that a `Community` object defines.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "metallb.io",
    version = "v1beta1",
    kind = "Community",
    plural = "communities",
    singular = "community",
    namespaced,
    derive = "PartialEq",
    derive = "Default",
    status = "CommunityStatus",
    doc = "Names for BGP communities, to be used in BGPAdvertisements."
)]
#[serde(default, remote = "Self")]
pub struct CommunitySpec {
    /// The names and what they stand for. A name is defined once among all Community objects.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub communities: Vec<CommunityAlias>,
}

spec_may_be_missing!(CommunitySpec);

/// One name for a BGP community.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CommunityAlias {
    /// The name to be used in a BGPAdvertisement.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_as_default")]
    pub name: String,
    /// The community: `11:22`, or `large:11:22:33`.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_as_default")]
    pub value: String,
}

/// Nothing: the kind has a status, and MetalLB never wrote any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommunityStatus {}
