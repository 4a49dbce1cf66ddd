//! How facts enter the desk.

use super::{Desk, entry::Entry};
use crate::source::{Fact, Seen};
use herald_allocator::Effect;
use herald_crds::model::{ServiceKey, ServiceKind};
use herald_runtime::watch::{Change, Key};
use std::collections::{BTreeMap, BTreeSet};

impl Desk {
    /// Takes in what became known.
    pub(crate) fn learn(&mut self, fact: Fact) {
        if let Some(kind) = fact.listed() {
            self.found_more |= self.listed.insert(kind);
        }
        match fact {
            Fact::Services(change) => self.learn_services(change),
            Fact::Reservations(change) => {
                self.keeping.changed = true;
                if let Change::Invalid(key, error) = &change {
                    warn_invalid("AddressReservation", key, error);
                }
                learn(&mut self.keeping.known, &mut self.keeping.unreadable, change);
            }
            fact => self.learn_config(fact),
        }
    }

    fn learn_services(&mut self, change: Change<Seen>) {
        match change {
            Change::Reset { objects, invalid } => {
                let kept: BTreeSet<&Key> = objects.keys().chain(invalid.iter().map(|(key, _)| key)).collect();
                let gone: Vec<ServiceKey> =
                    self.services.keys().filter(|key| !kept.contains(&watch_key(key))).cloned().collect();
                for key in &gone {
                    self.leave(key);
                    self.forget(key);
                }
                for (key, error) in &invalid {
                    warn_invalid("Service", key, error);
                }
                objects.into_values().for_each(|seen| self.see(seen));
            }
            Change::Apply(_, seen) => {
                let known = self.services.get(&seen.service.key);
                if !known.is_some_and(|known| seen.is_older_than(&known.seen)) {
                    self.see(seen);
                }
            }
            Change::Delete(key) => {
                let key = ServiceKey::new(key.namespace, key.name);
                self.leave(&key);
                self.forget(&key);
            }
            Change::Invalid(key, error) => warn_invalid("Service", &key, &error),
        }
    }

    fn see(&mut self, seen: Seen) {
        let key = seen.service.key.clone();
        let concerns = self.concerns(&seen);
        match self.services.get_mut(&key) {
            Some(entry) if entry.seen.uid != seen.uid => {
                self.leave(&key);
                self.forget(&key);
                self.see(seen);
            }
            Some(entry) => {
                let changed = entry.seen != seen;
                entry.seen = seen;
                if changed {
                    self.enqueue(&key);
                }
            }
            None if concerns => {
                self.services.insert(key.clone(), Entry::new(seen));
                self.enqueue(&key);
            }
            None => {}
        }
    }

    /// Whether a Service is ours, or carries what only we can take off it.
    pub(super) fn concerns(&self, seen: &Seen) -> bool {
        let service = &seen.service;
        service.handled_by(self.class.as_deref())
            && (service.kind == ServiceKind::LoadBalancer
                || service.allocated_from.is_some()
                || !service.assigned.is_empty())
    }

    pub(super) fn forget(&mut self, key: &ServiceKey) {
        if let Some(entry) = self.services.remove(key)
            && let Some((urgency, number)) = entry.backlog
        {
            self.backlog.remove(&(urgency, number, key.clone()));
        }
        self.waiting.remove(key);
        self.freed |= self.book.forget(key) == Effect::Freed;
    }
}

fn watch_key(key: &ServiceKey) -> Key {
    Key { namespace: key.namespace.clone(), name: key.name.clone() }
}

fn warn_invalid(kind: &str, key: &Key, error: &str) {
    tracing::warn!(kind, object = %key, error, "object cannot be read; what was known of it stays in force");
}

/// Takes news about reservations into their map.
fn learn<T>(known: &mut BTreeMap<String, T>, unreadable: &mut BTreeMap<String, String>, change: Change<T>) {
    match change {
        Change::Reset { objects, invalid } => {
            unreadable.clear();
            unreadable.extend(invalid.into_iter().map(|(key, error)| (key.name, error)));
            // Of an object that cannot be read, what was known of it stays.
            known.retain(|name, _| unreadable.contains_key(name));
            known.extend(objects.into_iter().map(|(key, object)| (key.name, object)));
        }
        Change::Apply(key, object) => {
            unreadable.remove(&key.name);
            known.insert(key.name, object);
        }
        Change::Delete(key) => {
            unreadable.remove(&key.name);
            known.remove(&key.name);
        }
        Change::Invalid(key, error) => drop(unreadable.insert(key.name, error)),
    }
}
