//! Events and pool counters: for people, behind the writes and never in their way.
//!
//! An Event has a name made from what it says and from the state of the object it speaks of. Saying the same thing of the same state again, as a restarted
//! controller does of a Service that is still refused, finds the Event there and writes nothing.

use crate::{
    metrics::Metrics,
    reconcile::{AboutKind, News},
};
use herald_allocator::Usage;
use herald_crds::{IPAddressPool, api::IPAddressPoolStatus, keys, model::Kind};
use herald_runtime::error::{WriteError, say};
use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use ring::digest::{Context, SHA256};
use serde_json::json;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, watch};

/// Who writes the Events, under the name that filters on MetalLB's Events know.
const REPORTER: &str = "metallb-controller";
/// Events that may wait: a backlog of this many Services is told without a gap, in some 30 MB at worst.
const QUEUE: usize = 65_536;
/// How long an Event waits for addresses that are being written before it goes out all the same.
const STEP_ASIDE: Duration = Duration::from_millis(200);
/// How often one Event is tried.
const TRIES: u32 = 3;
/// The longest note that the API server takes, in bytes.
const NOTE: usize = 1024;

/// The way to write Events.
pub(crate) struct Reporter {
    queue: mpsc::Sender<News>,
    metrics: Arc<Metrics>,
}

impl Reporter {
    /// Starts the writer. It steps aside while `busy`.
    pub(crate) fn start(client: Client, instance: String, busy: watch::Receiver<bool>, metrics: Arc<Metrics>) -> Self {
        let (queue, inbox) = mpsc::channel(QUEUE);
        tokio::spawn(write_events(client, instance, inbox, busy, Arc::clone(&metrics)));
        Self { queue, metrics }
    }

    pub(crate) fn tell(&self, news: News) {
        if self.queue.try_send(news).is_err() {
            self.metrics.event_dropped();
        }
    }
}

async fn write_events(
    client: Client,
    instance: String,
    mut inbox: mpsc::Receiver<News>,
    mut busy: watch::Receiver<bool>,
    metrics: Arc<Metrics>,
) {
    while let Some(news) = inbox.recv().await {
        let _ = tokio::time::timeout(STEP_ASIDE, busy.wait_for(|busy| !busy)).await;
        let api: Api<Event> = Api::namespaced(client.clone(), &news.about.namespace);
        let event = event_of(&news, &instance, MicroTime(jiff::Timestamp::now()));
        for attempt in 1..=TRIES {
            let began = Instant::now();
            let error = match api.create(&PostParams::default(), &event).await {
                Ok(_) => {
                    metrics.wrote("event", "ok", began.elapsed());
                    break;
                }
                Err(kube::Error::Api(status)) if status.is_already_exists() => {
                    metrics.wrote("event", "known", began.elapsed());
                    break;
                }
                Err(error) => error,
            };
            let text = say(&error);
            let error = WriteError::from(error);
            metrics.wrote("event", error.label(), began.elapsed());
            tracing::debug!(object = news.about.name, reason = %news.reason, error = text, "event not written");
            if attempt == TRIES || !matches!(error, WriteError::Unreachable(_)) {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

fn event_of(news: &News, instance: &str, now: MicroTime) -> Event {
    let about = &news.about;
    let (api_version, kind) = match about.kind {
        AboutKind::Service => ("v1", "Service"),
        AboutKind::Config(kind @ Kind::BGPPeer) => ("metallb.io/v1beta2", kind.as_str()),
        AboutKind::Config(kind) => ("metallb.io/v1beta1", kind.as_str()),
        AboutKind::Reservation => ("heraldlb.io/v1alpha1", "AddressReservation"),
    };
    let mut digest = Context::new(&SHA256);
    for part in [kind, &about.uid, &about.state, news.reason.as_str(), &news.note] {
        // The length keeps parts apart that would read the same when joined.
        digest.update(&(part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    let hash: String = digest.finish().as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{hash}", cut(&about.name, 200))),
            namespace: Some(about.namespace.clone()),
            ..ObjectMeta::default()
        },
        action: Some("Allocate".to_owned()),
        event_time: Some(now),
        note: Some(cut(&news.note, NOTE).to_owned()),
        reason: Some(news.reason.as_str().to_owned()),
        regarding: Some(ObjectReference {
            api_version: Some(api_version.to_owned()),
            kind: Some(kind.to_owned()),
            namespace: Some(about.namespace.clone()),
            name: Some(about.name.clone()),
            uid: Some(about.uid.clone()).filter(|uid| !uid.is_empty()),
            ..ObjectReference::default()
        }),
        reporting_controller: Some(REPORTER.to_owned()),
        reporting_instance: Some(cut(instance, 128).to_owned()),
        type_: Some(if news.reason.is_warning() { "Warning" } else { "Normal" }.to_owned()),
        ..Event::default()
    }
}

/// The longest beginning of at most this many bytes.
fn cut(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// What the status of a pool should show.
pub(crate) fn status_of(usage: Usage) -> IPAddressPoolStatus {
    IPAddressPoolStatus {
        assigned_ipv4: usage.assigned_v4,
        assigned_ipv6: usage.assigned_v6,
        available_ipv4: usage.available_v4,
        available_ipv6: usage.available_v6,
    }
}

/// Writes the counters of some pools, one after the other, and returns the pools as they are then.
pub(crate) async fn write_pools(
    api: Api<IPAddressPool>,
    statuses: Vec<(String, IPAddressPoolStatus)>,
    until: Instant,
    metrics: Arc<Metrics>,
) -> Vec<IPAddressPool> {
    let mut written = Vec::new();
    for (name, status) in statuses {
        let began = Instant::now();
        if began >= until {
            break;
        }
        let patch = Patch::Merge(json!({ "status": status }));
        let params = PatchParams { field_manager: Some(keys::FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let result = match tokio::time::timeout_at(until.into(), api.patch_status(&name, &params, &patch)).await {
            Ok(result) => result.map_err(WriteError::from),
            Err(_) => Err(WriteError::NotActing),
        };
        metrics.wrote("pool", result.as_ref().map_or_else(WriteError::label, |_| "ok"), began.elapsed());
        match result {
            Ok(pool) => written.push(pool),
            Err(error) => tracing::warn!(pool = name, %error, "pool status not written, trying again"),
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::About;
    use herald_crds::api::reason::ControllerReason;

    fn news(state: &str, note: &str) -> News {
        News {
            about: About {
                kind: AboutKind::Service,
                namespace: "one".into(),
                name: "web".into(),
                uid: "u".into(),
                state: state.into(),
            },
            reason: ControllerReason::AllocationFailed,
            note: note.into(),
        }
    }

    #[test]
    fn an_event_has_one_name_per_thing_said_of_one_state() {
        let name = |news: &News, at: i64| {
            let time = MicroTime(jiff::Timestamp::from_second(at).unwrap());
            event_of(news, "pod", time).metadata.name.unwrap()
        };
        assert_eq!(name(&news("7", "no"), 1), name(&news("7", "no"), 2));
        assert_ne!(name(&news("7", "no"), 1), name(&news("8", "no"), 1));
        assert_ne!(name(&news("7", "no"), 1), name(&news("7", "never"), 1));
        assert!(name(&news("7", "no"), 1).starts_with("web."));
    }

    #[test]
    fn a_long_note_is_cut_between_characters() {
        let event = event_of(&news("7", &"ü".repeat(600)), "pod", MicroTime(jiff::Timestamp::UNIX_EPOCH));
        assert_eq!(event.note.unwrap().len(), 1024);
        assert_eq!(cut("aü", 2), "a");
    }
}
