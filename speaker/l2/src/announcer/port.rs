//! One interface: the addresses owned on it, and which of their frames goes out next.
//!
//! ```text
//!              round due                  last frame out
//!   waiting ------------------> ready ----------------------> waiting for the next round, or quiet
//!      ^                         | ^
//!      +---- next round due -----+ +---- a stranger's claim: one round out of turn
//! ```
//!
//! `ready` is ordered so that with many addresses every one of them is broadcast before any client is told in person,
//! and every first round is out before any repeat; addresses with known clients come first. Frames are built when
//! they are sent: nothing waits in a queue that could outlive ownership.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Instant;

use ipnet::IpNet;

use crate::clients::{Clients, RoundId};
use crate::frames::Voice;
use crate::pace::Pace;
use crate::schedule::{Step, next_round};
use crate::{Cause, Interface, InterfaceIndex, MacAddr, Observed, Settings};

/// An interface and what is owned on it.
#[derive(Debug)]
pub(crate) struct Port {
    index: InterfaceIndex,
    voice: Voice,
    subnets: Vec<IpNet>,
    gateways: Vec<IpAddr>,
    pace: Pace,
    duties: BTreeMap<IpAddr, Duty>,
    waiting: BTreeSet<(Instant, IpAddr)>,
    ready: BTreeSet<Key>,
}

/// An address owned on this interface.
#[derive(Debug)]
struct Duty {
    started: Instant,
    /// Clients heard after this to know us need not be told.
    heard_since: Instant,
    /// The last scheduled round that is out.
    done: Option<u8>,
    state: State,
    reported: Option<Instant>,
    defended: Option<Instant>,
}

#[derive(Debug)]
enum State {
    Quiet,
    Waiting(Instant),
    Sending(Round),
}

#[derive(Clone, Copy, Debug)]
struct Round {
    id: RoundId,
    number: u8,
    cause: Cause,
    key: Key,
    step: Step,
    gateway: usize,
    frames: u32,
}

/// Order of sending: the lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    urgency: Urgency,
    clients: HasClients,
    ip: IpAddr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    /// A step of a first or corrective round.
    First(Step),
    Repeat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum HasClients {
    Yes,
    No,
}

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    Report,
    Repeated,
}

impl Port {
    pub(crate) fn new(index: InterfaceIndex, interface: Interface, settings: &Settings) -> Self {
        let mut port = Self {
            index,
            voice: Voice { mac: interface.mac, link_local: None },
            subnets: Vec::new(),
            gateways: Vec::new(),
            pace: Pace::new(settings),
            duties: BTreeMap::new(),
            waiting: BTreeSet::new(),
            ready: BTreeSet::new(),
        };
        port.update(interface);
        port
    }

    /// Takes what netlink says now. With another MAC address every duty starts anew: all neighbours must learn it.
    pub(crate) fn update(&mut self, interface: Interface) {
        if self.voice.mac != interface.mac {
            self.keep_only(|_| false);
        }
        self.voice = Voice { mac: interface.mac, link_local: interface.addresses.iter().find_map(link_local) };
        self.subnets = interface.addresses;
        self.gateways = interface.gateways;
    }

    pub(crate) fn voice(&self) -> Voice {
        self.voice
    }

    pub(crate) fn mac(&self) -> MacAddr {
        self.voice.mac
    }

    pub(crate) fn owns(&self, ip: IpAddr) -> bool {
        self.duties.contains_key(&ip)
    }

    /// Stops at once, for every address for which `keep` says no.
    pub(crate) fn keep_only(&mut self, mut keep: impl FnMut(IpAddr) -> bool) {
        self.duties.retain(|ip, duty| {
            let keep = keep(*ip);
            if !keep {
                match duty.state {
                    State::Quiet => {}
                    State::Waiting(due) => {
                        self.waiting.remove(&(due, *ip));
                    }
                    State::Sending(Round { key, .. }) => {
                        self.ready.remove(&key);
                    }
                }
            }
            keep
        });
    }

    /// Begins to announce an address, unless it is announced already.
    pub(crate) fn gain(&mut self, now: Instant, ip: IpAddr) {
        if self.owns(ip) {
            return;
        }
        let duty = Duty {
            started: now,
            heard_since: now,
            done: None,
            state: State::Waiting(now),
            reported: None,
            defended: None,
        };
        self.duties.insert(ip, duty);
        self.waiting.insert((now, ip));
    }

    /// Takes a claim by somebody else; `defend` asks for a corrective round. Both are limited by `defend_interval`.
    pub(crate) fn claimed(
        &mut self,
        now: Instant,
        ip: IpAddr,
        defend: bool,
        settings: &Settings,
        clients: &Clients,
        rounds: &mut RoundId,
    ) -> Claim {
        let Some(duty) = self.duties.get_mut(&ip) else { return Claim::Repeated };
        let again =
            |last: Option<Instant>| last.is_none_or(|at| now.saturating_duration_since(at) >= settings.defend_interval);
        let report = again(duty.reported);
        if report {
            duty.reported = Some(now);
        }
        if defend && again(duty.defended) {
            duty.defended = Some(now);
            duty.heard_since = now;
            let (number, cause) = match duty.state {
                // Its own round has to begin again: the claim may have come after its broadcast.
                State::Sending(Round { key, number, cause, .. }) => {
                    self.ready.remove(&key);
                    (number, cause)
                }
                State::Waiting(due) => {
                    self.waiting.remove(&(due, ip));
                    (0, Cause::Defended)
                }
                State::Quiet => (0, Cause::Defended),
            };
            self.start(now, ip, number, cause, Urgency::First(Step::Broadcast), clients, rounds);
        }
        if report { Claim::Report } else { Claim::Repeated }
    }

    /// Returns the next frame if one may go now, and what to report after it.
    pub(crate) fn next(
        &mut self,
        now: Instant,
        settings: &Settings,
        clients: &mut Clients,
        rounds: &mut RoundId,
    ) -> Option<(Vec<u8>, Option<Observed>)> {
        self.start_due(now, settings, clients, rounds);
        loop {
            let key = *self.ready.first()?;
            if !self.pace.allows(now) {
                return None;
            }
            let Some(&Duty { state: State::Sending(mut round), heard_since: since, .. }) = self.duties.get(&key.ip)
            else {
                debug_assert!(false, "what is ready is being sent");
                self.ready.pop_first();
                continue;
            };
            let voice = self.voice;
            let frame = match round.step {
                Step::Broadcast => Some(voice.broadcast(key.ip)),
                Step::Directed => self.directed(now, key.ip, since, clients, &mut round),
                Step::Second => Some(voice.second(key.ip)),
            };
            if frame.is_some() {
                self.pace.take(now);
                round.frames += 1;
            }
            let report = match (round.step, frame.is_some()) {
                (Step::Broadcast, _) => self.go_on(key, round, Step::Directed),
                (Step::Directed, true) => self.go_on(key, round, Step::Directed),
                (Step::Directed, false) => self.go_on(key, round, Step::Second),
                (Step::Second, _) => self.finish(now, key, round, settings),
            };
            if let Some(frame) = frame {
                return Some((frame, report));
            }
        }
    }

    /// Returns when [`Port::next`] may have a frame.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        let due = self.waiting.first().map(|(due, _)| *due);
        let paced = (!self.ready.is_empty()).then(|| self.pace.retry_at(now));
        due.into_iter().chain(paced).min()
    }

    fn start_due(&mut self, now: Instant, settings: &Settings, clients: &Clients, rounds: &mut RoundId) {
        while let Some((due, ip)) = self.waiting.first().copied()
            && due <= now
        {
            self.waiting.remove(&(due, ip));
            let Some(duty) = self.duties.get_mut(&ip) else { continue };
            let elapsed = now.saturating_duration_since(duty.started);
            match next_round(ip, settings.early_repeats, duty.done, elapsed) {
                Some((number, _)) => {
                    let first = duty.done.is_none();
                    let urgency = if first { Urgency::First(Step::Broadcast) } else { Urgency::Repeat };
                    self.start(now, ip, number, Cause::Gained, urgency, clients, rounds);
                }
                None => duty.state = State::Quiet,
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "two of them are the machine's other parts, lent for the call")]
    fn start(
        &mut self,
        now: Instant,
        ip: IpAddr,
        number: u8,
        cause: Cause,
        urgency: Urgency,
        clients: &Clients,
        rounds: &mut RoundId,
    ) {
        *rounds += 1;
        let has = if clients.any(now, ip, self.index) { HasClients::Yes } else { HasClients::No };
        let key = Key { urgency, clients: has, ip };
        let round = Round { id: *rounds, number, cause, key, step: Step::Broadcast, gateway: 0, frames: 0 };
        if let Some(duty) = self.duties.get_mut(&ip) {
            duty.state = State::Sending(round);
            self.ready.insert(key);
        }
    }

    /// Returns a frame to the next client that has to be told, then to the next gateway.
    fn directed(
        &self,
        now: Instant,
        ip: IpAddr,
        since: Instant,
        clients: &mut Clients,
        round: &mut Round,
    ) -> Option<Vec<u8>> {
        while let Some(client) = clients.next_to_tell(now, ip, self.index, since, round.id) {
            if let Some(frame) = self.voice.directed(ip, client) {
                return Some(frame);
            }
        }
        if !self.subnets.iter().any(|subnet| subnet.contains(&ip)) {
            return None;
        }
        while let Some(gateway) = self.gateways.get(round.gateway) {
            round.gateway += 1;
            if *gateway != ip
                && !clients.knows(now, ip, self.index, *gateway)
                && let Some(frame) = self.voice.undirected(ip, *gateway)
            {
                return Some(frame);
            }
        }
        None
    }

    fn go_on(&mut self, key: Key, mut round: Round, step: Step) -> Option<Observed> {
        round.step = step;
        if let Urgency::First(_) = key.urgency {
            round.key.urgency = Urgency::First(round.step);
        }
        if round.key != key {
            self.ready.remove(&key);
            self.ready.insert(round.key);
        }
        if let Some(duty) = self.duties.get_mut(&key.ip) {
            duty.state = State::Sending(round);
        }
        None
    }

    fn finish(&mut self, now: Instant, key: Key, round: Round, settings: &Settings) -> Option<Observed> {
        self.ready.remove(&key);
        let duty = self.duties.get_mut(&key.ip)?;
        if round.cause == Cause::Gained {
            duty.done = Some(round.number);
        }
        let elapsed = now.saturating_duration_since(duty.started);
        duty.state = match next_round(key.ip, settings.early_repeats, duty.done, elapsed) {
            Some((_, offset)) => {
                let due = duty.started + offset;
                self.waiting.insert((due, key.ip));
                State::Waiting(due)
            }
            None => State::Quiet,
        };
        Some(Observed::Announced {
            ip: key.ip,
            interface: self.index,
            cause: round.cause,
            round: round.number,
            frames: round.frames,
        })
    }
}

fn link_local(net: &IpNet) -> Option<Ipv6Addr> {
    match net {
        IpNet::V6(net) if net.addr().is_unicast_link_local() => Some(net.addr()),
        _ => None,
    }
}
