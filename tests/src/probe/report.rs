//! What a probe saw: every sample with its outcome, and the questions asked of them. Pure.
//!
//! ```text
//! sent      1    2    3    4    5    6
//! answered  1'   2'   -    -    5'   6'
//!                │              │
//!                └── the gap ───┘   from the sending of 2 (the last answered) to the receipt of 5' (the first answer after)
//! ```
//!
//! So a single lost probe is a gap of two intervals and a round trip; nothing lost is no gap at all.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// One probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When it was sent.
    pub sent: Instant,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An answer came.
    Answered(Answer),
    /// A connection was reset, with this request outstanding.
    Reset(Instant),
    /// The other side said that nobody listens.
    Refused(Instant),
    /// Nothing came until the probe ended or gave up.
    Silence,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// When it was received.
    pub at: Instant,
    /// Who answered, as the answer says; empty when it cannot say.
    pub by: Arc<str>,
}

/// Everything a probe saw, in order of sending.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// All probes.
    pub samples: Vec<Sample>,
    /// Further answers to probes that had one: somebody else answers as well, or a frame came twice.
    pub doubles: Vec<Answer>,
    /// When a connection was reset, or closed by the other side before its time. A reset ends all requests that were outstanding on
    /// its connection, and there may have been none.
    pub resets: Vec<Instant>,
    /// The worst lateness of the probe itself in sending; an outage shorter than this may be the probe's own.
    pub worst_lateness: Duration,
}

/// A time without answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// When the last answered probe before it was sent; nothing if none was.
    pub from: Option<Instant>,
    /// When the first answer after it was received; nothing if it has not ended.
    pub until: Option<Instant>,
    /// Probes lost in it.
    pub lost: usize,
}

impl Gap {
    /// How long it was; nothing if it has no beginning or no end.
    #[must_use]
    pub fn length(&self) -> Option<Duration> {
        Some(self.until?.saturating_duration_since(self.from?))
    }
}

/// A time in which the same one answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Who.
    pub by: Arc<str>,
    /// Its first answer.
    pub from: Instant,
    /// Its last answer in this turn.
    pub until: Instant,
    /// Number of answers.
    pub answers: usize,
}

impl Sample {
    /// The answer, if there was one.
    #[must_use]
    pub fn answer(&self) -> Option<&Answer> {
        match &self.outcome {
            Outcome::Answered(answer) => Some(answer),
            Outcome::Reset(_) | Outcome::Refused(_) | Outcome::Silence => None,
        }
    }

    /// How long the answer took, if there was one.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        Some(self.answer()?.at.saturating_duration_since(self.sent))
    }
}

impl Report {
    /// Number of probes sent.
    #[must_use]
    pub fn sent(&self) -> usize {
        self.samples.len()
    }

    /// Number of probes without an answer, whatever the reason.
    #[must_use]
    pub fn lost(&self) -> usize {
        self.samples.iter().filter(|sample| sample.answer().is_none()).count()
    }

    /// Number of probes that were refused.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.samples.iter().filter(|sample| matches!(sample.outcome, Outcome::Refused(_))).count()
    }

    /// Every time without answers, in order.
    #[must_use]
    pub fn gaps(&self) -> Vec<Gap> {
        let mut gaps: Vec<Gap> = Vec::new();
        let (mut last_answered, mut open) = (None, None);
        for sample in &self.samples {
            match (sample.answer(), &mut open) {
                (Some(_), None) => last_answered = Some(sample.sent),
                (Some(answer), Some(_)) => {
                    gaps.extend(open.take().map(|gap| Gap { until: Some(answer.at), ..gap }));
                    last_answered = Some(sample.sent);
                }
                (None, Some(gap)) => gap.lost += 1,
                (None, None) => open = Some(Gap { from: last_answered, until: None, lost: 1 }),
            }
        }
        gaps.extend(open);
        gaps
    }

    /// The longest time without answers: zero if nothing was lost, `Duration::MAX` if one did not end.
    #[must_use]
    pub fn outage(&self) -> Duration {
        let lengths = self.gaps().into_iter().map(|gap| match (gap.from, gap.until) {
            (_, None) => Duration::MAX,
            // Nothing had been answered yet: the probe was there before the service.
            (None, Some(_)) => Duration::ZERO,
            (Some(_), Some(_)) => gap.length().unwrap_or_default(),
        });
        lengths.max().unwrap_or_default()
    }

    /// [`Report::outage`] in milliseconds; infinite if it did not end.
    #[must_use]
    pub fn outage_ms(&self) -> f64 {
        match self.outage() {
            Duration::MAX => f64::INFINITY,
            outage => outage.as_secs_f64() * 1e3,
        }
    }

    /// The same report with answers slower than `limit` counted as lost: for TCP, where the kernel tries again by itself.
    #[must_use]
    pub fn impatient(&self, limit: Duration) -> Self {
        let mut report = self.clone();
        for sample in &mut report.samples {
            if sample.round_trip().is_some_and(|took| took > limit) {
                sample.outcome = Outcome::Silence;
            }
        }
        report
    }

    /// The slowest answer.
    #[must_use]
    pub fn worst_round_trip(&self) -> Option<Duration> {
        self.samples.iter().filter_map(Sample::round_trip).max()
    }

    /// How many answers came from whom.
    #[must_use]
    pub fn answers(&self) -> BTreeMap<Arc<str>, usize> {
        let mut answers = BTreeMap::new();
        for answer in self.samples.iter().filter_map(Sample::answer) {
            *answers.entry(Arc::clone(&answer.by)).or_default() += 1;
        }
        answers
    }

    /// Who answered when, in order of sending.
    #[must_use]
    pub fn turns(&self) -> Vec<Turn> {
        let mut turns: Vec<Turn> = Vec::new();
        for Answer { at, by } in self.samples.iter().filter_map(Sample::answer) {
            match turns.last_mut().filter(|turn| turn.by == *by) {
                Some(turn) => (turn.until, turn.answers) = ((*at).max(turn.until), turn.answers + 1),
                None => turns.push(Turn { by: Arc::clone(by), from: *at, until: *at, answers: 1 }),
            }
        }
        turns
    }

    /// Only what was sent from `from` until before `until`.
    #[must_use]
    pub fn between(&self, from: Instant, until: Instant) -> Self {
        Self {
            samples: self.samples.iter().filter(|sample| (from..until).contains(&sample.sent)).cloned().collect(),
            resets: self.resets.iter().copied().filter(|at| (from..until).contains(at)).collect(),
            doubles: self.doubles.iter().filter(|answer| (from..until).contains(&answer.at)).cloned().collect(),
            worst_lateness: self.worst_lateness,
        }
    }

    /// Number of probes sent from `from` on that have an answer.
    #[must_use]
    pub fn answered_since(&self, from: Instant) -> usize {
        self.samples.iter().rev().take_while(|sample| sample.sent >= from).filter(|s| s.answer().is_some()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One probe every 10 ms, answered after 1 ms by whom the letter names; `-` is lost.
    fn report(start: Instant, letters: &str) -> Report {
        let sample = |(i, letter): (usize, char)| {
            let sent = start + ms(10 * i as u64);
            let outcome = match letter {
                '-' => Outcome::Silence,
                by => Outcome::Answered(Answer { at: sent + ms(1), by: by.to_string().into() }),
            };
            Sample { sent, outcome }
        };
        Report { samples: letters.chars().enumerate().map(sample).collect(), ..Report::default() }
    }

    #[test]
    fn the_outage_runs_from_the_last_answered_probe_to_the_first_answer_after() {
        for (letters, expected, lost) in [
            ("aaaa", ms(0), 0),
            ("aa-a", ms(21), 1),
            ("aa---bb", ms(41), 3),
            ("aa-a--a", ms(31), 3),
            ("--aa", ms(0), 2),
            ("aa--", Duration::MAX, 2),
            ("", ms(0), 0),
        ] {
            let report = report(Instant::now(), letters);
            assert_eq!((expected, lost), (report.outage(), report.lost()), "{letters}");
        }
    }

    #[test]
    fn turns_tell_who_answered_when() {
        let start = Instant::now();
        let turns = report(start, "aa-bba").turns();
        let turn =
            |by: &str, from, until, answers| Turn { by: by.into(), from: start + from, until: start + until, answers };
        assert_eq!(
            vec![turn("a", ms(1), ms(11), 2), turn("b", ms(31), ms(41), 2), turn("a", ms(51), ms(51), 1)],
            turns
        );
    }

    #[test]
    fn an_impatient_reader_takes_slow_answers_for_lost_ones() {
        let mut report = report(Instant::now(), "aaaa");
        let slow = &mut report.samples[1];
        slow.outcome = Outcome::Answered(Answer { at: slow.sent + ms(1000), by: "b".into() });
        assert_eq!((0, 1), (report.lost(), report.impatient(ms(500)).lost()));
        assert_eq!(Some(ms(1000)), report.worst_round_trip());
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }
}
