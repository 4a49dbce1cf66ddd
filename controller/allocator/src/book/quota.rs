//! How much of a pool each namespace uses, where that is limited.
//!
//! An address counts once for a namespace, however many of its Services share it, and until no status shows it any more. What is in use stays in use when
//! a limit is lowered below it; it only admits nothing new.

use super::Book;
use crate::share::Terms;
use herald_crds::model::{Family, Service, ServiceKey};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

/// Addresses in use by namespace, of pools that limit them.
#[derive(Clone, Debug, Default)]
pub(super) struct Tallies(BTreeMap<String, HashMap<String, u32>>);

/// What a namespace may still take from a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// How many addresses that it does not use yet, a Service's own aside: giving one up makes room for another.
    pub(crate) left: u32,
    /// How many it uses, the Service's own included.
    pub(crate) used: u32,
    /// How many it may use.
    pub(crate) quota: u32,
}

impl Room {
    /// What is left after one more address.
    pub(crate) fn after(self, costs: bool) -> Self {
        Self { left: self.left.saturating_sub(u32::from(costs)), ..self }
    }
}

impl Book {
    /// What a pool lets the namespace of a Service take; nothing means any number.
    pub(crate) fn room(&self, pool: &str, service: &Service) -> Option<Room> {
        let namespace = &service.key.namespace;
        let quota = self.pools.get(pool)?.quotas.of(namespace)?;
        let used = self.tallies.0.get(pool).and_then(|tally| tally.get(namespace)).copied().unwrap_or(0);
        let held = self.holdings.get(&service.key).into_iter().flat_map(|holding| &holding.assignment.ips);
        let leaving = self.leaving.get(&service.key).into_iter().flat_map(BTreeMap::keys);
        let own: BTreeSet<&IpAddr> = held.chain(leaving).collect();
        let own = own.into_iter().filter(|ip| {
            let here = self.locate(**ip).is_some_and(|(place, _)| *place.pool == *pool);
            here && !self.counts_already(**ip, &service.key)
        });
        let others = used.saturating_sub(u32::try_from(own.count()).unwrap_or(u32::MAX));
        Some(Room { left: quota.saturating_sub(others), used, quota })
    }

    /// Whether an address counts for the namespace of a Service whether or not this one holds it.
    pub(crate) fn counts_already(&self, ip: IpAddr, me: &ServiceKey) -> bool {
        let users = self.users.get(&ip).map(Vec::as_slice).unwrap_or_default();
        of_namespace(users, &me.namespace).iter().any(|user| **user != *me)
    }

    /// The first address of a pool that a Service may share and that counts for its namespace already.
    pub(crate) fn first_counted(
        &self,
        pool: &str,
        family: Family,
        terms: Option<&Terms>,
        me: &Service,
    ) -> Option<IpAddr> {
        let shared = self.shared.get(&terms?.key)?.iter().filter(|ip| Family::of(**ip) == family);
        let fits = shared.filter_map(|ip| {
            let (place, number) = self.locate(*ip)?;
            let fits = *place.pool == *pool
                && self.counts_already(*ip, &me.key)
                && self.kept_from(*ip, me).is_none()
                && self.clash(*ip, terms, &me.key).is_none();
            fits.then_some(((place.line, number), *ip))
        });
        fits.min_by_key(|(position, _)| *position).map(|(_, ip)| ip)
    }

    /// Counts anew, after the pools changed.
    pub(super) fn recount(&mut self) {
        let mut tallies = Tallies::default();
        for (name, _) in self.pools.iter().filter(|(_, pool)| !pool.quotas.is_empty()) {
            tallies.0.insert(name.clone(), HashMap::new());
        }
        if !tallies.0.is_empty() {
            for (ip, users) in &self.users {
                let Some((place, _)) = self.locate(*ip) else { continue };
                let Some(tally) = tallies.0.get_mut(&*place.pool) else { continue };
                let namespaces: BTreeSet<&str> = users.iter().map(|user| user.namespace.as_str()).collect();
                for namespace in namespaces {
                    *tally.entry(namespace.to_owned()).or_default() += 1;
                }
            }
        }
        self.tallies = tallies;
    }

    /// Notes that the namespace of a Service has begun, or ceased, to use an address, if the Service was the first or the last of it.
    pub(super) fn tally(&mut self, key: &ServiceKey, ip: IpAddr, begun: bool) {
        if self.tallies.0.is_empty() || self.counts_already(ip, key) {
            return;
        }
        let Some(pool) = self.locate(ip).map(|(place, _)| place.pool.clone()) else { return };
        let Some(tally) = self.tallies.0.get_mut(&*pool) else { return };
        let used = tally.entry(key.namespace.clone()).or_default();
        *used = if begun { used.saturating_add(1) } else { used.saturating_sub(1) };
        if *used == 0 {
            tally.remove(&key.namespace);
        }
    }
}

/// The users of one namespace; users are in order of keys.
fn of_namespace<'a>(users: &'a [Arc<ServiceKey>], namespace: &str) -> &'a [Arc<ServiceKey>] {
    let first = users.partition_point(|user| user.namespace.as_str() < namespace);
    let length = users[first..].partition_point(|user| user.namespace == namespace);
    &users[first..first + length]
}
