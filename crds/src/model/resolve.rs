//! From what users wrote to what holds.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Config, L2Advert, Pool, Problem};

/// What holds after every object has been read and the ones that make no sense have been set aside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// The pools in force, by name. No two hold the same address.
    pub pools: BTreeMap<String, Pool>,
    /// The pools that exist but were set aside, by name. Nothing new is allocated from them. What a Service holds from one (its
    /// `ip-allocated-from-pool` annotation names it) stays in use and announced: a mistake in a pool takes no address away.
    pub set_aside: BTreeSet<String>,
    /// The advertisements in force, by name.
    pub l2_advertisements: BTreeMap<String, L2Advert>,
}

impl Resolved {
    /// The pool in force that holds the address.
    pub fn pool_of(&self, ip: IpAddr) -> Option<&Pool> {
        self.pools.values().find(|pool| pool.contains(ip))
    }
}

/// Reads a configuration.
pub fn resolve(_config: &Config) -> (Resolved, Vec<Problem>) {
    (Resolved::default(), Vec::new())
}
