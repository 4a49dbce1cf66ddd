//! From what users wrote to what holds.
//!
//! ```text
//!   each pool by itself ---------> readable pools --oldest first, without overlap--> pools in force
//!        \                                  \
//!         Problem                            Problem: holds addresses of an older pool
//!   each advertisement by itself, against all pools and nodes ---------------------> advertisements in force
//! ```
//!
//! The only rule between objects is that pools do not overlap. The older one stays, since its addresses may be in use; the younger one is
//! set aside whole. An object without a creation time (a file) is younger than every one that has it; equal ages go by name.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::pool::Intervals;
use super::problem::{Kind, Mistakes, ProblemReason};
use super::{Config, L2Advert, Pool, Problem, Service};

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

    /// Lets every advertisement that still exists but has been set aside go on as it was in force before, so that a slip in editing one
    /// silences no address. For whoever resolves again and again; what was in force before a restart nobody knows.
    pub fn keep_advertisements(&mut self, before: &Resolved, config: &Config) {
        for (name, advert) in &before.l2_advertisements {
            if config.l2_advertisements.contains_key(name) && !self.l2_advertisements.contains_key(name) {
                self.l2_advertisements.insert(name.clone(), advert.clone());
            }
        }
    }
}

/// Reads a configuration. Total, and independent of the order in which objects arrived; Problems come sorted.
pub fn resolve(config: &Config) -> (Resolved, Vec<Problem>) {
    let mut problems = Vec::new();
    let pools = resolve_pools(config, &mut problems);
    let set_aside = config.pools.keys().filter(|name| !pools.contains_key(*name)).cloned().collect();
    let mut l2_advertisements = BTreeMap::new();
    for (name, object) in &config.l2_advertisements {
        match L2Advert::read(name, object, config) {
            Ok(advert) => drop(l2_advertisements.insert(name.clone(), advert)),
            Err(mistakes) => problems.extend(mistakes),
        }
    }
    problems.sort();
    (Resolved { pools, set_aside, l2_advertisements }, problems)
}

fn resolve_pools(config: &Config, problems: &mut Vec<Problem>) -> BTreeMap<String, Pool> {
    let mut readable = Vec::new();
    for (name, object) in &config.pools {
        match Pool::read(name, object, &config.namespaces) {
            Ok(pool) => {
                let created = object.metadata.creation_timestamp.as_ref().map(|time| time.0);
                readable.push(((created.is_none(), created, name), pool));
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
                pools.insert(name.clone(), pool);
            }
            Err(mistakes) => problems.extend(mistakes),
        }
    }
    pools
}
