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
}
