//! The phases of a node's life, and when it may claim.
//!
//! ```text
//!            listened long enough          late by more than 2.5 h, owning
//! learning -----------------------> active ------------------------------> suspended
//!    ^  ^                            |   ^ every live member has answered   |
//!    |  '-- none hears this node ----'   '-- afterwards, with no better ----'
//!    |                                       claim
//!    '--- carrier again --- unlinked <--- carrier lost, from everywhere
//!
//! any --- Leave ---> leaving --- nothing owned, or drained long enough ---> left
//! ```
//!
//! **Suspended.** An owner that stood still, or that hears neither speakers nor anything else, may have been replaced meanwhile, and what waits in its socket is as old as the stall. So it answers nothing until
//! every member it hears has sent a heartbeat that acknowledges a message sent *after* the stall, and what those members claim is known. Then
//! it either resumes or has lost. If it hears nobody afterwards, it resumes like a node that is alone takes over: after three `T_dead`, with a witness; or after one
//! `T_dead` if it had been alone before.

use std::time::{Duration, Instant};

use crate::election::Election;
use crate::member::Urge;
use crate::node::NodeId;
use crate::vocabulary::{Action, Link, LoseReason, Observed, Phase, Witness};

/// Silence after a stall.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Suspension {
    since: Instant,
    was_alone: bool,
}

impl Election {
    /// This process was late: nothing it knows about silence holds.
    pub(crate) fn stalled(&mut self, now: Instant, late: Duration) {
        if self.members.is_empty() {
            return;
        }
        self.report(Observed::Stalled { late });
        let grace = self.timing().stall();
        let before = now.checked_sub(late).unwrap_or(now);
        let was_alone = !self.members.values().any(|member| member.is_heard(before));
        for member in self.members.values_mut() {
            member.forgive(now, late, grace);
        }
        self.grace_until = now + grace;
        self.suspend(now, was_alone);
        if self.holds.is_empty() {
            return;
        }
        if late > self.timing().dead() {
            self.missed_decisions();
        }
        self.probe_everybody(now);
    }

    /// Answers for nothing until it is proven that what is owned on paper is owned in truth.
    pub(crate) fn suspend(&mut self, now: Instant, was_alone: bool) {
        if self.holds.is_empty() {
            return;
        }
        for member in self.members.values_mut() {
            member.proof_from = member.next_seq();
        }
        if self.suspended.is_none() {
            self.outbox.push_back(Action::Suspend);
        }
        self.suspended = Some(Suspension { since: now, was_alone });
    }

    pub(crate) fn set_link(&mut self, now: Instant, link: Link) {
        if link == self.link {
            return;
        }
        self.link = link;
        match link {
            Link::Down => {
                self.learn_until = None;
                self.lose_all(LoseReason::LinkDown);
            }
            Link::Up => {
                self.start_learning(now);
                let grace = self.timing().dead();
                for member in self.members.values_mut() {
                    member.forgive(now, Duration::ZERO, grace);
                    member.hurry(now, &self.settings.timing);
                }
                self.probe_everybody(now);
            }
        }
    }

    pub(crate) fn start_learning(&mut self, now: Instant) {
        self.learn_until = Some(now + self.timing().learn());
        // Whose loss an address was is old news: while this node was away others may have taken it.
        for slot in self.slots.values_mut() {
            slot.forget_loss();
        }
        for member in self.members.values_mut() {
            member.urge = member.urge.max(Urge::Answer);
        }
    }

    pub(crate) fn leave(&mut self, now: Instant) {
        if self.leaving_until.is_none() {
            self.leaving_until = Some(now + self.timing().drain());
            self.dirty.extend(self.holds.keys());
            self.probe_everybody(now);
        }
    }

    /// Ends what has ended by time or by proof.
    pub(crate) fn turn_phase(&mut self, now: Instant) {
        if self.learn_until.is_some_and(|until| now >= until) {
            self.learn_until = None;
            for ip in &self.vacant {
                if let Some(vacancy) = self.slots.get_mut(ip).and_then(|slot| slot.vacant_since.as_mut()) {
                    *vacancy = now;
                }
            }
            self.dirty.extend(self.vacant.iter().copied());
            // Everybody learns at once that this node takes part now.
            for member in self.members.values_mut() {
                member.urge = member.urge.max(Urge::Answer);
            }
        }
        let Some(suspension) = self.suspended else { return };
        if self.holds.is_empty() {
            self.suspended = None;
            self.outbox.push_back(Action::Resume);
        } else if self.is_proven(now, suspension) {
            // Claims that came with the proof are weighed before anything is answered again.
            self.judge_claims(now);
            self.suspended = None;
            self.dirty.extend(self.holds.keys());
            self.outbox.push_back(Action::Resume);
        }
    }

    fn is_proven(&self, now: Instant, suspension: Suspension) -> bool {
        let missing = |node: &NodeId| self.members.get(node).is_some_and(|member| !member.is_heard(now));
        if now < self.settled_at && self.expected.iter().any(missing) {
            return false;
        }
        let mut heard = self.members.values().filter(|member| member.is_heard(now)).peekable();
        if heard.peek().is_some() {
            return heard.all(|member| {
                let acknowledged = member.report.as_ref().is_some_and(|report| report.your_seq >= member.proof_from);
                acknowledged && member.is_synced()
            });
        }
        let timing = self.timing();
        let silence = now.saturating_duration_since(suspension.since);
        (suspension.was_alone && silence > timing.dead()) || (silence > timing.alone() && self.is_alone_allowed(now))
    }

    /// Says goodbye once nothing is owned any more.
    pub(crate) fn finish_leaving(&mut self, now: Instant) {
        let Some(until) = self.leaving_until else { return };
        if now >= until {
            self.lose_all(LoseReason::Leaving);
        }
        if self.holds.is_empty() {
            self.say_goodbye(now);
            self.suspended = None;
            self.left = true;
        }
    }

    /// Tells the operator when the phase is another one than before.
    pub(crate) fn tell_phase(&mut self) {
        let phase = if self.left {
            Phase::Left
        } else if self.link == Link::Down {
            Phase::Unlinked
        } else if self.suspended.is_some() {
            Phase::Suspended
        } else if self.leaving_until.is_some() {
            Phase::Leaving
        } else if self.learn_until.is_some() {
            Phase::Learning
        } else {
            Phase::Active
        };
        if phase != self.phase {
            self.phase = phase;
            self.report(Observed::Phase(phase));
            if phase == Phase::Left {
                self.outbox.push_back(Action::Left);
            }
        }
    }

    /// Takes part in full: may take what is offered.
    pub(crate) fn is_active(&self) -> bool {
        self.link == Link::Up
            && self.learn_until.is_none()
            && self.suspended.is_none()
            && self.leaving_until.is_none()
            && !self.left
    }

    /// Whether this node may take an address that nobody has, as far as it is about this node and not about the address.
    pub(crate) fn may_claim_at(&self, now: Instant) -> bool {
        if !self.is_active() || now < self.grace_until {
            return false;
        }
        if self.members.is_empty() {
            return true;
        }
        if self.members.values().any(|member| member.is_heard(now)) {
            self.unheard_since.is_none()
        } else {
            self.is_alone_allowed(now)
        }
    }

    /// Whether a node that hears no other one may act: three times `T_dead` have passed, there is a carrier, and something else lives.
    pub(crate) fn is_alone_allowed(&self, now: Instant) -> bool {
        let timing = self.timing();
        let voice = self.last_voice();
        if self.link == Link::Down || now.saturating_duration_since(voice) <= timing.alone() {
            return false;
        }
        match self.settings.witness {
            Witness::Link => true,
            // It must have been seen for a while: when a dead switch comes back, the gateway may be heard before the speakers are.
            Witness::Neighbour => self.neighbour.is_some_and(|seen| {
                seen.last > seen.first.max(voice) + timing.dead()
                    && now.saturating_duration_since(seen.last) <= timing.alone()
            }),
        }
    }

    /// When any other speaker was last heard, or since when this node listens.
    pub(crate) fn last_voice(&self) -> Instant {
        self.members.values().map(|member| member.silent_since).max().unwrap_or(self.started).max(self.started)
    }
}
