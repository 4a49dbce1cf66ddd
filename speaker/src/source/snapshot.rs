//! What is known of the cluster, and the picture made from it.
//!
//! Configuration (pools, advertisements, peers, nodes) is small and resolved whole when it changes. Services and endpoints are many
//! and are looked at by key: one changed Service costs one Service's work.

use super::{
    Picture,
    config::{self, Reading},
    kind::Kind,
    kube::Settings,
};
use crate::metrics::Metrics;
use herald_crds::model::{Endpoint, Service, ServiceKey, ServiceKind};
use herald_desire::{Refusal, View, Wish, bgp, desired};
use herald_runtime::{
    state::Found,
    watch::{Change, Key},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A change of one kind.
pub(super) enum News {
    Config(Box<config::News>),
    Service(Box<Change<Service>>),
    Slice(Change<(Option<ServiceKey>, Vec<Endpoint>)>),
}

impl News {
    pub(super) fn config(news: config::News) -> Self {
        Self::Config(Box::new(news))
    }
}

/// Everything known of the cluster.
pub(super) struct Snapshot {
    settings: Settings,
    reading: Reading,
    services: Kind,
    slices: Kind,
    service: BTreeMap<ServiceKey, Service>,
    slice: BTreeMap<Key, (Option<ServiceKey>, Vec<Endpoint>)>,
    /// The slices of each Service.
    slices_of: BTreeMap<ServiceKey, BTreeSet<Key>>,
    changed: BTreeSet<ServiceKey>,
    wishes: Arc<BTreeMap<ServiceKey, Result<Wish, Refusal>>>,
    bgp_wishes: Arc<BTreeMap<ServiceKey, Result<bgp::Wish, Refusal>>>,
}

impl Snapshot {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            reading: Reading::new(settings.node.clone()),
            settings,
            services: Kind::new("Service"),
            slices: Kind::new("EndpointSlice"),
            service: BTreeMap::new(),
            slice: BTreeMap::new(),
            slices_of: BTreeMap::new(),
            changed: BTreeSet::new(),
            wishes: Arc::default(),
            bgp_wishes: Arc::default(),
        }
    }

    pub(super) fn apply(&mut self, news: News) {
        let Self { changed, slices_of, .. } = self;
        match news {
            News::Config(news) => self.reading.learn(*news),
            News::Service(change) => {
                self.services.apply(&mut self.service, service_key, *change, |key, _, _| {
                    changed.insert(key.clone());
                });
            }
            News::Slice(change) => {
                self.slices.apply(&mut self.slice, Key::clone, change, |key, old, new| {
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
                    changed.extend([old, new].into_iter().flatten().filter_map(|(owner, _)| owner.clone()));
                });
            }
        }
    }

    /// The Secrets that are to be followed.
    pub(super) fn secrets(&self) -> BTreeSet<String> {
        self.reading.secrets()
    }

    /// What was found in the configuration, as of the last picture.
    pub(super) fn found(&self) -> Found {
        let mut missing = self.reading.missing();
        missing.extend([&self.services, &self.slices].into_iter().filter(|kind| !kind.is_listed()).map(Kind::name));
        self.reading.found(&missing)
    }

    /// The picture as of now; none before every kind that layer 2 needs was listed once.
    pub(super) fn picture(&mut self, metrics: &Metrics) -> Option<Picture> {
        if !self.reading.is_enough() || !self.services.is_listed() || !self.slices.is_listed() {
            return None;
        }
        if self.reading.read(metrics) {
            self.changed.extend(self.service.keys().cloned());
        }
        let changed = std::mem::take(&mut self.changed);
        if !changed.is_empty() {
            self.look(changed);
        }
        let complete = self.reading.missing().is_empty();
        Some(Picture {
            nodes: self.reading.nodes().clone(),
            desired: desired(&self.wishes),
            wishes: Arc::clone(&self.wishes),
            resolved: complete.then(|| Arc::clone(self.reading.resolved())),
            bgp_wishes: Arc::clone(&self.bgp_wishes),
            bgp: if complete { bgp::desired(&self.view(), &self.bgp_wishes) } else { bgp::Desired::new() },
        })
    }

    fn view(&self) -> View<'_> {
        View {
            resolved: self.reading.resolved(),
            nodes: self.reading.nodes(),
            me: &self.settings.node,
            ignore_exclude_label: self.settings.ignore_exclude_label,
        }
    }

    /// Looks again at the Services that changed.
    fn look(&mut self, changed: BTreeSet<ServiceKey>) {
        let (mut wishes, mut bgp_wishes) = (std::mem::take(&mut self.wishes), std::mem::take(&mut self.bgp_wishes));
        let (by_layer2, by_bgp) = (Arc::make_mut(&mut wishes), Arc::make_mut(&mut bgp_wishes));
        for key in changed {
            let class = self.settings.class.as_deref();
            let service = self.service.get(&key);
            let ours = service.filter(|service| service.kind == ServiceKind::LoadBalancer && service.handled_by(class));
            let Some(service) = ours else {
                by_layer2.remove(&key);
                by_bgp.remove(&key);
                continue;
            };
            let slices = self.slices_of.get(&key).into_iter().flatten().filter_map(|slice| self.slice.get(slice));
            let endpoints: Vec<_> = slices.flat_map(|(_, endpoints)| endpoints).cloned().collect();
            let view = self.view();
            keep(by_layer2, &key, "layer2", herald_desire::service(&view, service, &endpoints));
            keep(by_bgp, &key, "bgp", bgp::service(&view, service, &endpoints));
        }
        (self.wishes, self.bgp_wishes) = (wishes, bgp_wishes);
    }
}

/// Keeps what came of a Service, and says why it is not announced if that is news.
fn keep<T>(
    wishes: &mut BTreeMap<ServiceKey, Result<T, Refusal>>,
    key: &ServiceKey,
    protocol: &'static str,
    wish: Result<T, Refusal>,
) {
    if let Err(refusal) = &wish
        && wishes.get(key).is_none_or(|known| known.as_ref().err() != Some(refusal))
    {
        tracing::debug!(service = %key, protocol, reason = refusal.as_str(), "not announced");
    }
    wishes.insert(key.clone(), wish);
}

fn service_key(key: &Key) -> ServiceKey {
    ServiceKey::new(key.namespace.clone(), key.name.clone())
}

#[cfg(test)]
mod tests;
