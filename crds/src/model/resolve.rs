//! From what users wrote to what holds.
//!
//! ```text
//!   each pool by itself ---------> readable pools --oldest first, without overlap--> pools in force
//!        \                                  \
//!         Problem                            Problem: holds addresses of an older pool
//!   each advertisement by itself, against all pools and nodes ---------------------> advertisements in force
//!   Communities ----------> aliases     \
//!   BFD profiles ---------> peers        > BGP advertisements in force, and whoever waits for something
//! ```
//!
//! Between objects there are few rules: pools do not overlap, an alias is defined once, and advertisements of one prefix agree on LOCAL_PREF.
//! The older object stays, since it may be in use; the younger one is set aside whole. An object without a creation time (a file) is younger
//! than every one that has it; equal ages go by name.
//!
//! An object that names another one which is not there is not in force either, but that is no mistake: it waits.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::age::age;
use super::bfd::BfdProfile;
use super::bgp_advert::BgpAdvert;
use super::community::{Community, read_aliases};
use super::peer::Peer;
use super::pool::Intervals;
use super::problem::{Kind, Mistakes, ProblemReason};
use super::waiting::Waiting;
use super::{Config, Family, L2Advert, Pool, Problem, Service};

/// What holds after every object has been read and the ones that make no sense have been set aside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// The pools in force, by name. No two hold the same address.
    pub pools: BTreeMap<String, Pool>,
    /// The pools that exist but were set aside, by name. Nothing new is allocated from them. What a Service holds from one stays in use
    /// and announced: a mistake in a pool takes no address away. See [`Resolved::pool_held`].
    pub set_aside: BTreeSet<String>,
    /// The advertisements in force, by name.
    pub l2_advertisements: BTreeMap<String, L2Advert>,
    /// The BGP advertisements in force, by name.
    pub bgp_advertisements: BTreeMap<String, BgpAdvert>,
    /// The BGP peers in force, by name.
    pub bgp_peers: BTreeMap<String, Peer>,
    /// The BFD profiles in force, by name.
    pub bfd_profiles: BTreeMap<String, BfdProfile>,
    /// The communities that have a name, by that name.
    pub communities: BTreeMap<String, Community>,
    /// The objects that are sound but name others which are not there, sorted.
    pub waiting: Vec<Waiting>,
}

impl Resolved {
    /// The pool in force that holds the address.
    pub fn pool_of(&self, ip: IpAddr) -> Option<&Pool> {
        self.pools.values().find(|pool| pool.contains(ip))
    }

    /// The pool that the addresses in a Service's status belong to, by name: the one in force that holds them all, or else the one that
    /// was set aside after they had been allocated from it, as the annotation on the Service says. Nothing where there are no addresses.
    pub fn pool_held<'a>(&'a self, service: &'a Service) -> Option<&'a str> {
        let &first = service.assigned.first()?;
        let in_force = self.pool_of(first).filter(|pool| service.assigned.iter().all(|&ip| pool.contains(ip)));
        let from = service.allocated_from.as_deref();
        in_force.map(|pool| pool.name.as_str()).or_else(|| from.filter(|&name| self.set_aside.contains(name)))
    }

    /// Lets every advertisement and every peer that still exists but is out of force go on as it was before, so that a slip in editing one
    /// silences no address. For whoever resolves again and again; what was in force before a restart nobody knows.
    pub fn keep_advertisements(&mut self, before: &Resolved, config: &Config) {
        keep(&mut self.l2_advertisements, &before.l2_advertisements, |name| {
            config.l2_advertisements.contains_key(name)
        });
        keep(&mut self.bgp_advertisements, &before.bgp_advertisements, |name| {
            config.bgp_advertisements.contains_key(name)
        });
        keep(&mut self.bgp_peers, &before.bgp_peers, |name| config.bgp_peers.contains_key(name));
    }
}

fn keep<T: Clone>(now: &mut BTreeMap<String, T>, before: &BTreeMap<String, T>, exists: impl Fn(&str) -> bool) {
    for (name, value) in before.iter().filter(|(name, _)| exists(name)) {
        now.entry(name.clone()).or_insert_with(|| value.clone());
    }
}

/// Reads a configuration. Total, and independent of the order in which objects arrived; Problems come sorted.
pub fn resolve(config: &Config) -> (Resolved, Vec<Problem>) {
    let mut problems = Vec::new();
    let pools = resolve_pools(config, &mut problems);
    let set_aside = config.pools.keys().filter(|name| !pools.contains_key(*name)).cloned().collect();
    let mut resolved = Resolved { pools, set_aside, ..Resolved::default() };
    for (name, object) in &config.l2_advertisements {
        match L2Advert::read(name, object, config) {
            Ok(advert) => drop(resolved.l2_advertisements.insert(name.clone(), advert)),
            Err(mistakes) => problems.extend(mistakes),
        }
    }
    resolved.communities = read_aliases(config, &mut problems);
    for (name, object) in &config.bfd_profiles {
        match BfdProfile::read(name, object) {
            Ok(profile) => drop(resolved.bfd_profiles.insert(name.clone(), profile)),
            Err(mistakes) => problems.extend(mistakes),
        }
    }
    resolve_bgp_advertisements(config, &mut resolved, &mut problems);
    resolve_peers(config, &mut resolved, &mut problems);
    problems.sort();
    resolved.waiting.sort();
    (resolved, problems)
}

fn resolve_bgp_advertisements(config: &Config, resolved: &mut Resolved, problems: &mut Vec<Problem>) {
    let mut oldest_first: Vec<_> = config.bgp_advertisements.iter().collect();
    oldest_first.sort_by_key(|(name, object)| age(name, &object.metadata));
    for (name, object) in oldest_first {
        let advert = match BgpAdvert::read(name, object, config, resolved) {
            Ok(Ok(advert)) => advert,
            Ok(Err(waiting)) => {
                resolved.waiting.push(waiting);
                continue;
            }
            Err(mistakes) => {
                problems.extend(mistakes);
                continue;
            }
        };
        let mut mistakes = Mistakes::of(Kind::BGPAdvertisement, name);
        for older in resolved.bgp_advertisements.values() {
            if let Some(pool) = advert.contradiction(older, resolved) {
                let message = format!(
                    "spec.localPref is {}, but the older BGPAdvertisement {}, which stays in force, announces the same prefixes of the \
                     IPAddressPool {pool} to the same peers with {}: choose one of the two",
                    advert.local_pref, older.name, older.local_pref
                );
                mistakes.add(ProblemReason::ContradictsAdvertisement, message);
            }
        }
        match mistakes.or(advert) {
            Ok(advert) => drop(resolved.bgp_advertisements.insert(name.clone(), advert)),
            Err(mistakes) => problems.extend(mistakes),
        }
    }
}

fn resolve_peers(config: &Config, resolved: &mut Resolved, problems: &mut Vec<Problem>) {
    for (name, object) in &config.bgp_peers {
        match Peer::read(name, object, config, resolved).and_then(|peer| no_echo_with_ipv6(peer, resolved)) {
            Ok(Ok(peer)) => drop(resolved.bgp_peers.insert(name.clone(), peer)),
            Ok(Err(waiting)) => resolved.waiting.push(waiting),
            Err(mistakes) => problems.extend(mistakes),
        }
    }
}

/// Refuses a peer with BFD echo to whom IPv6 addresses are announced.
fn no_echo_with_ipv6(peer: Result<Peer, Waiting>, resolved: &Resolved) -> Result<Result<Peer, Waiting>, Vec<Problem>> {
    let Ok(peer) = peer else { return Ok(peer) };
    let Some(profile) = peer.bfd.as_ref().filter(|profile| profile.echo_mode) else { return Ok(Ok(peer)) };
    let mut mistakes = Mistakes::of(Kind::BGPPeer, &peer.name);
    let adverts = resolved.bgp_advertisements.values();
    let mut announced = adverts
        .filter(|advert| advert.peers.include(&peer.name))
        .flat_map(|advert| advert.pools.iter().filter_map(move |pool| Some((advert, resolved.pools.get(pool)?))))
        .filter(|(_, pool)| pool.has_family(Family::V6));
    if let Some((advert, pool)) = announced.next() {
        let message = format!(
            "the BFDProfile {} of spec.bfdProfile uses echo mode, which does not go together with the IPv6 addresses of the IPAddressPool \
             {} that the BGPAdvertisement {} announces to it: use a profile without echoMode",
            profile.name, pool.name, advert.name
        );
        mistakes.add(ProblemReason::EchoWithIpv6, message);
    }
    drop(announced);
    mistakes.or(Ok(peer))
}

fn resolve_pools(config: &Config, problems: &mut Vec<Problem>) -> BTreeMap<String, Pool> {
    let mut readable = Vec::new();
    for (name, object) in &config.pools {
        match Pool::read(name, object, &config.namespaces) {
            Ok(pool) => {
                readable.push((age(name, &object.metadata), pool));
            }
            Err(mistakes) => problems.extend(mistakes),
        }
    }
    readable.sort_by_key(|(age, _)| *age);

    let mut taken = Intervals::default();
    let mut pools = BTreeMap::new();
    for ((_, _, name), pool) in readable {
        let overlaps: BTreeMap<&str, String> = pool
            .ranges
            .iter()
            .filter_map(|range| taken.overlapping(range).map(|older| (older, range.to_string())))
            .collect();
        let mut mistakes = Mistakes::of(Kind::IPAddressPool, name);
        for (older, range) in overlaps {
            mistakes.add(
                ProblemReason::OverlapsPool,
                format!(
                    "{range} holds addresses of the older IPAddressPool {older}, which stays in force: \
                     take them out of {name} or out of {older}"
                ),
            );
        }
        match mistakes.or(pool) {
            Ok(pool) => {
                pool.ranges.iter().for_each(|range| taken.insert(*range, name));
                pools.insert(name.to_owned(), pool);
            }
            Err(mistakes) => problems.extend(mistakes),
        }
    }
    pools
}
