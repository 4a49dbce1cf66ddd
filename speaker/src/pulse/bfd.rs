//! BFD on the pulse thread: the sessions, their sockets and counters.
//!
//! ```text
//!   each wake-up:  packets -> [ Sessions ] -> timers -> send
//!                                  |
//!                                  +--> PeerStates (watch): what the BGP sessions act on, at once
//!                                  +--> Said: logs
//! ```
//!
//! Packets come before timers: those that waited while this thread did not run show that their senders live. Sockets exist while there are
//! sessions that need them; one that cannot be opened is tried again every second.

use crate::{
    metrics::bfd::{Metrics, Session as Counters},
    net::bfd::{Inbox, Outlet, Port},
};
use herald_bfd::{Action, Cause, ControlPlane, Diagnostic, Event, Observed, Path, SOURCE_PORTS, Sessions, Settings};
use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    io,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// Packets taken from one socket before the others get their turn: bounds how long a flood on one delays the rest.
const TURN: usize = 256;
/// How long to wait before a socket is tried again that could not be opened.
const RETRY: Duration = Duration::from_secs(1);
/// Source ports tried at a time. More of them taken means that somebody holds them all.
const PORTS_TRIED: usize = 32;

/// Where each wanted session stands.
pub(crate) type PeerStates = BTreeMap<Path, PeerState>;

/// Where a session stands, as its client must see it (RFC 5882 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PeerState {
    /// It was not Up yet: the peer may not speak BFD at all. No reason to close anything.
    Waiting,
    /// The peer is reached.
    Up,
    /// It was Up and failed: the client closes.
    Failed {
        /// What was seen.
        cause: Cause,
        /// What the peer said last.
        diagnostic: Diagnostic,
        /// Whether the peer's BFD dies with its control plane: a client in graceful restart may wait then (RFC 5882 §4.3).
        control_plane: ControlPlane,
    },
    /// The peer stopped BFD on purpose: the client goes on without.
    PeerAdminDown,
}

/// What there is to tell.
#[derive(Debug)]
pub(crate) enum Said {
    /// A session changed, or something about one is worth a line.
    Observed(Observed),
    /// A system call failed.
    Failed { what: &'static str, error: io::Error },
}

/// The sessions of this node.
pub(crate) struct Bfd {
    sessions: Sessions,
    inboxes: BTreeMap<Port, Inbox>,
    peers: BTreeMap<Path, Peer>,
    states: watch::Sender<PeerStates>,
    metrics: Metrics,
    /// The source port that is tried next.
    next_port: u16,
    /// When to try again to open what could not be opened.
    retry: Option<Instant>,
    leaving: bool,
    said: Vec<Said>,
}

/// What belongs to one session.
struct Peer {
    outlet: Option<Outlet>,
    counters: Counters,
    /// The failure of the last packet, if it failed: a lasting one is said once.
    failing: Option<io::ErrorKind>,
}

impl Peer {
    const fn new(counters: Counters) -> Self {
        Self { outlet: None, counters, failing: None }
    }
}

impl Bfd {
    /// Without sessions. The seed should differ at every start.
    pub(crate) fn new(seed: u64, metrics: Metrics) -> (Self, watch::Receiver<PeerStates>) {
        let (states, watched) = watch::channel(PeerStates::new());
        let bfd = Self {
            sessions: Sessions::new(seed),
            inboxes: BTreeMap::new(),
            peers: BTreeMap::new(),
            states,
            metrics,
            next_port: SOURCE_PORTS.start() + (seed % SOURCE_PORTS.len() as u64) as u16,
            retry: None,
            leaving: false,
            said: Vec::new(),
        };
        (bfd, watched)
    }

    /// Takes the whole set of sessions.
    pub(crate) fn order(&mut self, now: Instant, wanted: &BTreeMap<Path, Settings>) {
        if self.leaving {
            return;
        }
        self.states.send_if_modified(|states| {
            let before = states.clone();
            states.retain(|path, _| wanted.contains_key(path));
            for path in wanted.keys() {
                states.entry(*path).or_insert(PeerState::Waiting);
            }
            *states != before
        });
        self.sessions.set(now, wanted);
        self.open(now);
        self.act();
    }

    /// Tells every peer that this side stops on purpose; [`Bfd::idle`] says when they know.
    pub(crate) fn leave(&mut self, now: Instant) {
        self.order(now, &BTreeMap::new());
        self.leaving = true;
    }

    /// Whether there is no session, not even one that is about to end.
    pub(crate) fn idle(&self) -> bool {
        self.sessions.iter().next().is_none()
    }

    /// Does what is due: takes the packets that came, then what time asks for.
    pub(crate) fn run(&mut self, now: Instant, buffer: &mut [u8]) {
        for inbox in self.inboxes.values() {
            for _ in 0..TURN {
                match inbox.receive(buffer) {
                    Ok(packet) => self.sessions.handle(now, Event::Packet(packet)),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // An ICMP error of a packet sent before, or a signal: the next call says more.
                    Err(_) => {}
                }
            }
        }
        self.sessions.handle(now, Event::Tick);
        if self.retry.is_some_and(|at| at <= now) {
            self.open(now);
        }
        self.act();
    }

    /// When to call [`Bfd::run`] even if nothing comes.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.sessions.deadline().into_iter().chain(self.retry).min()
    }

    /// What to wait for.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.inboxes.values().map(AsFd::as_fd)
    }

    /// Takes what there is to tell since the last call.
    pub(crate) fn said(&mut self) -> Vec<Said> {
        std::mem::take(&mut self.said)
    }

    /// Makes the sockets those that the sessions need.
    fn open(&mut self, now: Instant) {
        self.retry = None;
        let paths: Vec<_> = self.sessions.iter().map(|(path, _)| *path).collect();
        let ports: BTreeSet<_> = paths.iter().map(Port::of).collect();
        self.inboxes.retain(|port, _| ports.contains(port));
        for port in ports {
            if let Entry::Vacant(place) = self.inboxes.entry(port) {
                match Inbox::open(port) {
                    Ok(inbox) => drop(place.insert(inbox)),
                    Err(error) => {
                        self.fail(now, "listen for BFD packets; end any other BFD daemon on this node", error);
                    }
                }
            }
        }
        for path in paths {
            let known = self.peers.remove(&path);
            let mut peer = known.unwrap_or_else(|| Peer::new(self.metrics.session(&path)));
            if peer.outlet.is_none() {
                match self.outlet(&path) {
                    Ok(outlet) => peer.outlet = Some(outlet),
                    Err(error) => self.fail(now, "bind the address that BFD packets go out from", error),
                }
            }
            self.peers.insert(path, peer);
        }
    }

    fn fail(&mut self, now: Instant, what: &'static str, error: io::Error) {
        self.retry = Some(now + RETRY);
        self.said.push(Said::Failed { what, error });
    }

    /// A socket with a source port of its own (RFC 5881 §4).
    fn outlet(&mut self, path: &Path) -> io::Result<Outlet> {
        let mut result = Err(io::ErrorKind::AddrInUse.into());
        for _ in 0..PORTS_TRIED {
            let port = self.next_port;
            self.next_port = port.checked_add(1).unwrap_or(*SOURCE_PORTS.start());
            result = Outlet::open(path, port);
            if !matches!(&result, Err(error) if error.kind() == io::ErrorKind::AddrInUse) {
                break;
            }
        }
        result
    }

    /// Does what the sessions decided.
    fn act(&mut self) {
        while let Some(action) = self.sessions.poll() {
            match action {
                Action::Send { path, bytes } => self.send(&path, &bytes),
                Action::Report(observed) => self.observe(observed),
            }
        }
    }

    fn send(&mut self, path: &Path, bytes: &[u8]) {
        // Without a socket it is a packet that got lost.
        let Some(peer) = self.peers.get_mut(path) else { return };
        let Some(outlet) = &peer.outlet else { return };
        match outlet.send(bytes) {
            Ok(()) => {
                peer.counters.sent();
                peer.failing = None;
            }
            Err(error) => {
                if peer.failing.replace(error.kind()) != Some(error.kind()) {
                    self.said.push(Said::Failed { what: "send a BFD packet", error });
                }
            }
        }
    }

    fn observe(&mut self, observed: Observed) {
        match observed {
            // Too many of these two for anything but counting.
            Observed::Received { path } => return self.count(&path, Counters::received),
            Observed::Dropped { reason } => return self.metrics.ignored(reason),
            Observed::Up { path, .. } => {
                self.count(&path, Counters::came_up);
                self.set_state(path, PeerState::Up);
            }
            Observed::Down { path, cause, diagnostic, control_plane } => {
                self.count(&path, Counters::failed);
                self.set_state(path, PeerState::Failed { cause, diagnostic, control_plane });
            }
            Observed::PeerAdminDown { path } => {
                self.count(&path, Counters::stopped);
                self.set_state(path, PeerState::PeerAdminDown);
            }
            Observed::TooMany { path } => {
                self.states.send_if_modified(|states| states.remove(&path).is_some());
            }
            Observed::Released { path } => self.forget(&path),
            Observed::Agreed { .. } | Observed::EchoRefused { .. } | Observed::Stalled { .. } => {}
        }
        self.said.push(Said::Observed(observed));
    }

    fn count(&self, path: &Path, count: impl FnOnce(&Counters)) {
        if let Some(peer) = self.peers.get(path) {
            count(&peer.counters);
        }
    }

    fn set_state(&self, path: Path, state: PeerState) {
        self.states.send_modify(|states| {
            states.insert(path, state);
        });
    }

    /// Closes what no session needs any more.
    fn forget(&mut self, path: &Path) {
        if let Some(peer) = self.peers.remove(path) {
            self.metrics.forget(&peer.counters);
        }
        let port = Port::of(path);
        if !self.sessions.iter().any(|(other, _)| Port::of(other) == port) {
            self.inboxes.remove(&port);
        }
    }
}
