//! When silence means death: a pure rule over what this node measured and what the others say they measured.
//!
//! ```text
//! age      how long this node has not heard the silent one
//! said     how long another node has not heard it, as that one measured itself and wrote in its newest heartbeat
//!
//! fine       age <= 3/4 T_dead
//! suspected  age >  3/4 T_dead                        tell the others, ask them and the silent one for an answer at once
//! vetoed     a live other said < T_dead / 2, in a heartbeat younger than 1.5 h, and heard it more than h later than this node did: the path
//!            is broken, not the node
//! dead       age > T_dead, and at least Q = min(2, live others + 1) observers, this node among them, measured silence:
//!            said >= 3/4 T_dead in a heartbeat younger than 2 h
//! refused    its kernel says that nobody listens there, twice and since h / 3, to this node and to another one that lives, nothing came from it since, and nobody
//!            that lives has heard it since: dead, whatever its age (refusal.rs)
//! alone      no live other: only after 3 T_dead, with a carrier and another sign of life on the segment
//! ```
//!
//! The silence of an observer is evidence about the observer, never about the silent one: a stale report neither convicts nor acquits.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::node::NodeId;
use crate::timing::Timing;
use crate::vocabulary::Evidence;

/// What a live node said about the silent one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Testimony {
    pub(crate) observer: NodeId,
    /// The observer's heartbeat interval.
    pub(crate) heartbeat: Duration,
    /// How long ago its newest heartbeat came.
    pub(crate) report_age: Duration,
    /// What it measured; `None` = it does not listen to that node.
    pub(crate) said: Option<Duration>,
    /// Whether the silent one's kernel refuses the observer's heartbeats.
    pub(crate) refused: bool,
}

/// The case against one silent node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case<'a> {
    pub(crate) timing: Timing,
    /// The silence that means death for this node: ours, or its own if that is longer.
    pub(crate) dead: Duration,
    pub(crate) age: Duration,
    /// Whether somebody has heard it in this silence although we did not. Then our own age proves little, and the others must have waited in full.
    pub(crate) deaf: bool,
    /// Since how long its kernel refuses our heartbeats, where that convinces.
    pub(crate) refused_for: Option<Duration>,
    /// Whether it was refused at all since it was heard.
    pub(crate) accused: bool,
    /// From every other live node.
    pub(crate) testimonies: &'a [Testimony],
    /// Whether carrier and witness allow acting alone.
    pub(crate) alone_allowed: bool,
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Fine,
    Suspected,
    Vetoed {
        by: NodeId,
    },
    /// Dead; not heard by anybody for `silent_for`.
    Dead {
        silent_for: Duration,
        evidence: Evidence,
    },
}

pub(crate) fn judge(case: &Case<'_>) -> Verdict {
    let three_quarters = case.dead * 3 / 4;
    if let Some(verdict) = case.refused_for.and_then(|refused_for| judge_refusal(case, refused_for)) {
        return verdict;
    }
    if case.age <= three_quarters {
        return if case.accused { Verdict::Suspected } else { Verdict::Fine };
    }
    let hears_it = |witness: &&Testimony| {
        // Two nodes hear the last heartbeat of a dead one up to an interval apart: that acquits nobody.
        let later = |said: Duration| said + witness.report_age + case.timing.heartbeat() < case.age;
        witness.said.is_some_and(|said| said < case.dead / 2 && later(said))
            && witness.report_age < witness.heartbeat * 3 / 2
    };
    if let Some(witness) = case.testimonies.iter().find(hears_it) {
        return Verdict::Vetoed { by: witness.observer };
    }
    if case.testimonies.is_empty() {
        if case.age > case.timing.alone().max(case.dead * 3) && case.alone_allowed {
            return Verdict::Dead { silent_for: case.age, evidence: Evidence::Alone };
        }
        return Verdict::Suspected;
    }
    if case.age <= case.dead {
        return Verdict::Suspected;
    }
    let enough = if case.deaf { case.dead } else { three_quarters };
    let observers: BTreeMap<_, _> = case
        .testimonies
        .iter()
        .filter(|witness| witness.report_age < witness.heartbeat * 2)
        .filter_map(|witness| Some((witness.observer, witness.said.filter(|said| *said >= enough)?)))
        .collect();
    let quorum = 2.min(case.testimonies.len() + 1);
    if observers.len() + 1 < quorum {
        return Verdict::Suspected;
    }
    let silent_for = observers.values().copied().chain([case.age]).min().unwrap_or(case.age);
    Verdict::Dead { silent_for, evidence: Evidence::Observers(observers) }
}

/// Whether a process that does not listen any more is convicted by its own kernel.
fn judge_refusal(case: &Case<'_>, refused_for: Duration) -> Option<Verdict> {
    // Two nodes see the same instant a little apart.
    let margin = case.timing.pace() / 2;
    let heard_since =
        |witness: &Testimony| witness.said.is_some_and(|said| said + witness.report_age + margin < refused_for);
    if refused_for < case.timing.rebuttal() || case.testimonies.iter().any(heard_since) {
        return None;
    }
    let fresh = |witness: &&Testimony| witness.refused && witness.report_age < witness.heartbeat * 2;
    let observers: BTreeSet<_> = case.testimonies.iter().filter(fresh).map(|witness| witness.observer).collect();
    // Who has nobody to ask goes by the rule for being alone.
    (!observers.is_empty()).then_some(Verdict::Dead { silent_for: case.age, evidence: Evidence::Refused(observers) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: NodeId = NodeId(1);
    const R: NodeId = NodeId(2);

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn said(observer: NodeId, said: u64, report_age: u64) -> Testimony {
        Testimony { observer, heartbeat: ms(20), report_age: ms(report_age), said: Some(ms(said)), refused: false }
    }

    fn verdict(age: u64, testimonies: &[Testimony]) -> Verdict {
        let timing = Timing::DEFAULT;
        judge(&Case { testimonies, ..case(timing, age) })
    }

    fn case(timing: Timing, age: u64) -> Case<'static> {
        Case {
            timing,
            dead: timing.dead(),
            age: ms(age),
            deaf: false,
            refused_for: None,
            accused: false,
            testimonies: &[],
            alone_allowed: true,
        }
    }

    fn dead(silent_for: u64, observers: &[(NodeId, u64)]) -> Verdict {
        let observers = observers.iter().map(|(node, age)| (*node, ms(*age))).collect();
        Verdict::Dead { silent_for: ms(silent_for), evidence: Evidence::Observers(observers) }
    }

    #[test]
    fn suspicion_begins_at_three_quarters() {
        assert_eq!(verdict(60, &[said(P, 60, 1)]), Verdict::Fine);
        assert_eq!(verdict(61, &[said(P, 60, 1)]), Verdict::Suspected);
        assert_eq!(verdict(80, &[said(P, 60, 1)]), Verdict::Suspected);
        assert_eq!(verdict(81, &[said(P, 60, 1)]), dead(60, &[(P, 60)]));
    }

    #[test]
    fn one_observer_is_not_enough_while_another_node_lives() {
        assert_eq!(verdict(500, &[said(P, 50, 1)]), Verdict::Suspected);
        assert_eq!(verdict(500, &[said(P, 50, 1), said(R, 70, 39)]), dead(70, &[(R, 70)]));
    }

    #[test]
    fn the_silence_of_an_observer_is_no_evidence() {
        assert_eq!(verdict(500, &[said(P, 500, 40)]), Verdict::Suspected, "two heartbeats old");
        let unasked = Testimony { said: None, ..said(P, 0, 1) };
        assert_eq!(verdict(500, &[unasked]), Verdict::Suspected, "listens to somebody else");
    }

    #[test]
    fn a_fresh_report_of_one_that_hears_it_vetoes_any_number() {
        assert_eq!(verdict(500, &[said(P, 500, 1), said(R, 39, 29)]), Verdict::Vetoed { by: R });
        assert_eq!(verdict(500, &[said(P, 500, 1), said(R, 39, 30)]), dead(500, &[(P, 500)]), "a stale one does not");
        assert_eq!(verdict(500, &[said(P, 500, 1), said(R, 40, 1)]), dead(500, &[(P, 500)]), "nor an uncertain one");
        assert_eq!(
            verdict(61, &[said(R, 20, 21)]),
            Verdict::Suspected,
            "nor one that heard the same last heartbeat later"
        );
        assert_eq!(verdict(62, &[said(R, 20, 21)]), Verdict::Vetoed { by: R }, "but one that has heard another since");
    }

    #[test]
    fn the_deaf_leave_it_to_observers_that_waited_in_full() {
        let timing = Timing::DEFAULT;
        let case = |said_ms, deaf| {
            let testimonies = [said(P, said_ms, 1)];
            judge(&Case { deaf, testimonies: &testimonies, ..case(timing, 9_000) })
        };
        assert_eq!(case(79, true), Verdict::Suspected);
        assert_eq!(case(80, true), dead(80, &[(P, 80)]));
        assert_eq!(case(79, false), dead(79, &[(P, 79)]));
    }

    #[test]
    fn a_node_that_hears_nobody_waits_three_times_as_long_and_needs_a_witness() {
        let timing = Timing::DEFAULT;
        let alone = |age, alone_allowed| judge(&Case { alone_allowed, ..case(timing, age) });
        assert_eq!(alone(240, true), Verdict::Suspected);
        assert_eq!(alone(241, true), Verdict::Dead { silent_for: ms(241), evidence: Evidence::Alone });
        assert_eq!(alone(9_000, false), Verdict::Suspected);
    }

    fn refused(age: u64, refused_for: u64, testimonies: &[Testimony]) -> Verdict {
        let refused_for = Some(ms(refused_for));
        judge(&Case { refused_for, accused: true, testimonies, ..case(Timing::DEFAULT, age) })
    }

    #[test]
    fn a_process_that_does_not_listen_is_dead_when_two_are_told_so_and_it_had_time_to_object() {
        let also = |report_age| Testimony { refused: true, ..said(P, 15, report_age) };
        let convicted = |age, by: &[NodeId]| Verdict::Dead {
            silent_for: ms(age),
            evidence: Evidence::Refused(by.iter().copied().collect()),
        };
        assert_eq!(refused(15, 6, &[also(1)]), Verdict::Suspected, "it could still answer");
        assert_eq!(refused(15, 7, &[also(1)]), convicted(15, &[P]));
        assert_eq!(refused(15, 7, &[also(40)]), Verdict::Suspected, "a stale report does not count");
        assert_eq!(refused(50, 40, &[said(P, 50, 1)]), Verdict::Suspected, "one is not enough while another lives");
        assert_eq!(refused(15, 10, &[also(1), said(R, 5, 1)]), Verdict::Suspected, "somebody has heard it since");
        assert_eq!(refused(200, 190, &[]), Verdict::Suspected, "with nobody to ask");
    }
}
