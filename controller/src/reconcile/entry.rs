//! What the desk knows of one Service beside the book.

use super::Urgency;
use crate::source::Seen;
use herald_allocator::Decision;
use herald_crds::api::reason::ControllerReason;
use std::net::IpAddr;

pub(super) struct Entry {
    pub(super) seen: Seen,
    /// Whether it is in the queue.
    pub(super) queued: bool,
    /// Where it is in the backlog of writes.
    pub(super) backlog: Option<(Urgency, u64)>,
    /// The ticket of the write that is under way.
    pub(super) writing: Option<u64>,
    /// How many writes failed in a row.
    pub(super) attempt: u32,
    /// A write that changed nothing on this state is not tried again on it.
    pub(super) futile: Option<String>,
    /// What is told and logged when its write is in force.
    pub(super) decided: Option<Decision>,
    /// The refusal that was told last.
    pub(super) told: Option<(ControllerReason, String)>,
    pub(super) told_deprecated: bool,
    /// Whether it ever was of our class: what we gave is ours to take back.
    pub(super) was_ours: bool,
}

impl Entry {
    pub(super) fn new(seen: Seen) -> Self {
        Self {
            seen,
            queued: false,
            backlog: None,
            writing: None,
            attempt: 0,
            futile: None,
            decided: None,
            told: None,
            told_deprecated: false,
            was_ours: false,
        }
    }

    /// Whether the status and the annotation show just this.
    pub(super) fn shows(&self, ips: &[IpAddr], pool: Option<&str>) -> bool {
        self.seen.service.assigned == ips && self.seen.service.allocated_from.as_deref() == pool
    }
}
