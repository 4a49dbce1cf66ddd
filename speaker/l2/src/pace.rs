//! How many frames an interface may send: a rate, and a burst after a quiet time.
//!
//! The generic cell rate algorithm: one instant per interface instead of a count that must be refilled.

use std::time::{Duration, Instant};

use crate::Settings;

/// The longest the shell is let sleep while frames wait, and so the number of frames per wake-up: 4 at 2,000 a second.
const QUANTUM: Duration = Duration::from_millis(2);

/// The allowance of one interface.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Time that one frame costs.
    cost: Duration,
    /// Time that may be spent ahead.
    credit: Duration,
    /// When all that was sent will have been paid for.
    paid_at: Option<Instant>,
}

impl Pace {
    pub(crate) fn new(settings: &Settings) -> Self {
        let cost = Duration::from_secs(1) / settings.frames_per_second.max(1);
        Self { cost, credit: cost * settings.burst_frames.max(1), paid_at: None }
    }

    /// Says whether a frame may go now.
    pub(crate) fn allows(&self, now: Instant) -> bool {
        self.after_one(now) <= now + self.credit
    }

    /// Takes one frame's allowance, if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let allowed = self.allows(now);
        if allowed {
            self.paid_at = Some(self.after_one(now));
        }
        allowed
    }

    /// Returns when to try again: at once if a frame may go now, else when a few may, as far as the burst allows to
    /// save them up.
    pub(crate) fn retry_at(&self, now: Instant) -> Instant {
        if self.allows(now) {
            return now;
        }
        let wait = self.after_one(now).saturating_duration_since(now).saturating_sub(self.credit);
        let spare = self.credit.saturating_sub(self.cost);
        now + wait + spare.min(QUANTUM.saturating_sub(self.cost))
    }

    fn after_one(&self, now: Instant) -> Instant {
        self.paid_at.map_or(now, |at| at.max(now)) + self.cost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_window_holds_more_than_the_burst_and_the_rate() {
        let mut pace = pace(2_000, 80);
        let start = now();
        let mut sent = Vec::new();
        for step in 0..400_000 {
            let at = start + Duration::from_micros(step * 5);
            if pace.take(at) {
                sent.push(at);
            }
        }

        for (index, first) in sent.iter().enumerate().step_by(97) {
            let within = sent[index..].iter().take_while(|at| **at < *first + Duration::from_millis(100)).count();
            assert!(within <= 80 + 200 + 1, "{within} in 100 ms");
        }
        assert!(sent.len() >= 80 + 3_990, "the rate is used up: {}", sent.len());
    }

    #[test]
    fn a_burst_goes_out_at_once_and_no_more() {
        let mut pace = pace(2_000, 80);
        let now = now();

        assert_eq!((0..1_000).filter(|_| pace.take(now)).count(), 80);
        assert_eq!(pace.retry_at(now), now + QUANTUM);
        assert_eq!((0..1_000).filter(|_| pace.take(now + QUANTUM)).count(), 4);
    }

    #[test]
    fn sleeping_until_the_retry_keeps_the_rate() {
        for (rate, burst) in [(2_000, 80), (2_000, 1), (10, 1), (10, 3), (1, 1), (u32::MAX, 1), (0, 0)] {
            let mut pace = pace(rate, burst);
            let start = now();
            let (mut at, mut sent) = (start, 0_u32);
            for _ in 0..100 {
                while sent < 1_000_000 && pace.take(at) {
                    sent += 1;
                    if rate == u32::MAX && sent > 1_000 {
                        return;
                    }
                }
                let next = pace.retry_at(at);
                assert!(next > at, "{rate}/{burst} does not spin");
                at = next;
            }
            let due = at.duration_since(start).as_secs_f64() * f64::from(rate.max(1));
            assert!(f64::from(sent) >= due - 1.0, "{rate}/{burst}: {sent} of {due}");
        }
    }

    fn pace(frames_per_second: u32, burst_frames: u32) -> Pace {
        Pace::new(&Settings { frames_per_second, burst_frames, ..Settings::default() })
    }

    #[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    fn now() -> Instant {
        Instant::now()
    }
}
