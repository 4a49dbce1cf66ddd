//! Keeps a ConfigurationState: whether the whole configuration makes sense to a component, and what in it does not.
//!
//! ```text
//!   findings ---+
//!   watch ------+--> wanted, made from both --> compared with what is there --> server-side apply: the object, then its status
//!   permission -+
//! ```
//!
//! What somebody else writes over it is written back, and it is made again when it is deleted; a restart that finds the same writes nothing.
//! It belongs to the pod that writes it: when the pod goes, with its node or with Herald, Kubernetes removes it. Without a pod it stays.

use crate::{
    error::WriteError,
    watch::{Change, older, until_known, watch},
};
use futures::{Stream, StreamExt};
use herald_crds::{
    api::{ConfigurationState, ConfigurationStateStatus},
    keys,
    model::{Findings, Problem, Waiting, configuration_state},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{
    Api, Client, Resource,
    api::{Patch, PatchParams},
    core::DeserializeGuard,
    runtime::watcher,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    pin::pin,
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
/// The longest pause after failures.
const LONGEST: Duration = Duration::from_secs(60);

/// What a component found in its configuration.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// It read everything.
    Read(Vec<Problem>, Vec<Waiting>),
    /// It did not, and why.
    Unknown(String),
}

impl Found {
    /// What a component found that still lacks the kinds `missing`.
    pub fn new(missing: &[&str], problems: &[Problem], waiting: &[Waiting]) -> Self {
        match missing {
            [] => Self::Read(problems.to_vec(), waiting.to_vec()),
            missing => Self::Unknown(format!("not listed yet: {}", missing.join(", "))),
        }
    }
}

/// Whose state it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    name: String,
    labels: BTreeMap<&'static str, String>,
    condition: &'static str,
    owner: Option<OwnerReference>,
}

impl Component {
    /// The controller, of which one replica writes.
    pub fn controller(owner: Option<OwnerReference>) -> Self {
        Self {
            name: keys::CONTROLLER_STATE.to_owned(),
            labels: [(keys::COMPONENT_TYPE_LABEL, "controller".to_owned())].into(),
            condition: keys::CONTROLLER_CONDITION,
            owner,
        }
    }

    /// The speaker of a node.
    pub fn speaker(node: &str, owner: Option<OwnerReference>) -> Self {
        Self {
            name: format!("speaker-{node}"),
            labels: [(keys::COMPONENT_TYPE_LABEL, "speaker".to_owned()), (keys::NODE_NAME_LABEL, node.to_owned())]
                .into(),
            condition: keys::SPEAKER_CONDITION,
            owner,
        }
    }
}

/// The pod as an owner, as far as it is known.
pub fn owner(pod: &str, uid: Option<&str>) -> Option<OwnerReference> {
    let uid = uid.filter(|uid| !uid.is_empty())?;
    Some(OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        name: pod.to_owned(),
        uid: uid.to_owned(),
        ..OwnerReference::default()
    })
}

/// Who may write, and when.
pub trait Author: Send {
    /// Until when writing is permitted; nothing where it is not.
    fn permitted(&mut self) -> Option<Instant>;
    /// Waits until that may have changed; false when it never will again.
    fn changed(&mut self) -> impl Future<Output = bool> + Send;
    /// How long to wait before a write, so that many who learn of one change do not write at once.
    fn delay(&self) -> Duration;
    /// Counts a write.
    fn wrote(&self, result: &Result<(), WriteError>, took: Duration);
}

/// Follows the findings until nobody tells them any more.
pub async fn keep(
    client: Client,
    namespace: &str,
    component: Component,
    found: Receiver<Option<Found>>,
    author: impl Author,
) {
    let watched: Api<DeserializeGuard<ConfigurationState>> = Api::namespaced(client.clone(), namespace);
    let own = watcher::Config::default().fields(&format!("metadata.name={}", component.name));
    // With the CRDs of an older MetalLB there is nothing to write to.
    until_known(&watched).await;
    let changes = watch(watched, own, |object: ConfigurationState| object);
    let keeper = Keeper {
        api: Api::namespaced(client, namespace),
        component,
        found,
        author,
        known: None,
        listed: false,
        patient_until: Instant::now() + PATIENCE,
        failures: 0,
    };
    keeper.run(changes).await;
}

struct Keeper<A> {
    api: Api<ConfigurationState>,
    component: Component,
    found: Receiver<Option<Found>>,
    author: A,
    /// The object as it was last seen.
    known: Option<ConfigurationState>,
    listed: bool,
    patient_until: Instant,
    /// How often in a row a write failed.
    failures: u32,
}

impl<A: Author> Keeper<A> {
    async fn run(mut self, changes: impl Stream<Item = Change<ConfigurationState>>) {
        let mut changes = pin!(changes);
        loop {
            tokio::select! {
                change = changes.next() => match change {
                    Some(change) => self.learn(change),
                    None => return,
                },
                changed = self.found.changed() => if changed.is_err() { return },
                goes_on = self.author.changed() => if !goes_on { return },
                () = sleep(self.patient_until.saturating_duration_since(Instant::now())), if self.is_patient() => {}
            }
            while let Some(wanted) = self.wanted()
                && self.differs(&wanted)
            {
                sleep(self.author.delay()).await;
                // What was found meanwhile is written at once.
                if let Some(wanted) = self.wanted() {
                    self.write(&wanted).await;
                }
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
                if !self.known.as_ref().is_some_and(|known| is_older(&object, known)) {
                    self.known = Some(object);
                }
            }
            Change::Delete(_) => self.known = None,
            // Somebody wrote what is none; it is replaced whole.
            Change::Invalid(..) => self.known = None,
        }
    }

    /// The status that there should be; nothing while that is not known, or not for this one to write.
    fn wanted(&mut self) -> Option<ConfigurationStateStatus> {
        self.author.permitted()?;
        let found = self.found.borrow_and_update().clone()?;
        if !self.listed || matches!(found, Found::Unknown(_)) && self.is_patient() {
            return None;
        }
        let findings = match &found {
            Found::Read(problems, waiting) => Findings::Read { problems, waiting },
            Found::Unknown(why) => Findings::Unknown(why),
        };
        let before = self.known.as_ref().and_then(|known| known.status.as_ref());
        Some(configuration_state(self.component.condition, findings, before, jiff::Timestamp::now()))
    }

    fn differs(&self, wanted: &ConfigurationStateStatus) -> bool {
        !self.known.as_ref().is_some_and(|known| self.component.has(known)) || !shows(self.known.as_ref(), wanted)
    }

    /// Writes what differs.
    async fn write(&mut self, wanted: &ConfigurationStateStatus) {
        if !self.known.as_ref().is_some_and(|known| self.component.has(known))
            && !self.apply(self.component.object(), false).await
        {
            return;
        }
        if !shows(self.known.as_ref(), wanted) {
            self.apply(self.component.status(wanted), true).await;
        }
    }

    async fn apply(&mut self, patch: Value, status: bool) -> bool {
        let began = Instant::now();
        let until = self.author.permitted();
        let params = PatchParams::apply(keys::FIELD_MANAGER).force();
        let patch = Patch::Apply(patch);
        let name = &self.component.name;
        let work = async {
            match status {
                true => self.api.patch_status(name, &params, &patch).await,
                false => self.api.patch(name, &params, &patch).await,
            }
        };
        let result = match timeout_at(until.unwrap_or(began).into(), work).await {
            Ok(result) => result.map_err(WriteError::from),
            Err(_) => Err(WriteError::NotActing),
        };
        let result = result.map(|object| {
            if !self.known.as_ref().is_some_and(|known| is_older(&object, known)) {
                self.known = Some(object);
            }
        });
        self.author.wrote(&result, began.elapsed());
        match result {
            Ok(()) => self.failures = 0,
            Err(error) => {
                tracing::warn!(kind = "ConfigurationState", %error, "state not written, trying again");
                self.failures = self.failures.saturating_add(1);
            }
        }
        self.failures == 0
    }
}

impl Component {
    /// The object but for its status.
    fn object(&self) -> Value {
        json!({
            "apiVersion": ConfigurationState::api_version(&()),
            "kind": ConfigurationState::kind(&()),
            "metadata": {
                "name": self.name,
                "labels": self.labels,
                "ownerReferences": self.owner.iter().collect::<Vec<_>>(),
            },
        })
    }

    /// The status. An empty summary is written out, so that one that somebody else left goes.
    fn status(&self, status: &ConfigurationStateStatus) -> Value {
        json!({
            "apiVersion": ConfigurationState::api_version(&()),
            "kind": ConfigurationState::kind(&()),
            "metadata": { "name": self.name },
            "status": {
                "result": status.result,
                "errorSummary": status.error_summary,
                "conditions": status.conditions,
            },
        })
    }

    /// Whether the object is labelled, and owned, as it should be. Owners and labels of others do no harm.
    fn has(&self, known: &ConfigurationState) -> bool {
        let labels = known.metadata.labels.as_ref();
        let label = |name: &str| labels.and_then(|labels| labels.get(name));
        let owners = known.metadata.owner_references.as_deref().unwrap_or_default();
        self.labels.iter().all(|(name, value)| label(name) == Some(value))
            && self.owner.as_ref().is_none_or(|owner| owners.iter().any(|other| other.uid == owner.uid))
    }
}

fn is_older(object: &ConfigurationState, than: &ConfigurationState) -> bool {
    let version = |object: &ConfigurationState| object.meta().resource_version.clone().unwrap_or_default();
    object.meta().uid == than.meta().uid && older(&version(object), &version(than))
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

    fn written(component: &Component) -> ConfigurationState {
        serde_json::from_value(component.object()).unwrap()
    }

    #[test]
    fn an_object_is_labelled_and_belongs_to_the_pod_that_writes_it() {
        for of in [Component::controller, |owner| Component::speaker("a", owner)] {
            let (mine, theirs) = (of(owner("pod", Some("mine"))), of(owner("pod", Some("theirs"))));
            let nobody = of(owner("pod", None));
            assert!(mine.has(&written(&mine)));
            assert!(!mine.has(&written(&theirs)));
            assert!(!mine.has(&written(&nobody)));
            assert!(nobody.has(&written(&theirs)));
            assert!(!nobody.has(&ConfigurationState::default()), "without its labels it is not found by anybody");
        }
        assert!(!Component::speaker("a", None).has(&written(&Component::speaker("b", None))));
    }

    #[test]
    fn what_is_written_shows_what_is_wanted_and_an_edit_of_any_field_does_not() {
        let now = jiff::Timestamp::from_second(7).unwrap();
        let wanted = configuration_state(keys::CONTROLLER_CONDITION, Findings::Unknown("why"), None, now);
        let known: ConfigurationState = serde_json::from_value(Component::controller(None).status(&wanted)).unwrap();
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
