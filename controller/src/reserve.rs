//! Writes AddressReservations: what deleted Services left is kept, and what is kept no longer is dropped.

use crate::{metrics::Metrics, reconcile::Chore};
use herald_crds::{api::herald::AddressReservation, keys};
use herald_runtime::error::WriteError;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How long to wait before a failed chore is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Carries a chore out, unless the time is over in which this replica acts, and returns whether it is done.
pub(crate) async fn keep(
    api: Api<AddressReservation>,
    name: String,
    chore: Chore,
    until: Instant,
    metrics: Arc<Metrics>,
) -> (String, Chore, bool) {
    let began = Instant::now();
    let work = async {
        match &chore {
            Chore::Keep(object) => {
                let params = PatchParams::apply(keys::FIELD_MANAGER).force();
                api.patch(&name, &params, &Patch::Apply(object)).await.map(drop)
            }
            Chore::Drop { uid } => {
                let preconditions = Some(Preconditions { uid: Some(uid.clone()), resource_version: None });
                api.delete(&name, &DeleteParams { preconditions, ..DeleteParams::default() }).await.map(drop)
            }
        }
    };
    let result = match tokio::time::timeout_at(until.into(), work).await {
        Ok(result) => result.map_err(WriteError::from),
        Err(_) => Err(WriteError::NotActing),
    };
    metrics.wrote("reservation", result.as_ref().map_or_else(WriteError::label, |()| "ok"), began.elapsed());
    let done = match (&chore, &result) {
        // Gone already, or another object by now: there is nothing to drop.
        (Chore::Drop { .. }, Err(WriteError::Gone | WriteError::Conflict)) | (_, Ok(())) => true,
        (_, Err(error)) => {
            tracing::warn!(reservation = name, %error, "reservation not written, trying again");
            tokio::time::sleep(PAUSE).await;
            false
        }
    };
    (name, chore, done)
}
