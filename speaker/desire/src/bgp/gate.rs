//! One Service on one node: the gates between having an address and being announced.
//!
//! ```text
//!   type, address, pool      notLoadBalancer | noIPAllocated | ipNotAllowed
//!   endpoints                noEndpoints                     also with externalTrafficPolicy: Cluster
//!   advertisements           noMatchingAdvertisement | conflictingAdvertisements
//!   this node                nodeNetworkUnavailable | nodeLabeledExcludeBalancers
//!   local endpoints          noLocalEndpoints                only with externalTrafficPolicy: Local
//!   peers                    noPeer
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use herald_crds::model::{BgpAdvert, Endpoint, Family, Peer, Service};
use ipnet::IpNet;

use super::{Wish, takes};
use crate::gate::{local_servers, node_stands, pool_served};
use crate::{Refusal, View};

/// What a Service wants announced by BGP from the node that asks.
///
/// # Errors
///
/// The first gate that it does not pass.
pub fn service(view: &View<'_>, service: &Service, endpoints: &[Endpoint]) -> Result<Wish, Refusal> {
    let pool = pool_served(view, service, endpoints)?;
    let adverts = adverts(view, service, pool);
    if adverts.is_empty() {
        return Err(Refusal::NoMatchingAdvertisement);
    }
    let node = view.nodes.get(view.me).ok_or(Refusal::NoMatchingAdvertisement)?;
    let peers: Vec<&Peer> = view.resolved.bgp_peers.values().filter(|peer| peer.nodes.contains(view.me)).collect();
    let prefixes = prefixes(&adverts, &service.assigned);
    if prefixes.iter().any(|(prefix, asking)| contradict(prefix, asking, &peers)) {
        return Err(Refusal::ConflictingAdvertisements);
    }
    node_stands(view, node)?;
    if local_servers(service, endpoints).is_some_and(|nodes| !nodes.contains(view.me)) {
        return Err(Refusal::NoLocalEndpoints);
    }
    let gets_some = |peer: &Peer| prefixes.iter().any(|(prefix, asking)| gets(peer, prefix, asking).next().is_some());
    let peers: BTreeSet<String> =
        peers.into_iter().filter(|peer| gets_some(peer)).map(|peer| peer.name.clone()).collect();
    if peers.is_empty() {
        return Err(Refusal::NoPeer);
    }
    let names = |asking: Vec<&BgpAdvert>| asking.into_iter().map(|advert| advert.name.clone()).collect();
    Ok(Wish {
        pool: pool.to_owned(),
        ips: service.assigned.clone(),
        prefixes: prefixes.into_iter().map(|(prefix, asking)| (prefix, names(asking))).collect(),
        peers,
    })
}

/// The advertisements of the pool that select the Service and this node.
fn adverts<'a>(view: &View<'a>, service: &Service, pool: &str) -> Vec<&'a BgpAdvert> {
    let all = view.resolved.bgp_advertisements.values();
    all.filter(|advert| {
        advert.pools.contains(pool) && advert.nodes.contains(view.me) && advert.selects_service(&service.labels)
    })
    .collect()
}

/// The prefixes around the addresses, and who asks for each.
fn prefixes<'a>(adverts: &[&'a BgpAdvert], ips: &[IpAddr]) -> BTreeMap<IpNet, Vec<&'a BgpAdvert>> {
    let mut prefixes: BTreeMap<IpNet, Vec<&BgpAdvert>> = BTreeMap::new();
    for (&advert, &ip) in adverts.iter().flat_map(|advert| ips.iter().map(move |ip| (advert, ip))) {
        let Ok(around) = IpNet::new(ip, advert.length(Family::of(ip))) else { continue };
        let asking = prefixes.entry(around.trunc()).or_default();
        if !asking.iter().any(|known| known.name == advert.name) {
            asking.push(advert);
        }
    }
    prefixes
}

/// The advertisements that ask for a prefix towards a peer.
fn gets<'a>(peer: &Peer, prefix: &IpNet, asking: &[&'a BgpAdvert]) -> impl Iterator<Item = &'a BgpAdvert> {
    let taken = takes(peer, prefix);
    asking.iter().copied().filter(move |advert| taken && advert.peers.include(&peer.name))
}

/// Whether one of the peers would be told two different LOCAL_PREF. That is found when advertisements are read, except where they select
/// Services; and it matters inside the AS alone, but which peer is, is for the session to find out.
fn contradict(prefix: &IpNet, asking: &[&BgpAdvert], peers: &[&Peer]) -> bool {
    peers.iter().any(|peer| {
        let values: BTreeSet<u32> = gets(peer, prefix, asking).map(|advert| advert.local_pref).collect();
        values.len() > 1
    })
}
