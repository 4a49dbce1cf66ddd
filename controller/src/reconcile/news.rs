//! What people should read on an object, in MetalLB's words.

use super::entry::Entry;
use herald_allocator::{Assignment, Cause, Decision, ReleaseReason};
use herald_crds::{
    api::{herald::AddressReservation, reason::ControllerReason},
    keys,
    model::{Kind, ServiceKey},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::BTreeSet;

/// Something that people should read on an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct News {
    pub(crate) about: About,
    pub(crate) reason: ControllerReason,
    pub(crate) note: String,
}

/// The object that news are about, and the state of it that they were decided on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct About {
    pub(crate) kind: AboutKind,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) state: String,
}

/// The kinds that news are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AboutKind {
    Service,
    Config(Kind),
    Reservation,
}

impl About {
    pub(super) fn service(key: &ServiceKey, entry: &Entry) -> Self {
        Self {
            kind: AboutKind::Service,
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            uid: entry.seen.uid.clone(),
            state: entry.seen.version.clone(),
        }
    }

    pub(super) fn reservation(object: &AddressReservation) -> Self {
        let metadata = object.metadata.clone();
        Self {
            kind: AboutKind::Reservation,
            namespace: metadata.namespace.unwrap_or_default(),
            name: metadata.name.unwrap_or_default(),
            uid: metadata.uid.unwrap_or_default(),
            state: metadata.generation.unwrap_or_default().to_string(),
        }
    }

    pub(super) fn config(kind: Kind, metadata: &ObjectMeta) -> Self {
        Self {
            kind: AboutKind::Config(kind),
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
            // The status is ours, so a new version alone is not a new state.
            state: metadata.generation.unwrap_or_default().to_string(),
        }
    }
}

/// What to tell, and to log, once a decision is in force.
pub(super) fn in_force(key: &ServiceKey, decision: &Decision) -> Vec<(ControllerReason, String)> {
    match decision {
        Decision::Assign { assignment, cause } => assigned(key, assignment, cause),
        Decision::Release { because, .. } => {
            tracing::info!(service = %key, reason = because.label(), "address released");
            match because {
                // The owner's own doing, which needs no telling.
                ReleaseReason::NotLoadBalancer | ReleaseReason::NoClusterIps => Vec::new(),
                because => vec![(ControllerReason::ClearAssignment, because.to_string())],
            }
        }
        Decision::Keep(_) | Decision::Refuse { .. } | Decision::Ignore => Vec::new(),
    }
}

fn assigned(key: &ServiceKey, assignment: &Assignment, cause: &Cause) -> Vec<(ControllerReason, String)> {
    let quoted: Vec<String> = assignment.ips.iter().map(|ip| format!("{:?}", ip.to_string())).collect();
    let list = quoted.join(" ");
    let all = (ControllerReason::IpAllocated, format!("Assigned IP [{list}]"));
    let cleared = |because: &ReleaseReason| (ControllerReason::ClearAssignment, because.to_string());
    let (reason, told) = match cause {
        Cause::New => ("new", vec![all]),
        Cause::Requested => ("requested", vec![all]),
        Cause::Additional(ip) => {
            let note = format!("Assigned additional IP {:?}", ip.to_string());
            ("additional", vec![(ControllerReason::IpAllocated, note)])
        }
        Cause::Reduced(because) => (because.label(), vec![cleared(because)]),
        Cause::Moved(because) => (because.label(), vec![cleared(because), all]),
    };
    let ips: Vec<String> = assignment.ips.iter().map(ToString::to_string).collect();
    tracing::info!(service = %key, pool = assignment.pool, ip = ips.join(","), reason, "address assigned");
    told
}

/// The text of the Event on a refusal.
pub(super) fn note_of(reason: ControllerReason, key: &ServiceKey, refusal: &str) -> String {
    match reason {
        ControllerReason::AllocationFailed => format!("Failed to allocate IP for {:?}: {refusal}", key.to_string()),
        _ => refusal.to_owned(),
    }
}

/// The text of the Event on deprecated annotations.
pub(super) fn deprecated(found: &BTreeSet<&'static str>) -> String {
    let new = |old: &str| match old {
        keys::POOL_ANNOTATION_DEPRECATED => keys::POOL_ANNOTATION,
        keys::ADDRESSES_ANNOTATION_DEPRECATED => keys::ADDRESSES_ANNOTATION,
        _ => keys::SHARING_ANNOTATION,
    };
    let list: Vec<String> = found.iter().map(|old| format!("{old} is deprecated, use {}", new(old))).collect();
    list.join("; ")
}
