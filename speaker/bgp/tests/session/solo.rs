//! One session, its time, and a peer played by hand.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use herald_bgp::wire::{Asn, Prefix};
use herald_bgp::{Action, ConnectionId, Event, Observed, RemoteAs, Route, Routes, Session, Settings, State, Wanted};

use crate::reader::{Table, UPDATE, messages};
use crate::written;

pub(crate) const OUR_AS: u32 = 64512;
pub(crate) const OUR_ID: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(crate) const LOCAL: IpAddr = IpAddr::V4(OUR_ID);
pub(crate) const LOCAL6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

pub(crate) fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn settings() -> Settings {
    Settings::new(Asn(OUR_AS), RemoteAs::Exactly(Asn(written::PEER_AS)), OUR_ID)
}

pub(crate) fn routes<const N: usize>(prefixes: [&str; N]) -> Routes {
    prefixes.map(|prefix| (self::prefix(prefix), Arc::new(Route::default()))).into_iter().collect()
}

pub(crate) fn prefix(text: &str) -> Prefix {
    Prefix::new(text.parse().unwrap())
}

pub(crate) struct Solo {
    pub(crate) session: Session,
    pub(crate) now: Instant,
    pub(crate) wanted: Wanted,
    pub(crate) local: IpAddr,
    /// What was sent and not looked at, by connection.
    pub(crate) sent: Vec<(ConnectionId, u8, Vec<u8>)>,
    pub(crate) dials: usize,
    pub(crate) abandoned: usize,
    pub(crate) closed: Vec<ConnectionId>,
    pub(crate) observed: Vec<Observed>,
    /// The peer's table, from all connections.
    pub(crate) table: Table,
    /// Whether the kernel takes what is sent.
    pub(crate) writes: bool,
    pub(crate) unwritten: Vec<(ConnectionId, usize)>,
    next: u64,
}

impl Solo {
    /// Both families on a session over IPv4, one route, the first dial out.
    pub(crate) fn new() -> Self {
        Self::of(settings(), routes(["198.51.100.1/32"]))
    }

    pub(crate) fn of(settings: Settings, routes: Routes) -> Self {
        let mut solo = Self::unborn(settings, routes);
        solo.apply();
        solo
    }

    pub(crate) fn unborn(settings: Settings, routes: Routes) -> Self {
        Self {
            session: Session::new(1),
            now: Instant::now(),
            wanted: Wanted { settings, routes },
            local: LOCAL,
            sent: Vec::new(),
            dials: 0,
            abandoned: 0,
            closed: Vec::new(),
            observed: Vec::new(),
            table: Table::default(),
            writes: true,
            unwritten: Vec::new(),
            next: 0,
        }
    }

    /// A session in a state, and the connection that it is in that state for.
    pub(crate) fn in_state(state: State) -> (Self, ConnectionId) {
        Self::new().bring_to(state, &written::open())
    }

    pub(crate) fn bring_to(mut self, state: State, open: &[u8]) -> (Self, ConnectionId) {
        let none = ConnectionId(u64::MAX);
        match state {
            State::Idle => {
                self.handle(Event::Stop(herald_bgp::Stop::Deconfigured));
                return (self, none);
            }
            State::Connect => return (self, none),
            State::Active => {
                self.handle(Event::ConnectFailed { why: "refused".into() });
                return (self, none);
            }
            State::OpenSent | State::OpenConfirm | State::Established => {}
        }
        let id = self.connected();
        if state >= State::OpenConfirm {
            self.receive(id, open);
        }
        if state == State::Established {
            self.receive(id, &written::keepalive());
        }
        assert_eq!(self.session.state(), state);
        (self, id)
    }

    pub(crate) fn established() -> (Self, ConnectionId) {
        Self::in_state(State::Established)
    }

    pub(crate) fn apply(&mut self) {
        self.session.set(self.now, self.wanted.clone());
        self.drain();
    }

    pub(crate) fn handle(&mut self, event: Event<'_>) {
        self.session.handle(self.now, event);
        self.drain();
    }

    /// The dial succeeds.
    pub(crate) fn connected(&mut self) -> ConnectionId {
        let connection = self.name();
        self.handle(Event::Connected { connection, local: self.local });
        connection
    }

    /// The peer dials.
    pub(crate) fn accepted(&mut self) -> ConnectionId {
        let connection = self.name();
        self.handle(Event::Accepted { connection, local: self.local });
        connection
    }

    fn name(&mut self) -> ConnectionId {
        self.next += 1;
        ConnectionId(self.next)
    }

    pub(crate) fn receive(&mut self, connection: ConnectionId, bytes: &[u8]) {
        self.handle(Event::Received { connection, bytes });
    }

    /// Time passes; whatever is due is done when it is due.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.session.deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.handle(Event::Tick);
        }
        self.now = end;
    }

    /// The kernel takes everything.
    pub(crate) fn write_all(&mut self) {
        for (connection, octets) in std::mem::take(&mut self.unwritten) {
            self.handle(Event::Written { connection, octets });
        }
    }

    fn drain(&mut self) {
        while let Some(action) = self.session.poll() {
            match action {
                Action::Connect => self.dials += 1,
                Action::Abandon => self.abandoned += 1,
                Action::Close { connection } => self.closed.push(connection),
                Action::Report(observed) => self.observed.push(observed),
                Action::Send { connection, mut bytes } => {
                    assert!(!self.closed.contains(&connection), "nothing is sent after the close");
                    let octets = bytes.len();
                    for (kind, body) in messages(&mut bytes) {
                        if kind == UPDATE {
                            assert_eq!(self.session.state(), State::Established, "no UPDATE before Established");
                            self.table.take(&body);
                        }
                        self.sent.push((connection, kind, body));
                    }
                    assert!(bytes.is_empty(), "only whole messages are sent");
                    if self.writes {
                        self.session.handle(self.now, Event::Written { connection, octets });
                    } else {
                        self.unwritten.push((connection, octets));
                    }
                }
            }
        }
    }

    /// Returns types and bodies of what was sent on a connection since the last look.
    pub(crate) fn said(&mut self, connection: ConnectionId) -> Vec<(u8, Vec<u8>)> {
        let (said, rest) = std::mem::take(&mut self.sent).into_iter().partition(|(id, ..)| *id == connection);
        self.sent = rest;
        let said: Vec<(ConnectionId, u8, Vec<u8>)> = said;
        said.into_iter().map(|(_, kind, body)| (kind, body)).collect()
    }

    /// Returns the types of what was sent on a connection since the last look.
    pub(crate) fn kinds(&mut self, connection: ConnectionId) -> Vec<u8> {
        self.said(connection).into_iter().map(|(kind, _)| kind).collect()
    }

    /// Returns the last NOTIFICATION on a connection: code, subcode, data.
    pub(crate) fn told(&mut self, connection: ConnectionId) -> Option<(u8, u8, Vec<u8>)> {
        let said = self.said(connection);
        let body = said.into_iter().rev().find(|(kind, _)| *kind == crate::reader::NOTIFICATION)?.1;
        Some((body[0], body[1], body[2..].to_vec()))
    }

    /// Returns the reason of the last end, in words.
    pub(crate) fn why(&self) -> Option<String> {
        self.observed.iter().rev().find_map(|observed| match observed {
            Observed::Ended { why, .. } => Some(why.to_string()),
            _ => None,
        })
    }

    pub(crate) fn forget(&mut self) {
        self.sent.clear();
        self.observed.clear();
        self.closed.clear();
        (self.dials, self.abandoned) = (0, 0);
    }
}
