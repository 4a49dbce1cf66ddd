//! Every session of the node, and which of them a packet belongs to.
//!
//! Your Discriminator names the session; a packet without one belongs to the session with its sender (RFC 5881 §3, RFC 5883 §4). Either way
//! the packet must have come over the session's path: a discriminator that leaked is of no use elsewhere.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use crate::jitter::Random;
use crate::session::{Context, Session};
use crate::wire::{Control, LENGTH};
use crate::{Drop, Hops, InterfaceIndex, Observed, Path, Settings, State, View};

/// Sessions that are kept: ten times what one node was ever planned to have. What every session costs at 50 ms, 40 packets a second, allows
/// no more on one thread.
pub const MOST_SESSIONS: usize = 1024;

/// Over one hop, packets have come this far from where they were sent: not at all (RFC 5881 §5, RFC 5082).
const UNTOUCHED_TTL: u8 = 255;

/// A wake-up this late may have cost packets.
const NOTABLE: Duration = Duration::from_millis(5);

/// What the world did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// Time passed.
    Tick,
    /// A datagram came in.
    Packet(Packet<'a>),
}

/// A datagram, and how it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// To which of the two ports.
    pub hops: Hops,
    /// In which VRF.
    pub vrf: Option<InterfaceIndex>,
    /// By which interface.
    pub interface: InterfaceIndex,
    /// From whom. An IPv4 address is never written as an IPv6 one.
    pub from: IpAddr,
    /// To which address of ours.
    pub to: IpAddr,
    /// The TTL or Hop Limit that it still had.
    pub ttl_hops: u8,
    /// The payload of the datagram.
    pub bytes: &'a [u8],
}

/// What the shell must do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send this to the path's peer and port, with a TTL of 255, always from the same of [`SOURCE_PORTS`](crate::SOURCE_PORTS).
    Send {
        /// Which session.
        path: Path,
        /// The payload of the datagram.
        bytes: [u8; LENGTH],
    },
    /// Count, log or act on this.
    Report(Observed),
}

/// The sessions.
#[derive(Debug)]
pub struct Sessions {
    random: Random,
    now: Option<Instant>,
    sessions: BTreeMap<NonZeroU32, Session>,
    paths: BTreeMap<Path, NonZeroU32>,
    /// Whose turn is when.
    agenda: BTreeSet<(Instant, NonZeroU32)>,
    filed: BTreeMap<NonZeroU32, Instant>,
    /// Paths that did not fit, so that each is said once.
    refused: BTreeSet<Path>,
    out: VecDeque<Action>,
}

impl Sessions {
    /// Makes a machine without sessions. The seed should differ at every start, so that discriminators do.
    pub fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            now: None,
            sessions: BTreeMap::new(),
            paths: BTreeMap::new(),
            agenda: BTreeSet::new(),
            filed: BTreeMap::new(),
            refused: BTreeSet::new(),
            out: VecDeque::new(),
        }
    }

    /// Takes the whole set of sessions. One that is wanted no longer tells its peer AdminDown, and is over when [`Observed::Released`] is
    /// reported; an empty set ends all.
    pub fn set(&mut self, now: Instant, wanted: &BTreeMap<Path, Settings>) {
        let now = self.advance(now);
        let stopped: Vec<_> =
            self.paths.iter().filter(|(path, _)| !wanted.contains_key(path)).map(|(_, id)| *id).collect();
        for id in stopped {
            self.with(now, id, Session::stop);
        }
        for (path, settings) in wanted {
            match self.paths.get(path).copied() {
                Some(id) => self.with(now, id, |session, context| session.want(*settings, context)),
                None => self.add(now, *path, *settings),
            }
        }
        self.refused.retain(|path| wanted.contains_key(path));
    }

    /// Takes what happened.
    ///
    /// After a pause the shell should hand in the packets that waited before it ticks: they show who is alive.
    pub fn handle(&mut self, now: Instant, event: Event<'_>) {
        let now = self.advance(now);
        match event {
            Event::Tick => {
                while let Some(&(at, id)) = self.agenda.first()
                    && at <= now
                {
                    self.with(now, id, Session::tick);
                }
            }
            Event::Packet(packet) => {
                let observed = match self.receive(now, &packet) {
                    Ok(path) => Observed::Received { path },
                    Err(reason) => Observed::Dropped { reason },
                };
                self.out.push_back(Action::Report(observed));
            }
        }
    }

    /// Returns what must be done next; call until `None` after each `set` and `handle`.
    pub fn poll(&mut self) -> Option<Action> {
        self.out.pop_front()
    }

    /// Returns when to call `handle(now, Event::Tick)`.
    pub fn deadline(&self) -> Option<Instant> {
        self.agenda.first().map(|(at, _)| *at)
    }

    /// Returns how each session stands, those that are about to end among them.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, View)> {
        self.paths.iter().filter_map(|(path, id)| Some((path, self.sessions.get(id)?.view())))
    }

    /// Keeps time from running backwards, and notices when it has run away.
    fn advance(&mut self, now: Instant) -> Instant {
        let before = self.now;
        let now = before.map_or(now, |before| before.max(now));
        self.now = Some(now);
        // Several packets of one wake-up share its lateness.
        let late = self.deadline().map(|due| now.saturating_duration_since(due)).unwrap_or_default();
        if before != Some(now) && late >= NOTABLE {
            let mut matters = false;
            let ids: Vec<_> = self.sessions.keys().copied().collect();
            for id in ids {
                if let Some(session) = self.sessions.get_mut(&id) {
                    matters |= session.was_late(now, late);
                }
                self.file(now, id);
            }
            if matters {
                self.out.push_back(Action::Report(Observed::Stalled { late }));
            }
        }
        now
    }

    fn add(&mut self, now: Instant, path: Path, settings: Settings) {
        if self.sessions.len() >= MOST_SESSIONS {
            if self.refused.insert(path) {
                self.out.push_back(Action::Report(Observed::TooMany { path }));
            }
            return;
        }
        self.refused.remove(&path);
        let id = self.unused();
        let mut context = Context { now, random: &mut self.random, out: &mut self.out };
        let session = Session::new(path, settings, id, &mut context);
        self.sessions.insert(id, session);
        self.paths.insert(path, id);
        self.file(now, id);
    }

    /// Draws a discriminator: unpredictable to strangers (RFC 5880 §6.8.1), not zero, not in use.
    fn unused(&mut self) -> NonZeroU32 {
        loop {
            let drawn = NonZeroU32::new((self.random.next() >> 32) as u32);
            if let Some(id) = drawn.filter(|id| !self.sessions.contains_key(id)) {
                return id;
            }
        }
    }

    /// Lets a session act, and notes when it must next.
    fn with(&mut self, now: Instant, id: NonZeroU32, act: impl FnOnce(&mut Session, &mut Context<'_>)) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        act(session, &mut Context { now, random: &mut self.random, out: &mut self.out });
        if session.over() {
            self.paths.remove(session.path());
            self.sessions.remove(&id);
        }
        self.file(now, id);
    }

    fn file(&mut self, now: Instant, id: NonZeroU32) {
        if let Some(before) = self.filed.remove(&id) {
            self.agenda.remove(&(before, id));
        }
        if let Some(at) = self.sessions.get(&id).and_then(|session| session.deadline(now)) {
            self.agenda.insert((at, id));
            self.filed.insert(id, at);
        }
    }

    /// Finds the session of a packet and hands it over (RFC 5880 §6.8.6).
    fn receive(&mut self, now: Instant, packet: &Packet<'_>) -> Result<Path, Drop> {
        if packet.hops == Hops::Single && packet.ttl_hops != UNTOUCHED_TTL {
            return Err(Drop::Ttl);
        }
        let control = Control::parse(packet.bytes)?;
        let id = match control.your_discriminator {
            Some(id) => id,
            None if matches!(control.state, State::Init | State::Up) => return Err(Drop::YourDiscriminator),
            None => self.find(packet).ok_or(Drop::UnknownPeer)?,
        };
        let session = self.sessions.get(&id).ok_or(Drop::UnknownSession)?;
        let path = *session.path();
        let sender = Path::first(packet.hops, packet.vrf, packet.from);
        if !path.same_peer(&sender) || !path.admits(packet.interface, packet.to) {
            return Err(Drop::OtherPath);
        }
        if packet.hops == Hops::Multi && packet.ttl_hops < session.settings().minimum_ttl_hops {
            return Err(Drop::TtlBelowMinimum);
        }
        let mut result = Ok(());
        self.with(now, id, |session, context| result = session.receive(&control, context));
        result.map(|()| path)
    }

    /// The session with the sender of a packet that names none. Of several that could be meant, the one that names most of the path.
    fn find(&self, packet: &Packet<'_>) -> Option<NonZeroU32> {
        let first = Path::first(packet.hops, packet.vrf, packet.from);
        self.paths
            .range(first..)
            .take_while(|(path, _)| path.same_peer(&first))
            .filter(|(path, _)| path.admits(packet.interface, packet.to))
            .last()
            .map(|(_, id)| *id)
    }
}
