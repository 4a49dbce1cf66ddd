//! What the reactions of the table do to a connection, from its first OPEN to its end.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::input::Input;
use super::{Action, Admin, Base, ConnectionId, Origin, Session, Step, receive};
use crate::cease::Cease;
use crate::negotiate;
use crate::observed::{Ended, Observed};
use crate::timers::Timers;
use crate::transition::{self, Fault, Reaction, State};
use crate::wire::{Message, Notification};

/// How an end is told and reported.
pub(super) struct End {
    pub(super) why: Ended,
    /// What the peer is told, where the table says that it is told what the error itself says.
    pub(super) notification: Option<Notification>,
}

impl End {
    pub(super) fn silent(why: Ended) -> Self {
        Self { why, notification: None }
    }
}

/// Whether a connection that ends can still be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tcp {
    Open,
    Gone,
}

impl Session {
    pub(super) fn connected(&mut self, now: Instant, id: ConnectionId, origin: Origin, local: IpAddr) {
        let (_, reaction) = transition::step(self.base.state(), Step::Connected);
        let asked = match (origin, self.base) {
            (Origin::Dialled, Base::Connect { .. }) => true,
            (Origin::Dialled, _) => false,
            (Origin::Accepted, _) => self.settings.is_some(),
        };
        if reaction != Reaction::SendOpen || !asked {
            self.reject(id);
            return;
        }
        // A dial that goes on while the peer's connection came is a dial that may cross it. It is left alone: if both
        // sides gave theirs up, none would be left.
        match (origin, &mut self.base) {
            (Origin::Dialled, base) => *base = Base::Active { retry: None },
            (Origin::Accepted, Base::Active { retry }) => *retry = None,
            (Origin::Accepted, _) => {}
        }
        self.open(now, id, origin, local.to_canonical());
        if origin == Origin::Accepted {
            self.replace_accepted(now, id);
        }
    }

    pub(super) fn open(&mut self, now: Instant, id: ConnectionId, origin: Origin, local: IpAddr) {
        let Some(settings) = &self.settings else { return };
        let ours = negotiate::our_open(now, settings, &self.comeback);
        let mut connection = Connection {
            id,
            origin,
            state: State::OpenSent,
            local,
            since: now,
            established: None,
            timers: Timers::default(),
            input: Input::default(),
            ours: ours.clone(),
            negotiated: None,
            unwritten: 0,
            flaws: 0,
        };
        connection.restart_hold(now);
        self.connections.push(connection);
        self.send(now, id, &Message::Open(ours));
    }

    /// The table, for a connection.
    pub(super) fn step(&mut self, now: Instant, id: ConnectionId, step: Step, end: End) {
        let Some(connection) = self.find(id) else { return };
        let was = connection.state;
        let (to, reaction) = transition::step(was, step);
        match reaction {
            Reaction::Confirm => {
                connection.state = to;
                connection.restart_hold(now);
                self.send_keepalive(now, id);
            }
            Reaction::Establish => self.establish(now, id),
            Reaction::Alive | Reaction::Process => connection.restart_hold(now),
            Reaction::SendKeepalive => self.send_keepalive(now, id),
            Reaction::Notify(fault) => {
                let notification = match fault {
                    Fault::Given => end.notification,
                    Fault::HoldTimer | Fault::SendHoldTimer | Fault::Unexpected => receive::fault(fault, was, &end.why),
                };
                self.finish(now, id, to, End { notification, ..end }, Tcp::Open);
            }
            Reaction::Drop => {
                let tcp = if step == Step::ConnectionLost { Tcp::Gone } else { Tcp::Open };
                self.finish(now, id, to, End::silent(end.why), tcp);
            }
            _ => {}
        }
    }

    pub(super) fn establish(&mut self, now: Instant, id: ConnectionId) {
        let Some(connection) = self.find(id) else { return };
        connection.state = State::Established;
        connection.established = Some(now);
        connection.restart_hold(now);
        let negotiated = connection.negotiated.clone();
        if let Base::Connect { .. } = self.base {
            self.out.push_back(Action::Abandon);
        }
        self.base = Base::Active { retry: None };
        self.comeback.finish();
        self.counters.established += 1;
        if let Some(terms) = self.terms() {
            self.rib.open(terms);
            self.synchronized = false;
        }
        if let Some(negotiated) = negotiated {
            self.report(Observed::Up(negotiated));
        }
    }

    pub(super) fn cease(&mut self, now: Instant, id: ConnectionId, step: Step, cease: Cease) {
        let notification = Some(cease.notification(self.keeps_routes(id)));
        self.step(now, id, step, End { why: Ended::Ceased(cease), notification });
    }

    /// A connection is over.
    pub(super) fn finish(&mut self, now: Instant, id: ConnectionId, to: State, end: End, tcp: Tcp) {
        if let Some(notification) = end.notification {
            self.send(now, id, &Message::Notification(notification.clone()));
            self.report(Observed::NotificationSent(notification));
        }
        let Some(index) = self.connections.iter().position(|connection| connection.id == id) else { return };
        let connection = self.connections.remove(index);
        if let Some(since) = connection.established {
            self.rib.close();
            self.synchronized = true;
            if now.saturating_duration_since(since) >= STABLE {
                self.backoff.forget();
            }
        }
        self.report(Observed::Ended { was: connection.state, why: end.why });
        if tcp == Tcp::Open {
            self.out.push_back(Action::Close { connection: id });
        }
        if self.connections.is_empty() && self.admin == Admin::Running {
            self.wait_again(now, to);
        }
    }

    /// No connection is left. A dial that is under way goes on.
    pub(super) fn wait_again(&mut self, now: Instant, to: State) {
        if let Base::Connect { .. } = self.base {
            return;
        }
        let wait = self.wait();
        let dial = now + wait;
        self.base = match to {
            State::Active if self.passive() => Base::Active { retry: None },
            State::Active => Base::Active { retry: Some(dial) },
            _ => Base::Damped { until: now + wait / DAMPED_PART, dial },
        };
    }
}

/// A session that stood this long was none that fails as soon as it stands: the next wait is a first one again.
const STABLE: Duration = Duration::from_secs(30);

/// The part of a wait in which the peer is turned away (RFC 4271 §8.1.1, DampPeerOscillations). For the rest of it, it may
/// dial: two sides that both refuse while they wait, and wait most of the time, would never meet.
const DAMPED_PART: u32 = 4;
