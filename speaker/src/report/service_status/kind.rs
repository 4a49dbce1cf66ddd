//! The two kinds of objects, as far as they differ.

use super::board::{Announced, Peers};
use herald_crds::api::{MetalLBServiceBGPStatus, MetalLBServiceL2Status, ServiceBGPStatus, ServiceL2Status};
use kube::{Resource, core::NamespaceResourceScope};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::fmt::Debug;

/// What an object shows of a Service.
pub(crate) trait Shown: Clone + Debug + Send + 'static {
    /// The objects.
    type Object: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Serialize
        + Send
        + Sync
        + 'static;

    /// What their names begin with.
    const PREFIX: &'static str;
    /// The kind, for logs.
    const KIND: &'static str;
    /// The kind, for metrics.
    const METRIC: &'static str;
    /// The field of the status that is a list.
    const LIST: &'static str;
    /// Whether a node that takes a Service over removes what others show of it.
    const HAS_HEIRS: bool;

    /// The status of an object.
    fn read(object: &Self::Object) -> Status;
    /// The entries of the list, sorted.
    fn listed(&self) -> Vec<String>;
    /// An entry as it is written.
    fn entry(name: &str) -> Value;
    /// Whether no other node shows anything of the Service.
    fn is_whole(&self) -> bool;
}

/// A status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Status {
    pub(super) node: String,
    pub(super) service_name: String,
    pub(super) service_namespace: String,
    pub(super) listed: Vec<String>,
}

impl Status {
    /// As it is written; a list that is empty and not to be `cleared` is left out.
    pub(super) fn written<T: Shown>(&self, cleared: bool) -> Value {
        let Self { node, service_name, service_namespace, listed } = self;
        let mut whole = json!({ "node": node, "serviceName": service_name, "serviceNamespace": service_namespace });
        if cleared || !listed.is_empty() {
            whole[T::LIST] = listed.iter().map(|name| T::entry(name)).collect();
        }
        whole
    }
}

impl Shown for Announced {
    type Object = ServiceL2Status;

    const PREFIX: &'static str = "l2";
    const KIND: &'static str = "ServiceL2Status";
    const METRIC: &'static str = "l2status";
    const LIST: &'static str = "interfaces";
    const HAS_HEIRS: bool = true;

    fn read(object: &ServiceL2Status) -> Status {
        let MetalLBServiceL2Status { node, service_name, service_namespace, interfaces } =
            object.status.clone().unwrap_or_default();
        let listed = interfaces.into_iter().map(|interface| interface.name).collect();
        Status { node, service_name, service_namespace, listed }
    }

    fn listed(&self) -> Vec<String> {
        self.interfaces.iter().cloned().collect()
    }

    fn entry(name: &str) -> Value {
        json!({ "name": name })
    }

    fn is_whole(&self) -> bool {
        self.whole
    }
}

impl Shown for Peers {
    type Object = ServiceBGPStatus;

    const PREFIX: &'static str = "bgp";
    const KIND: &'static str = "ServiceBGPStatus";
    const METRIC: &'static str = "bgpstatus";
    const LIST: &'static str = "peers";
    // Every node announces for itself.
    const HAS_HEIRS: bool = false;

    fn read(object: &ServiceBGPStatus) -> Status {
        let MetalLBServiceBGPStatus { node, service_name, service_namespace, peers } =
            object.status.clone().unwrap_or_default();
        Status { node, service_name, service_namespace, listed: peers }
    }

    fn listed(&self) -> Vec<String> {
        self.0.iter().cloned().collect()
    }

    fn entry(name: &str) -> Value {
        json!(name)
    }

    fn is_whole(&self) -> bool {
        false
    }
}
