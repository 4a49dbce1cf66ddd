//! How long things take, and the inequalities that make it safe.
//!
//! Two numbers are free: how often a heartbeat leaves (`h`) and how long silence lasts until it means death (`T_dead`). All other
//! times follow from them here, so that no place can disagree with another.

use std::time::Duration;

use thiserror::Error;

/// The heartbeat interval and the silence that means death; every other time is derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    heartbeat: Duration,
    dead: Duration,
}

/// Why a pair of times is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UnsafeTiming {
    /// Too often: the scheduler's own jitter would be taken for death, and the packets would cost more than they tell.
    #[error("heartbeat every {got:?} is too often, expected at least {least:?}")]
    HeartbeatTooShort {
        /// The interval asked for.
        got: Duration,
        /// The shortest allowed.
        least: Duration,
    },
    /// So rarely that a fail-over would take longer than a client waits.
    #[error("heartbeat every {got:?} is too rare, expected at most {most:?}")]
    HeartbeatTooLong {
        /// The interval asked for.
        got: Duration,
        /// The longest allowed.
        most: Duration,
    },
    /// Death after fewer than three missed heartbeats: a stall guard of 2.5 heartbeats would come too late to silence an owner
    /// before somebody else takes over.
    #[error("death after {got:?} of silence is too early, expected at least three heartbeats, {least:?}")]
    DeadTooShort {
        /// The silence asked for.
        got: Duration,
        /// The shortest allowed.
        least: Duration,
    },
    /// More than a hundred missed heartbeats: the heartbeats in between tell nothing.
    #[error("death after {got:?} of silence is too late, expected at most {most:?}")]
    DeadTooLong {
        /// The silence asked for.
        got: Duration,
        /// The longest allowed.
        most: Duration,
    },
}

impl Timing {
    /// 10 ms x 3: bare metal with a real-time scheduler. A machine that pauses for 25 ms moves addresses falsely.
    pub const FAST: Self = Self::times(10, 3);
    /// 20 ms x 4: no false move in 10 minutes at 10 % loss was measured on a busy virtual machine.
    pub const DEFAULT: Self = Self::times(20, 4);
    /// 50 ms x 4: virtual machines that lose time to their neighbours.
    pub const CALM: Self = Self::times(50, 4);
    /// 250 ms x 4: segments where packets are dear.
    pub const SLOW: Self = Self::times(250, 4);

    /// Twice the rate of `FAST` is beyond what an ordinary kernel schedules reliably.
    const LEAST_HEARTBEAT: Duration = Duration::from_millis(5);
    /// Beyond a second the address is gone longer than a TCP client's first retries.
    const MOST_HEARTBEAT: Duration = Duration::from_secs(1);

    const fn times(heartbeat_ms: u64, misses: u64) -> Self {
        Self { heartbeat: Duration::from_millis(heartbeat_ms), dead: Duration::from_millis(heartbeat_ms * misses) }
    }

    /// A heartbeat every `heartbeat`, death after `dead` without one.
    ///
    /// # Errors
    /// Refuses pairs under which the stall guard or the loss arithmetic no longer holds.
    pub fn new(heartbeat: Duration, dead: Duration) -> Result<Self, UnsafeTiming> {
        if heartbeat < Self::LEAST_HEARTBEAT {
            return Err(UnsafeTiming::HeartbeatTooShort { got: heartbeat, least: Self::LEAST_HEARTBEAT });
        }
        if heartbeat > Self::MOST_HEARTBEAT {
            return Err(UnsafeTiming::HeartbeatTooLong { got: heartbeat, most: Self::MOST_HEARTBEAT });
        }
        if dead < heartbeat * 3 {
            return Err(UnsafeTiming::DeadTooShort { got: dead, least: heartbeat * 3 });
        }
        if dead > heartbeat * 100 {
            return Err(UnsafeTiming::DeadTooLong { got: dead, most: heartbeat * 100 });
        }
        Ok(Self { heartbeat, dead })
    }

    /// `h`: the interval between two heartbeats to one live member.
    #[must_use]
    pub const fn heartbeat(&self) -> Duration {
        self.heartbeat
    }

    /// `T_dead`: the silence after which a member may be dead.
    #[must_use]
    pub const fn dead(&self) -> Duration {
        self.dead
    }

    /// The silence after which the others are told and asked: late enough that one lost packet is no news, early enough that their
    /// answers are here when `T_dead` is over.
    pub(crate) fn suspect(&self) -> Duration {
        self.dead * 3 / 4
    }

    /// The silence after which a node that hears nobody may act alone. Three times `T_dead`, because there is nobody to ask.
    pub(crate) fn alone(&self) -> Duration {
        self.dead * 3
    }

    /// How long a node listens before it claims anything. Owners speak every `h`, so this is enough to miss many heartbeats and still hear of
    /// each claim; 300 ms is a floor for link training and the first ARP exchange.
    pub(crate) fn learn(&self) -> Duration {
        self.alone().max(Duration::from_millis(300))
    }

    /// How much longer each next candidate waits than the one before it: time for the first one's claim to be sent, lost, and sent again.
    pub(crate) fn step(&self) -> Duration {
        self.dead + self.heartbeat * 2
    }

    /// How late this process may run before it no longer trusts what it knows. Below `dead - h / 2`, so that a late owner is silent before
    /// anybody else may be owner.
    pub(crate) fn stall(&self) -> Duration {
        self.heartbeat * 5 / 2
    }

    /// The shortest time between two unscheduled messages of a kind to one member.
    pub(crate) fn pace(&self) -> Duration {
        self.heartbeat / 4
    }

    /// How long an heir that was asked to take an address waits for its shell. Half of the time after which the owner asks the next one, so that
    /// the claim is there before.
    pub(crate) fn prepare(&self) -> Duration {
        self.dead / 2
    }

    /// How long a member that is said not to listen has to prove that it does: longer than its answer to a probe may take, a [`pace`](Self::pace) at most.
    pub(crate) fn rebuttal(&self) -> Duration {
        self.heartbeat / 3
    }

    /// How long what was foreseen at a suspicion may take to come true: longer than a node that is alone needs.
    pub(crate) fn foresight(&self) -> Duration {
        self.dead * 10
    }

    /// How long a hand-over may take before the address is given up without an heir.
    pub(crate) fn drain(&self) -> Duration {
        (self.dead * 5).max(Duration::from_secs(1))
    }
}

/// How long an unfit owner waits before it asks the others again to take what none of them took: a node that mends in the meantime is found soon,
/// and a thousand addresses that nobody takes cost a hundred offers a second.
pub(crate) const ASK_AGAIN: Duration = Duration::from_secs(10);

/// How often a member that was never heard, or not for long, is greeted.
pub(crate) const HELLO: Duration = Duration::from_secs(1);

/// After this much silence a member is greeted only, no longer sent every heartbeat.
pub(crate) const LONG_SILENT: Duration = Duration::from_secs(10);

/// After this much death a majority agrees to count without the dead one. Shorter than an operator's repair, longer than a reboot would make
/// two majorities.
pub(crate) const FORGET: Duration = Duration::from_secs(60);

/// How long refusals about a member are ignored after one was refuted: forged ones get one try in ten minutes, and that one fails if the member is not
/// standing still at that very moment.
pub(crate) const DISTRUST: Duration = Duration::from_secs(600);

/// How long a claim waits for an address that its owner gave up as unwanted: the news that it is unwanted may not have come everywhere.
pub(crate) const UNWANTED_WAIT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn unsafe_pairs_are_refused_with_the_limit() {
        assert_eq!(Timing::new(ms(1), ms(80)), Err(UnsafeTiming::HeartbeatTooShort { got: ms(1), least: ms(5) }));
        assert_eq!(
            Timing::new(ms(1001), ms(9000)),
            Err(UnsafeTiming::HeartbeatTooLong { got: ms(1001), most: ms(1000) })
        );
        assert_eq!(Timing::new(ms(20), ms(59)), Err(UnsafeTiming::DeadTooShort { got: ms(59), least: ms(60) }));
        assert_eq!(Timing::new(ms(20), ms(2001)), Err(UnsafeTiming::DeadTooLong { got: ms(2001), most: ms(2000) }));
        assert_eq!(Timing::new(ms(20), ms(80)), Ok(Timing::DEFAULT));
    }

    #[test]
    fn a_stalled_owner_is_silent_before_anybody_may_take_over() {
        for timing in [Timing::FAST, Timing::DEFAULT, Timing::CALM, Timing::SLOW] {
            assert_eq!(Timing::new(timing.heartbeat(), timing.dead()), Ok(timing));
            assert!(timing.stall() + timing.heartbeat() / 2 <= timing.dead());
            assert!(timing.suspect() >= timing.heartbeat() * 2, "one lost packet is no suspicion");
        }
    }
}
