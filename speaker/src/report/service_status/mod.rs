//! ServiceL2Status: one object for each Service that this node answers for. ServiceBGPStatus: one for each that it announces to BGP peers.
//!
//! ```text
//!   reporter --Board--> ledger [pure] --> what differs, paced --> API server
//!                          ^                                          |
//!                          +------- watch of this node's objects -----+
//! ```
//!
//! Behind everything else: changes are gathered before the first write, come together by Service while the API server is away, and are written
//! at most fifty a second. What is there already is not written again, what somebody else makes of an object is put right, and what this node
//! left behind in an earlier life goes once it is clear who owns what.
//!
//! An object belongs to the pod of the speaker that wrote it, and goes with it. What a node leaves whose pod stays behind, its heirs remove:
//! they look for objects of others about Services that they own now. By BGP nobody inherits, every node announces for itself.

mod board;
mod kind;
mod ledger;

use crate::metrics::Metrics;
pub(crate) use board::{Announced, Board, Peers};
use futures::{StreamExt, stream::FuturesUnordered};
use herald_crds::keys;
use herald_runtime::{
    error::{WriteError, say},
    watch::{until_known, watch},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kind::Shown;
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams, Preconditions},
    core::DeserializeGuard,
    runtime::watcher,
};
use ledger::{Author, Foreign, Ledger, Object, Work};
use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::{MissedTickBehavior, interval, sleep_until, timeout};

/// How long changes are gathered before the first of them is written: the API server has the first moments of a failover to itself.
const BEHIND: Duration = Duration::from_millis(300);
/// The pause between writes: a node that takes over a thousand Services has told so after a minute, and ten such nodes are 500 writes a second.
const PACE: Duration = Duration::from_millis(20);
/// Writes under way at once.
const IN_FLIGHT: usize = 4;
/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(30);
/// How long after the start nothing is removed: until then it is not settled who owns what.
const SETTLED: Duration = Duration::from_secs(10);
/// How soon after a take-over the objects of the dead node are looked for.
const SWEEP_SOON: Duration = Duration::from_secs(3);
/// How often they are looked for anyway.
const SWEEP: Duration = Duration::from_secs(600);
/// The first and the longest pause after a failure.
const FAILED: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));

/// Keeps the objects of this node equal to what the board says, for ever.
pub(crate) async fn keep<T: Shown>(
    client: Client,
    namespace: &str,
    node: String,
    owner: Option<OwnerReference>,
    board: Board<T>,
    metrics: Arc<Metrics>,
) {
    let watched: Api<DeserializeGuard<T::Object>> = Api::namespaced(client.clone(), namespace);
    // With CRDs that lack the kind there is nothing to write to.
    until_known(&watched).await;
    let author = Author { node, owner };
    let own = watcher::Config::default().labels(&format!("{}={}", keys::NODE_LABEL, author.label()));
    let others = ListParams::default().labels(&format!("{}!={}", keys::NODE_LABEL, author.label())).match_any();
    let mut changes = pin!(watch(watched, own, |object| Object::of::<T>(&object)));
    let api: Api<T::Object> = Api::namespaced(client, namespace);

    let mut ledger = Ledger::<T>::new(author);
    let mut writes = FuturesUnordered::new();
    let mut sweeps = FuturesUnordered::new();
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut not_before, mut failures) = (Instant::now(), 0_u32);
    let mut sweep_at = Instant::now() + SETTLED;
    let mut settled = false;
    loop {
        let idle = !ledger.has_work();
        tokio::select! {
            said = board.changed() => {
                if said.take_over && settled {
                    sweep_at = sweep_at.min(Instant::now() + SWEEP_SOON);
                }
                ledger.hear(said);
            }
            change = changes.next() => match change {
                Some(change) => ledger.learn(change),
                None => return,
            },
            Some((work, result)) = writes.next(), if !writes.is_empty() => {
                let result: Result<Option<Object>, WriteError> = result;
                metrics.wrote(T::METRIC, result.as_ref().map(|_| ()));
                match result {
                    Ok(object) => {
                        failures = 0;
                        ledger.done(&work, object);
                    }
                    Err(error) => {
                        let refused = matches!(error, WriteError::Refused(_));
                        tracing::warn!(kind = T::KIND, object = work.name(), %error, "status not written, trying again");
                        ledger.failed(&work, refused);
                        if !refused {
                            not_before = Instant::now() + FAILED.0.saturating_mul(1 << failures.min(10)).min(FAILED.1);
                            failures = failures.saturating_add(1);
                        }
                    }
                }
            }
            Some(found) = sweeps.next(), if !sweeps.is_empty() => {
                let found: Vec<Foreign> = found;
                ledger.sweep(found);
            }
            _ = pace.tick(), if !idle && writes.len() < IN_FLIGHT && Instant::now() >= not_before => {
                if let Some(work) = ledger.next() {
                    writes.push(write::<T>(api.clone(), work));
                }
            }
            () = sleep_until(not_before.into()), if !idle && Instant::now() < not_before => {}
            () = sleep_until(sweep_at.into()) => {
                settled = true;
                ledger.settle();
                sweep_at = Instant::now() + SWEEP;
                if T::HAS_HEIRS && ledger.owns_something() {
                    sweeps.push(foreign::<T>(api.clone(), others.clone()));
                }
            }
        }
        if idle && ledger.has_work() {
            not_before = not_before.max(Instant::now() + BEHIND);
        }
    }
}

/// Carries one thing out; returns the object as it is then, and nothing where it is gone.
async fn write<T: Shown>(api: Api<T::Object>, work: Work) -> (Work, Result<Option<Object>, WriteError>) {
    let params = PatchParams::apply(keys::FIELD_MANAGER).force();
    let request = async {
        match &work {
            Work::Delete { name, uid } => {
                let preconditions = Preconditions { uid: uid.clone(), resource_version: None };
                let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
                api.delete(name, &params).await.map(|_| None)
            }
            Work::Write { name, object: Some(object), status } => {
                api.patch(name, &params, &Patch::Apply(object)).await?;
                api.patch_status(name, &params, &Patch::Apply(status)).await.map(Some)
            }
            Work::Write { name, object: None, status } => {
                api.patch_status(name, &params, &Patch::Apply(status)).await.map(Some)
            }
        }
    };
    let result = match timeout(REQUEST, request).await {
        Ok(Ok(object)) => Ok(object.map(|object| Object::of::<T>(&object))),
        Ok(Err(error)) => match WriteError::from(error) {
            // It is gone, or another object has its name by now, which the watch will show.
            WriteError::Gone | WriteError::Conflict if matches!(work, Work::Delete { .. }) => Ok(None),
            error => Err(error),
        },
        Err(_) => Err(WriteError::Unreachable("no answer in time".to_owned())),
    };
    (work, result)
}

/// The objects of other nodes, as the API server has them at hand.
async fn foreign<T: Shown>(api: Api<T::Object>, others: ListParams) -> Vec<Foreign> {
    match api.list_metadata(&others).await {
        Ok(list) => list.items.into_iter().filter_map(|object| Foreign::new(object.metadata)).collect(),
        Err(error) => {
            tracing::debug!(kind = T::KIND, error = say(&error), "cannot look for objects of dead nodes");
            Vec::new()
        }
    }
}
