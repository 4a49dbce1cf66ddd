//! What is advertised, how often to send, how long silence may last (RFC 5880 §6.8.2 to §6.8.4).
//!
//! ```text
//!   chosen (settings) --+--> advertised --+--> in force      longer transmit interval, shorter receive interval: only after the Poll Sequence
//!   not Up: >= 1 s -----+                 +--> in force      everything else: at once
//!
//!   transmit interval = max(our Desired Min TX in force, peer's Required Min RX)
//!   Detection Time    = peer's Detect Mult * max(our Required Min RX in force, peer's Desired Min TX)
//! ```

use std::time::Duration;

use crate::poll::Poll;
use crate::wire::Control;
use crate::{Interval, Settings, State};

/// The two intervals of a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pair {
    desired_min_tx: Interval,
    required_min_rx: Interval,
}

/// The peer's side, as it said last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Peer {
    desired_min_tx_us: u32,
    required_min_rx_us: u32,
    detect_mult: u8,
}

/// Before the peer was heard (`bfd.RemoteMinRxInterval` is 1, §6.8.1).
const UNHEARD: Peer = Peer { desired_min_tx_us: 0, required_min_rx_us: 1, detect_mult: 0 };

/// The times of one session.
#[derive(Clone, Debug)]
pub(crate) struct Timing {
    advertised: Pair,
    in_force: Pair,
    peer: Peer,
    poll: Poll,
}

/// How fast a session may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speed {
    /// As the settings say.
    Full,
    /// One packet a second at most.
    Slow,
}

impl Timing {
    /// Begins slowly.
    pub(crate) fn new(settings: &Settings) -> Self {
        let pair = pair(settings, Speed::Slow);
        Self { advertised: pair, in_force: pair, peer: UNHEARD, poll: Poll::Idle }
    }

    /// Advertises what the settings and the state ask for, as soon as that is possible; call after every change of either and after every packet.
    ///
    /// Without a peer that knows us (`heard`) there is nobody to poll.
    pub(crate) fn advertise(&mut self, settings: &Settings, state: State, speed: Speed, heard: bool) {
        let speed = if state == State::Up { speed } else { Speed::Slow };
        let pair = pair(settings, speed);
        if !heard {
            self.poll = Poll::Idle;
        }
        if state != State::Up {
            if pair != self.advertised && heard {
                self.poll.begin();
            }
            self.advertised = pair;
            self.in_force = pair;
            return;
        }
        if pair == self.advertised || !self.poll.can_begin() {
            return;
        }
        self.poll.begin();
        self.advertised = pair;
        self.in_force = Pair {
            desired_min_tx: pair.desired_min_tx.min(self.in_force.desired_min_tx),
            required_min_rx: pair.required_min_rx.max(self.in_force.required_min_rx),
        };
    }

    /// Takes what a packet says about the peer's times and about our Poll Sequence. Says whether it ended one.
    pub(crate) fn received(&mut self, packet: &Control) -> bool {
        self.peer = Peer {
            desired_min_tx_us: packet.desired_min_tx_us,
            required_min_rx_us: packet.required_min_rx_us,
            detect_mult: packet.detect_mult.get(),
        };
        let ended = self.poll.received(packet.final_);
        if ended {
            self.in_force = self.advertised;
        }
        ended
    }

    /// Forgets the peer: it was silent for a Detection Time.
    pub(crate) fn forget_peer(&mut self) {
        self.peer = UNHEARD;
        self.poll = Poll::Idle;
        self.in_force = self.advertised;
    }

    /// Writes our side into a packet.
    pub(crate) fn fill(&self, packet: &mut Control) {
        packet.desired_min_tx_us = self.advertised.desired_min_tx.us();
        packet.required_min_rx_us = self.advertised.required_min_rx.us();
    }

    /// The interval between two packets of ours, before jitter; `None` if the peer wants none (§6.8.7).
    pub(crate) fn transmit_interval(&self) -> Option<Duration> {
        let us = self.in_force.desired_min_tx.us().max(self.peer.required_min_rx_us);
        (self.peer.required_min_rx_us != 0).then(|| Duration::from_micros(u64::from(us)))
    }

    /// The silence that means that the peer is gone. Zero before it was heard.
    pub(crate) fn detection(&self) -> Duration {
        let us = self.in_force.required_min_rx.us().max(self.peer.desired_min_tx_us);
        Duration::from_micros(u64::from(us)) * u32::from(self.peer.detect_mult)
    }

    /// The silence after which the peer gives us up, if it has taken what we advertised.
    pub(crate) fn peer_detection(&self, detect_mult: u8) -> Duration {
        self.transmit_interval().unwrap_or_default() * u32::from(detect_mult)
    }

    /// Whether packets carry P.
    pub(crate) const fn polls(&self) -> bool {
        self.poll.asks()
    }

    /// Notes that a packet with P is out.
    pub(crate) fn polled(&mut self) {
        self.poll.sent();
    }

    /// Whether both sides have taken each other's times.
    pub(crate) fn settled(&self) -> bool {
        !self.poll.asks() && self.in_force == self.advertised
    }

    /// Whether we said that we send no faster than once a second, and the peer knows.
    pub(crate) fn slow(&self) -> bool {
        self.settled() && self.advertised.desired_min_tx >= Interval::SECOND
    }
}

fn pair(settings: &Settings, speed: Speed) -> Pair {
    let desired_min_tx = match speed {
        Speed::Full => settings.desired_min_tx,
        Speed::Slow => settings.desired_min_tx.max(Interval::SECOND),
    };
    Pair { desired_min_tx, required_min_rx: settings.required_min_rx }
}

#[cfg(test)]
mod tests;
