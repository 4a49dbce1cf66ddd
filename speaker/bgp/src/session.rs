//! A session with one peer: the machine.
//!
//! ```text
//!   peer, routes, whole ----------> set     [ Session ]  poll +--> Connect, Abandon, Close --> one TCP socket or two
//!   Connected, Accepted, Closed --> handle      |             +--> Send ---------------------> the same
//!   Received, Written, Tick ------>             |             +--> Report -------------------> log, status, metrics
//!   Stop, BfdDown, Refresh ------->             |
//!                                               +-- base: what goes on without a connection (Idle, Active, Connect)
//!                                               +-- connections: at most one dialled, one accepted, one established
//!                                               +-- rib_out: what is to be said once one is established
//! ```
//!
//! The table of RFC 4271 §8.2.2 is in [`crate::transition`]; here is what its reactions do. Each connection is in a state
//! of its own (RFC 4271 §8.2.1), the session is in the state of the one that is farthest.
//!
//! Promises, each with a test:
//! - no UPDATE before Established;
//! - a connection that we end gets a NOTIFICATION that says why, and every end is reported with its reason. Two ends are
//!   silent by design: a restart that keeps the routes, and an old connection of a peer that restarted;
//! - of two connections that cross, both sides keep the same (RFC 4271 §6.8, RFC 6286 §2.3);
//! - what a peer sends is read, checked and counted; at most one message of it is ever kept;
//! - no more than [`WINDOW`] octets of routes wait in the shell for a peer that reads slowly.
//!
//! # What the shell owes the machine
//!
//! - After [`Action::Connect`]: one of [`Event::Connected`] and [`Event::ConnectFailed`], unless [`Action::Abandon`] came
//!   first.
//! - After [`Action::Send`]: [`Event::Written`] with as many octets once the kernel has taken them.
//! - After [`Action::Close`]: what was sent before is written if that takes no longer than a second or two, then the
//!   connection is closed; no event about it follows, and one that does is ignored.
//! - Bytes that were received are delivered before a [`Event::Tick`] of the same instant: after a pause of this process
//!   the peer is not dead, only unread.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crate::cease::Cease;
use crate::negotiate::Negotiated;
use crate::observed::{Counters, Ended, Observed};
use crate::peer::{Dial, Settings};
use crate::restart::Comeback;
use crate::rib_out::RibOut;
use crate::route::{Route, Terms};
use crate::timers::Backoff;
use crate::transition::{Input as Step, State};
use crate::wire::Prefix;

mod base;
mod collision;
mod connection;
mod input;
mod receive;
mod send;
mod steps;
mod vocabulary;

use connection::Connection;
pub use connection::ConnectionId;
use steps::{End, Tcp};
pub use vocabulary::{Action, Event, Stop, Wanted};

/// Who made a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Dialled,
    Accepted,
}

/// Speaks BGP with one peer.
#[derive(Debug)]
pub struct Session {
    settings: Option<Settings>,
    admin: Admin,
    base: Base,
    connections: Vec<Connection>,
    rib: RibOut,
    synchronized: bool,
    backoff: Backoff,
    comeback: Comeback,
    counters: Counters,
    out: VecDeque<Action>,
    shown: State,
    now: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Admin {
    Running,
    Stopped,
}

/// What goes on beside the connections there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Base {
    /// Nothing.
    Idle,
    /// Nothing, until then; the next dial is later.
    Damped { until: Instant, dial: Instant },
    /// The peer may dial; we do then, if ever.
    Active { retry: Option<Instant> },
    /// We dial, until then.
    Connect { give_up: Instant },
}

impl Base {
    fn state(self) -> State {
        match self {
            Self::Idle | Self::Damped { .. } => State::Idle,
            Self::Active { .. } => State::Active,
            Self::Connect { .. } => State::Connect,
        }
    }

    fn deadline(self) -> Option<Instant> {
        match self {
            Self::Idle => None,
            Self::Active { retry } => retry,
            Self::Damped { until: at, .. } | Self::Connect { give_up: at } => Some(at),
        }
    }
}

impl Session {
    /// Makes a session that knows no peer and does nothing before the first [`Session::set`]. The seed spreads its waits;
    /// it should differ between nodes and peers.
    pub fn new(seed: u64) -> Self {
        Self {
            settings: None,
            admin: Admin::Running,
            base: Base::Idle,
            connections: Vec::new(),
            rib: RibOut::new(),
            synchronized: true,
            backoff: Backoff::new(seed),
            comeback: Comeback::default(),
            counters: Counters::default(),
            out: VecDeque::new(),
            shown: State::Idle,
            now: None,
        }
    }

    /// Takes the whole of what is wanted. The first time, the session begins: after a restart of this process the routes
    /// should be complete by then, because the peer drops what it kept of the last process once it has the first batch.
    ///
    /// A change of what an OPEN says ends the session and begins it anew at once; anything else is taken over in flight.
    pub fn set(&mut self, now: Instant, wanted: Wanted) {
        let now = self.advance(now);
        let Wanted { settings, routes } = wanted;
        self.rib.set(routes);
        match self.settings.replace(settings) {
            None => {
                self.comeback.begin(now);
                self.start(now);
            }
            Some(before) => self.follow(now, &before),
        }
        self.show();
    }

    /// Takes one change of the wanted set, at the cost of that prefix only. Nothing withdraws it.
    pub fn change(&mut self, now: Instant, prefix: Prefix, route: Option<Arc<Route>>) {
        self.advance(now);
        self.rib.change(prefix, route);
    }

    /// Takes what happened.
    pub fn handle(&mut self, now: Instant, event: Event<'_>) {
        let now = self.advance(now);
        match event {
            Event::Tick => self.tick(now),
            Event::Start => {
                if self.admin == Admin::Stopped {
                    self.admin = Admin::Running;
                    self.start(now);
                }
            }
            Event::Stop(stop) => self.stop(now, stop),
            Event::Reset { text } => self.restart(now, Cease::AdministrativeReset(text)),
            Event::Connected { connection, local } => self.connected(now, connection, Origin::Dialled, local),
            Event::ConnectFailed { why } => self.connect_failed(now, why),
            Event::Accepted { connection, local } => self.connected(now, connection, Origin::Accepted, local),
            Event::Received { connection, bytes } => self.receive(now, connection, bytes),
            Event::Written { connection, octets } => {
                if let Some(connection) = self.connections.iter_mut().find(|known| known.id == connection) {
                    connection.written(now, octets);
                }
            }
            Event::Closed { connection, why } => {
                self.step(now, connection, Step::ConnectionLost, End::silent(Ended::ConnectionLost { why }));
            }
            Event::BfdDown => self.bfd_down(now),
            Event::BfdUp => self.hurry(now),
            Event::Refresh(family) => {
                self.rib.refresh(family);
            }
        }
        self.show();
    }

    /// Returns what must be done next; call until `None` after each `set`, `change` and `handle`.
    pub fn poll(&mut self) -> Option<Action> {
        self.out.pop_front().or_else(|| self.say_routes())
    }

    /// Returns when to call `handle(now, Event::Tick)`.
    pub fn deadline(&self) -> Option<Instant> {
        let timers = self.connections.iter().filter_map(|connection| connection.timers.earliest());
        timers.chain(self.base.deadline()).min()
    }

    /// Returns the state of the session.
    pub fn state(&self) -> State {
        let states = self.connections.iter().map(|connection| connection.state);
        states.chain([self.base.state()]).max().unwrap_or_default()
    }

    /// Returns what was agreed on, while the session is established.
    pub fn negotiated(&self) -> Option<&Negotiated> {
        self.established().and_then(|connection| connection.negotiated.as_deref())
    }

    /// Returns since when the session is established.
    pub fn established_since(&self) -> Option<Instant> {
        self.established().and_then(|connection| connection.established)
    }

    /// Returns the routes towards the peer.
    pub fn rib(&self) -> &RibOut {
        &self.rib
    }

    /// Returns what was counted since the session was made.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    fn established(&self) -> Option<&Connection> {
        self.connections.iter().find(|connection| connection.state == State::Established)
    }

    /// Time never runs backwards here, whatever the caller's instants do.
    fn advance(&mut self, now: Instant) -> Instant {
        *self.now.insert(self.now.map_or(now, |before| before.max(now)))
    }

    fn report(&mut self, observed: Observed) {
        self.out.push_back(Action::Report(observed));
    }

    fn show(&mut self) {
        let to = self.state();
        let from = std::mem::replace(&mut self.shown, to);
        if from != to {
            self.report(Observed::StateChanged { from, to });
        }
    }

    fn passive(&self) -> bool {
        self.settings.as_ref().is_none_or(|settings| settings.dial == Dial::Passive)
    }

    /// What the routes are said in, while the session is established.
    fn terms(&self) -> Option<Terms> {
        let settings = self.settings.as_ref()?;
        let connection = self.established()?;
        let negotiated = connection.negotiated.as_deref()?;
        let local_as = settings.shown_as();
        Some(Terms {
            encoding: negotiated.sending,
            families: negotiated.families,
            local_as,
            local: connection.local,
            own: settings.own,
            only_to_customer: negotiated.only_to_customer(local_as),
            marks_refresh: negotiated.enhanced_route_refresh,
        })
    }

    fn ids(&self) -> Vec<ConnectionId> {
        self.connections.iter().map(|connection| connection.id).collect()
    }

    fn find(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connections.iter_mut().find(|connection| connection.id == id)
    }
}

/// How many octets of routes may wait in the shell. A few segments more than the kernel takes at once; a hundred times
/// that would be memory for nothing with a hundred slow peers, a tenth would leave a fast one waiting for us.
pub const WINDOW: usize = 64 * 1024;

/// How many octets of routes are handed over at once: one system call for four UPDATEs of 4,096.
const BATCH: usize = 16 * 1024;
