//! What the cluster looks like: watches of Services, namespaces and pools, as facts in the order in which they became known.
//!
//! A Service is parsed on arrival into what allocation needs; the rest of the object is dropped at once, so that memory is proportional to the
//! Services and not to what others write on them. One object that cannot be read stops nothing.

use futures::{Stream, StreamExt};
use herald_crds::{IPAddressPool, api::herald::AddressReservation, keys, model};
use herald_runtime::watch::{Change, Key, watch};
use k8s_openapi::{api::core::v1, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{Api, Client, api::ListParams, core::DeserializeGuard, runtime::watcher};
use std::{collections::BTreeMap, time::Duration};
use tokio::sync::mpsc;

/// Facts on their way to the desk. Enough that parsing runs ahead while the desk plans a batch; more would only hide that it is behind.
const QUEUE: usize = 1024;
/// Services in one page of a list.
const PAGE: u32 = 500;
/// How often to look whether a missing CRD is there.
const NO_KIND: Duration = Duration::from_secs(30);

/// News about one kind.
#[derive(Debug)]
pub(crate) enum Fact {
    /// Services.
    Services(Change<Seen>),
    /// Labels of namespaces.
    Namespaces(Change<BTreeMap<String, String>>),
    /// Pools of Herald's namespace.
    Pools(Change<IPAddressPool>),
    /// Reservations of Herald's namespace.
    Reservations(Change<AddressReservation>),
}

/// A Service as it was seen, and which object and state of it that was.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    /// What allocation needs of it.
    pub(crate) service: model::Service,
    /// Tells it from an earlier object of the same name.
    pub(crate) uid: String,
    /// Tells this state of it from others.
    pub(crate) version: String,
}

impl Seen {
    /// Whether this is an older state of the same object than `other`.
    ///
    /// Resource versions are decimal numbers that grow, except with API servers older than that guarantee; what cannot be compared counts as news.
    pub(crate) fn is_older_than(&self, other: &Self) -> bool {
        self.uid == other.uid && older(&self.version, &other.version)
    }
}

impl From<v1::Service> for Seen {
    fn from(object: v1::Service) -> Self {
        let service = model::Service::from(&object);
        Self {
            service,
            uid: object.metadata.uid.unwrap_or_default(),
            version: object.metadata.resource_version.unwrap_or_default(),
        }
    }
}

/// Whether one resource version is older than another.
pub(crate) fn older(a: &str, b: &str) -> bool {
    matches!((a.parse::<u128>(), b.parse::<u128>()), (Ok(a), Ok(b)) if a < b)
}

/// Follows everything from here on.
pub(crate) fn follow(client: &Client, namespace: &str) -> mpsc::Receiver<Fact> {
    let (facts, inbox) = mpsc::channel(QUEUE);
    let config = watcher::Config::default;
    let services: Api<DeserializeGuard<v1::Service>> = Api::all(client.clone());
    spawn(facts.clone(), watch(services, config(), Seen::from).map(Fact::Services));
    let namespaces: Api<DeserializeGuard<v1::Namespace>> = Api::all(client.clone());
    let labels = |object: v1::Namespace| object.metadata.labels.unwrap_or_default();
    spawn(facts.clone(), watch(namespaces, config(), labels).map(Fact::Namespaces));
    let pools: Api<DeserializeGuard<IPAddressPool>> = Api::namespaced(client.clone(), namespace);
    spawn(facts.clone(), watch(pools, config(), stripped).map(Fact::Pools));
    let reservations: Api<DeserializeGuard<AddressReservation>> = Api::namespaced(client.clone(), namespace);
    let watched = reservations.clone();
    let bare = |mut object: AddressReservation| {
        object.metadata.managed_fields = None;
        object
    };
    tokio::spawn(async move {
        wait_for_kind(&reservations, &facts).await;
        spawn(facts, watch(watched, config(), bare).map(Fact::Reservations));
    });
    inbox
}

/// Returns when there are AddressReservations to watch. A cluster with the CRDs of MetalLB alone has none, and misses nothing.
async fn wait_for_kind(api: &Api<DeserializeGuard<AddressReservation>>, facts: &mpsc::Sender<Fact>) {
    while let Err(kube::Error::Api(status)) = api.list_metadata(&ListParams::default().limit(1)).await {
        if !status.is_not_found() {
            return;
        }
        let none = Change::Reset { objects: BTreeMap::new(), invalid: Vec::new() };
        if facts.send(Fact::Reservations(none)).await.is_err() {
            return;
        }
        tokio::time::sleep(NO_KIND).await;
    }
}

/// Every Service as the API server has it now, for a replica that begins to act: its watch may not have shown yet what the one
/// before it wrote last.
///
/// # Errors
/// The API server does not answer.
pub(crate) async fn all_services(client: &Client) -> kube::Result<Vec<(Key, Seen)>> {
    let api: Api<DeserializeGuard<v1::Service>> = Api::all(client.clone());
    let mut params = ListParams::default().limit(PAGE);
    let mut all = Vec::new();
    loop {
        let page = api.list(&params).await?;
        all.extend(page.items.into_iter().filter_map(|object| {
            // What cannot be read is reported by the watch.
            let seen = Seen::from(object.0.ok()?);
            let key = Key { namespace: seen.service.key.namespace.clone(), name: seen.service.key.name.clone() };
            Some((key, seen))
        }));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(all),
        }
    }
}

fn spawn(facts: mpsc::Sender<Fact>, news: impl Stream<Item = Fact> + Send + 'static) {
    tokio::spawn(async move {
        let mut news = std::pin::pin!(news);
        while let Some(fact) = news.next().await {
            if facts.send(fact).await.is_err() {
                return;
            }
        }
    });
}

/// A pool without what nobody here reads.
pub(crate) fn stripped(pool: IPAddressPool) -> IPAddressPool {
    let mut annotations = pool.metadata.annotations.clone().unwrap_or_default();
    annotations.retain(|name, _| name == keys::RETAIN_ANNOTATION);
    let annotations = Some(annotations).filter(|some| !some.is_empty());
    let metadata = ObjectMeta { managed_fields: None, annotations, owner_references: None, ..pool.metadata };
    IPAddressPool { metadata, ..pool }
}

#[cfg(test)]
mod tests {
    use super::older;

    #[test]
    fn versions_compare_as_numbers_and_what_is_none_is_news() {
        assert!(older("9", "10"));
        assert!(!older("10", "10") && !older("11", "10"));
        assert!(!older("abc", "10") && !older("9", ""));
    }
}
