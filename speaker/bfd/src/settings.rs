//! What a user may choose for a session.

use std::num::{NonZero, NonZeroU8, NonZeroU32};
use std::time::Duration;

/// A time as it goes over the wire: whole microseconds, from 1 to 2³² - 1 (71 minutes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval(NonZeroU32);

impl Interval {
    /// What a session that is not Up keeps to (RFC 5880 §6.8.3).
    pub(crate) const SECOND: Self = Self(NonZero::new(1_000_000).expect("a million is not zero"));

    /// The nearest that can be said.
    pub fn saturating(duration: Duration) -> Self {
        let us = u32::try_from(duration.as_micros()).unwrap_or(u32::MAX);
        Self(NonZero::new(us).unwrap_or(NonZero::<u32>::MIN))
    }

    /// In microseconds.
    pub const fn us(self) -> u32 {
        self.0.get()
    }
}

impl From<Interval> for Duration {
    fn from(interval: Interval) -> Self {
        Self::from_micros(u64::from(interval.us()))
    }
}

/// The settings of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How often this side wants to send when Up, before jitter (`bfd.DesiredMinTxInterval`).
    pub desired_min_tx: Interval,
    /// How often this side can take packets (`bfd.RequiredMinRxInterval`).
    pub required_min_rx: Interval,
    /// How many packets of ours in a row must be lost for the peer to give up (`bfd.DetectMult`).
    pub detect_mult: NonZeroU8,
    /// Who speaks first.
    pub role: Role,
    /// The lowest TTL of a packet that came over several hops; without meaning over one.
    pub minimum_ttl_hops: u8,
    /// Whether the user asked for echo packets.
    pub echo: Echo,
}

/// Who speaks first (RFC 5880 §6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// This side sends from the beginning.
    Active,
    /// This side is silent until it has heard the peer.
    Passive,
}

/// Whether the user asked for the echo function (RFC 5880 §6.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Echo {
    /// No.
    Off,
    /// Yes, and is told that there is none.
    Asked,
}
