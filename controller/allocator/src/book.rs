//! Who holds what.
//!
//! The book is rebuilt from the Services' statuses and nothing else. It keeps addresses that no pool holds any more, until a
//! plan says what becomes of their Services; a pool that appears later finds them taken.
//!
//! ```text
//!   shelves   by pool: lines of numbered addresses (line.rs), each with its free intervals (free.rs)
//!   places    by first address: which line of which pool an address lies on
//!   holdings  by Service: its assignment and its terms of sharing
//!   leaving   by Service: what it lost or gave up, until its status is known to say so
//!   users     by address: who holds it, or is leaving it
//!   shared    by sharing key: the addresses held under it
//!   tallies   by pool that limits namespaces: how many addresses each of them uses
//!   reserve   by name: what is kept for whom; those addresses are not among the free ones
//! ```
//!
//! An address that is taken from a Service is free only once [`Book::settle`] confirms that the status no longer shows it, so that two
//! Services never show one address, not even for the moment between two writes.

mod quota;
mod reserve;

pub(crate) use quota::Room;

use crate::{
    order,
    reservation::Reservation,
    share::{Clash, Terms, may_share},
    shelf::{Position, Shelf},
};
use herald_crds::model::{Family, Pool, Service, ServiceKey};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

/// The addresses of one Service, all from one pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The pool they came from. Empty only for adopted addresses of which nobody knows the pool.
    pub pool: String,
    /// One address, or one of each family with IPv4 first.
    pub ips: Vec<IpAddr>,
}

/// How much of a pool is in use. A shared address counts once; what does not fit counts as the largest number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// IPv4 addresses in use.
    pub assigned_v4: i64,
    /// IPv6 addresses in use.
    pub assigned_v6: i64,
    /// Usable IPv4 addresses not in use.
    pub available_v4: i64,
    /// Usable IPv6 addresses not in use.
    pub available_v6: i64,
    /// Services that hold an address of the pool.
    pub services: i64,
}

/// What applying a decision did to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "services that wait must be planned again when something was freed"]
pub enum Effect {
    /// Nobody can get more than before.
    None,
    /// An address was freed, or can be shared on other terms: a refused Service may now be satisfied.
    Freed,
}

/// Who holds what, and what is free.
#[derive(Clone, Debug, Default)]
pub struct Book {
    pools: BTreeMap<String, Pool>,
    some_set_aside: bool,
    pub(crate) ranks: order::Ranks,
    shelves: BTreeMap<String, Shelf>,
    places: BTreeMap<IpAddr, Place>,
    holdings: HashMap<Arc<ServiceKey>, Holding>,
    leaving: HashMap<Arc<ServiceKey>, BTreeMap<IpAddr, Option<Terms>>>,
    users: BTreeMap<IpAddr, Vec<Arc<ServiceKey>>>,
    shared: HashMap<String, BTreeSet<IpAddr>>,
    reservations: BTreeMap<String, Reservation>,
    tallies: quota::Tallies,
}

#[derive(Clone, Debug)]
struct Holding {
    assignment: Assignment,
    terms: Option<Terms>,
}

#[derive(Clone, Debug)]
struct Place {
    last: IpAddr,
    pool: Arc<str>,
    line: usize,
}

impl Book {
    /// A book without pools and without Services.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the pools. `some_set_aside` says that an object that may stand for a pool is out of force because of a
    /// configuration error: until that is mended, addresses outside all pools stay with their Services.
    ///
    /// Nobody loses or gets an address by this; planning the Services again decides that. Returns whether that can make a difference.
    pub fn set_pools(&mut self, pools: &BTreeMap<String, Pool>, some_set_aside: bool) -> bool {
        let changed = std::mem::replace(&mut self.some_set_aside, some_set_aside) != some_set_aside;
        if self.pools == *pools {
            return changed;
        }
        let old = std::mem::replace(&mut self.pools, pools.clone());
        let mut old_shelves = std::mem::take(&mut self.shelves);
        self.ranks = order::Ranks::of(pools.values());
        self.places.clear();
        for (name, pool) in pools {
            let unchanged = old
                .get(name)
                .filter(|old| old.ranges == pool.ranges && old.avoid_buggy_ips == pool.avoid_buggy_ips)
                .and_then(|_| old_shelves.remove(name));
            let (fresh, shelf) = match unchanged {
                Some(shelf) => (false, shelf),
                None => (true, Shelf::of(pool)),
            };
            self.shelves.insert(name.clone(), shelf);
            self.index(name, fresh);
        }
        self.count_services();
        self.recount();
        true
    }

    /// The pools in force.
    pub fn pools(&self) -> &BTreeMap<String, Pool> {
        &self.pools
    }

    /// Whether addresses outside all pools stay with their Services for now.
    pub(crate) fn some_set_aside(&self) -> bool {
        self.some_set_aside
    }

    /// What a Service holds.
    pub fn allocation(&self, key: &ServiceKey) -> Option<&Assignment> {
        self.holdings.get(key).map(|holding| &holding.assignment)
    }

    /// How many Services hold addresses.
    pub fn len(&self) -> usize {
        self.holdings.len()
    }

    /// Whether no Service holds an address.
    pub fn is_empty(&self) -> bool {
        self.holdings.is_empty()
    }

    /// The Services that hold an address, in order of keys.
    pub fn holders(&self, ip: IpAddr) -> impl Iterator<Item = &ServiceKey> {
        self.users.get(&ip).into_iter().flatten().map(Arc::as_ref)
    }

    /// The pool an address lies in.
    pub fn pool_of(&self, ip: IpAddr) -> Option<&Pool> {
        let (place, _) = self.locate(ip)?;
        self.pools.get(&*place.pool)
    }

    /// How much of a pool is in use; all zero for an unknown one.
    pub fn usage(&self, pool: &str) -> Usage {
        self.shelves.get(pool).map(Shelf::usage).unwrap_or_default()
    }

    /// Forgets a Service that is gone, and with it everything it held.
    pub fn forget(&mut self, key: &ServiceKey) -> Effect {
        let given_up = self.give_up(key);
        match self.settle(key) {
            Effect::None if !given_up => Effect::None,
            _ => Effect::Freed,
        }
    }

    /// Confirms that the status of a Service shows nothing but what it holds: what it was leaving is free.
    pub fn settle(&mut self, key: &ServiceKey) -> Effect {
        let Some((key, left)) = self.leaving.remove_entry(key) else { return Effect::None };
        for (ip, terms) in &left {
            self.unuse(&key, *ip, terms.as_ref());
        }
        Effect::Freed
    }

    /// Takes everything from a Service; it is leaving it from now on.
    pub(crate) fn give_up(&mut self, key: &ServiceKey) -> bool {
        let Some((key, holding)) = self.holdings.remove_entry(key) else { return false };
        if let Some(shelf) = self.shelves.get_mut(&holding.assignment.pool) {
            shelf.services = shelf.services.saturating_sub(1);
        }
        let leaving = self.leaving.entry(key).or_default();
        leaving.extend(holding.assignment.ips.iter().map(|ip| (*ip, holding.terms.clone())));
        true
    }

    /// Gives a Service exactly these addresses, on the terms it brings now. It is leaving all others that it held.
    pub(crate) fn hold(&mut self, service: &Service, assignment: &Assignment) -> Effect {
        let terms = Terms::of(service);
        let old = self.holdings.get(&service.key);
        if old.is_some_and(|old| old.assignment == *assignment && old.terms == terms) {
            return Effect::None;
        }
        let mut effect = Effect::None;
        self.give_up(&service.key);
        let (key, mut leaving) =
            self.leaving.remove_entry(&service.key).unwrap_or_else(|| (Arc::new(service.key.clone()), BTreeMap::new()));
        for ip in &assignment.ips {
            if let Some(old_terms) = leaving.remove(ip) {
                if old_terms != terms {
                    // Somebody who could not share before may be able to now.
                    effect = Effect::Freed;
                }
                self.unuse(&key, *ip, old_terms.as_ref());
            }
            self.use_(&key, *ip, terms.as_ref());
        }
        if !leaving.is_empty() {
            self.leaving.insert(key.clone(), leaving);
        }
        if let Some(shelf) = self.shelves.get_mut(&assignment.pool) {
            shelf.services += 1;
        }
        self.holdings.insert(key, Holding { assignment: assignment.clone(), terms });
        effect
    }

    /// Who keeps a Service with these terms from holding an address, the Service itself left aside.
    pub(crate) fn clash(&self, ip: IpAddr, terms: Option<&Terms>, me: &ServiceKey) -> Option<Clash> {
        self.users.get(&ip)?.iter().filter(|user| ***user != *me).find_map(|user| {
            let why = may_share(terms, self.terms_of(user, ip)).err()?;
            Some(Clash { with: ServiceKey::clone(user), why })
        })
    }

    /// The first address of a pool, in the order in which it hands out, that a Service with these terms may hold: one that is kept for it, else a
    /// free one, or one it may share.
    pub(crate) fn first_fit(&self, pool: &str, family: Family, terms: Option<&Terms>, me: &Service) -> Option<IpAddr> {
        if let Some(ip) = self.first_reserved(pool, family, terms, me) {
            return Some(ip);
        }
        let shelf = self.shelves.get(pool)?;
        let free = shelf.first_free(family);
        let Some(terms) = terms else { return free.map(|position| shelf.address(position)) };
        self.shared
            .get(&terms.key)
            .into_iter()
            .flatten()
            .filter(|ip| Family::of(**ip) == family)
            .filter_map(|ip| {
                let (place, number) = self.locate(*ip)?;
                (*place.pool == *pool).then_some(((place.line, number), *ip))
            })
            .filter(|(position, _)| free.is_none_or(|free| *position < free))
            .filter(|(_, ip)| self.kept_from(*ip, me).is_none() && self.clash(*ip, Some(terms), &me.key).is_none())
            .min_by_key(|(position, _)| *position)
            .map(|(_, ip)| ip)
            .or_else(|| free.map(|position| shelf.address(position)))
    }

    /// The terms on which a user holds an address, or held the one it is leaving.
    fn terms_of(&self, user: &ServiceKey, ip: IpAddr) -> Option<&Terms> {
        match self.leaving.get(user).and_then(|leaving| leaving.get(&ip)) {
            Some(terms) => terms.as_ref(),
            None => self.holdings.get(user)?.terms.as_ref(),
        }
    }

    fn locate(&self, ip: IpAddr) -> Option<(&Place, u128)> {
        let (_, place) = self.places.range(..=ip).next_back()?;
        if ip > place.last {
            return None;
        }
        Some((place, self.shelves.get(&*place.pool)?.number(place.line, ip)?))
    }

    fn index(&mut self, name: &str, fresh: bool) {
        let Some(shelf) = self.shelves.get_mut(name) else { return };
        let pool: Arc<str> = name.into();
        for line in 0..shelf.len() {
            let (first, last) = shelf.ends(line);
            self.places.insert(first, Place { last, pool: pool.clone(), line });
            if !fresh {
                continue;
            }
            for (ip, _) in self.users.range(first..=last) {
                if let Some(number) = shelf.number(line, *ip) {
                    shelf.take((line, number));
                }
            }
        }
        if fresh {
            for range in self.reservations.values().flat_map(|reservation| &reservation.ranges) {
                shelf.withhold(range);
            }
        }
    }

    fn count_services(&mut self) {
        for shelf in self.shelves.values_mut() {
            shelf.services = 0;
        }
        for holding in self.holdings.values() {
            if let Some(shelf) = self.shelves.get_mut(&holding.assignment.pool) {
                shelf.services += 1;
            }
        }
    }

    fn use_(&mut self, key: &Arc<ServiceKey>, ip: IpAddr, terms: Option<&Terms>) {
        let users = self.users.entry(ip).or_default();
        let first = users.is_empty();
        let place = users.binary_search(key);
        if let Err(at) = place {
            users.insert(at, key.clone());
        }
        if let Some(terms) = terms {
            self.shared.entry(terms.key.clone()).or_default().insert(ip);
        }
        if first {
            self.mark(ip, Shelf::take);
        }
        if place.is_err() {
            self.tally(key, ip, true);
        }
    }

    fn unuse(&mut self, key: &Arc<ServiceKey>, ip: IpAddr, terms: Option<&Terms>) {
        let Some(users) = self.users.get_mut(&ip) else { return };
        let before = users.len();
        users.retain(|user| user != key);
        let (last, was_user) = (users.is_empty(), users.len() != before);
        let my_key = terms.map(|terms| &terms.key);
        let alone = !self.users.get(&ip).into_iter().flatten().any(|user| {
            let theirs = self.terms_of(user, ip);
            theirs.map(|theirs| &theirs.key) == my_key
        });
        if last {
            self.users.remove(&ip);
            let reserved = self.covering(ip).next().is_some();
            self.mark(ip, |shelf, position| shelf.give(position, reserved));
        }
        if was_user {
            self.tally(key, ip, false);
        }
        if let Some(terms) = terms.filter(|_| alone)
            && let Some(ips) = self.shared.get_mut(&terms.key)
        {
            ips.remove(&ip);
            if ips.is_empty() {
                self.shared.remove(&terms.key);
            }
        }
    }

    fn mark(&mut self, ip: IpAddr, how: impl FnOnce(&mut Shelf, Position)) {
        let Some((pool, position)) = self.locate(ip).map(|(place, number)| (place.pool.clone(), (place.line, number)))
        else {
            return;
        };
        if let Some(shelf) = self.shelves.get_mut(&*pool) {
            how(shelf, position);
        }
    }
}
