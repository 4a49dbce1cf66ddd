//! When two Services may hold one address.
//!
//! Both carry the same non-empty sharing key, no (protocol, port) is on both, and both reach the same backends: with
//! `externalTrafficPolicy: Local` a node answers for the address only where the Service has endpoints, so two such Services
//! need identical selectors, and Local never mixes with Cluster. Namespaces do not matter.

use herald_crds::model::{Port, Service, ServiceKey, TrafficPolicy};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// What a Service that agrees to share brings along. A Service without a sharing key has no terms: it holds its address alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) key: String,
    backend: Backend,
    ports: BTreeSet<Port>,
}

/// Where the traffic of a shared address must be able to go.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Backend {
    /// Any node forwards to any pod.
    Cluster,
    /// Only nodes with a pod of this selector take traffic.
    Local(BTreeMap<String, String>),
}

impl Terms {
    /// The terms of a Service, if it agrees to share at all.
    pub(crate) fn of(service: &Service) -> Option<Self> {
        let key = service.sharing_key.clone()?;
        let backend = match service.traffic_policy {
            TrafficPolicy::Cluster => Backend::Cluster,
            TrafficPolicy::Local => Backend::Local(service.selector.clone()),
        };
        Some(Self { key, backend, ports: service.ports.clone() })
    }
}

/// Whether two Services with these terms may hold one address.
///
/// # Errors
/// Why not.
pub(crate) fn may_share(mine: Option<&Terms>, theirs: Option<&Terms>) -> Result<(), Why> {
    let mine = mine.ok_or(Why::IAmPrivate)?;
    let theirs = theirs.ok_or(Why::TheyArePrivate)?;
    if mine.key != theirs.key {
        return Err(Why::KeysDiffer);
    }
    if mine.backend != theirs.backend {
        return Err(Why::BackendsDiffer);
    }
    match mine.ports.intersection(&theirs.ports).next() {
        Some(port) => Err(Why::PortTaken(*port)),
        None => Ok(()),
    }
}

/// A Service that stands in the way of sharing an address, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clash {
    /// The first Service in order of keys that stands in the way.
    pub with: ServiceKey,
    /// Why the two may not share.
    pub why: Why,
}

/// Why two Services may not hold one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The Service that wants the address has no sharing key.
    IAmPrivate,
    /// The Service that holds it has none.
    TheyArePrivate,
    /// Both have one, but not the same.
    KeysDiffer,
    /// `externalTrafficPolicy: Local` on one of them, or on both with different selectors.
    BackendsDiffer,
    /// Both have this port.
    PortTaken(Port),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IAmPrivate => f.write_str("this service has no sharing key"),
            Self::TheyArePrivate => f.write_str("that service has no sharing key"),
            Self::KeysDiffer => f.write_str("the sharing keys differ"),
            Self::BackendsDiffer => {
                f.write_str("externalTrafficPolicy must be the same, and with Local the selectors must be identical")
            }
            Self::PortTaken(port) => write!(f, "both have port {port}"),
        }
    }
}
