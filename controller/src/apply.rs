//! Carries writes of Service statuses out.
//!
//! One request per Service: a merge patch of `services/status` with the status and the annotation together, for exactly the object and the state
//! of it that was decided on. Any other gives a conflict, and the desk decides again on the fresh one.

use crate::{metrics::Metrics, reconcile::Write, source::Seen};
use herald_crds::keys;
use herald_runtime::error::WriteError;
use k8s_openapi::api::core::v1::Service;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Requests under way at once. An API server on two cores is busy with ten; a few more hide the way there and back.
pub(crate) const IN_FLIGHT: usize = 16;
/// The first pause after a conflict: the watch is about a millisecond behind.
const AFTER_CONFLICT: Duration = Duration::from_millis(20);
/// The first pause after any other failure.
const AFTER_FAILURE: Duration = Duration::from_millis(100);
/// The longest pause: doubling it doubles how late a Service gets its address after a long outage.
const LONGEST: Duration = Duration::from_secs(10);

/// The way to the statuses.
#[derive(Clone)]
pub(crate) struct Writer {
    client: Client,
    metrics: Arc<Metrics>,
}

impl Writer {
    pub(crate) fn new(client: Client, metrics: Arc<Metrics>) -> Self {
        Self { client, metrics }
    }

    /// Carries one write out, unless the time is over in which this replica acts.
    pub(crate) async fn carry_out(self, write: Write, until: Instant) -> (Write, Result<Seen, WriteError>) {
        let began = Instant::now();
        let api: Api<Service> = Api::namespaced(self.client.clone(), &write.key.namespace);
        let patch = Patch::Merge(patch_of(&write));
        let params = PatchParams { field_manager: Some(keys::FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let result = if began >= until {
            Err(WriteError::NotActing)
        } else {
            match tokio::time::timeout_at(until.into(), api.patch_status(&write.key.name, &params, &patch)).await {
                Ok(result) => result.map(Seen::from).map_err(WriteError::from),
                Err(_) => Err(WriteError::NotActing),
            }
        };
        let label = result.as_ref().map_or_else(WriteError::label, |_| "ok");
        self.metrics.wrote("service", label, began.elapsed());
        match &result {
            Err(error @ (WriteError::Refused(_) | WriteError::Unreachable(_))) => {
                tracing::warn!(service = %write.key, %error, attempt = write.attempt, "status not written, trying again");
            }
            Err(error) => tracing::debug!(service = %write.key, %error, "status not written"),
            Ok(_) => {}
        }
        (write, result)
    }
}

/// How long to wait before a failed write is decided on again.
pub(crate) fn pause(error: &WriteError, attempt: u32) -> Duration {
    let first = match error {
        WriteError::Conflict | WriteError::Gone => AFTER_CONFLICT,
        WriteError::Refused(_) | WriteError::Unreachable(_) | WriteError::NotActing => AFTER_FAILURE,
    };
    first.saturating_mul(1 << attempt.min(10)).min(LONGEST)
}

/// The patch. `null` removes; `ipMode` and foreign entries go with the old list, and the API server sets the default again.
fn patch_of(write: &Write) -> Value {
    let ingress: Vec<Value> = write.ips.iter().map(|ip| json!({ "ip": ip })).collect();
    json!({
        "metadata": {
            "uid": write.uid,
            "resourceVersion": write.version,
            "annotations": { keys::ALLOCATED_FROM_ANNOTATION: write.pool },
        },
        "status": { "loadBalancer": { "ingress": if ingress.is_empty() { Value::Null } else { ingress.into() } } },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_grows_and_ends_growing() {
        let refused = WriteError::Refused(String::new());
        assert_eq!(pause(&WriteError::Conflict, 0), AFTER_CONFLICT);
        assert_eq!(pause(&refused, 3), AFTER_FAILURE * 8);
        assert_eq!(pause(&refused, u32::MAX), LONGEST);
    }
}
