//! What came of every Service, and what follows for every address, kept by key.
//!
//! ```text
//!   note(Service, outcome) --> wishes[Service] --> each of its addresses, old and new --> desired[address]
//! ```
//!
//! A Service that changes costs its own addresses, and the Services that it shares them with; copies of what is in the book cost nothing and
//! share everything that did not change ([`Tree`]). The order in which outcomes are noted leaves no trace.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use herald_crds::model::ServiceKey;

use crate::share::{Desired, address};
use crate::{Refusal, Tree, Wish};

/// The outcome of every Service: what it wishes for, or why it gets nothing.
pub type Wishes = Tree<ServiceKey, Result<Wish, Refusal>>;

/// What came of every Service, and of all of them together.
#[derive(Clone, Debug, Default)]
pub struct Book {
    wishes: Wishes,
    wishing: BTreeMap<IpAddr, BTreeSet<ServiceKey>>,
    desired: Desired,
}

impl Book {
    /// Notes what came of a Service; nothing where there is no such Service any more.
    pub fn note(&mut self, key: &ServiceKey, outcome: Option<Result<Wish, Refusal>>) {
        let before = self.wishes.get(key);
        if before == outcome.as_ref() {
            return;
        }
        let (old, new) = (ips(before), ips(outcome.as_ref()));
        for ip in old.difference(&new) {
            if let Some(services) = self.wishing.get_mut(ip) {
                services.remove(key);
                if services.is_empty() {
                    self.wishing.remove(ip);
                }
            }
        }
        for ip in new.difference(&old) {
            self.wishing.entry(*ip).or_default().insert(key.clone());
        }
        match outcome {
            Some(outcome) => self.wishes.insert(key.clone(), outcome),
            None => drop(self.wishes.remove(key)),
        }
        old.union(&new).for_each(|ip| self.fold(*ip));
    }

    /// What came of every Service that was noted.
    pub fn wishes(&self) -> &Wishes {
        &self.wishes
    }

    /// All Services together.
    pub fn desired(&self) -> &Desired {
        &self.desired
    }

    /// Puts the wishes for one address together again.
    fn fold(&mut self, ip: IpAddr) {
        let services = self.wishing.get(&ip).into_iter().flatten();
        let wishes: Vec<_> = services.filter_map(|key| Some((key, self.wishes.get(key)?.as_ref().ok()?))).collect();
        let addresses = &mut self.desired.addresses;
        match address(ip, &wishes) {
            Some(address) if addresses.get(&ip) == Some(&address) => {}
            Some(address) => addresses.insert(ip, address),
            None => drop(addresses.remove(&ip)),
        }
    }
}

fn ips(outcome: Option<&Result<Wish, Refusal>>) -> BTreeSet<IpAddr> {
    outcome.and_then(|outcome| outcome.as_ref().ok()).map(|wish| wish.ips.iter().copied().collect()).unwrap_or_default()
}
