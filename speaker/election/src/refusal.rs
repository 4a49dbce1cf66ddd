//! A process that was killed is seen at once: its kernel lives, and answers each heartbeat that nobody listens on that port (ICMP port unreachable).
//!
//! ```text
//! refused once          -> suspected: probe it, and tell everybody
//! refused twice         -> say so in every heartbeat; who reads that probes it too
//! since a third of h    -> dead, if another live node says the same and nobody has heard it since (liveness.rs)
//! heard after a refusal -> the refusal was forged or came from a firewall: no refusal of that member counts for ten minutes
//! ```
//!
//! **What forged refusals can do.** Anybody on the segment can send them. A live member that listens contradicts the first one by its answer to the probe, a
//! millisecond later, and every later one is ignored. So to move an address needlessly, the first refusals in ten minutes, to two observers, must meet a member that
//! stands still at that very moment for longer than it may take to answer; and even then nobody is owner twice for longer than after any false alarm:
//! the member is still there, hears the better claim, and yields.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::election::Election;
use crate::member::Urge;
use crate::node::NodeId;
use crate::timing::{DISTRUST, Timing};

/// Refusals of heartbeats to one member, since something last came from it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Refusals {
    first: Option<Instant>,
    count: u32,
    distrusted: Option<Instant>,
}

/// So many refusals convince: one could be a packet that crossed the process's start.
const CONVINCING: u32 = 2;

impl Refusals {
    /// Notes one; says how many there are, none where they are ignored.
    fn note(&mut self, now: Instant) -> u32 {
        if self.are_distrusted(now) {
            return 0;
        }
        self.first.get_or_insert(now);
        self.count = self.count.saturating_add(1);
        self.count
    }

    /// Something came from the member: whoever refused for it did not know.
    pub(crate) fn refute(&mut self, now: Instant) {
        if self.any() {
            *self = Self { first: None, count: 0, distrusted: Some(now + DISTRUST) };
        }
    }

    fn are_distrusted(&self, now: Instant) -> bool {
        self.distrusted.is_some_and(|until| now < until)
    }

    pub(crate) const fn any(&self) -> bool {
        self.count > 0
    }

    pub(crate) fn convince(&self, now: Instant) -> bool {
        self.convincing_for(now).is_some()
    }

    pub(crate) fn convincing_for(&self, now: Instant) -> Option<Duration> {
        self.first.filter(|_| self.count >= CONVINCING).map(|first| now.saturating_duration_since(first))
    }

    /// When time alone makes a difference.
    pub(crate) fn due(&self, now: Instant, timing: &Timing) -> Option<Instant> {
        self.first.map(|first| first + timing.rebuttal()).filter(|at| *at > now)
    }
}

impl Election {
    /// A heartbeat was refused.
    pub(crate) fn refused(&mut self, now: Instant, by: SocketAddr) {
        let same =
            |member: &SocketAddr| (member.ip().to_canonical(), member.port()) == (by.ip().to_canonical(), by.port());
        let Some(member) = self.members.values_mut().find(|member| same(&member.address)) else { return };
        if !member.counts() {
            return;
        }
        match member.refusals.note(now) {
            0 => {}
            // Asked at once, so that the second one or the answer comes at once.
            1 => member.urge = Urge::Probe,
            CONVINCING => self.probe_everybody(now),
            _ => {}
        }
    }

    /// Another node is refused by this one: ask it too.
    pub(crate) fn ask_whether_refused(&mut self, now: Instant, node: NodeId) {
        let Some(member) = self.members.get_mut(&node) else { return };
        if member.counts() && !member.refusals.any() && !member.refusals.are_distrusted(now) {
            member.urge = Urge::Probe;
        }
    }
}
