//! What is kept for whom: reservations as they were written, and the addresses that deleted Services left.
//!
//! ```text
//!   Service deleted, its pool retains ──▶ left: withheld at once ──▶ Chore::Keep ──▶ AddressReservation `left.NAMESPACE.NAME`
//!   the Service is back, or the time is over ──────────────────────▶ Chore::Drop
//! ```
//!
//! What is in an object survives every restart. The time is told by the shell; nothing here looks at a clock.

use super::{About, Desk, News};
use herald_allocator::{Effect, Reservation};
use herald_crds::{
    api::{
        herald::{AddressReservation, AddressReservationSpec, Beneficiary},
        reason::ControllerReason,
    },
    keys,
    model::{Kind, Range, ServiceKey},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::IpAddr,
};

/// The value of [`keys::RESERVATION_ROLE_LABEL`] on what the controller writes.
const RETAINED: &str = "retained";

/// What is to be done with an AddressReservation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Chore {
    /// It shall be there.
    Keep(Box<AddressReservation>),
    /// It shall be gone, if it is still this very object.
    Drop {
        /// Its UID.
        uid: String,
    },
}

/// Reservations, and what is under way for them.
#[derive(Default)]
pub(super) struct Keeping {
    /// As the API server has them.
    pub(super) known: BTreeMap<String, AddressReservation>,
    pub(super) unreadable: BTreeMap<String, String>,
    /// Something changed since they were last told to the book.
    pub(super) changed: bool,
    /// Written, or about to be, but not seen yet.
    left: BTreeMap<String, AddressReservation>,
    chores: BTreeMap<String, Chore>,
    /// Of one object at most one chore is under way.
    under_way: BTreeSet<String>,
    told: BTreeMap<String, String>,
    /// Services that went while this desk only followed: whoever acted may have died before it kept their addresses.
    gone: VecDeque<Gone>,
    now: Timestamp,
    next_end: Option<Timestamp>,
}

/// A Service that went, as its status was.
struct Gone {
    at: Timestamp,
    key: ServiceKey,
    ips: Vec<IpAddr>,
    pool: String,
}

/// How long what went is remembered by one who follows: longer than it takes until somebody acts again.
const REMEMBERED: SignedDuration = SignedDuration::from_secs(60);
/// How many that are at most.
const MOST_REMEMBERED: usize = 1024;

impl Desk {
    /// Says what time it is.
    pub(crate) fn tick(&mut self, now: Timestamp) {
        self.keeping.changed |= self.keeping.next_end.is_some_and(|end| end <= now);
        self.keeping.now = now;
    }

    /// When the next reservation ends.
    pub(crate) fn next_end(&self) -> Option<Timestamp> {
        self.keeping.next_end
    }

    /// What to do next with which AddressReservation, if anything.
    pub(crate) fn next_chore(&mut self) -> Option<(String, Chore)> {
        let keeping = &mut self.keeping;
        let name = keeping.chores.keys().find(|name| !keeping.under_way.contains(*name))?.clone();
        let chore = keeping.chores.remove(&name)?;
        keeping.under_way.insert(name.clone());
        Some((name, chore))
    }

    /// Takes in that a chore is done, or failed and is to be tried again.
    pub(crate) fn chore_done(&mut self, name: String, chore: Chore, done: bool) {
        self.keeping.under_way.remove(&name);
        if !done && self.active() {
            self.keeping.chores.entry(name).or_insert(chore);
        }
    }

    /// Takes in that a Service is gone: what its pool retains is kept for the next one of its name.
    pub(super) fn leave(&mut self, key: &ServiceKey) {
        if !self.active() {
            self.remember(key);
            return;
        }
        let Some(held) = self.book.allocation(key) else { return };
        let alone = |ip: &IpAddr| self.book.holders(*ip).all(|holder| holder == key);
        let ips: Vec<IpAddr> = held.ips.iter().copied().filter(alone).collect();
        let pool = held.pool.clone();
        self.retain(key, &pool, &ips);
    }

    /// Keeps what Services left that went while nobody acted. What the one before has kept already is there, or soon will be under the same name.
    pub(super) fn retain_remembered(&mut self) {
        let gone = std::mem::take(&mut self.keeping.gone);
        let used: BTreeSet<IpAddr> =
            self.services.values().flat_map(|entry| entry.seen.service.assigned.iter().copied()).collect();
        for Gone { at, key, mut ips, pool } in gone {
            let recent = self.keeping.now.duration_since(at) <= REMEMBERED;
            if recent && !self.services.contains_key(&key) && !self.keeping.known.contains_key(&name_of(&key)) {
                ips.retain(|ip| !used.contains(ip));
                self.retain(&key, &pool, &ips);
            }
        }
    }

    fn remember(&mut self, key: &ServiceKey) {
        let Some(service) = self.services.get(key).map(|entry| &entry.seen.service) else { return };
        let Some(pool) = service.allocated_from.clone() else { return };
        let gone = Gone { at: self.keeping.now, key: key.clone(), ips: service.assigned.clone(), pool };
        let (keeping, now) = (&mut self.keeping.gone, self.keeping.now);
        keeping.push_back(gone);
        while keeping.len() > MOST_REMEMBERED
            || keeping.front().is_some_and(|gone| now.duration_since(gone.at) > REMEMBERED)
        {
            keeping.pop_front();
        }
    }

    fn retain(&mut self, key: &ServiceKey, pool: &str, ips: &[IpAddr]) {
        let Some(retention) = self.reading.config.pools.get(pool).and_then(|pool| retention(pool).ok().flatten())
        else {
            return;
        };
        let addresses: Vec<String> = ips.iter().map(|ip| Range { first: *ip, last: *ip }.to_string()).collect();
        let Ok(until) = self.keeping.now.checked_add(retention) else { return };
        if addresses.is_empty() {
            return;
        }
        let beneficiary =
            Beneficiary { namespace: Some(key.namespace.clone()), name: Some(key.name.clone()), selector: None };
        let name = name_of(key);
        let spec = AddressReservationSpec {
            addresses,
            beneficiary: Some(beneficiary),
            until: Some(Time(until)),
            yields: true,
        };
        let mut object = AddressReservation::new(&name, spec);
        object.metadata.labels = Some(BTreeMap::from([(keys::RESERVATION_ROLE_LABEL.to_owned(), RETAINED.to_owned())]));
        tracing::info!(service = %key, pool, ip = object.spec.addresses.join(","), "addresses retained");
        self.keeping.chores.insert(name.clone(), Chore::Keep(Box::new(object.clone())));
        self.keeping.left.insert(name, object);
        self.keeping.changed = true;
    }

    /// Takes in that a Service of this name holds what it shall: what was kept for it need not be kept.
    pub(super) fn is_back(&mut self, key: &ServiceKey) {
        if (self.keeping.known.is_empty() && self.keeping.left.is_empty()) || self.book.allocation(key).is_none() {
            return;
        }
        let name = name_of(key);
        let not_yet_written = matches!(self.keeping.chores.get(&name), Some(Chore::Keep(_)));
        if not_yet_written {
            self.keeping.chores.remove(&name);
        }
        self.keeping.changed |= self.keeping.left.remove(&name).is_some();
        self.drop_retained(&name);
    }

    /// Tells the book what is reserved now.
    pub(super) fn reserve(&mut self) {
        if !std::mem::take(&mut self.keeping.changed) {
            return;
        }
        let seen: BTreeSet<String> = self.keeping.left.keys().filter(|name| self.written(name)).cloned().collect();
        self.keeping.left.retain(|name, _| !seen.contains(name));
        let mut all = self.keeping.known.clone();
        all.extend(self.keeping.left.clone());
        let now = self.keeping.now;
        let end = |object: &AddressReservation| object.spec.until.as_ref().map(|until| until.0);
        let (over, current): (BTreeMap<_, _>, BTreeMap<_, _>) =
            all.into_iter().partition(|(_, object)| end(object).is_some_and(|end| end <= now));
        self.keeping.next_end = current.values().filter_map(end).min();
        let mut in_force = BTreeMap::new();
        let mut wrong = BTreeMap::new();
        for (name, object) in current {
            match Reservation::read(&object) {
                Ok(reservation) => drop(in_force.insert(name, reservation)),
                Err(error) => {
                    if self.keeping.told.get(&name) != Some(&error) {
                        tracing::warn!(reservation = name, error, "reservation set aside");
                        let about = About::reservation(&object);
                        self.news.push(News {
                            about,
                            reason: ControllerReason::ConfigurationError,
                            note: error.clone(),
                        });
                    }
                    wrong.insert(name, error);
                }
            }
        }
        self.keeping.told = wrong;
        self.freed |= self.book.set_reservations(&in_force) == Effect::Freed;
        for name in over.keys() {
            self.keeping.left.remove(name);
            self.drop_retained(name);
        }
    }

    /// Tells of annotations that cannot be read, once.
    pub(super) fn tell_retentions(&mut self) {
        let mut wrong = BTreeMap::new();
        for (name, pool) in &self.reading.config.pools {
            let Err(note) = retention(pool) else { continue };
            if self.told_retentions.get(name) != Some(&note) {
                tracing::warn!(pool = name, error = note, "annotation ignored");
                let reason = ControllerReason::ConfigurationError;
                self.news.push(News {
                    about: About::config(Kind::IPAddressPool, &pool.metadata),
                    reason,
                    note: note.clone(),
                });
            }
            wrong.insert(name.clone(), note);
        }
        self.told_retentions = wrong;
    }

    /// Forgets what is under way: somebody else acts now.
    pub(super) fn keep_no_longer(&mut self) {
        self.keeping.left.clear();
        self.keeping.chores.clear();
        self.keeping.told.clear();
        self.keeping.changed = true;
    }

    /// Whether what was left is known to be written.
    fn written(&self, name: &str) -> bool {
        let left = self.keeping.left.get(name).map(|object| &object.spec);
        left.is_some() && left == self.keeping.known.get(name).map(|object| &object.spec)
    }

    /// Has an object deleted that the controller wrote; those of users stay.
    fn drop_retained(&mut self, name: &str) {
        let Some(object) = self.keeping.known.get(name) else { return };
        let role = object.metadata.labels.as_ref().and_then(|labels| labels.get(keys::RESERVATION_ROLE_LABEL));
        if role.map(String::as_str) == Some(RETAINED) {
            let uid = object.metadata.uid.clone().unwrap_or_default();
            self.keeping.chores.insert(name.to_owned(), Chore::Drop { uid });
        }
    }
}

/// How long a pool retains the addresses of deleted Services.
///
/// # Errors
/// What is wrong with the annotation.
pub(super) fn retention(pool: &herald_crds::IPAddressPool) -> Result<Option<SignedDuration>, String> {
    let Some(text) = pool.metadata.annotations.as_ref().and_then(|all| all.get(keys::RETAIN_ANNOTATION)) else {
        return Ok(None);
    };
    match duration(text.trim()) {
        Some(duration) => Ok(Some(duration)),
        None => Err(format!(
            "annotation {} is {text:?}: expected a duration like 24h, 90m or 1h30m; nothing is retained",
            keys::RETAIN_ANNOTATION
        )),
    }
}

/// `1h30m`: numbers, each with one of h, m and s.
fn duration(text: &str) -> Option<SignedDuration> {
    let mut seconds: i64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: i64 = rest.get(..end)?.parse().ok()?;
        let mut unit = rest.get(end..)?.chars();
        let factor = match unit.next()? {
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(factor)?)?;
        rest = unit.as_str();
    }
    (seconds > 0).then(|| SignedDuration::from_secs(seconds))
}

/// The object that keeps what a Service left. Neither part holds a dot, so no two Services have one name.
fn name_of(key: &ServiceKey) -> String {
    format!("left.{}.{}", key.namespace, key.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_users_of_kubernetes_write_them() {
        for (text, seconds) in [("24h", 86_400), ("90m", 5_400), ("1h30m", 5_400), ("5s", 5)] {
            assert_eq!(duration(text), Some(SignedDuration::from_secs(seconds)), "{text}");
        }
        for text in ["", "0s", "24", "h", "1d", "-1h", "1 h", "99999999999999999999h", "9223372036854775807h", "ü"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
