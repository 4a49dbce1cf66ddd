//! What becomes of connections that were made through an address's earlier owner. Pure.
//!
//! ```text
//!   offered by its owner              -> chained to that node, before it is claimed
//!   its owner's speaker is suspected  -> its kernel is asked: chained if it answers, reset if not, before it is claimed; forgotten if refuted
//!   gained                            -> the same, where it was not foreseen
//!   chained, the kernel falls silent  -> reset
//!   reset, the kernel answers at last -> chained: it was slow
//!   lost, or the drain is over        -> forgotten
//! ```
//!
//! A kernel is asked by ARP or NDP for its node's address, as soon as its speaker is suspected and for as long as an address is chained to a node whose speaker
//! is not heard. A speaker that is heard is sign enough.

use crate::net::flows::Fate;
use herald_election::{Foresight, GainReason, NodeId};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::{Duration, Instant},
};

/// How long a kernel has to answer before an address that is foreseen is made ready to reset: twenty round trips of a LAN, and within the
/// quarter of `T_dead` that is left in the fastest profile. An answer that comes later is still heeded.
const ANSWER: Duration = Duration::from_millis(4);
/// Between two questions to a kernel whose speaker has just fallen silent; a take-over may depend on the answer.
const ASK_FIRST: Duration = Duration::from_millis(25);
/// How long a silence is fresh: as long as any profile takes to decide about it.
const FRESH: Duration = Duration::from_secs(1);
/// Between two questions later, for as long as a drain: they are broadcasts.
const ASK_LATER: Duration = Duration::from_millis(100);
/// So many questions without an answer, and a kernel is dead: lost frames reset nothing. Counted in questions, not in time, so that a thread that stood still
/// and did not ask takes nobody for dead.
const UNANSWERED: u32 = 4;
/// How long connections of a dead owner are reset: longer than its clients keep trying.
const RESET_FOR: Duration = Duration::from_secs(900);
/// A kernel that answers so late after a take-over was slow; one that answers later has started again and knows no connection.
const SLOW: Duration = Duration::from_secs(1);

/// What this node knows about the earlier owners of its addresses.
#[derive(Debug)]
pub(super) struct Moves {
    drain: Duration,
    /// Members whose speaker is silent.
    silent: BTreeMap<NodeId, Silent>,
    moved: BTreeMap<IpAddr, Moved>,
}

#[derive(Debug)]
struct Silent {
    since: Instant,
    asked: Option<Instant>,
    answered: bool,
    /// Questions since the last answer.
    unanswered: u32,
}

impl Silent {
    fn pause(&self, now: Instant) -> Duration {
        if now.saturating_duration_since(self.since) < FRESH { ASK_FIRST } else { ASK_LATER }
    }

    fn due(&self, now: Instant) -> bool {
        self.asked.is_none_or(|at| now.saturating_duration_since(at) >= self.pause(now))
    }

    fn dead(&self, now: Instant) -> bool {
        self.unanswered >= UNANSWERED && self.due(now)
    }

    /// Its kernel has answered since its speaker is silent, and lately.
    const fn lives(&self) -> bool {
        self.answered && self.unanswered < UNANSWERED
    }
}

#[derive(Debug)]
struct Moved {
    from: NodeId,
    /// The earlier owner's address of the same family.
    node: IpAddr,
    course: Course,
    until: Instant,
}

/// What becomes of the connections of one address, on its way to another process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Following {
    ip: IpAddr,
    from: u64,
    node: IpAddr,
    reset: bool,
    left: Duration,
}

/// What is done about an address's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Course {
    /// Nothing yet: its kernel has been asked since then.
    Asking(Instant),
    /// They follow to the earlier owner.
    Chained,
    /// They are reset.
    Reset,
}

impl Course {
    /// The word for logs.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Asking(_) => "undecided",
            Self::Chained => "chained",
            Self::Reset => "reset",
        }
    }
}

impl Moved {
    const fn fate(&self) -> Option<Fate> {
        match self.course {
            Course::Asking(_) => None,
            Course::Chained => Some(Fate::Chain { to: self.node, until: self.until }),
            Course::Reset => Some(Fate::Reset { until: self.until }),
        }
    }
}

impl Moves {
    pub(super) const fn new(drain: Duration) -> Self {
        Self { drain, silent: BTreeMap::new(), moved: BTreeMap::new() }
    }

    /// A member's speaker is suspected, or gone.
    pub(super) fn silent(&mut self, now: Instant, node: NodeId) {
        self.silent.entry(node).or_insert(Silent { since: now, asked: None, answered: false, unanswered: 0 });
    }

    /// A member's speaker is heard.
    pub(super) fn heard(&mut self, node: NodeId) {
        self.silent.remove(&node);
    }

    /// A member's kernel answered.
    pub(super) fn answered(&mut self, node: NodeId) {
        if let Some(silent) = self.silent.get_mut(&node) {
            (silent.answered, silent.unanswered) = (true, 0);
        }
    }

    /// This node is likely to own an address soon that `from` owns now, whose own address is `node`.
    pub(super) fn foreseen(
        &mut self,
        now: Instant,
        ip: IpAddr,
        why: Foresight,
        from: NodeId,
        node: IpAddr,
    ) -> Option<Fate> {
        let course = match why {
            Foresight::Offer => Course::Chained,
            Foresight::Suspicion => {
                self.silent(now, from);
                if self.lives(from) { Course::Chained } else { Course::Asking(now) }
            }
        };
        self.set(now, ip, from, node, course)
    }

    /// What was foreseen does not come.
    pub(super) fn withdrawn(&mut self, ip: IpAddr) -> Option<Fate> {
        self.forget(ip)
    }

    /// This node owns an address that `from` owned before, whose own address is `node`. Says what is still to be done.
    pub(super) fn gained(
        &mut self,
        now: Instant,
        ip: IpAddr,
        reason: GainReason,
        from: NodeId,
        node: IpAddr,
    ) -> Option<Fate> {
        let chained = reason != GainReason::TookOver || self.lives(from);
        let course = if chained { Course::Chained } else { Course::Reset };
        if self.moved.get(&ip).is_some_and(|moved| (moved.from, moved.node, moved.course) == (from, node, course)) {
            return None;
        }
        self.set(now, ip, from, node, course)
    }

    /// This node no longer owns an address.
    pub(super) fn lost(&mut self, ip: IpAddr) -> Option<Fate> {
        self.forget(ip)
    }

    /// What is done about the connections of an address.
    pub(super) fn course(&self, ip: IpAddr) -> Option<Course> {
        self.moved.get(&ip).map(|moved| moved.course)
    }

    fn set(&mut self, now: Instant, ip: IpAddr, from: NodeId, node: IpAddr, course: Course) -> Option<Fate> {
        if self.drain.is_zero() {
            return None;
        }
        let until = now + self.lasts(course);
        let before = self.moved.insert(ip, Moved { from, node, course, until });
        let after = self.moved.get(&ip).and_then(Moved::fate);
        after.or_else(|| before.and_then(|before| before.fate()).map(|_| Fate::Forget))
    }

    fn forget(&mut self, ip: IpAddr) -> Option<Fate> {
        self.moved.remove(&ip)?.fate().map(|_| Fate::Forget)
    }

    /// What goes on when another process takes this one's place.
    pub(super) fn following(&self, now: Instant) -> Vec<Following> {
        let following = |(ip, moved): (&IpAddr, &Moved)| {
            let reset = match moved.course {
                Course::Asking(_) => return None,
                Course::Chained => false,
                Course::Reset => true,
            };
            let left = moved.until.saturating_duration_since(now);
            Some(Following { ip: *ip, from: moved.from.0, node: moved.node, reset, left })
        };
        self.moved.iter().filter_map(following).collect()
    }

    /// Goes on with it. The kernel does what it was told already.
    pub(super) fn follow(&mut self, now: Instant, following: Vec<Following>) {
        for Following { ip, from, node, reset, left } in following {
            let course = if reset { Course::Reset } else { Course::Chained };
            let until = now + left.min(self.lasts(course));
            self.moved.insert(ip, Moved { from: NodeId(from), node, course, until });
        }
    }

    const fn lasts(&self, course: Course) -> Duration {
        match course {
            Course::Chained => self.drain,
            Course::Reset | Course::Asking(_) => RESET_FOR,
        }
    }

    /// What has changed by itself.
    pub(super) fn tick(&mut self, now: Instant) -> BTreeMap<IpAddr, Fate> {
        // The kernel has removed its elements itself.
        self.moved.retain(|_, moved| moved.until > now);
        let mut changed = BTreeMap::new();
        for (ip, moved) in &mut self.moved {
            let Some(silent) = self.silent.get(&moved.from) else { continue };
            let next = match moved.course {
                Course::Asking(_) if silent.lives() => Course::Chained,
                Course::Asking(since) if now.saturating_duration_since(since) >= ANSWER => Course::Reset,
                Course::Chained if silent.dead(now) => Course::Reset,
                // What is left of its connections is served there.
                Course::Reset if silent.lives() && moved.until.saturating_duration_since(now) > RESET_FOR - SLOW => {
                    Course::Chained
                }
                Course::Asking(_) | Course::Chained | Course::Reset => continue,
            };
            let lasts = if next == Course::Chained { self.drain } else { RESET_FOR };
            (moved.course, moved.until) = (next, now + lasts);
            changed.extend(moved.fate().map(|fate| (*ip, fate)));
        }
        changed
    }

    /// Kernels to be asked now.
    pub(super) fn questions(&mut self, now: Instant) -> Vec<NodeId> {
        let used: BTreeSet<_> = self.moved.values().map(|moved| moved.from).collect();
        let asked = self.silent.iter_mut().filter(|(node, silent)| {
            (now.saturating_duration_since(silent.since) < FRESH || used.contains(node)) && silent.due(now)
        });
        asked
            .map(|(node, silent)| {
                silent.asked = Some(now);
                silent.unanswered = silent.unanswered.saturating_add(1);
                *node
            })
            .collect()
    }

    /// When to look again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let used: BTreeSet<_> = self.moved.values().map(|moved| moved.from).collect();
        let questions = self.silent.iter().filter_map(|(node, silent)| {
            let asked = silent.asked?;
            let next = asked + silent.pause(asked);
            (used.contains(node) || next < silent.since + FRESH).then_some(next)
        });
        let answers = self.moved.values().filter_map(|moved| match moved.course {
            Course::Asking(since) => self.silent.contains_key(&moved.from).then_some(since + ANSWER),
            Course::Chained | Course::Reset => None,
        });
        questions.chain(answers).min()
    }

    fn lives(&self, node: NodeId) -> bool {
        self.silent.get(&node).is_none_or(Silent::lives)
    }
}

#[cfg(test)]
mod tests;
