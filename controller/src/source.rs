//! What the cluster looks like: watches of Services and of everything that configures Herald, as facts in the order in which they became known.
//!
//! A Service is parsed on arrival into what allocation needs; the rest of the object is dropped at once, so that memory is proportional to the
//! Services and not to what others write on them. One object that cannot be read stops nothing, and neither does a kind that the cluster does
//! not know: it has no objects.
//!
//! The Secrets that BGP peers name are not read: the controller needs no password, and so has no right to see one.

use futures::{Stream, StreamExt};
use herald_crds::{
    IPAddressPool, L2Advertisement,
    api::{BFDProfile, BGPAdvertisement, BGPPeer, Community, herald::AddressReservation},
    keys,
    model::{self, NodeFacts},
};
use herald_runtime::watch::{Change, Key, older, watch, watch_when_known};
use k8s_openapi::{api::core::v1, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, Client, Resource,
    api::ListParams,
    core::{DeserializeGuard, NamespaceResourceScope},
    runtime::watcher,
};
use serde::de::DeserializeOwned;
use std::{collections::BTreeMap, fmt::Debug};
use tokio::sync::mpsc;

/// Facts on their way to the desk. Enough that parsing runs ahead while the desk plans a batch; more would only hide that it is behind.
const QUEUE: usize = 1024;
/// Services in one page of a list.
const PAGE: u32 = 500;

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
    /// Layer-2 advertisements of Herald's namespace.
    L2Advertisements(Change<L2Advertisement>),
    /// BGP advertisements of Herald's namespace.
    BgpAdvertisements(Change<BGPAdvertisement>),
    /// BGP peers of Herald's namespace.
    BgpPeers(Change<BGPPeer>),
    /// BFD profiles of Herald's namespace.
    BfdProfiles(Change<BFDProfile>),
    /// Communities of Herald's namespace.
    Communities(Change<Community>),
    /// Nodes.
    Nodes(Change<NodeFacts>),
}

/// The kinds without which nothing is allocated.
pub(crate) const ALLOCATION: [&str; 4] = ["services", "namespaces", "pools", "reservations"];
/// The kinds that are only checked.
pub(crate) const CHECKED: [&str; 6] =
    ["l2advertisements", "bgpadvertisements", "bgppeers", "bfdprofiles", "communities", "nodes"];

impl Fact {
    /// The kind that was listed whole by this, as [`ALLOCATION`] and [`CHECKED`] name it.
    pub(crate) fn listed(&self) -> Option<&'static str> {
        let (kind, listed) = match self {
            Self::Services(change) => ("services", is_list(change)),
            Self::Namespaces(change) => ("namespaces", is_list(change)),
            Self::Pools(change) => ("pools", is_list(change)),
            Self::Reservations(change) => ("reservations", is_list(change)),
            Self::L2Advertisements(change) => ("l2advertisements", is_list(change)),
            Self::BgpAdvertisements(change) => ("bgpadvertisements", is_list(change)),
            Self::BgpPeers(change) => ("bgppeers", is_list(change)),
            Self::BfdProfiles(change) => ("bfdprofiles", is_list(change)),
            Self::Communities(change) => ("communities", is_list(change)),
            Self::Nodes(change) => ("nodes", is_list(change)),
        };
        listed.then_some(kind)
    }
}

fn is_list<T>(change: &Change<T>) -> bool {
    matches!(change, Change::Reset { .. })
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
    let nodes: Api<DeserializeGuard<v1::Node>> = Api::all(client.clone());
    spawn(facts.clone(), watch(nodes, config(), |node| NodeFacts::from(&node)).map(Fact::Nodes));
    let here = Here { client, namespace, facts: &facts };
    here.follow(Fact::Reservations, |mut object: AddressReservation| {
        object.metadata = without_ballast(object.metadata);
        object
    });
    here.follow(Fact::L2Advertisements, |object: L2Advertisement| L2Advertisement {
        metadata: meaning(object.metadata),
        status: None,
        ..object
    });
    here.follow(Fact::BgpAdvertisements, |object: BGPAdvertisement| BGPAdvertisement {
        metadata: meaning(object.metadata),
        status: None,
        ..object
    });
    here.follow(Fact::BgpPeers, |object: BGPPeer| BGPPeer {
        metadata: meaning(object.metadata),
        status: None,
        ..object
    });
    here.follow(Fact::BfdProfiles, |object: BFDProfile| BFDProfile {
        metadata: meaning(object.metadata),
        status: None,
        ..object
    });
    here.follow(Fact::Communities, |object: Community| Community {
        metadata: meaning(object.metadata),
        status: None,
        ..object
    });
    inbox
}

/// Where the objects are that configure Herald.
struct Here<'a> {
    client: &'a Client,
    namespace: &'a str,
    facts: &'a mpsc::Sender<Fact>,
}

impl Here<'_> {
    /// Follows a kind as soon as the cluster knows it.
    fn follow<K, T>(&self, fact: fn(Change<T>) -> Fact, parse: fn(K) -> T)
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
        spawn(self.facts.clone(), watch_when_known(api, watcher::Config::default(), parse).map(fact));
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
    IPAddressPool { metadata: without_ballast(pool.metadata), ..pool }
}

/// Of the annotations only ours are read.
fn without_ballast(metadata: ObjectMeta) -> ObjectMeta {
    let mut annotations = metadata.annotations.unwrap_or_default();
    annotations.retain(|name, _| name.split_once('/').is_some_and(|(group, _)| group == keys::HERALD_GROUP));
    let annotations = Some(annotations).filter(|some| !some.is_empty());
    ObjectMeta { managed_fields: None, owner_references: None, annotations, ..metadata }
}

/// What changes only when an object comes to mean something else.
pub(crate) fn meaning(metadata: ObjectMeta) -> ObjectMeta {
    ObjectMeta { resource_version: None, ..without_ballast(metadata) }
}
