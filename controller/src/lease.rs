//! Which of the replicas acts: the holder of a Lease.
//!
//! ```text
//!   nobody holds it, or its last renewal was observed longer ago than it lasts   -> take it
//!   another one holds it                                                         -> look again every half second
//!   we hold it                                                                   -> renew it three times while it lasts
//!   not renewed in time                                                          -> stop acting a second before it ends for others
//!   SIGTERM                                                                      -> give it up: the other one acts at once
//! ```
//!
//! Time is measured here, from when a renewal was observed, never by what the other host's clock wrote. Taking, renewing and giving up are
//! replacements of the version that was read, so that of two replicas that try at once only one succeeds.

use herald_runtime::error::say;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, api::PostParams};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long others wait after the last renewal that they saw. Doubling it doubles how long no Service gets an address after the acting
/// replica was killed; halving it lets a slow API server take the lease from a healthy one.
pub(crate) const DURATION: Duration = Duration::from_secs(5);
/// How long before the end for others the holder stops acting: more than two replicas' clocks drift apart in a lease, and time for a write under way to land.
const MARGIN: Duration = Duration::from_secs(1);
/// How often the holder renews: two renewals may fail.
const RENEW: Duration = Duration::from_millis(1300);
/// How often the others look: the wait after a holder that gave up.
const LOOK: Duration = Duration::from_millis(500);
/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(2);

/// Whether this replica acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leadership {
    /// Another one does, or nobody.
    Follows,
    /// This one does, and may until then unless told so again.
    Acts {
        /// After this nothing may be written.
        until: Instant,
    },
}

/// One replica's view of the Lease. Pure: knows what it saw and when.
#[derive(Debug)]
pub(crate) struct Candidate {
    /// Our name in the Lease: the pod and this process of it.
    identity: String,
    /// The pod alone, where it is known: an earlier process of it is dead.
    pod: Option<String>,
    seen: Option<(Record, Instant)>,
}

/// What tells one renewal from another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    version: Option<String>,
    holder: String,
    lasts: Duration,
}

/// What to do about the Lease.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    /// There is none: create this one.
    Create(Lease),
    /// Replace what was read by this one; it makes or keeps this replica the holder.
    Replace(Lease),
    /// Another one holds it.
    Wait,
}

impl Candidate {
    pub(crate) fn new(pod: Option<String>, host: &str, nonce: u64) -> Self {
        let name = pod.as_deref().unwrap_or(host);
        Self { identity: format!("{name}_{nonce:016x}"), pod, seen: None }
    }

    /// Looks at the Lease as it was read just now.
    pub(crate) fn look(&mut self, lease: Option<&Lease>, name: &str, now: Instant, wall: MicroTime) -> Step {
        let Some(lease) = lease else {
            // Somebody deleted it under its holder, who acts on until its time is over.
            if self.seen.as_ref().is_some_and(|(before, since)| {
                !before.holder.is_empty() && before.holder != self.identity && now.duration_since(*since) < before.lasts
            }) {
                return Step::Wait;
            }
            let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
            return Step::Create(self.held(Lease { metadata, spec: None }, wall));
        };
        let record = Record::of(lease);
        let since = match &self.seen {
            Some((before, since)) if *before == record => *since,
            _ => now,
        };
        let ended = record.holder.is_empty() || now.duration_since(since) >= record.lasts;
        let step = if ended || record.holder == self.identity || self.was_held_by_this_pod(&record.holder) {
            Step::Replace(self.held(lease.clone(), wall))
        } else {
            Step::Wait
        };
        self.seen = Some((record, since));
        step
    }

    /// What gives the Lease up, where we hold it.
    pub(crate) fn give_up(&self, lease: &Lease, wall: MicroTime) -> Option<Lease> {
        let holds = lease.spec.as_ref()?.holder_identity.as_deref() == Some(&self.identity);
        let mut lease = lease.clone();
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = Some(String::new());
        spec.lease_duration_seconds = Some(1);
        spec.renew_time = Some(wall);
        holds.then_some(lease)
    }

    fn was_held_by_this_pod(&self, holder: &str) -> bool {
        let pod = self.pod.as_deref().filter(|pod| !pod.is_empty());
        pod.is_some_and(|pod| holder.rsplit_once('_').is_some_and(|(before, _)| before == pod))
    }

    fn held(&self, mut lease: Lease, wall: MicroTime) -> Lease {
        lease.metadata.managed_fields = None;
        let old = lease.spec.take().unwrap_or_default();
        let same = old.holder_identity.as_deref() == Some(&self.identity);
        let transitions = old.lease_transitions.unwrap_or(0);
        lease.spec = Some(LeaseSpec {
            acquire_time: if same { old.acquire_time } else { Some(wall.clone()) },
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            lease_transitions: Some(if same || old.holder_identity.is_none() {
                transitions
            } else {
                transitions.saturating_add(1)
            }),
            renew_time: Some(wall),
            ..old
        });
        lease
    }
}

impl Record {
    fn of(lease: &Lease) -> Self {
        let spec = lease.spec.clone().unwrap_or_default();
        let lasts = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        Self {
            version: lease.metadata.resource_version.clone(),
            holder: spec.holder_identity.unwrap_or_default(),
            lasts: lasts.map_or(DURATION, Duration::from_secs),
        }
    }
}

/// Takes part in the election until told to stop, and gives the Lease up then.
pub(crate) struct Elector {
    api: Api<Lease>,
    name: String,
    candidate: Candidate,
    held: Option<Lease>,
    until: Option<Instant>,
}

impl Elector {
    pub(crate) fn new(api: Api<Lease>, name: &str, candidate: Candidate) -> Self {
        Self { api, name: name.to_owned(), candidate, held: None, until: None }
    }

    /// One look and what follows from it.
    pub(crate) async fn step(&mut self) -> Leadership {
        // The lease counts from before the request: when the answer is slow, others have counted longer.
        let asked = Instant::now();
        match tokio::time::timeout(REQUEST, self.try_step()).await {
            Ok(Ok(Some(lease))) => {
                self.held = Some(lease);
                self.until = Some(asked + DURATION - MARGIN);
            }
            Ok(Ok(None)) => self.lose(),
            Ok(Err(error)) => {
                // What was held is read afresh next time: it may be a conflict.
                self.held = None;
                tracing::warn!(error = say(&error), "cannot reach the lease");
            }
            Err(_) => {
                self.held = None;
                tracing::warn!(error = "no answer in time", "cannot reach the lease");
            }
        }
        if self.until.is_some_and(|until| until <= Instant::now()) {
            self.lose();
        }
        self.until.map_or(Leadership::Follows, |until| Leadership::Acts { until })
    }

    /// Goes on for ever, telling whoever listens.
    pub(crate) async fn run(&mut self, tell: &watch::Sender<Leadership>) {
        loop {
            let now = self.step().await;
            tell.send_if_modified(|before| std::mem::replace(before, now) != now);
            let pause = match now {
                Leadership::Follows => LOOK,
                // Whoever failed to renew tries again at once, not when the next renewal is due.
                Leadership::Acts { .. } if self.held.is_none() => LOOK,
                Leadership::Acts { .. } => RENEW,
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Gives the Lease up. To be called when nothing is being written any more.
    pub(crate) async fn release(&mut self) {
        if self.until.take().is_none() {
            return;
        }
        let give_up = async {
            let lease = match self.held.take() {
                Some(lease) => Some(lease),
                None => self.api.get_opt(&self.name).await?,
            };
            match lease.and_then(|lease| self.candidate.give_up(&lease, wall())) {
                Some(lease) => self.api.replace(&self.name, &PostParams::default(), &lease).await.map(drop),
                None => Ok(()),
            }
        };
        match tokio::time::timeout(LOOK, give_up).await {
            Ok(Ok(())) => tracing::info!("gave the lease up"),
            Ok(Err(error)) => {
                tracing::warn!(error = say(&error), "the lease runs out by itself");
            }
            Err(_) => tracing::warn!(error = "no answer in time", "the lease runs out by itself"),
        }
    }

    async fn try_step(&mut self) -> kube::Result<Option<Lease>> {
        // A renewal needs no read: our own last write is what is there, or the replacement fails.
        let lease = match self.held.take() {
            Some(lease) => Some(lease),
            None => self.api.get_opt(&self.name).await?,
        };
        let taken = match self.candidate.look(lease.as_ref(), &self.name, Instant::now(), wall()) {
            Step::Create(lease) => self.api.create(&PostParams::default(), &lease).await,
            Step::Replace(lease) => self.api.replace(&self.name, &PostParams::default(), &lease).await,
            Step::Wait => return Ok(None),
        };
        match taken {
            Ok(lease) => Ok(Some(lease)),
            // Another one was faster; who it was shows at the next look.
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {
                if self.until.is_some() {
                    tracing::debug!("somebody else wrote the lease");
                }
                self.relook().await
            }
            Err(error) => Err(error),
        }
    }

    /// After a conflict: whether we still hold it all the same.
    async fn relook(&mut self) -> kube::Result<Option<Lease>> {
        let Some(lease) = self.api.get_opt(&self.name).await? else { return Ok(None) };
        match self.candidate.look(Some(&lease), &self.name, Instant::now(), wall()) {
            Step::Replace(lease) => self.api.replace(&self.name, &PostParams::default(), &lease).await.map(Some),
            Step::Create(_) | Step::Wait => Ok(None),
        }
    }

    fn lose(&mut self) {
        self.held = None;
        self.until = None;
    }
}

fn wall() -> MicroTime {
    MicroTime(jiff::Timestamp::now())
}

#[cfg(test)]
mod tests;
