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
use herald_desire::{Book, Refusal, View, bgp};
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
    book: Book,
    bgp: bgp::Book,
    bgp_refused: BTreeMap<ServiceKey, Refusal>,
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
            book: Book::default(),
            bgp: bgp::Book::default(),
            bgp_refused: BTreeMap::new(),
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
        let read = self.reading.read(metrics);
        if read {
            self.changed.extend(self.service.keys().cloned());
        }
        for key in std::mem::take(&mut self.changed) {
            self.look(&key);
        }
        if read {
            let Self { settings, reading, bgp, .. } = self;
            bgp.renew(&view(settings, reading));
        }
        let complete = self.reading.missing().is_empty();
        Some(Picture {
            nodes: Arc::clone(self.reading.nodes()),
            desired: self.book.desired().clone(),
            wishes: self.book.wishes().clone(),
            resolved: complete.then(|| Arc::clone(self.reading.resolved())),
            bgp_wishes: self.bgp.wishes().clone(),
            bgp: self.bgp.desired().clone(),
        })
    }

    /// Notes what comes of a Service, and says why it is not announced if that is news.
    fn look(&mut self, key: &ServiceKey) {
        let Self { settings, reading, service, slice, slices_of, book, bgp, bgp_refused, .. } = self;
        let view = view(settings, reading);
        let class = settings.class.as_deref();
        let ours = |service: &&Service| service.kind == ServiceKind::LoadBalancer && service.handled_by(class);
        let Some(service) = service.get(key).filter(ours) else {
            book.note(key, None);
            bgp.note(&view, key, None);
            bgp_refused.remove(key);
            return;
        };
        let slices = slices_of.get(key).into_iter().flatten().filter_map(|key| slice.get(key));
        let endpoints: Vec<_> = slices.flat_map(|(_, endpoints)| endpoints).cloned().collect();
        let by_layer2 = herald_desire::service(&view, service, &endpoints);
        let by_bgp = bgp::service(&view, service, &endpoints);

        let known = book.wishes().get(key).and_then(|known| known.as_ref().err());
        tell(key, "layer2", by_layer2.as_ref().err(), known);
        book.note(key, Some(by_layer2));
        tell(key, "bgp", by_bgp.as_ref().err(), bgp_refused.get(key));
        match by_bgp {
            Ok(wish) => {
                bgp_refused.remove(key);
                bgp.note(&view, key, Some(wish));
            }
            Err(refusal) => {
                bgp.note(&view, key, None);
                bgp_refused.insert(key.clone(), refusal);
            }
        }
    }
}

/// What decisions are made from.
fn view<'a>(settings: &'a Settings, reading: &'a Reading) -> View<'a> {
    View {
        resolved: reading.resolved(),
        nodes: reading.nodes(),
        me: &settings.node,
        ignore_exclude_label: settings.ignore_exclude_label,
    }
}

/// Says why a Service is not announced, if that is news.
fn tell(service: &ServiceKey, protocol: &'static str, refusal: Option<&Refusal>, known: Option<&Refusal>) {
    if let Some(refusal) = refusal.filter(|refusal| known != Some(refusal)) {
        tracing::debug!(%service, protocol, reason = refusal.as_str(), "not announced");
    }
}

fn service_key(key: &Key) -> ServiceKey {
    ServiceKey::new(key.namespace.clone(), key.name.clone())
}

#[cfg(test)]
mod tests;
