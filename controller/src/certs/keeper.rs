//! Keeps the certificates: follows the Secret on every replica, and does what [`decide`] says on the one that acts.
//!
//! ```text
//!   watch Secret ────────────────┬─▶ certificate to serve   (every replica)
//!   watch webhook configuration ─┼─▶ decide ─▶ write the Secret, write the bundles   (the one that acts)
//!   watch CRD ───────────────────┘
//! ```
//!
//! A certificate that was served once is served until there is another one, whatever becomes of the Secret.

use super::{Step, Stored, Trust, certified, decide, empty};
use crate::lease::Leadership;
use futures::{Stream, StreamExt, stream::select_all};
use herald_runtime::{
    error::say,
    tls::Current,
    watch::{Change, watch},
};
use k8s_openapi::{
    ByteString,
    api::{admissionregistration::v1::ValidatingWebhookConfiguration, core::v1::Secret},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
    core::DeserializeGuard,
    runtime::watcher,
};
use serde_json::json;
use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::watch::{Receiver, Sender},
    time::sleep,
};

/// The webhook configuration that trusts the certificates: MetalLB's name for it.
pub(crate) const CONFIGURATION: &str = "metallb-webhook-configuration";
/// The CRD whose conversion trusts them.
pub(crate) const CONVERTED: &str = "bgppeers.metallb.io";
/// How long until the next try after a failure.
const PAUSE: Duration = Duration::from_secs(2);
/// The longest rest: timers and clocks of months are not to be relied upon.
const LONGEST: Duration = Duration::from_secs(12 * 3600);

/// What happened to one of the three objects.
enum News {
    Secret(Option<Box<Secret>>),
    Configuration(Option<Bundles>),
    Converted(Option<Bundles>),
}

/// One entry a webhook, with its name and the bundle it trusts.
type Bundles = Vec<(String, String)>;

/// Keeps the certificates until the process ends.
pub(crate) struct Keeper {
    client: Client,
    namespace: String,
    secrets: Api<Secret>,
    name: String,
    names: Vec<String>,
    leadership: Receiver<Leadership>,
    current: Sender<Current>,
    /// Nothing until it was listed.
    secret: Option<Option<Box<Secret>>>,
    configuration: Option<Option<Bundles>>,
    converted: Option<Option<Bundles>>,
    /// Since when all trust what the Secret says.
    settled: Option<Instant>,
    said: String,
}

impl Keeper {
    pub(crate) fn new(
        client: Client,
        namespace: &str,
        name: String,
        names: Vec<String>,
        leadership: Receiver<Leadership>,
        current: Sender<Current>,
    ) -> Self {
        Self {
            secrets: Api::namespaced(client.clone(), namespace),
            client,
            namespace: namespace.to_owned(),
            name,
            names,
            leadership,
            current,
            secret: None,
            configuration: None,
            converted: None,
            settled: None,
            said: String::new(),
        }
    }

    /// Goes on for ever.
    pub(crate) async fn keep(mut self) {
        let secrets = Api::namespaced(self.client.clone(), &self.namespace);
        let mut news = select_all([
            follow(secrets, &self.name, Box::new, News::Secret),
            follow(Api::all(self.client.clone()), CONFIGURATION, bundles, News::Configuration),
            follow(Api::all(self.client.clone()), CONVERTED, conversion_bundles, News::Converted),
        ]);
        let mut pause = Duration::ZERO;
        loop {
            tokio::select! {
                item = news.next() => match item {
                    Some(item) => self.learn(item),
                    None => return,
                },
                result = self.leadership.changed() => if result.is_err() { return },
                () = sleep(pause) => {}
            }
            pause = match self.step().await {
                Ok(rest) => {
                    self.said.clear();
                    rest.min(LONGEST)
                }
                Err(error) => {
                    if error != self.said {
                        tracing::error!(
                            secret = self.name,
                            error,
                            "cannot keep the webhooks' certificates, trying again"
                        );
                        self.said = error;
                    }
                    PAUSE
                }
            };
        }
    }

    fn learn(&mut self, news: News) {
        match news {
            News::Secret(secret) => {
                if let Some(serving) = secret.as_deref().map(Stored::read).and_then(|stored| stored.serving().cloned())
                {
                    self.serve(&serving);
                }
                self.secret = Some(secret);
            }
            News::Configuration(bundles) => self.configuration = Some(bundles),
            News::Converted(bundles) => self.converted = Some(bundles),
        }
    }

    fn serve(&mut self, serving: &super::Serving) {
        match certified(serving) {
            Ok(key) => {
                let changed = self.current.send_if_modified(|before| {
                    let changed = before.as_ref().is_none_or(|before| before.cert != key.cert);
                    if changed {
                        *before = Some(Arc::new(key));
                    }
                    changed
                });
                if changed {
                    tracing::info!(secret = self.name, "serves webhooks with a new certificate");
                }
            }
            Err(error) => tracing::error!(secret = self.name, error, "cannot serve the certificate of the Secret"),
        }
    }

    async fn step(&mut self) -> Result<Duration, String> {
        let (Some(secret), Some(configuration), Some(converted)) = (&self.secret, &self.configuration, &self.converted)
        else {
            return Ok(LONGEST);
        };
        if !matches!(*self.leadership.borrow(), Leadership::Acts { until } if until > Instant::now()) {
            self.settled = None;
            return Ok(LONGEST);
        }
        let stored = secret.as_deref().map(Stored::read).unwrap_or_default();
        let bundles = configuration.iter().chain(converted).flatten().map(|(_, bundle)| bundle.clone()).collect();
        let settled = self.settled.map(|since| since.elapsed()).unwrap_or_default();
        let trust = Trust { bundles, settled };
        let step = decide(&stored, &trust, &self.names, jiff::Timestamp::now()).map_err(|error| error.to_string())?;
        match step {
            Step::Rest(rest) => {
                self.settled.get_or_insert_with(Instant::now);
                Ok(rest)
            }
            Step::Store(next) => {
                self.settled = None;
                let mut object = secret.as_deref().cloned().unwrap_or_else(|| empty(&self.name));
                object.metadata.managed_fields = None;
                next.write(&mut object);
                let exists = object.metadata.resource_version.is_some();
                let written = if exists {
                    self.secrets.replace(&self.name, &PostParams::default(), &object).await
                } else {
                    self.secrets.create(&PostParams::default(), &object).await
                };
                match written {
                    Ok(object) => {
                        tracing::info!(secret = self.name, "wrote the webhooks' certificates");
                        self.learn(News::Secret(Some(Box::new(object))));
                        Ok(Duration::ZERO)
                    }
                    // Somebody else wrote it: the watch shows what.
                    Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => Ok(PAUSE),
                    Err(error) => Err(format!("cannot write the Secret: {}", say(&error))),
                }
            }
            Step::Trust(bundle) => {
                self.settled = None;
                let (configuration, converted) = (configuration.clone(), converted.clone());
                self.trust(&bundle, configuration, converted).await?;
                Ok(Duration::ZERO)
            }
        }
    }

    /// Has the bundle trusted wherever it is not.
    async fn trust(
        &mut self,
        bundle: &str,
        configuration: Option<Bundles>,
        converted: Option<Bundles>,
    ) -> Result<(), String> {
        let encoded = ByteString(bundle.as_bytes().to_vec());
        let lacks = |bundles: &Option<Bundles>| {
            bundles.as_ref().is_some_and(|bundles| bundles.iter().any(|(_, trusted)| trusted != bundle))
        };
        let parameters = PatchParams::default();
        if lacks(&configuration) {
            let names = configuration.iter().flatten().map(|(name, _)| name);
            let webhooks: Vec<_> =
                names.map(|name| json!({"name": name, "clientConfig": {"caBundle": encoded}})).collect();
            let api: Api<ValidatingWebhookConfiguration> = Api::all(self.client.clone());
            let patch = Patch::Strategic(json!({"webhooks": webhooks}));
            match api.patch(CONFIGURATION, &parameters, &patch).await {
                Ok(object) => self.configuration = Some(Some(bundles(object))),
                Err(error) => return Err(format!("cannot write the webhook configuration: {}", say(&error))),
            }
            tracing::info!(object = CONFIGURATION, "wrote what to trust");
        }
        if lacks(&converted) {
            let api: Api<CustomResourceDefinition> = Api::all(self.client.clone());
            let spec = json!({"conversion": {"webhook": {"clientConfig": {"caBundle": encoded}}}});
            match api.patch(CONVERTED, &parameters, &Patch::Merge(json!({ "spec": spec }))).await {
                Ok(object) => self.converted = Some(Some(conversion_bundles(object))),
                Err(error) => return Err(format!("cannot write the CRD: {}", say(&error))),
            }
            tracing::info!(object = CONVERTED, "wrote what to trust");
        }
        Ok(())
    }
}

/// Follows one object by name.
fn follow<K, T>(
    api: Api<DeserializeGuard<K>>,
    name: &str,
    parse: impl Fn(K) -> T + Send + 'static,
    tell: impl Fn(Option<T>) -> News + Send + 'static,
) -> Pin<Box<dyn Stream<Item = News> + Send>>
where
    K: kube::Resource<DynamicType = ()> + Clone + serde::de::DeserializeOwned + std::fmt::Debug + Send + 'static,
    T: Send + 'static,
{
    let only = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let changes = watch(api, only, parse);
    Box::pin(changes.filter_map(move |change| {
        std::future::ready(match change {
            Change::Reset { objects, .. } => Some(tell(objects.into_values().next())),
            Change::Apply(_, object) => Some(tell(Some(object))),
            Change::Delete(_) => Some(tell(None)),
            Change::Invalid(..) => None,
        })
    }))
}

fn bundles(object: ValidatingWebhookConfiguration) -> Bundles {
    let webhooks = object.webhooks.unwrap_or_default().into_iter();
    webhooks.map(|webhook| (webhook.name, text(webhook.client_config.ca_bundle))).collect()
}

fn conversion_bundles(object: CustomResourceDefinition) -> Bundles {
    let webhook = object.spec.conversion.and_then(|conversion| conversion.webhook);
    let client = webhook.and_then(|webhook| webhook.client_config);
    client.into_iter().map(|client| (String::new(), text(client.ca_bundle))).collect()
}

fn text(bundle: Option<ByteString>) -> String {
    bundle.map(|bytes| String::from_utf8_lossy(&bytes.0).into_owned()).unwrap_or_default()
}
