//! Between the two versions of `BGPPeer`, as the conversion webhook needs it.
//!
//! Up nothing is lost. Down everything is lost that `v1beta1` has no field for; the stored object keeps it as long as nobody writes the old
//! version back.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;

use super::v1beta1::{self, MatchExpression, NodeSelector};
use super::v1beta2;

/// The version that `v1beta1` has in `apiVersion`.
pub const OLD: &str = "metallb.io/v1beta1";
/// The version that `v1beta2` has in `apiVersion`.
pub const NEW: &str = "metallb.io/v1beta2";

/// Why an object cannot be converted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConvertError {
    /// Not one of the two versions.
    #[error("there is no BGPPeer of version \"{version}\": use {NEW} or {OLD}")]
    UnknownVersion {
        /// What was asked for.
        version: String,
    },
    /// Not an object of the version it says it has.
    #[error("this is not a BGPPeer of {version}: {why}")]
    Unreadable {
        /// The version it says it has.
        version: String,
        /// What cannot be read.
        why: String,
    },
}

/// Converts a whole object, whichever of the two versions it has, to the wanted version. `metadata` stays as it is, unknown fields included.
///
/// # Errors
///
/// Refuses versions that do not exist and specs that are not of the version they say.
pub fn convert(object: &Value, wanted: &str) -> Result<Value, ConvertError> {
    let has = object.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    for version in [has, wanted] {
        if version != OLD && version != NEW {
            return Err(ConvertError::UnknownVersion { version: version.to_owned() });
        }
    }
    let mut converted = object.clone();
    if has == wanted {
        return Ok(converted);
    }
    let spec = object.get("spec").cloned().unwrap_or_default();
    let spec = if wanted == NEW {
        written(&v1beta2::BGPPeerSpec::from(read::<v1beta1::BGPPeerSpec>(spec, has)?), has)
    } else {
        written(&v1beta1::BGPPeerSpec::from(read::<v1beta2::BGPPeerSpec>(spec, has)?), has)
    }?;
    converted["apiVersion"] = wanted.into();
    converted["spec"] = spec;
    Ok(converted)
}

fn read<T: DeserializeOwned>(spec: Value, version: &str) -> Result<T, ConvertError> {
    serde_json::from_value(spec)
        .map_err(|e| ConvertError::Unreadable { version: version.to_owned(), why: format!("spec: {e}") })
}

fn written<T: Serialize>(spec: &T, version: &str) -> Result<Value, ConvertError> {
    serde_json::to_value(spec)
        .map_err(|e| ConvertError::Unreadable { version: version.to_owned(), why: format!("spec: {e}") })
}

impl From<v1beta1::BGPPeerSpec> for v1beta2::BGPPeerSpec {
    fn from(old: v1beta1::BGPPeerSpec) -> Self {
        let new = Self::default();
        Self {
            my_asn: old.my_asn,
            peer_asn: old.peer_asn,
            peer_address: old.peer_address,
            source_address: old.source_address,
            peer_port: if old.peer_port == 0 { new.peer_port } else { old.peer_port },
            hold_time: old.hold_time,
            keepalive_time: old.keepalive_time,
            router_id: old.router_id,
            node_selectors: old.node_selectors.into_iter().map(LabelSelector::from).collect(),
            password: old.password,
            bfd_profile: old.bfd_profile,
            ebgp_multi_hop: old.ebgp_multi_hop,
            ..new
        }
    }
}

impl From<v1beta2::BGPPeerSpec> for v1beta1::BGPPeerSpec {
    fn from(new: v1beta2::BGPPeerSpec) -> Self {
        Self {
            my_asn: new.my_asn,
            peer_asn: new.peer_asn,
            peer_address: new.peer_address,
            source_address: new.source_address,
            peer_port: new.peer_port,
            hold_time: new.hold_time,
            keepalive_time: new.keepalive_time,
            router_id: new.router_id,
            node_selectors: new.node_selectors.into_iter().map(NodeSelector::from).collect(),
            password: new.password,
            bfd_profile: new.bfd_profile,
            ebgp_multi_hop: new.ebgp_multi_hop,
        }
    }
}

impl From<NodeSelector> for LabelSelector {
    fn from(old: NodeSelector) -> Self {
        let expressions = old.match_expressions.into_iter().map(|e| LabelSelectorRequirement {
            key: e.key,
            operator: e.operator,
            values: Some(e.values).filter(|values| !values.is_empty()),
        });
        let expressions: Vec<_> = expressions.collect();
        Self {
            match_labels: Some(old.match_labels).filter(|labels| !labels.is_empty()),
            match_expressions: Some(expressions).filter(|expressions| !expressions.is_empty()),
        }
    }
}

impl From<LabelSelector> for NodeSelector {
    fn from(new: LabelSelector) -> Self {
        let expressions = new.match_expressions.unwrap_or_default().into_iter();
        Self {
            match_labels: new.match_labels.unwrap_or_default(),
            match_expressions: expressions
                .map(|e| MatchExpression { key: e.key, operator: e.operator, values: e.values.unwrap_or_default() })
                .collect(),
        }
    }
}
