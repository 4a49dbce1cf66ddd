//! The watches.

use super::{
    Picture, config,
    secrets::Secrets,
    snapshot::{News, Snapshot},
    uids::Uids,
};
use crate::metrics::Metrics;
use futures::{Stream, StreamExt};
use herald_crds::{
    api::{BFDProfile, BGPAdvertisement, BGPPeer, Community, IPAddressPool, L2Advertisement},
    keys,
    model::{NodeFacts, Service, ServiceKey, endpoints_of},
};
use herald_runtime::{
    state::Found,
    watch::{Change, watch, watch_when_known},
};
use k8s_openapi::{
    api::{core::v1, discovery::v1::EndpointSlice},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client, Resource,
    core::{DeserializeGuard, NamespaceResourceScope},
    runtime::watcher,
};
use serde::de::DeserializeOwned;
use std::{fmt::Debug, pin::pin, sync::Arc};
use tokio::sync::{mpsc, watch as latest};

/// Changes handled together before a new picture is made: a rollout changes hundreds of slices within milliseconds.
const TOGETHER: usize = 1024;

/// Whose picture is made, and with which of the user's choices.
pub(crate) struct Settings {
    pub(crate) node: String,
    pub(crate) namespace: String,
    pub(crate) class: Option<String>,
    pub(crate) ignore_exclude_label: bool,
}

/// Follows the API server and publishes what was found in the configuration, and a picture, whenever they change; a picture only from the moment on when every kind that layer 2 needs was listed. An API
/// server that is away changes nothing.
pub(crate) async fn follow(
    client: Client,
    settings: Settings,
    metrics: Arc<Metrics>,
    uids: Uids,
    pictures: latest::Sender<Option<Picture>>,
    found: latest::Sender<Option<Found>>,
) {
    let (news, mut inbox) = mpsc::channel(TOGETHER);
    start(&client, &settings.namespace, &news, uids);
    let mut secrets = Secrets::new(client, &settings.namespace, news);
    let mut snapshot = Snapshot::new(settings);
    let mut chunk = Vec::with_capacity(TOGETHER);
    while inbox.recv_many(&mut chunk, TOGETHER).await > 0 {
        for change in chunk.drain(..) {
            snapshot.apply(change);
        }
        for name in secrets.follow(snapshot.secrets()) {
            snapshot.apply(News::config(config::News::Secret(name, None)));
        }
        let picture = snapshot.picture(&metrics);
        publish(&found, Some(snapshot.found()));
        if picture.is_some() {
            publish(&pictures, picture);
        }
    }
}

fn publish<T: PartialEq>(to: &latest::Sender<T>, value: T) {
    to.send_if_modified(|current| {
        let changed = *current != value;
        if changed {
            *current = value;
        }
        changed
    });
}

fn start(client: &Client, namespace: &str, news: &mpsc::Sender<News>, uids: Uids) {
    let all = watcher::Config::default;
    let nodes: Api<DeserializeGuard<v1::Node>> = Api::all(client.clone());
    let facts = |node: v1::Node| NodeFacts::from(&node);
    spawn(news, watch(nodes, all(), facts).map(|change| News::config(config::News::Node(change))));
    let services: Api<DeserializeGuard<v1::Service>> = Api::all(client.clone());
    let with_uid = |service: v1::Service| (Service::from(&service), service.metadata.uid.unwrap_or_default());
    let services = watch(services, all(), with_uid);
    spawn(news, services.map(move |change| News::Service(Box::new(uids.note(change)))));
    let slices: Api<DeserializeGuard<EndpointSlice>> = Api::all(client.clone());
    spawn(news, watch(slices, all(), |slice| (owner(&slice), endpoints_of([&slice]))).map(News::Slice));

    let here = Here { client, namespace, news };
    here.follow(config::News::Pool, |it: IPAddressPool| IPAddressPool {
        metadata: meaning(it.metadata),
        status: None,
        ..it
    });
    here.follow(config::News::L2Advertisement, |it: L2Advertisement| L2Advertisement {
        metadata: meaning(it.metadata),
        status: None,
        ..it
    });
    here.follow(config::News::BgpAdvertisement, |it: BGPAdvertisement| BGPAdvertisement {
        metadata: meaning(it.metadata),
        status: None,
        ..it
    });
    here.follow(config::News::BgpPeer, |it: BGPPeer| BGPPeer { metadata: meaning(it.metadata), status: None, ..it });
    here.follow(config::News::BfdProfile, |it: BFDProfile| BFDProfile {
        metadata: meaning(it.metadata),
        status: None,
        ..it
    });
    here.follow(config::News::Community, |it: Community| Community {
        metadata: meaning(it.metadata),
        status: None,
        ..it
    });
}

/// Where the objects are that configure Herald.
struct Here<'a> {
    client: &'a Client,
    namespace: &'a str,
    news: &'a mpsc::Sender<News>,
}

impl Here<'_> {
    fn follow<K, T>(&self, news: fn(Change<T>) -> config::News, parse: fn(K) -> T)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + Debug
            + Send
            + 'static,
        T: Send + 'static,
    {
        let api: Api<DeserializeGuard<K>> = Api::namespaced(self.client.clone(), self.namespace);
        let changes = watch_when_known(api, watcher::Config::default(), parse);
        spawn(self.news, changes.map(move |change| News::config(news(change))));
    }
}

fn spawn(news: &mpsc::Sender<News>, changes: impl Stream<Item = News> + Send + 'static) {
    let news = news.clone();
    tokio::spawn(async move {
        let mut changes = pin!(changes);
        while let Some(change) = changes.next().await {
            if news.send(change).await.is_err() {
                return;
            }
        }
    });
}

/// The Service whose endpoints a slice holds.
fn owner(slice: &EndpointSlice) -> Option<ServiceKey> {
    let name = slice.metadata.labels.as_ref()?.get("kubernetes.io/service-name")?;
    Some(ServiceKey::new(slice.metadata.namespace.clone()?, name.clone()))
}

/// What changes only when an object comes to mean something else. Of the annotations only ours are read.
fn meaning(metadata: ObjectMeta) -> ObjectMeta {
    let mut annotations = metadata.annotations.unwrap_or_default();
    annotations.retain(|name, _| name.split_once('/').is_some_and(|(group, _)| group == keys::HERALD_GROUP));
    ObjectMeta {
        name: metadata.name,
        namespace: metadata.namespace,
        labels: metadata.labels,
        annotations: Some(annotations).filter(|some| !some.is_empty()),
        creation_timestamp: metadata.creation_timestamp,
        ..ObjectMeta::default()
    }
}
