//! What configures Herald: read whole whenever it comes to mean something else, told where it makes no sense.
//!
//! ```text
//!   facts --learn--> Config --resolve--> pools ------> the book; everybody is planned again if they changed
//!                                    \-> problems ---> an Event on each object, once; the ConfigurationState; a metric
//! ```
//!
//! A replica that only follows along reads it too, and knows what is wrong, but says nothing. An object that cannot be read stays in force as it was
//! last known, and that is a problem like any other.

use super::{About, Desk, News};
use crate::source::{ALLOCATION, CHECKED, Fact, meaning};
use herald_allocator::turn;
use herald_crds::{
    IPAddressPool,
    api::reason::ControllerReason,
    model::{Config, Kind, ObjectRef, Problem, ProblemReason, Service, ServiceKey, Waiting, resolve},
};
use herald_runtime::{state::Found, watch::Change};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::BTreeMap;

/// The configuration, and what was found in it.
#[derive(Default)]
pub(super) struct Reading {
    pub(super) config: Config,
    /// It came to mean something else since it was read.
    pub(super) changed: bool,
    unreadable: BTreeMap<ObjectRef, Unreadable>,
    problems: Vec<Problem>,
    waiting: Vec<Waiting>,
    /// What was told of each object.
    told: BTreeMap<ObjectRef, Vec<String>>,
}

/// An object that cannot be read.
#[derive(Clone, Debug, PartialEq)]
struct Unreadable {
    namespace: String,
    error: String,
}

impl Desk {
    /// Takes in what became known of the configuration. Of a change that changes nothing, as of a heartbeat of a node or of a pool's counters,
    /// nothing is read again.
    pub(super) fn learn_config(&mut self, fact: Fact) {
        let Reading { config, unreadable, .. } = &mut self.reading;
        let changed = match fact {
            Fact::Services(_) | Fact::Reservations(_) => false,
            Fact::Namespaces(change) => learn(&mut config.namespaces, change, unreadable, None, PartialEq::eq),
            Fact::Nodes(change) => learn(&mut config.nodes, change, unreadable, None, PartialEq::eq),
            Fact::Pools(change) => learn(&mut config.pools, change, unreadable, Some(Kind::IPAddressPool), same_pool),
            Fact::L2Advertisements(change) => {
                let kind = Some(Kind::L2Advertisement);
                learn(&mut config.l2_advertisements, change, unreadable, kind, PartialEq::eq)
            }
            Fact::BgpAdvertisements(change) => {
                let kind = Some(Kind::BGPAdvertisement);
                learn(&mut config.bgp_advertisements, change, unreadable, kind, PartialEq::eq)
            }
            Fact::BgpPeers(change) => {
                learn(&mut config.bgp_peers, change, unreadable, Some(Kind::BGPPeer), PartialEq::eq)
            }
            Fact::BfdProfiles(change) => {
                learn(&mut config.bfd_profiles, change, unreadable, Some(Kind::BFDProfile), PartialEq::eq)
            }
            Fact::Communities(change) => {
                learn(&mut config.communities, change, unreadable, Some(Kind::Community), PartialEq::eq)
            }
        };
        self.reading.changed |= changed;
    }

    /// What was found in the configuration, if that may have changed since the last call.
    pub(crate) fn take_found(&mut self) -> Option<Found> {
        if !std::mem::take(&mut self.found_more) {
            return None;
        }
        let kinds = ALLOCATION.iter().chain(&CHECKED);
        let missing: Vec<&str> = kinds.filter(|kind| !self.listed.contains(*kind)).copied().collect();
        Some(Found::new(&missing, &self.reading.problems, &self.reading.waiting))
    }

    /// Whether some object of the configuration is set aside because of an error in it.
    pub(crate) fn some_set_aside(&self) -> bool {
        !self.reading.problems.is_empty()
    }

    /// Reads the configuration whole. Whoever acts tells what is wrong with it, and plans everybody again if the pools changed.
    pub(super) fn resolve(&mut self) {
        let reading = &mut self.reading;
        let (resolved, problems) = resolve(&reading.config);
        let pool = |object: &&ObjectRef| object.kind == Kind::IPAddressPool;
        let some_pool_is_out = !resolved.set_aside.is_empty() || reading.unreadable.keys().any(|object| pool(&object));
        reading.problems = problems.into_iter().filter(|it| !reading.unreadable.contains_key(&it.object)).collect();
        reading.problems.extend(reading.unreadable.iter().map(|(object, unreadable)| Problem {
            object: object.clone(),
            reason: ProblemReason::Unreadable,
            message: format!("it cannot be read, and stays in force as it was: {}", unreadable.error),
        }));
        reading.problems.sort();
        reading.waiting = resolved.waiting;
        self.found_more = true;
        if !self.acts {
            return;
        }
        self.tell_problems();
        self.tell_retentions();

        let fresh = std::mem::take(&mut self.fresh);
        if !self.book.set_pools(&resolved.pools, some_pool_is_out) && !fresh {
            return;
        }
        let mut everybody: Vec<&Service> = self.services.values().map(|entry| &entry.seen.service).collect();
        if fresh {
            everybody.sort_by(|a, b| a.key.cmp(&b.key));
            let class = self.class.as_deref();
            everybody.iter().filter(|service| service.handled_by(class)).for_each(|service| self.book.adopt(service));
        }
        everybody.sort_by_cached_key(|service| turn(service, &self.book));
        let keys: Vec<ServiceKey> = everybody.into_iter().map(|service| service.key.clone()).collect();
        keys.iter().for_each(|key| self.enqueue(key));
    }

    /// Tells what is wrong with each object, once.
    fn tell_problems(&mut self) {
        let mut wrong: BTreeMap<ObjectRef, Vec<String>> = BTreeMap::new();
        for Problem { object, message, .. } in &self.reading.problems {
            wrong.entry(object.clone()).or_default().push(message.clone());
        }
        let news = wrong.iter().filter(|(object, messages)| self.reading.told.get(object) != Some(messages));
        for (object, messages) in news {
            let (kind, note) = (object.kind.as_str(), messages.join("; "));
            tracing::warn!(kind, object = object.name, error = note, "object set aside");
            let about = match self.reading.metadata(object) {
                Some(metadata) => About::config(object.kind, metadata),
                None => {
                    let namespace = self.reading.unreadable.get(object).map(|it| it.namespace.clone());
                    let metadata = ObjectMeta { namespace, name: Some(object.name.clone()), ..ObjectMeta::default() };
                    About::config(object.kind, &metadata)
                }
            };
            self.news.push(News { about, reason: ControllerReason::ConfigurationError, note });
        }
        for object in self.reading.told.keys().filter(|object| !wrong.contains_key(object)) {
            tracing::info!(kind = object.kind.as_str(), object = object.name, "object no longer set aside");
        }
        self.reading.told = wrong;
    }
}

impl Reading {
    /// Forgets what was told: somebody else tells it now, or it is to be told anew.
    pub(super) fn forget_told(&mut self) {
        self.told.clear();
    }

    fn metadata(&self, object: &ObjectRef) -> Option<&ObjectMeta> {
        let (config, name) = (&self.config, &object.name);
        match object.kind {
            Kind::IPAddressPool => config.pools.get(name).map(|object| &object.metadata),
            Kind::L2Advertisement => config.l2_advertisements.get(name).map(|object| &object.metadata),
            Kind::BGPAdvertisement => config.bgp_advertisements.get(name).map(|object| &object.metadata),
            Kind::BGPPeer => config.bgp_peers.get(name).map(|object| &object.metadata),
            Kind::BFDProfile => config.bfd_profiles.get(name).map(|object| &object.metadata),
            Kind::Community => config.communities.get(name).map(|object| &object.metadata),
        }
    }
}

/// Whether two states of a pool mean the same: counters aside.
fn same_pool(a: &IPAddressPool, b: &IPAddressPool) -> bool {
    a.spec == b.spec && meaning(a.metadata.clone()) == meaning(b.metadata.clone())
}

/// Takes news about one kind into its map, and returns whether anything changed by it. Of an object that cannot be read, what was known stays; it is
/// a mistake where the kind is one that people write.
fn learn<T>(
    known: &mut BTreeMap<String, T>,
    change: Change<T>,
    unreadable: &mut BTreeMap<ObjectRef, Unreadable>,
    kind: Option<Kind>,
    same: impl Fn(&T, &T) -> bool,
) -> bool {
    let object = |name: &str| kind.map(|kind| ObjectRef { kind, name: name.to_owned() });
    match change {
        Change::Reset { objects, invalid } => {
            let count = unreadable.len();
            unreadable.retain(|object, _| Some(object.kind) != kind);
            let mut changed = unreadable.len() != count || !invalid.is_empty();
            let mut before = std::mem::take(known);
            let count = before.len();
            for (key, value) in objects {
                changed |= !before.get(&key.name).is_some_and(|old| same(old, &value));
                known.insert(key.name, value);
            }
            for (key, error) in invalid {
                if let Some(old) = before.remove(&key.name) {
                    known.insert(key.name.clone(), old);
                }
                if let Some(object) = object(&key.name) {
                    unreadable.insert(object, Unreadable { namespace: key.namespace, error });
                }
            }
            changed || known.len() != count
        }
        Change::Apply(key, value) => {
            let mended = object(&key.name).is_some_and(|object| unreadable.remove(&object).is_some());
            let changed = !known.get(&key.name).is_some_and(|old| same(old, &value));
            known.insert(key.name, value);
            mended || changed
        }
        Change::Delete(key) => {
            let mended = object(&key.name).is_some_and(|object| unreadable.remove(&object).is_some());
            known.remove(&key.name).is_some() || mended
        }
        Change::Invalid(key, error) => object(&key.name).is_some_and(|object| {
            let unreadable_now = Unreadable { namespace: key.namespace, error };
            unreadable.insert(object, unreadable_now.clone()) != Some(unreadable_now)
        }),
    }
}
