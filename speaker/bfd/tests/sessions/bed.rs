//! One machine with one session, and a peer played by hand.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU8;
use std::time::{Duration, Instant};

use herald_bfd::{
    Action, Echo, Event, Hops, InterfaceIndex, Interval, Observed, Packet, Path, Role, Sessions, Settings, State,
};

/// The peer's discriminator.
pub(crate) const PEER: u32 = 0x7777_0001;
pub(crate) const INTERFACE: InterfaceIndex = InterfaceIndex(4);

/// Both families, in which every story is told.
pub(crate) const PEERS: [(&str, &str); 2] = [("192.0.2.1", "192.0.2.9"), ("2001:db8::1", "2001:db8::9")];

pub(crate) struct Bed {
    pub(crate) sessions: Sessions,
    pub(crate) path: Path,
    pub(crate) now: Instant,
}

/// A control packet, field by field (RFC 5880 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wire {
    pub(crate) diag: u8,
    pub(crate) state: State,
    /// P, F, C, A, D, M.
    pub(crate) flags: u8,
    pub(crate) mult: u8,
    pub(crate) my: u32,
    pub(crate) your: u32,
    pub(crate) tx_ms: u32,
    pub(crate) rx_ms: u32,
    pub(crate) echo_ms: u32,
}

pub(crate) const P: u8 = 0x20;
pub(crate) const F: u8 = 0x10;
pub(crate) const A: u8 = 0x04;
pub(crate) const D: u8 = 0x02;

impl Wire {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0x20 | self.diag, (self.state as u8) << 6 | self.flags, self.mult, 24];
        if self.flags & A != 0 {
            bytes[3] = 26;
        }
        for word in [self.my, self.your, self.tx_ms * 1000, self.rx_ms * 1000, self.echo_ms * 1000] {
            bytes.extend(word.to_be_bytes());
        }
        bytes.resize(usize::from(bytes[3]), 0);
        bytes
    }

    pub(crate) fn read(bytes: &[u8]) -> Self {
        assert_eq!((bytes.len(), bytes[0] >> 5, bytes[3]), (24, 1, 24), "version and length");
        let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        Self {
            diag: bytes[0] & 31,
            state: State::ALL[usize::from(bytes[1] >> 6)],
            flags: bytes[1] & 0x3f,
            mult: bytes[2],
            my: word(4),
            your: word(8),
            tx_ms: word(12) / 1000,
            rx_ms: word(16) / 1000,
            echo_ms: word(20) / 1000,
        }
    }
}

impl Bed {
    /// A session over one hop, in the family of the pair.
    pub(crate) fn new((local, peer): (&str, &str), settings: Settings) -> Self {
        Self::over(path(Hops::Single, local, peer), settings)
    }

    pub(crate) fn over(path: Path, settings: Settings) -> Self {
        let mut bed = Self { sessions: Sessions::new(11), path, now: start() };
        bed.want(settings);
        bed
    }

    /// One that is Up, with a peer that sends every 50 ms times 3 and has no open Polls.
    pub(crate) fn up(pair: (&str, &str), settings: Settings) -> Self {
        let mut bed = Self::new(pair, settings);
        bed.run(ms(0));
        bed.hear(bed.peer(State::Down));
        bed.hear(bed.peer(State::Init));
        let polled = bed.hear(bed.peer(State::Up)).0;
        let polled = polled.into_iter().chain(bed.run(ms(50)).0).any(|packet| packet.flags & P != 0);
        assert!(polled || settings.desired_min_tx >= Interval::saturating(ms(1000)), "going Up is faster, and polled");
        bed.hear(Wire { flags: F, ..bed.peer(State::Up) });
        bed.hear(bed.peer(State::Up));
        assert_eq!(bed.state(), State::Up);
        bed
    }

    pub(crate) fn want(&mut self, settings: Settings) {
        self.sessions.set(self.now, &BTreeMap::from([(self.path, settings)]));
    }

    pub(crate) fn unwant(&mut self) -> (Vec<Wire>, Vec<Observed>) {
        self.sessions.set(self.now, &BTreeMap::new());
        self.drain()
    }

    /// A packet of the peer that knows us: 50 ms both ways.
    pub(crate) fn peer(&self, state: State) -> Wire {
        Wire { diag: 0, state, flags: 0, mult: 3, my: PEER, your: self.ours(), tx_ms: 50, rx_ms: 50, echo_ms: 0 }
    }

    /// Our discriminator, or one that nobody has.
    pub(crate) fn ours(&self) -> u32 {
        let mut probe = Sessions::new(11);
        probe.set(self.now, &BTreeMap::from([(self.path, settings(50, 50, 3))]));
        probe.handle(self.now, Event::Tick);
        let mut actions = std::iter::from_fn(|| probe.poll());
        actions
            .find_map(|action| match action {
                Action::Send { bytes, .. } => Some(Wire::read(&bytes).my),
                Action::Report(_) => None,
            })
            .unwrap()
    }

    pub(crate) fn hear(&mut self, wire: Wire) -> (Vec<Wire>, Vec<Observed>) {
        let bytes = wire.bytes();
        let packet = self.packet(&bytes);
        self.sessions.handle(self.now, Event::Packet(packet));
        self.drain()
    }

    pub(crate) fn packet<'a>(&self, bytes: &'a [u8]) -> Packet<'a> {
        Packet {
            hops: self.path.hops,
            vrf: self.path.vrf,
            interface: INTERFACE,
            from: self.path.peer,
            to: self.path.local.unwrap(),
            ttl_hops: 255,
            bytes,
        }
    }

    /// Lets time pass, ticking when asked to.
    pub(crate) fn run(&mut self, duration: Duration) -> (Vec<Wire>, Vec<Observed>) {
        let end = self.now + duration;
        let mut all = self.drain();
        while let Some(at) = self.sessions.deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.sessions.handle(self.now, Event::Tick);
            let (sent, seen) = self.drain();
            all.0.extend(sent);
            all.1.extend(seen);
        }
        self.now = end;
        all
    }

    pub(crate) fn state(&self) -> State {
        self.sessions.iter().next().unwrap().1.state
    }

    fn drain(&mut self) -> (Vec<Wire>, Vec<Observed>) {
        let mut all = (Vec::new(), Vec::new());
        while let Some(action) = self.sessions.poll() {
            match action {
                Action::Send { path, bytes } => {
                    assert_eq!(path, self.path);
                    all.0.push(Wire::read(&bytes));
                }
                Action::Report(Observed::Received { .. }) => {}
                Action::Report(observed) => all.1.push(observed),
            }
        }
        all
    }
}

pub(crate) fn path(hops: Hops, local: &str, peer: &str) -> Path {
    Path { hops, vrf: None, peer: ip(peer), interface: None, local: Some(ip(local)) }
}

pub(crate) fn settings(transmit_ms: u64, receive_ms: u64, mult: u8) -> Settings {
    Settings {
        desired_min_tx: Interval::saturating(ms(transmit_ms)),
        required_min_rx: Interval::saturating(ms(receive_ms)),
        detect_mult: NonZeroU8::new(mult).unwrap(),
        role: Role::Active,
        minimum_ttl_hops: 254,
        echo: Echo::Off,
    }
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
pub(crate) fn start() -> Instant {
    Instant::now()
}
