//! The desk: facts about the cluster in, one decision per Service, writes and news out.
//!
//! ```text
//!   fact ──▶ services, configuration ──▶ queue of keys ──▶ plan_one ──▶ book
//!                                           ▲                            │ what the status should show
//!                                           │ those who wait,            ▼
//!                                           │ when something is freed   backlog ──▶ Write ──▶ (apply) ──▶ done(result)
//!                                           └────────────────────────────────────────────────────┘
//! ```
//!
//! Promises:
//! * Nothing is planned or written before every kind was listed, nor while another replica acts.
//! * Of one Service at most one write is under way, and it is made from what is known when it starts, not when it was queued.
//! * What a status shows is compared before it is written: a restart with unchanged objects writes nothing, and what somebody else writes over
//!   a status is written back.
//! * An address is free for others when a written status, or a deletion, says so, not before.
//! * A Service waits for nothing but its own write: new addresses go first, and of those the newest.
//!
//! No clock, no client: the shell says when and carries out.

mod config;
mod entry;
mod keep;
mod learn;
mod news;

use crate::source::{ALLOCATION, Seen};
use entry::Entry;
use herald_allocator::{Book, Decision, Effect, Usage, plan_one};
use herald_crds::{
    IPAddressPool,
    api::reason::ControllerReason,
    model::{ServiceKey, ServiceKind},
};
pub(crate) use keep::Chore;
pub(crate) use news::{About, AboutKind, News};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    net::IpAddr,
};

/// What the API server is asked to make of a Service's status.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Write {
    pub(crate) key: ServiceKey,
    /// The object that was decided on, and the state of it: the write fails on any other.
    pub(crate) uid: String,
    pub(crate) version: String,
    /// What the status shall show.
    pub(crate) ips: Vec<IpAddr>,
    /// The pool for the annotation; nothing removes it.
    pub(crate) pool: Option<String>,
    /// How often in a row this failed before.
    pub(crate) attempt: u32,
    /// Tells this write from an earlier one of a Service of the same name.
    ticket: u64,
}

/// What became of a write.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is in force; this is how the object looks now.
    Done(Box<Seen>),
    /// It is not.
    Failed,
}

/// Everything that is known, decided and under way. One task owns it.
#[derive(Default)]
pub(crate) struct Desk {
    class: Option<String>,
    reading: config::Reading,
    /// What was found in it may have changed since it was taken.
    found_more: bool,
    /// The kinds that were listed.
    listed: BTreeSet<&'static str>,
    acts: bool,
    /// The statuses are yet to be adopted.
    fresh: bool,
    services: HashMap<ServiceKey, Entry>,
    book: Book,
    queue: VecDeque<ServiceKey>,
    waiting: BTreeSet<ServiceKey>,
    /// Something was freed since those who wait were planned last.
    freed: bool,
    backlog: BTreeSet<(Urgency, u64, ServiceKey)>,
    last: u64,
    news: Vec<News>,
    told_retentions: BTreeMap<String, String>,
    keeping: keep::Keeping,
}

/// What goes first among the writes: larger is sooner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    /// Puts right what somebody else wrote, or an annotation.
    Repair,
    /// Takes an address away, for which others may wait.
    Release,
    /// Gives an address.
    Give,
}

impl Desk {
    /// A desk that handles the Services of one class, or those without.
    pub(crate) fn new(class: Option<String>) -> Self {
        Self { class, ..Self::default() }
    }

    /// Whether every kind was listed without which nothing is allocated.
    pub(crate) fn listed(&self) -> [(&'static str, bool); 4] {
        ALLOCATION.map(|kind| (kind, self.listed.contains(kind)))
    }

    /// Whether enough is known to plan.
    pub(crate) fn knows(&self) -> bool {
        self.listed().iter().all(|(_, listed)| *listed)
    }

    /// Whether this desk plans and writes now.
    pub(crate) fn active(&self) -> bool {
        self.acts && self.knows()
    }

    /// Begins to act: the book is rebuilt from the statuses.
    pub(crate) fn act(&mut self) {
        self.acts = true;
        self.fresh = true;
        self.book = Book::new();
        self.reading.changed = true;
        self.keep_no_longer();
        self.retain_remembered();
    }

    /// Stops acting: what is under way is somebody else's now.
    pub(crate) fn follow(&mut self) {
        self.acts = false;
        self.book = Book::new();
        self.queue.clear();
        self.waiting.clear();
        self.backlog.clear();
        self.news.clear();
        self.reading.forget_told();
        self.told_retentions.clear();
        self.keep_no_longer();
        for entry in self.services.values_mut() {
            *entry = Entry::new(entry.seen.clone());
        }
    }

    /// Plans up to `most` Services that changed or wait for what was freed. Returns how many it planned; none when there is nothing to do.
    pub(crate) fn plan(&mut self, most: usize) -> usize {
        if self.knows() && std::mem::take(&mut self.reading.changed) {
            self.resolve();
        }
        if !self.active() {
            return 0;
        }
        self.reserve();
        for planned in 0..most {
            if self.queue.is_empty() && std::mem::take(&mut self.freed) {
                let waiting: Vec<ServiceKey> = self.waiting.iter().cloned().collect();
                waiting.iter().for_each(|key| self.enqueue(key));
            }
            let Some(key) = self.queue.pop_front() else { return planned };
            self.plan_service(&key);
        }
        most
    }

    /// The next write to start, if any.
    pub(crate) fn next_write(&mut self) -> Option<Write> {
        while let Some((_, _, key)) = self.backlog.pop_last() {
            let ticket = self.ticket();
            let desired = self.desired(&key);
            let Some(entry) = self.services.get_mut(&key) else { continue };
            entry.backlog = None;
            let (ips, pool) = desired;
            if entry.shows(&ips, pool.as_deref()) {
                self.enqueue(&key);
                continue;
            }
            entry.writing = Some(ticket);
            return Some(Write {
                uid: entry.seen.uid.clone(),
                version: entry.seen.version.clone(),
                attempt: entry.attempt,
                key,
                ips,
                pool,
                ticket,
            });
        }
        None
    }

    /// Takes in what became of a write.
    pub(crate) fn done(&mut self, write: &Write, outcome: Outcome) {
        let Some(entry) = self.services.get_mut(&write.key).filter(|entry| entry.writing == Some(write.ticket)) else {
            return;
        };
        entry.writing = None;
        match outcome {
            Outcome::Done(seen) => {
                entry.attempt = 0;
                if seen.version == write.version {
                    entry.futile = Some(seen.version.clone());
                }
                if !seen.is_older_than(&entry.seen) {
                    entry.seen = *seen;
                }
                if let Some(decision) = entry.decided.take() {
                    let about = About::service(&write.key, entry);
                    let told = news::in_force(&write.key, &decision);
                    self.news.extend(told.into_iter().map(|(reason, note)| News {
                        about: about.clone(),
                        reason,
                        note,
                    }));
                }
            }
            Outcome::Failed => entry.attempt = entry.attempt.saturating_add(1),
        }
        self.enqueue(&write.key);
    }

    /// What became worth telling since the last call.
    pub(crate) fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// How much of each pool in force is in use.
    pub(crate) fn usages(&self) -> BTreeMap<String, Usage> {
        self.book.pools().keys().map(|name| (name.clone(), self.book.usage(name))).collect()
    }

    /// The pools in force, as they were last seen.
    pub(crate) fn pools(&self) -> impl Iterator<Item = &IPAddressPool> {
        self.book.pools().keys().filter_map(|name| self.reading.config.pools.get(name))
    }

    /// Services followed, and those among them that do not get all they ask for.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.services.len(), self.waiting.len())
    }

    fn enqueue(&mut self, key: &ServiceKey) {
        if !self.acts {
            return;
        }
        if let Some(entry) = self.services.get_mut(key).filter(|entry| !entry.queued) {
            entry.queued = true;
            self.queue.push_back(key.clone());
        }
    }

    fn ticket(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn plan_service(&mut self, key: &ServiceKey) {
        let Some(entry) = self.services.get_mut(key) else { return };
        entry.queued = false;
        if entry.writing.is_some() {
            // Planned again when the write is done.
            return;
        }
        let service = &entry.seen.service;
        if service.handled_by(self.class.as_deref()) {
            entry.was_ours = true;
        } else if !(entry.was_ours && service.kind == ServiceKind::Other) {
            // Somebody else's class: nothing is written. A type that needs no address is another matter, because the API server
            // drops the class together with it.
            self.forget(key);
            return;
        }
        let decision = plan_one(service, &self.book);
        self.freed |= self.book.apply(service, &decision) == Effect::Freed;
        if decision.refusal().is_some() {
            self.waiting.insert(key.clone());
        } else {
            self.waiting.remove(key);
        }
        let entry = self.tell(key, &decision);
        let urgency = match &decision {
            Decision::Assign { .. } => Urgency::Give,
            Decision::Release { .. } => Urgency::Release,
            Decision::Keep(_) | Decision::Refuse { .. } | Decision::Ignore => Urgency::Repair,
        };
        if urgency != Urgency::Repair
            && let Some(entry) = entry
        {
            entry.decided = Some(decision);
        }
        if self.compare(key, urgency) {
            // The status shows all there is: what it showed before is free.
            self.freed |= self.book.settle(key) == Effect::Freed;
            self.is_back(key);
            if self.services.get(key).is_some_and(|entry| !self.concerns(&entry.seen)) {
                self.forget(key);
            }
        }
    }

    /// Tells what a decision means before any write: a refusal, once, and deprecated annotations, once.
    fn tell(&mut self, key: &ServiceKey, decision: &Decision) -> Option<&mut Entry> {
        let entry = self.services.get_mut(key)?;
        let annotations = &entry.seen.service.deprecated_annotations;
        if !entry.told_deprecated && !annotations.is_empty() {
            let (reason, note) = (ControllerReason::DeprecatedAnnotation, news::deprecated(annotations));
            self.news.push(News { about: About::service(key, entry), reason, note });
            entry.told_deprecated = true;
        }
        let told = decision.refusal().map(|refusal| {
            let reason = refusal.event_reason(decision.holds().is_some());
            (reason, news::note_of(reason, key, &refusal.to_string()))
        });
        if entry.told != told {
            if let (Some((reason, note)), Some(refusal)) = (&told, decision.refusal()) {
                tracing::info!(service = %key, reason = refusal.label(), error = %refusal, "request not satisfied");
                self.news.push(News { about: About::service(key, entry), reason: *reason, note: note.clone() });
            }
            entry.told = told;
        }
        Some(entry)
    }

    /// Whether the status of a Service shows what the book says; if it does not, the Service is on the backlog.
    fn compare(&mut self, key: &ServiceKey, urgency: Urgency) -> bool {
        let (ips, pool) = self.desired(key);
        let mut place = (urgency, self.ticket());
        let Some(entry) = self.services.get_mut(key) else { return false };
        if let Some((urgency, number)) = entry.backlog.take() {
            self.backlog.remove(&(urgency, number, key.clone()));
            place = (place.0.max(urgency), number);
        }
        if entry.shows(&ips, pool.as_deref()) || entry.futile.as_ref() == Some(&entry.seen.version) {
            entry.decided = None;
            return true;
        }
        entry.backlog = Some(place);
        self.backlog.insert((place.0, place.1, key.clone()));
        false
    }

    /// What the status and the annotation of a Service should show.
    fn desired(&self, key: &ServiceKey) -> (Vec<IpAddr>, Option<String>) {
        match self.book.allocation(key) {
            None => (Vec::new(), None),
            Some(assignment) => (assignment.ips.clone(), Some(assignment.pool.clone()).filter(|pool| !pool.is_empty())),
        }
    }
}

#[cfg(test)]
mod tests;
