//! The watches.

use super::{
    Picture,
    snapshot::{News, Snapshot},
};
use crate::metrics::Metrics;
use futures::{Stream, StreamExt, stream};
use herald_crds::{
    api::{IPAddressPool, L2Advertisement},
    model::{NodeFacts, Service, endpoints_of},
};
use herald_runtime::watch::watch;
use k8s_openapi::{
    api::{core::v1, discovery::v1::EndpointSlice},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{Api, Client, core::DeserializeGuard, runtime::watcher};
use std::sync::Arc;
use tokio::sync::watch as latest;

/// Changes handled together before a new picture is made: a rollout changes hundreds of slices within milliseconds.
const TOGETHER: usize = 1024;

/// Whose picture is made, and with which of the user's choices.
pub(crate) struct Settings {
    pub(crate) node: String,
    pub(crate) namespace: String,
    pub(crate) class: Option<String>,
    pub(crate) ignore_exclude_label: bool,
}

/// Follows the API server and publishes a picture whenever it changes, from the moment on when every kind was listed. An API
/// server that is away changes nothing.
pub(crate) async fn follow(
    client: Client,
    settings: Settings,
    metrics: Arc<Metrics>,
    pictures: latest::Sender<Option<Picture>>,
) {
    let mut news = Box::pin(changes(client, &settings.namespace).ready_chunks(TOGETHER));
    let mut snapshot = Snapshot::new(settings);
    while let Some(chunk) = news.next().await {
        for change in chunk {
            snapshot.apply(change);
        }
        let Some(picture) = snapshot.picture(&metrics) else { continue };
        pictures.send_if_modified(|current| {
            let changed = current.as_ref() != Some(&picture);
            if changed {
                *current = Some(picture);
            }
            changed
        });
    }
}

fn changes(client: Client, namespace: &str) -> impl Stream<Item = News> + Send + use<> {
    let pools: Api<DeserializeGuard<IPAddressPool>> = Api::namespaced(client.clone(), namespace);
    let advertisements: Api<DeserializeGuard<L2Advertisement>> = Api::namespaced(client.clone(), namespace);
    let nodes: Api<DeserializeGuard<v1::Node>> = Api::all(client.clone());
    let services: Api<DeserializeGuard<v1::Service>> = Api::all(client.clone());
    let slices: Api<DeserializeGuard<EndpointSlice>> = Api::all(client);
    stream::select_all([
        watch(pools, watcher::Config::default(), lean_pool).map(News::Pool).boxed(),
        watch(advertisements, watcher::Config::default(), lean_advertisement).map(News::L2Advertisement).boxed(),
        watch(nodes, watcher::Config::default(), |node| NodeFacts::from(&node)).map(News::Node).boxed(),
        watch(services, watcher::Config::default(), |service| Service::from(&service)).map(News::Service).boxed(),
        watch(slices, watcher::Config::default(), |slice| (owner(&slice), endpoints_of([&slice])))
            .map(News::Slice)
            .boxed(),
    ])
}

/// The Service whose endpoints a slice holds.
fn owner(slice: &EndpointSlice) -> Option<herald_crds::model::ServiceKey> {
    let name = slice.metadata.labels.as_ref()?.get("kubernetes.io/service-name")?;
    Some(herald_crds::model::ServiceKey::new(slice.metadata.namespace.clone()?, name.clone()))
}

/// What a pool means, without what changes at every allocation.
fn lean_pool(mut pool: IPAddressPool) -> IPAddressPool {
    pool.status = None;
    IPAddressPool { metadata: lean(pool.metadata), ..pool }
}

fn lean_advertisement(mut advertisement: L2Advertisement) -> L2Advertisement {
    advertisement.status = None;
    L2Advertisement { metadata: lean(advertisement.metadata), ..advertisement }
}

fn lean(metadata: ObjectMeta) -> ObjectMeta {
    ObjectMeta {
        name: metadata.name,
        namespace: metadata.namespace,
        labels: metadata.labels,
        creation_timestamp: metadata.creation_timestamp,
        ..ObjectMeta::default()
    }
}
