//! Builders that say only what a test is about.
#![allow(dead_code, reason = "each test file uses its part")]

use herald_allocator::{Book, Decision};
use herald_crds::model::{
    Allocation, Family, FamilyPolicy, Pool, Port, Protocol, Quotas, Range, Selector, Service, ServiceKey, ServiceKind,
    TrafficPolicy,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

pub(crate) fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| ip(text)).collect()
}

pub(crate) fn pool(name: &str, entries: &[&str]) -> Pool {
    Pool {
        name: name.into(),
        labels: BTreeMap::new(),
        ranges: entries.iter().map(|entry| Range::parse(entry).expect("a range")).collect(),
        auto_assign: true,
        avoid_buggy_ips: false,
        allocation: None,
        quotas: Quotas::default(),
    }
}

/// A pool that limits namespaces.
pub(crate) fn limited(quotas: &str, pool: Pool) -> Pool {
    Pool { quotas: Quotas::parse(quotas).expect("quotas"), ..pool }
}

/// A pool set apart for namespaces (none: for all), with a priority.
pub(crate) fn pinned(name: &str, entries: &[&str], priority: i64, namespaces: &[&str]) -> Pool {
    let names: BTreeSet<String> = namespaces.iter().map(|name| (*name).to_owned()).collect();
    Pool {
        allocation: Some(Allocation {
            priority,
            service_selectors: if names.is_empty() { vec![Selector::everything()] } else { Vec::new() },
            namespaces: Some(names).filter(|names| !names.is_empty()),
            pinned: true,
        }),
        ..pool(name, entries)
    }
}

pub(crate) fn book(pools: &[Pool]) -> Book {
    let mut book = Book::new();
    book.set_pools(&by_name(pools), false);
    book
}

pub(crate) fn by_name(pools: &[Pool]) -> BTreeMap<String, Pool> {
    pools.iter().map(|pool| (pool.name.clone(), pool.clone())).collect()
}

/// An IPv4 Service with one port.
pub(crate) fn service(name: &str) -> Service {
    let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
    Service {
        key: ServiceKey::new(namespace, name),
        labels: BTreeMap::new(),
        kind: ServiceKind::LoadBalancer,
        class: None,
        cluster_ips: ips(&["10.96.0.1"]),
        family_policy: FamilyPolicy::SingleStack,
        primary_family: Family::V4,
        requested_ips: Ok(Vec::new()),
        requested_pool: None,
        assigned: Vec::new(),
        allocated_from: None,
        traffic_policy: TrafficPolicy::Cluster,
        selector: BTreeMap::from([("app".to_owned(), name.to_owned())]),
        ports: BTreeSet::from([tcp(80)]),
        sharing_key: None,
        sharing_annotated: false,
        deprecated_annotations: BTreeSet::new(),
        deleting: false,
    }
}

pub(crate) fn tcp(port: u16) -> Port {
    Port { protocol: Protocol::Tcp, port }
}

pub(crate) fn dual(policy: FamilyPolicy, mut service: Service) -> Service {
    service.cluster_ips = ips(&["10.96.0.1", "fd96::1"]);
    service.family_policy = policy;
    service
}

pub(crate) fn requesting(texts: &[&str], mut service: Service) -> Service {
    service.requested_ips = Ok(ips(texts));
    service
}

pub(crate) fn from_pool(pool: &str, mut service: Service) -> Service {
    service.requested_pool = Some(pool.to_owned());
    service
}

pub(crate) fn sharing(key: &str, ports: &[u16], mut service: Service) -> Service {
    service.sharing_key = Some(key.to_owned());
    service.ports = ports.iter().map(|port| tcp(*port)).collect();
    service
}

/// A Service whose status shows addresses.
pub(crate) fn holding(texts: &[&str], pool: &str, mut service: Service) -> Service {
    service.assigned = ips(texts);
    service.allocated_from = Some(pool.to_owned());
    service
}

/// What the API server holds after a decision was written.
pub(crate) fn written(service: &Service, decision: &Decision) -> Service {
    let mut service = service.clone();
    match decision.holds() {
        Some(assignment) => {
            service.assigned = assignment.ips.clone();
            service.allocated_from = Some(assignment.pool.clone());
        }
        None => {
            service.assigned = Vec::new();
            service.allocated_from = None;
        }
    }
    service
}
