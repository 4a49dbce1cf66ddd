//! Who lives, whether this node is heard, and whether its side has a majority.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::election::Election;
use crate::liveness::{Case, Testimony, Verdict, judge};
use crate::member::{Health, Urge};
use crate::node::NodeId;
use crate::owner::Lost;
use crate::timing::FORGET;
use crate::vocabulary::{Action, Link, LoseReason, Observed, Witness};

/// The last agreed membership, this node not counted: everybody heard since the start, without those that left, were removed from the cluster, or have been dead
/// for a minute in the eyes of a majority.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    nodes: BTreeSet<NodeId>,
    /// A node that has never met anybody does not know how many there are.
    met: bool,
    /// Since when this node's side has been a majority.
    majority_since: Option<Instant>,
    /// Since when this node's side has been exactly half.
    half_since: Option<Instant>,
    /// What the bits of this node's claims say; `None` = not the same, or to be written again.
    applied: Option<bool>,
}

/// How long after losing half of its peers a node asks the gateway often: some take-overs long. For ever would be a broadcast each 40 ms.
const HALF_IS_NEW: Duration = Duration::from_secs(2);

/// Signs of life of something that is no speaker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sighting {
    /// When they began to come without a long gap.
    pub(crate) first: Instant,
    pub(crate) last: Instant,
}

impl Sighting {
    pub(crate) fn next(before: Option<Self>, now: Instant, gap: Duration) -> Self {
        let lasting = before.filter(|before| now.saturating_duration_since(before.last) <= gap);
        Self { first: lasting.map_or(now, |before| before.first), last: now }
    }
}

/// How this node's side compares with the roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Majority,
    Half,
    Minority,
}

impl Roster {
    pub(crate) fn add(&mut self, node: NodeId) {
        self.nodes.insert(node);
        self.met = true;
    }

    pub(crate) fn nodes(&self) -> &BTreeSet<NodeId> {
        &self.nodes
    }

    pub(crate) fn remove(&mut self, node: NodeId) {
        self.nodes.remove(&node);
    }

    /// A claim with this bit was made.
    pub(crate) fn claimed(&mut self, quorate: bool) {
        if self.applied != Some(quorate) {
            self.applied = None;
        }
    }

    /// Whether time alone may change the bits.
    pub(crate) fn is_unsettled(&self) -> bool {
        self.half_since.is_some() || self.majority_since.is_some() && self.applied != Some(true)
    }
}

impl Election {
    pub(crate) fn watch(&mut self, now: Instant) {
        if self.link == Link::Up {
            self.judge_members(now);
            self.check_reception(now);
        }
        self.check_quorum(now);
        let may_claim = self.may_claim_at(now);
        if may_claim && !self.may_claim {
            self.dirty.extend(self.vacant.iter().copied());
        }
        self.may_claim = may_claim;
        self.ask_neighbours(now);
    }

    fn judge_members(&mut self, now: Instant) {
        let silent: Vec<_> = self
            .members
            .iter()
            .filter(|(_, member)| {
                member.counts() && (member.age(now) > member.suspect_after() || member.refusals.any())
            })
            .map(|(node, _)| *node)
            .collect();
        for node in silent {
            let verdict = self.verdict(now, node);
            self.execute(now, node, verdict);
        }
    }

    fn verdict(&self, now: Instant, silent: NodeId) -> Verdict {
        let Some(member) = self.members.get(&silent) else { return Verdict::Fine };
        let testimonies: Vec<_> = self
            .members
            .iter()
            .filter(|(node, other)| **node != silent && other.is_heard(now))
            .map(|(node, other)| Testimony {
                observer: *node,
                heartbeat: other.period(),
                report_age: other
                    .report
                    .as_ref()
                    .map_or(Duration::MAX, |report| now.saturating_duration_since(report.at)),
                said: other.report.as_ref().and_then(|report| report.heard.get(&silent).copied()),
                refused: other.report.as_ref().is_some_and(|report| report.refused.contains(&silent)),
            })
            .collect();
        judge(&Case {
            timing: self.timing(),
            dead: member.dead(),
            age: member.age(now),
            deaf: member.vetoed.is_some(),
            refused_for: member.refusals.convincing_for(now),
            accused: member.refusals.any(),
            testimonies: &testimonies,
            alone_allowed: self.is_alone_allowed(now),
        })
    }

    fn execute(&mut self, now: Instant, node: NodeId, verdict: Verdict) {
        let Some(member) = self.members.get_mut(&node) else { return };
        if verdict != Verdict::Fine {
            member.health = Health::Suspect;
        }
        let silent_for = member.age(now);
        let verdict_is_open = verdict == Verdict::Suspected;
        let first = verdict != Verdict::Fine && !std::mem::replace(&mut member.suspected, true);
        match verdict {
            Verdict::Fine => return,
            Verdict::Suspected => {}
            Verdict::Vetoed { by } => {
                if member.vetoed.replace(now).is_none() {
                    self.report(Observed::Vetoed { node, by, silent_for });
                }
            }
            Verdict::Dead { silent_for, evidence } => {
                let since = now.checked_sub(silent_for).unwrap_or(now);
                member.health = Health::Down;
                member.down = Some((now, silent_for));
                self.report(Observed::MemberDown { node, silent_for, evidence });
                // What it claimed does not count when it comes back: it will say what it claims then.
                self.forget_claims(node, Lost::Silent { since });
                self.dirty.extend(self.vacant.iter().copied());
                return;
            }
        }
        if first {
            self.report(Observed::MemberSuspected { node, silent_for });
            self.probe_everybody(now);
            if verdict_is_open {
                self.foresee(now, node);
            }
        }
    }

    /// Whether the others hear this node; an owner that is not heard yields, so that it is never a second one.
    fn check_reception(&mut self, now: Instant) {
        let dead = self.timing().dead();
        let mut hearing = self.members.values().filter(|member| member.is_heard(now)).peekable();
        let deaf_ears = hearing.peek().is_some()
            && hearing.all(|member| {
                let age = member.report.as_ref().and_then(|report| report.your_age);
                age.is_none_or(|age| age >= dead.max(member.dead()))
            });
        if !deaf_ears {
            self.unheard_since = None;
            return;
        }
        let since = *self.unheard_since.get_or_insert(now);
        if now.saturating_duration_since(since) >= dead && !self.holds.is_empty() {
            self.report(Observed::Unheard);
            self.lose_all(LoseReason::Unheard);
            self.start_learning(now);
        }
    }

    pub(crate) fn side(&self, now: Instant) -> Side {
        let here = 1 + self.roster.nodes.iter().filter(|node| self.is_reachable(**node, now)).count();
        let all = 1 + self.roster.nodes.len();
        if !self.roster.met && !self.members.is_empty() {
            return Side::Minority;
        }
        match (2 * here).cmp(&all) {
            std::cmp::Ordering::Greater => Side::Majority,
            std::cmp::Ordering::Equal => Side::Half,
            std::cmp::Ordering::Less => Side::Minority,
        }
    }

    fn is_reachable(&self, node: NodeId, now: Instant) -> bool {
        self.members.get(&node).is_some_and(|member| member.is_reachable(now))
    }

    /// Keeps the bits of this node's claims true. A majority that is gone is told at once, one that has come only when it has lasted: on contact, a claim
    /// made alone must not look like one made with a majority.
    fn check_quorum(&mut self, now: Instant) {
        let side = self.side(now);
        if side == Side::Majority {
            let forgotten = |node: &NodeId| {
                let down = self.members.get(node).and_then(|member| member.down);
                down.is_some_and(|(at, _)| now.saturating_duration_since(at) > FORGET)
            };
            let forgotten: Vec<_> = self.roster.nodes.iter().filter(|node| forgotten(node)).copied().collect();
            for node in forgotten {
                self.roster.remove(node);
            }
        }
        if side != Side::Majority && now < self.settled_at {
            return;
        }
        let half_since = (side == Side::Half).then(|| self.roster.half_since.unwrap_or(now));
        self.roster.half_since = half_since;
        if side != Side::Majority {
            self.roster.majority_since = None;
            let incumbent = half_since.is_some_and(|since| self.has_gateway(now, since));
            if !incumbent && self.roster.applied != Some(false) {
                self.mark_claims(false);
            }
            return;
        }
        let since = *self.roster.majority_since.get_or_insert(now);
        let lasted = now.saturating_duration_since(since) >= self.timing().learn();
        let synced = || self.members.values().filter(|member| member.counts()).all(|member| member.is_synced());
        if self.roster.applied != Some(true) && self.suspended.is_none() && lasted && synced() {
            self.mark_claims(true);
        }
    }

    fn mark_claims(&mut self, quorate: bool) {
        self.roster.applied = Some(quorate);
        let changed: Vec<_> =
            self.holds.iter().filter(|(_, hold)| hold.claim.quorate != quorate).map(|(ip, _)| *ip).collect();
        for ip in changed {
            self.mark_claim(ip, quorate);
        }
    }

    /// Half of the membership counts as more than half for the incumbent, if the gateway is on its side. It keeps the bit; it does not win it.
    fn has_gateway(&self, now: Instant, half_since: Instant) -> bool {
        // While the other half may be taking over alone, the gateway is asked often: who is cut off from it has lost the bit by the time that the
        // other half may claim, so that on contact the address stays where it went.
        let timing = self.timing();
        let fresh =
            if self.is_newly_half(now) { timing.alone() - timing.dead() } else { timing.alone().max(HALF_IS_NEW) };
        let seen = self.neighbour.map_or(half_since, |seen| seen.last.max(half_since));
        match self.settings.witness {
            Witness::Link => self.link == Link::Up,
            Witness::Neighbour => now.saturating_duration_since(seen) <= fresh,
        }
    }

    fn is_newly_half(&self, now: Instant) -> bool {
        self.roster.half_since.is_some_and(|since| now.saturating_duration_since(since) < HALF_IS_NEW)
    }

    /// This process stood still longer than its death takes to be noticed: others may have decided without it.
    pub(crate) fn missed_decisions(&mut self) {
        self.roster.majority_since = None;
        self.mark_claims(false);
    }

    /// Asks for a sign of life while something depends on it.
    fn ask_neighbours(&mut self, now: Instant) {
        if self.settings.witness == Witness::Link || self.link == Link::Down || self.left || self.members.is_empty() {
            return;
        }
        let dead = self.timing().dead();
        let lonely_for = now.saturating_duration_since(self.last_voice());
        let lonely = !self.members.values().any(|member| member.is_heard(now));
        if !lonely {
            self.isolated = false;
        }
        let undecided = lonely
            && (!self.holds.is_empty()
                || self.members.values().any(|member| member.health == Health::Suspect)
                || self.vacant.iter().any(|ip| self.is_candidate(*ip)));
        if undecided
            && self.learn_until.is_none()
            && lonely_for > self.timing().alone()
            && !self.is_alone_allowed(now)
            && !std::mem::replace(&mut self.isolated, true)
        {
            self.report(Observed::Isolated);
            self.suspend(now, false);
        }
        let seen = self.neighbour.is_some_and(|seen| now.saturating_duration_since(seen.last) <= self.timing().alone());
        let newly_alone = undecided && (seen || lonely_for < Duration::from_secs(10));
        let every = if newly_alone || !self.holds.is_empty() && self.is_newly_half(now) {
            dead / 2
        } else if undecided || !self.holds.is_empty() && self.side(now) == Side::Half {
            Duration::from_millis(500).max(dead)
        } else {
            return;
        };
        if self.asked.is_none_or(|asked| now.saturating_duration_since(asked) >= every) {
            self.asked = Some(now);
            self.outbox.push_back(Action::AskNeighbours);
        }
    }

    /// Something valid came from this member, which was not up before.
    pub(crate) fn member_is_up(&mut self, now: Instant, node: NodeId) {
        let Some(member) = self.members.get_mut(&node) else { return };
        let incarnation = member.incarnation().unwrap_or_default();
        member.hurry(now, &self.settings.timing);
        // A node that has to prove itself asks for the proof.
        let urge = if self.suspended.is_some() { Urge::Probe } else { Urge::Answer };
        member.urge = member.urge.max(urge);
        if self.mine.len() > 0 {
            member.resend = Some((crate::wire::Vip(0), now));
        }
        self.dirty.extend(self.vacant.iter().copied());
        self.roster.add(node);
        self.report(Observed::MemberUp { node, incarnation });
    }
}
