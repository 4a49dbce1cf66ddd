//! One Service: the gates between having an address and being announced.
//!
//! ```text
//!   type, address, pool      notLoadBalancer | noIPAllocated | ipNotAllowed
//!   endpoints                noEndpoints                     also with externalTrafficPolicy: Cluster
//!   advertisements           sharedIPWithServiceSelector | noMatchingAdvertisement
//!   nodes                    noEligibleNode                  network, exclusion label, drain annotation
//!   local endpoints          noLocalEndpoints                only with externalTrafficPolicy: Local
//! ```
//!
//! Node readiness and taints are not asked, and a cordon only where the node is annotated so: a node that is alive and reachable can announce, and only the speakers know that.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use herald_crds::model::{Endpoint, Interfaces, L2Advert, NodeFacts, Service, ServiceKind, TrafficPolicy};

use crate::{Refusal, View};

/// What one Service wants announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The pool the addresses belong to.
    pub pool: String,
    /// Its addresses, in the order of its status.
    pub ips: Vec<IpAddr>,
    /// The nodes that may own them, by name; the same whoever asks, and never empty.
    pub candidates: BTreeSet<String>,
    /// How much some of them are preferred: the sum of the weights; a node that is not listed has none.
    pub preference: BTreeMap<String, u32>,
    /// The interfaces of the asking node to announce on; none where no advertisement includes it.
    pub interfaces: Interfaces,
    /// Why the asking node is not among the candidates; nothing where it is.
    pub me: Result<(), Refusal>,
}

/// What a Service wants announced, and by whom.
///
/// # Errors
///
/// The first gate that no node passes.
pub fn service(view: &View<'_>, service: &Service, endpoints: &[Endpoint]) -> Result<Wish, Refusal> {
    let pool = pool_served(view, service, endpoints)?;
    let adverts = adverts(view, service, pool)?;
    let gates = Gates { view, adverts: &adverts, serving: local_servers(service, endpoints) };

    let mut candidates = BTreeSet::new();
    let mut furthest = Refusal::NoMatchingAdvertisement;
    for (name, node) in view.nodes {
        match gates.pass(name, node) {
            Ok(()) => drop(candidates.insert(name.clone())),
            Err(refusal) => furthest = furthest.max(refusal.of_all_nodes()),
        }
    }
    if candidates.is_empty() {
        return Err(furthest);
    }
    let me = view.nodes.get(view.me).map_or(Err(Refusal::NoMatchingAdvertisement), |node| gates.pass(view.me, node));
    Ok(Wish {
        pool: pool.to_owned(),
        ips: service.assigned.clone(),
        preference: preference(&adverts, &candidates),
        candidates,
        interfaces: interfaces(&adverts, view.me),
        me,
    })
}

/// The pool of a Service that has addresses and somebody behind them: what comes before any advertisement, by whichever protocol.
pub(crate) fn pool_served<'a>(
    view: &View<'a>,
    service: &'a Service,
    endpoints: &[Endpoint],
) -> Result<&'a str, Refusal> {
    if service.kind != ServiceKind::LoadBalancer {
        return Err(Refusal::NotLoadBalancer);
    }
    if service.assigned.is_empty() {
        return Err(Refusal::NoIpAllocated);
    }
    let pool = view.resolved.pool_held(service).ok_or(Refusal::IpNotAllowed)?;
    if !endpoints.iter().any(|endpoint| endpoint.can_serve) {
        return Err(Refusal::NoEndpoints);
    }
    Ok(pool)
}

/// The advertisements of the pool that select the Service.
fn adverts<'a>(view: &View<'a>, service: &Service, pool: &str) -> Result<Vec<&'a L2Advert>, Refusal> {
    let of_pool = view.resolved.l2_advertisements.values().filter(|advert| advert.pools.contains(pool));
    let adverts: Vec<_> = of_pool.filter(|advert| advert.selects_service(&service.labels)).collect();
    if service.sharing_annotated && adverts.iter().any(|advert| !advert.service_selectors.is_empty()) {
        return Err(Refusal::SharedIpWithServiceSelector);
    }
    Ok(adverts)
}

/// The nodes with an endpoint that can take traffic, where that matters.
pub(crate) fn local_servers<'a>(service: &Service, endpoints: &'a [Endpoint]) -> Option<BTreeSet<&'a str>> {
    let serving = endpoints.iter().filter(|endpoint| endpoint.can_serve);
    match service.traffic_policy {
        TrafficPolicy::Cluster => None,
        TrafficPolicy::Local => Some(serving.filter_map(|endpoint| endpoint.node.as_deref()).collect()),
    }
}

/// Whether a node may announce anything at all.
pub(crate) fn node_stands(view: &View<'_>, node: &NodeFacts) -> Result<(), Refusal> {
    if node.network_unavailable {
        return Err(Refusal::NodeNetworkUnavailable);
    }
    if node.drained {
        return Err(Refusal::NodeDrained);
    }
    if node.is_excluded() && !view.ignore_exclude_label {
        return Err(Refusal::NodeExcluded);
    }
    Ok(())
}

/// What every single node has to pass.
struct Gates<'a> {
    view: &'a View<'a>,
    adverts: &'a [&'a L2Advert],
    serving: Option<BTreeSet<&'a str>>,
}

impl Gates<'_> {
    fn pass(&self, name: &str, node: &NodeFacts) -> Result<(), Refusal> {
        if !self.adverts.iter().any(|advert| advert.nodes.contains(name)) {
            return Err(Refusal::NoMatchingAdvertisement);
        }
        node_stands(self.view, node)?;
        if self.serving.as_ref().is_some_and(|nodes| !nodes.contains(name)) {
            return Err(Refusal::NoLocalEndpoints);
        }
        Ok(())
    }
}

impl Refusal {
    /// What one node's reason says where it stands for all of them.
    fn of_all_nodes(self) -> Self {
        match self {
            Self::NodeNetworkUnavailable | Self::NodeExcluded | Self::NodeDrained => Self::NoEligibleNode,
            other => other,
        }
    }
}

fn preference(adverts: &[&L2Advert], candidates: &BTreeSet<String>) -> BTreeMap<String, u32> {
    let mut sums = BTreeMap::new();
    for preference in adverts.iter().flat_map(|advert| &advert.preferences) {
        for node in preference.nodes.intersection(candidates) {
            let sum: &mut u32 = sums.entry(node.clone()).or_default();
            *sum = sum.saturating_add(preference.weight);
        }
    }
    sums
}

fn interfaces(adverts: &[&L2Advert], node: &str) -> Interfaces {
    let here = adverts.iter().filter(|advert| advert.nodes.contains(node));
    here.fold(Interfaces::Named(BTreeSet::new()), |sum, advert| sum.union(&advert.interfaces))
}
