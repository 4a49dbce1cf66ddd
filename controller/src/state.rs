//! Keeps the controller's ConfigurationState: whether the whole configuration makes sense, and what in it does not.
//!
//! ```text
//!   findings ─┐
//!   watch ────┼─▶ wanted, made from both ─▶ compared with what is there ─▶ server-side apply: the object, then its status
//!   lease ────┘
//! ```
//!
//! Only the replica that acts writes it. What somebody else writes over it is written back, and it is made again when it is deleted; a restart that
//! finds the same writes nothing. It belongs to the pod that acts, and goes with it when Herald is removed.

use crate::{error::WriteError, lease::Leadership, metrics::Metrics, source::older};
use futures::{Stream, StreamExt};
use herald_crds::{
    api::{ConfigurationState, ConfigurationStateStatus},
    keys,
    model::{Findings, Problem, Waiting, configuration_state},
};
use herald_runtime::watch::{Change, watch};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{
    Api, Client, Resource,
    api::{ListParams, Patch, PatchParams},
    core::DeserializeGuard,
    runtime::watcher,
};
use serde_json::{Value, json};
use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::watch::Receiver,
    time::{sleep, timeout_at},
};

/// How long changes are gathered, and the pause between two writes: somebody who writes against us costs two writes a second.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a start may take before it is said that not everything is known: saying so at once would be two writes at every restart.
const PATIENCE: Duration = Duration::from_secs(10);

/// The value of the label that says whose state it is.
const COMPONENT: &str = "controller";
/// How often to look whether a missing CRD is there.
const NO_KIND: Duration = Duration::from_secs(30);
/// The longest pause after failures.
const LONGEST: Duration = Duration::from_secs(60);

/// What the desk found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Found {
    /// It read everything.
    Read(Vec<Problem>, Vec<Waiting>),
    /// It did not, and why.
    Unknown(String),
}

/// The pod that this is, as far as it is known.
pub(crate) struct Pod {
    pub(crate) name: String,
    pub(crate) uid: Option<String>,
}

/// Follows the findings for ever.
pub(crate) async fn keep(
    client: Client,
    namespace: String,
    pod: Pod,
    found: Receiver<Option<Found>>,
    leadership: Receiver<Leadership>,
    metrics: Arc<Metrics>,
) {
    let watched: Api<DeserializeGuard<ConfigurationState>> = Api::namespaced(client.clone(), &namespace);
    let own = watcher::Config::default().fields(&format!("metadata.name={}", keys::CONTROLLER_STATE));
    while let Err(kube::Error::Api(status)) = watched.list_metadata(&ListParams::default().limit(1)).await {
        if !status.is_not_found() {
            break;
        }
        // The CRDs of an older MetalLB: there is nothing to write to.
        sleep(NO_KIND).await;
    }
    let changes = watch(watched, own, |object: ConfigurationState| object);
    let owner = pod.uid.map(|uid| OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        name: pod.name,
        uid,
        ..OwnerReference::default()
    });
    let keeper = Keeper {
        api: Api::namespaced(client, &namespace),
        owner,
        found,
        leadership,
        metrics,
        known: None,
        listed: false,
        patient_until: Instant::now() + PATIENCE,
        failures: 0,
    };
    keeper.run(changes).await;
}

struct Keeper {
    api: Api<ConfigurationState>,
    owner: Option<OwnerReference>,
    found: Receiver<Option<Found>>,
    leadership: Receiver<Leadership>,
    metrics: Arc<Metrics>,
    /// The object as it was last seen.
    known: Option<ConfigurationState>,
    listed: bool,
    patient_until: Instant,
    /// How often in a row a write failed.
    failures: u32,
}

impl Keeper {
    async fn run(mut self, changes: impl Stream<Item = Change<ConfigurationState>>) {
        let mut changes = pin!(changes);
        loop {
            tokio::select! {
                change = changes.next() => match change {
                    Some(change) => self.learn(change),
                    None => return,
                },
                changed = self.found.changed() => if changed.is_err() { return },
                changed = self.leadership.changed() => if changed.is_err() { return },
                () = sleep(self.patient_until.saturating_duration_since(Instant::now())), if self.is_patient() => {}
            }
            if self.write().await {
                sleep(PAUSE.saturating_mul(1 << self.failures.min(10)).min(LONGEST)).await;
            }
        }
    }

    fn is_patient(&self) -> bool {
        Instant::now() < self.patient_until
    }

    fn learn(&mut self, change: Change<ConfigurationState>) {
        match change {
            Change::Reset { objects, .. } => {
                self.listed = true;
                self.known = objects.into_values().next();
            }
            Change::Apply(_, object) => {
                let version = |object: &ConfigurationState| object.meta().resource_version.clone().unwrap_or_default();
                let stale = self.known.as_ref().is_some_and(|known| older(&version(&object), &version(known)));
                if !stale {
                    self.known = Some(object);
                }
            }
            Change::Delete(_) => self.known = None,
            // Somebody wrote what is none; it is replaced whole.
            Change::Invalid(..) => self.known = None,
        }
    }

    /// Writes what differs, if this replica acts. Returns whether it tried.
    async fn write(&mut self) -> bool {
        let Leadership::Acts { until } = *self.leadership.borrow_and_update() else { return false };
        let found = self.found.borrow_and_update().clone();
        let Some(found) = found.filter(|found| matches!(found, Found::Read(..)) || !self.is_patient()) else {
            return false;
        };
        if !self.listed {
            return false;
        }
        let findings = match &found {
            Found::Read(problems, waiting) => Findings::Read { problems, waiting },
            Found::Unknown(why) => Findings::Unknown(why),
        };
        let before = self.known.as_ref().and_then(|known| known.status.as_ref());
        let status = configuration_state(keys::CONTROLLER_CONDITION, findings, before, jiff::Timestamp::now());
        let mut tried = false;
        if !self.known.as_ref().is_some_and(|known| belongs(known, self.owner.as_ref())) {
            tried = true;
            if !self.apply(until, object(self.owner.as_ref()), false).await {
                return true;
            }
        }
        if !shows(self.known.as_ref(), &status) {
            tried = true;
            self.apply(until, status_of(&status), true).await;
        }
        tried
    }

    async fn apply(&mut self, until: Instant, patch: Value, status: bool) -> bool {
        let began = Instant::now();
        let params = PatchParams::apply(keys::FIELD_MANAGER).force();
        let patch = Patch::Apply(patch);
        let work = async {
            match status {
                true => self.api.patch_status(keys::CONTROLLER_STATE, &params, &patch).await,
                false => self.api.patch(keys::CONTROLLER_STATE, &params, &patch).await,
            }
        };
        let result = match timeout_at(until.into(), work).await {
            Ok(result) => result.map_err(WriteError::from),
            Err(_) => Err(WriteError::NotActing),
        };
        self.metrics.wrote("state", result.as_ref().map_or_else(WriteError::label, |_| "ok"), began.elapsed());
        match result {
            Ok(object) => {
                self.known = Some(object);
                self.failures = 0;
                true
            }
            Err(error) => {
                tracing::warn!(kind = "ConfigurationState", %error, "state not written, trying again");
                // It is looked at again after the pause, at the next renewal of the lease.
                self.failures = self.failures.saturating_add(1);
                false
            }
        }
    }
}

/// The object but for its status.
fn object(owner: Option<&OwnerReference>) -> Value {
    json!({
        "apiVersion": ConfigurationState::api_version(&()),
        "kind": ConfigurationState::kind(&()),
        "metadata": {
            "name": keys::CONTROLLER_STATE,
            "labels": { keys::COMPONENT_TYPE_LABEL: COMPONENT },
            "ownerReferences": owner.into_iter().collect::<Vec<_>>(),
        },
    })
}

/// Whether the object is labelled, and owned, as it should be. Owners and labels of others do no harm.
fn belongs(known: &ConfigurationState, owner: Option<&OwnerReference>) -> bool {
    let labels = known.metadata.labels.as_ref();
    let labelled = labels.and_then(|labels| labels.get(keys::COMPONENT_TYPE_LABEL)).map(String::as_str);
    let owners = known.metadata.owner_references.as_deref().unwrap_or_default();
    labelled == Some(COMPONENT) && owner.is_none_or(|owner| owners.iter().any(|other| other.uid == owner.uid))
}

/// The status. An empty summary is written out, so that one that somebody else left goes.
fn status_of(status: &ConfigurationStateStatus) -> Value {
    json!({
        "apiVersion": ConfigurationState::api_version(&()),
        "kind": ConfigurationState::kind(&()),
        "metadata": { "name": keys::CONTROLLER_STATE },
        "status": {
            "result": status.result,
            "errorSummary": status.error_summary,
            "conditions": status.conditions,
        },
    })
}

/// Whether the status is there already. Conditions of others do no harm.
fn shows(known: Option<&ConfigurationState>, wanted: &ConfigurationStateStatus) -> bool {
    let Some(known) = known.and_then(|known| known.status.as_ref()) else { return false };
    known.result == wanted.result
        && known.error_summary == wanted.error_summary
        && wanted.conditions.iter().all(|condition| known.conditions.contains(condition))
}

#[cfg(test)]
mod tests {
    use super::*;
    use herald_crds::api::ConfigurationResult;

    fn owner(uid: &str) -> OwnerReference {
        OwnerReference { uid: uid.to_owned(), ..OwnerReference::default() }
    }

    fn written(owner: Option<&OwnerReference>) -> ConfigurationState {
        serde_json::from_value(object(owner)).unwrap()
    }

    #[test]
    fn an_object_belongs_to_the_pod_that_acts() {
        let (mine, theirs) = (owner("mine"), owner("theirs"));
        assert!(belongs(&written(Some(&mine)), Some(&mine)));
        assert!(!belongs(&written(Some(&theirs)), Some(&mine)));
        assert!(!belongs(&written(None), Some(&mine)));
        assert!(belongs(&written(Some(&theirs)), None));
        assert!(!belongs(&ConfigurationState::default(), None), "without its label it is not found by anybody");
    }

    #[test]
    fn what_is_written_shows_what_is_wanted_and_an_edit_of_any_field_does_not() {
        let problem = Found::Unknown("why".to_owned());
        let Found::Unknown(why) = &problem else { unreachable!() };
        let now = jiff::Timestamp::from_second(7).unwrap();
        let wanted = configuration_state(keys::CONTROLLER_CONDITION, Findings::Unknown(why), None, now);
        let known: ConfigurationState = serde_json::from_value(status_of(&wanted)).unwrap();
        assert!(shows(Some(&known), &wanted));
        assert!(!shows(None, &wanted));
        let edits: [fn(&mut ConfigurationStateStatus); 4] = [
            |status| status.result = Some(ConfigurationResult::Valid),
            |status| status.error_summary = "mine".to_owned(),
            |status| status.conditions.clear(),
            |status| status.conditions[0].message = "mine".to_owned(),
        ];
        for edit in edits {
            let mut known = known.clone();
            edit(known.status.as_mut().unwrap());
            assert!(!shows(Some(&known), &wanted));
        }
    }
}
