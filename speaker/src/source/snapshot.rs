//! What is known of the cluster, and the picture made from it.
//!
//! Configuration (pools, advertisements, nodes) is small and resolved whole when it changes. Services and endpoints are many
//! and are looked at by key: one changed Service costs one Service's work.

use super::{Picture, kube::Settings};
use crate::metrics::Metrics;
use herald_crds::{
    api::{IPAddressPool, L2Advertisement},
    model::{Config, Endpoint, NodeFacts, Problem, Resolved, Service, ServiceKey, ServiceKind, resolve},
};
use herald_desire::{Refusal, View, Wish, desired};
use herald_runtime::watch::{Change, Key};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A change of one kind.
pub(super) enum News {
    Pool(Change<IPAddressPool>),
    L2Advertisement(Change<L2Advertisement>),
    Node(Change<NodeFacts>),
    Service(Change<Service>),
    Slice(Change<(Option<ServiceKey>, Vec<Endpoint>)>),
}

/// Everything known of one kind, and whether it was ever listed.
struct Kind<T> {
    name: &'static str,
    listed: bool,
    objects: BTreeMap<Key, T>,
}

impl<T: PartialEq> Kind<T> {
    fn new(name: &'static str) -> Self {
        Self { name, listed: false, objects: BTreeMap::new() }
    }

    /// Applies a change and hands every object that is different now to `touched`: what it was and what it is. An object that
    /// cannot be read stays as it was last known.
    fn apply(&mut self, change: Change<T>, mut touched: impl FnMut(&Key, Option<&T>, Option<&T>)) {
        match change {
            Change::Reset { objects, invalid } => {
                self.listed = true;
                let keep: BTreeSet<_> = invalid.iter().map(|(key, _)| key.clone()).collect();
                let gone: Vec<_> = self
                    .objects
                    .keys()
                    .filter(|key| !objects.contains_key(key) && !keep.contains(key))
                    .cloned()
                    .collect();
                for key in gone {
                    touched(&key, self.objects.remove(&key).as_ref(), None);
                }
                for (key, object) in objects {
                    self.put(key, object, &mut touched);
                }
                for (key, error) in invalid {
                    self.complain(&key, &error);
                }
            }
            Change::Apply(key, object) => self.put(key, object, &mut touched),
            Change::Delete(key) => {
                if let Some(old) = self.objects.remove(&key) {
                    touched(&key, Some(&old), None);
                }
            }
            Change::Invalid(key, error) => self.complain(&key, &error),
        }
    }

    fn put(&mut self, key: Key, object: T, touched: &mut impl FnMut(&Key, Option<&T>, Option<&T>)) {
        let old = self.objects.get(&key);
        if old != Some(&object) {
            touched(&key, old, Some(&object));
            self.objects.insert(key, object);
        }
    }

    fn complain(&self, key: &Key, error: &str) {
        tracing::warn!(kind = self.name, object = %key, error, "object cannot be read, what was known of it stays in force");
    }
}

/// Everything known of the cluster.
pub(super) struct Snapshot {
    settings: Settings,
    pools: Kind<IPAddressPool>,
    l2_advertisements: Kind<L2Advertisement>,
    nodes: Kind<NodeFacts>,
    services: Kind<Service>,
    slices: Kind<(Option<ServiceKey>, Vec<Endpoint>)>,
    /// The slices of each Service.
    slices_of: BTreeMap<ServiceKey, BTreeSet<Key>>,
    config: Config,
    resolved: Resolved,
    problems: Vec<Problem>,
    config_changed: bool,
    services_changed: BTreeSet<ServiceKey>,
    wishes: Arc<BTreeMap<ServiceKey, Result<Wish, Refusal>>>,
}

impl Snapshot {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            pools: Kind::new("IPAddressPool"),
            l2_advertisements: Kind::new("L2Advertisement"),
            nodes: Kind::new("Node"),
            services: Kind::new("Service"),
            slices: Kind::new("EndpointSlice"),
            slices_of: BTreeMap::new(),
            config: Config::default(),
            resolved: Resolved::default(),
            problems: Vec::new(),
            config_changed: true,
            services_changed: BTreeSet::new(),
            wishes: Arc::default(),
        }
    }

    pub(super) fn apply(&mut self, news: News) {
        let Self { config, config_changed, services_changed, slices_of, .. } = self;
        match news {
            News::Pool(change) => self.pools.apply(change, |key, _, new| {
                *config_changed = true;
                replace(&mut config.pools, key, new);
            }),
            News::L2Advertisement(change) => self.l2_advertisements.apply(change, |key, _, new| {
                *config_changed = true;
                replace(&mut config.l2_advertisements, key, new);
            }),
            News::Node(change) => self.nodes.apply(change, |key, _, new| {
                *config_changed = true;
                replace(&mut config.nodes, key, new);
            }),
            News::Service(change) => self.services.apply(change, |key, _, _| {
                services_changed.insert(service_key(key));
            }),
            News::Slice(change) => self.slices.apply(change, |key, old, new| {
                if let Some((Some(owner), _)) = old
                    && let Some(slices) = slices_of.get_mut(owner)
                {
                    slices.remove(key);
                    if slices.is_empty() {
                        slices_of.remove(owner);
                    }
                }
                if let Some((Some(owner), _)) = new {
                    slices_of.entry(owner.clone()).or_default().insert(key.clone());
                }
                services_changed.extend([old, new].into_iter().flatten().filter_map(|(owner, _)| owner.clone()));
            }),
        }
    }

    /// The picture as of now; none before every kind was listed once.
    pub(super) fn picture(&mut self, metrics: &Metrics) -> Option<Picture> {
        let listed = [
            self.pools.listed,
            self.l2_advertisements.listed,
            self.nodes.listed,
            self.services.listed,
            self.slices.listed,
        ];
        if listed.contains(&false) {
            return None;
        }
        if std::mem::take(&mut self.config_changed) {
            self.resolve(metrics);
            self.services_changed.extend(self.services.objects.keys().map(service_key));
        }
        let wishes = Arc::make_mut(&mut self.wishes);
        for key in std::mem::take(&mut self.services_changed) {
            let place = Key { namespace: key.namespace.clone(), name: key.name.clone() };
            let wish = self
                .services
                .objects
                .get(&place)
                .filter(|service| {
                    service.kind == ServiceKind::LoadBalancer && service.handled_by(self.settings.class.as_deref())
                })
                .map(|service| {
                    let slices = self
                        .slices_of
                        .get(&key)
                        .into_iter()
                        .flatten()
                        .filter_map(|slice| self.slices.objects.get(slice));
                    let endpoints: Vec<_> = slices.flat_map(|(_, endpoints)| endpoints).cloned().collect();
                    let view = View {
                        resolved: &self.resolved,
                        nodes: &self.config.nodes,
                        me: &self.settings.node,
                        ignore_exclude_label: self.settings.ignore_exclude_label,
                    };
                    herald_desire::service(&view, service, &endpoints)
                });
            match wish {
                Some(wish) => {
                    if let Err(refusal) = &wish
                        && wishes.get(&key).is_none_or(|known| known.as_ref().err() != Some(refusal))
                    {
                        tracing::debug!(service = %key, reason = refusal.as_str(), "not announced");
                    }
                    wishes.insert(key, wish);
                }
                None => drop(wishes.remove(&key)),
            }
        }
        Some(Picture {
            nodes: self.config.nodes.clone(),
            desired: desired(&self.wishes),
            wishes: Arc::clone(&self.wishes),
        })
    }

    fn resolve(&mut self, metrics: &Metrics) {
        let (mut resolved, problems) = resolve(&self.config);
        resolved.keep_advertisements(&self.resolved, &self.config);
        for problem in problems.iter().filter(|problem| !self.problems.contains(problem)) {
            tracing::warn!(
                object = %problem.object,
                reason = problem.reason.as_str(),
                error = problem.message,
                "object set aside, everything else is in force"
            );
        }
        metrics.config_resolved(problems.len());
        (self.resolved, self.problems) = (resolved, problems);
    }
}

fn replace<T: Clone>(objects: &mut BTreeMap<String, T>, key: &Key, new: Option<&T>) {
    match new {
        Some(object) => drop(objects.insert(key.name.clone(), object.clone())),
        None => drop(objects.remove(&key.name)),
    }
}

fn service_key(key: &Key) -> ServiceKey {
    ServiceKey::new(key.namespace.clone(), key.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key { namespace: "default".to_owned(), name: name.to_owned() }
    }

    fn touched(kind: &mut Kind<u8>, change: Change<u8>) -> Vec<(String, Option<u8>, Option<u8>)> {
        let mut touched = Vec::new();
        kind.apply(change, |key, old, new| touched.push((key.name.clone(), old.copied(), new.copied())));
        touched
    }

    #[test]
    fn a_list_touches_only_what_differs() {
        let mut kind = Kind::new("Number");
        touched(
            &mut kind,
            Change::Reset { objects: [(key("a"), 1), (key("b"), 2), (key("c"), 3)].into(), invalid: vec![] },
        );
        let again = Change::Reset { objects: [(key("a"), 1), (key("b"), 4)].into(), invalid: vec![] };
        assert_eq!(
            touched(&mut kind, again),
            [("c".to_owned(), Some(3), None), ("b".to_owned(), Some(2), Some(4))],
            "a is as it was"
        );
    }

    #[test]
    fn an_object_that_cannot_be_read_stays_as_it_was_known() {
        let mut kind = Kind::new("Number");
        touched(&mut kind, Change::Apply(key("a"), 1));
        assert_eq!(touched(&mut kind, Change::Invalid(key("a"), "not a number".to_owned())), []);
        let list = Change::Reset { objects: [].into(), invalid: vec![(key("a"), "not a number".to_owned())] };
        assert_eq!(touched(&mut kind, list), []);
        assert_eq!(kind.objects, [(key("a"), 1)].into());
        assert_eq!(
            touched(&mut kind, Change::Delete(key("a"))),
            [("a".to_owned(), Some(1), None)],
            "a delete acts by key"
        );
    }

    #[test]
    fn there_is_no_picture_before_every_kind_was_listed() {
        fn empty<T>() -> Change<T> {
            Change::Reset { objects: BTreeMap::new(), invalid: Vec::new() }
        }
        let mut registry = prometheus_client::registry::Registry::default();
        let metrics = Metrics::new("a", &mut registry);
        let mut snapshot = Snapshot::new(Settings {
            node: "a".to_owned(),
            namespace: "herald-system".to_owned(),
            class: None,
            ignore_exclude_label: false,
        });
        for news in [
            News::Pool(empty()),
            News::L2Advertisement(empty()),
            News::Node(empty()),
            News::Service(empty()),
            News::Slice(empty()),
        ] {
            assert_eq!(snapshot.picture(&metrics), None);
            snapshot.apply(news);
        }
        assert_eq!(snapshot.picture(&metrics), Some(Picture::default()));
    }
}
