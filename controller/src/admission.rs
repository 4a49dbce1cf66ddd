//! The webhooks: is this object what its author means, asked by the API server before it is stored.
//!
//! ```text
//!   POST /validate   AdmissionReview -> the objects as the API server has them now -> model::admit -> allowed, or every reason why not
//!   POST /protect    AdmissionReview of a protected pool -> the Services there are -> may it be deleted or edited so
//!   POST /convert    ConversionReview -> every BGPPeer in the version that is asked for
//! ```
//!
//! Every replica answers, whether it acts or not. What is asked about is compared with what the API server lists at that moment, not with
//! what a watch has shown so far: of two pools that overlap the second one is refused even if it comes a millisecond after the first.
//! A refusal names the object, what was found and what was expected. Nothing here is needed for Services: while nobody answers, objects are
//! stored unchecked, and what makes no sense in them is set aside by the controller and the speakers.
//!
//! Bad bytes get a 400, and an API server that does not list a 503, for which the webhook configuration says what to do.

mod convert;
mod protect;
mod review;

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::post,
};
use herald_crds::{
    keys,
    model::{Config, NodeFacts, Service},
};
use herald_runtime::error::say;
use k8s_openapi::api::core::v1::{self, Node};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, VersionMatch},
    core::DeserializeGuard,
};
use serde::de::DeserializeOwned;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::timeout;

/// Port of the webhooks: MetalLB's.
pub(crate) const PORT: u16 = 9443;
/// The largest body: an object of 1.5 MB, the most that is stored, before and after a change, and some room.
const BODY: usize = 4 << 20;
/// How long the lists may take: less than the API server waits for the answer.
const LISTS: Duration = Duration::from_secs(4);

/// The same when all Services are listed.
const SERVICES: Duration = Duration::from_secs(9);
/// How many Services are listed at once.
const PAGE: u32 = 500;

/// Where the objects are that a new one is compared with.
#[derive(Clone)]
pub(crate) struct Source {
    client: Client,
    namespace: Arc<str>,
}

impl Source {
    pub(crate) fn new(client: Client, namespace: &str) -> Self {
        Self { client, namespace: namespace.into() }
    }

    /// The configuration as it is now, without Secrets, which nobody needs here. What cannot be read is left out, as everywhere.
    async fn config(&self) -> kube::Result<Config> {
        let (pools, l2_advertisements, bgp_advertisements, bgp_peers, bfd_profiles, communities, nodes) = futures::try_join!(
            self.list(),
            self.list(),
            self.list(),
            self.list(),
            self.list(),
            self.list(),
            self.nodes()
        )?;
        Ok(Config {
            pools,
            l2_advertisements,
            bgp_advertisements,
            bgp_peers,
            bfd_profiles,
            communities,
            nodes,
            ..Config::default()
        })
    }

    /// The nodes, as far as the API server has them in memory: they decide which peers and advertisements meet, and may be a moment old.
    async fn nodes(&self) -> kube::Result<BTreeMap<String, NodeFacts>> {
        let api: Api<DeserializeGuard<Node>> = Api::all(self.client.clone());
        let params = ListParams { version_match: Some(VersionMatch::NotOlderThan), ..ListParams::default() }.at("0");
        let nodes = api.list(&params).await?.items.into_iter().filter_map(|object| object.0.ok());
        Ok(nodes.map(|node| (node.name_any(), NodeFacts::from(&node))).collect())
    }

    /// The Services there are, in pages: of each only what is decided by.
    async fn services(&self) -> kube::Result<Vec<Service>> {
        let api: Api<DeserializeGuard<v1::Service>> = Api::all(self.client.clone());
        let (mut services, mut params) = (Vec::new(), ListParams::default().limit(PAGE));
        loop {
            let page = api.list(&params).await?;
            services.extend(page.items.iter().filter_map(|object| object.0.as_ref().ok()).map(Service::from));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(services),
            }
        }
    }

    async fn list<K>(&self) -> kube::Result<BTreeMap<String, K>>
    where
        K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + std::fmt::Debug,
    {
        let api: Api<DeserializeGuard<K>> = Api::namespaced(self.client.clone(), &self.namespace);
        let objects = api.list(&ListParams::default()).await?.items.into_iter().filter_map(|object| object.0.ok());
        Ok(objects.map(|object| (object.meta().name.clone().unwrap_or_default(), object)).collect())
    }
}

/// What is served.
pub(crate) fn router(source: Source) -> Router {
    Router::new()
        .route("/validate", post(validate))
        .route("/protect", post(protect))
        .route(keys::CONVERT_PATH, post(convert))
        .layer(DefaultBodyLimit::max(BODY))
        .with_state(source)
}

async fn convert(body: Bytes) -> Response {
    match convert::answer(&body) {
        Ok(review) => ([(CONTENT_TYPE, "application/json")], review).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, format!("not a ConversionReview: {error}\n")).into_response(),
    }
}

async fn validate(State(source): State<Source>, body: Bytes) -> Response {
    let request = match read(&body) {
        Ok(request) => request,
        Err(refused) => return refused,
    };
    match in_time(LISTS, Box::pin(source.config())).await {
        Ok(config) => say_so(&request, review::answer(&request, &config, &source.namespace)),
        Err(error) => unavailable(&error),
    }
}

async fn protect(State(source): State<Source>, body: Bytes) -> Response {
    let request = match read(&body) {
        Ok(request) => request,
        Err(refused) => return refused,
    };
    let Some(attempt) = protect::Attempt::of(&request, &source.namespace) else {
        return say_so(&request, review::Answer::yes());
    };
    match in_time(SERVICES, source.services()).await {
        Ok(services) => say_so(&request, attempt.judge(&services)),
        Err(error) => unavailable(&error),
    }
}

#[expect(clippy::result_large_err, reason = "the error is the answer")]
fn read(body: &[u8]) -> Result<review::Request, Response> {
    review::read(body)
        .map_err(|error| (StatusCode::BAD_REQUEST, format!("not an AdmissionReview: {error}\n")).into_response())
}

async fn in_time<T>(most: Duration, lists: impl Future<Output = kube::Result<T>>) -> Result<T, String> {
    match timeout(most, lists).await {
        Ok(lists) => lists.map_err(|error| say(&error)),
        Err(_) => Err("no answer in time".to_owned()),
    }
}

fn say_so(request: &review::Request, answer: review::Answer) -> Response {
    tracing::debug!(kind = request.kind(), object = request.name(), allowed = answer.allowed, "asked about an object");
    ([(CONTENT_TYPE, "application/json")], answer.into_review(request)).into_response()
}

fn unavailable(error: &str) -> Response {
    tracing::warn!(error, "cannot list what an object is to be compared with");
    (StatusCode::SERVICE_UNAVAILABLE, format!("cannot list what the object is to be compared with: {error}\n"))
        .into_response()
}
