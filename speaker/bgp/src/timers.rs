//! Timers as a table of deadlines, and the pace of new attempts.
//!
//! Timers do not run here: they are instants that the machine compares with the time it is given. [`Backoff`] says how
//! long to wait before the next attempt, with the jitter that RFC 4271 §10 asks for.

use std::time::{Duration, Instant};

/// Which deadline. Timers of one table that are due at once fire in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// Nothing came from the peer for too long (RFC 4271 §6.5).
    Hold,
    /// The peer takes nothing from us for too long (RFC 9687).
    SendHold,
    /// A KEEPALIVE is due.
    Keepalive,
}

/// The timers of one connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timers {
    at: [Option<Instant>; 3],
}

impl Timers {
    pub(crate) fn start(&mut self, timer: Timer, at: Instant) {
        self.at[timer as usize] = Some(at);
    }

    pub(crate) fn stop(&mut self, timer: Timer) {
        self.at[timer as usize] = None;
    }

    pub(crate) fn runs(&self, timer: Timer) -> bool {
        self.at[timer as usize].is_some()
    }

    pub(crate) fn earliest(&self) -> Option<Instant> {
        self.at.iter().flatten().min().copied()
    }

    /// Returns one timer that is due, and stops it.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<Timer> {
        let due = [Timer::Hold, Timer::SendHold, Timer::Keepalive]
            .into_iter()
            .find(|timer| self.at[*timer as usize].is_some_and(|at| at <= now))?;
        self.stop(due);
        Some(due)
    }
}

/// How long to wait before the next attempt: doubling from [`FIRST_RETRY`] to a ceiling, each wait shortened at random by
/// up to a quarter so that nodes that lost the same router do not dial it in step (RFC 4271 §10).
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    failures: u32,
    random: u64,
}

/// The first wait. A router that restarts is back in the time a TCP handshake takes; half as much would make a peer that
/// closes at once a busy loop, twice as much is felt by whoever waits for the routes.
pub(crate) const FIRST_RETRY: Duration = Duration::from_secs(1);

impl Backoff {
    pub(crate) fn new(seed: u64) -> Self {
        Self { failures: 0, random: seed }
    }

    /// Returns the next wait and counts a failure.
    pub(crate) fn next(&mut self, ceiling: Duration) -> Duration {
        let doubled = FIRST_RETRY.saturating_mul(1 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        self.jitter(doubled.min(ceiling.max(FIRST_RETRY)))
    }

    /// A session stood long enough: the next failure is a first one again.
    pub(crate) fn forget(&mut self) {
        self.failures = 0;
    }

    /// Shortens by up to a quarter.
    pub(crate) fn jitter(&mut self, whole: Duration) -> Duration {
        // SplitMix64: any seed will do, zero included.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        let part = u32::try_from(z % 1024).unwrap_or(0);
        whole - whole / 4 * part / 1024
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_from_a_second_to_the_ceiling_less_a_quarter_at_most() {
        let mut backoff = Backoff::new(7);
        for full in [1, 2, 4, 8, 16, 30, 30, 30] {
            let full = Duration::from_secs(full);
            let wait = backoff.next(Duration::from_secs(30));
            assert!(wait <= full && wait >= full * 3 / 4, "{wait:?} of {full:?}");
        }
        backoff.forget();
        assert!(backoff.next(Duration::from_secs(30)) <= FIRST_RETRY);
    }

    #[test]
    fn two_seeds_wait_differently_and_one_seed_alike() {
        let wait = |seed| Backoff::new(seed).next(Duration::from_secs(30));
        assert_eq!(wait(1), wait(1));
        assert_ne!(wait(1), wait(2));
    }
}
