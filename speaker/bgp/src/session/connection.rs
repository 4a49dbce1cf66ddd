//! One TCP connection with the peer, and how far it has come.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::Origin;
use super::input::Input;
use crate::negotiate::Negotiated;
use crate::timers::{Timer, Timers};
use crate::transition::State;
use crate::wire::{Encoding, Open};

/// The shell's name for a connection; never used for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) origin: Origin,
    pub(super) state: State,
    pub(super) local: IpAddr,
    pub(super) since: Instant,
    pub(super) established: Option<Instant>,
    pub(super) timers: Timers,
    pub(super) input: Input,
    /// Our OPEN.
    pub(super) ours: Open,
    /// There from OpenConfirm on.
    pub(super) negotiated: Option<Box<Negotiated>>,
    /// What the shell was given and has not written yet, in octets.
    pub(super) unwritten: usize,
    /// UPDATEs of the peer that were wrong without costing the session.
    pub(super) flaws: u64,
}

impl Connection {
    pub(super) fn sending(&self) -> Encoding {
        self.negotiated.as_ref().map(|negotiated| negotiated.sending).unwrap_or_default()
    }

    pub(super) fn receiving(&self) -> Encoding {
        self.negotiated.as_ref().map(|negotiated| negotiated.receiving).unwrap_or_default()
    }

    /// How long the peer may be silent.
    pub(super) fn hold_time(&self) -> Option<Duration> {
        self.negotiated.as_ref().map_or(Some(OPEN_HOLD_TIME), |negotiated| negotiated.hold_time)
    }

    /// RFC 9687 §3: the larger of eight minutes and twice the hold time.
    pub(super) fn send_hold_time(&self) -> Duration {
        self.hold_time().map_or(SEND_HOLD_TIME, |hold| SEND_HOLD_TIME.max(hold * 2))
    }

    /// The peer lives.
    pub(super) fn restart_hold(&mut self, now: Instant) {
        match self.hold_time() {
            Some(hold) => self.timers.start(Timer::Hold, now + hold),
            None => self.timers.stop(Timer::Hold),
        }
    }

    /// The shell was given octets.
    pub(super) fn give(&mut self, now: Instant, octets: usize) {
        self.unwritten += octets;
        if !self.timers.runs(Timer::SendHold) {
            self.timers.start(Timer::SendHold, now + self.send_hold_time());
        }
    }

    /// The kernel took octets: the peer reads.
    pub(super) fn written(&mut self, now: Instant, octets: usize) {
        self.unwritten = self.unwritten.saturating_sub(octets);
        match self.unwritten {
            0 => self.timers.stop(Timer::SendHold),
            _ => self.timers.start(Timer::SendHold, now + self.send_hold_time()),
        }
    }
}

/// How long a peer may take for its OPEN. RFC 4271 §8.2.2 suggests four minutes; a minute is enough for a router that is
/// busy with a full table, and a peer whose kernel took the connection while its daemon hangs is not waited for longer.
pub(super) const OPEN_HOLD_TIME: Duration = Duration::from_secs(60);

/// RFC 9687 §3.
pub(super) const SEND_HOLD_TIME: Duration = Duration::from_secs(8 * 60);
