//! What leaves: messages as they are due, routes as the connection takes them.

use std::time::Instant;

use super::{Action, BATCH, ConnectionId, Session, WINDOW};
use crate::cease::{Cease, KeepsRoutes};
use crate::iana::MessageType;
use crate::observed::Observed;
use crate::timers::Timer;
use crate::transition::State;
use crate::wire::Message;

/// Where the header says what follows it.
const TYPE_OFFSET: usize = 18;

impl Session {
    pub(super) fn send(&mut self, now: Instant, id: ConnectionId, message: &Message) {
        let Some(connection) = self.find(id) else { return };
        // Of the messages that come here, only a NOTIFICATION's data could be too long, and ours is not.
        let Ok(bytes) = message.encode(&connection.sending()) else { return };
        connection.give(now, bytes.len());
        self.counters.sent.count(message.message_type());
        self.out.push_back(Action::Send { connection: id, bytes });
    }

    pub(super) fn send_keepalive(&mut self, now: Instant, id: ConnectionId) {
        self.send(now, id, &Message::Keepalive);
        self.restart_keepalive(now, id);
    }

    /// Shortened at random by up to a quarter (RFC 4271 §10).
    fn restart_keepalive(&mut self, now: Instant, id: ConnectionId) {
        let Some(connection) = self.find(id) else { return };
        let Some(time) = connection.negotiated.as_ref().and_then(|negotiated| negotiated.keepalive_time) else {
            return;
        };
        let time = self.backoff.jitter(time);
        if let Some(connection) = self.find(id) {
            connection.timers.start(Timer::Keepalive, now + time);
        }
    }

    /// Returns the next routes, if the shell has room for them.
    pub(super) fn say_routes(&mut self) -> Option<Action> {
        let now = self.now?;
        let pending = self.rib.is_pending();
        if !pending {
            if std::mem::replace(&mut self.synchronized, true) {
                return None;
            }
            let (held, not_sent) = (self.rib.held(), self.rib.not_sent_count());
            return Some(Action::Report(Observed::Synchronized { held, not_sent }));
        }
        self.synchronized = false;
        let connection = self.connections.iter_mut().find(|connection| connection.state == State::Established)?;
        if connection.unwritten >= WINDOW {
            return None;
        }
        let (id, mut bytes, mut updates) = (connection.id, Vec::new(), 0);
        while bytes.len() < BATCH {
            let Some(message) = self.rib.next_message() else { break };
            let kind = message.get(TYPE_OFFSET).copied().and_then(MessageType::of).unwrap_or(MessageType::Update);
            self.counters.sent.count(kind);
            updates += usize::from(kind == MessageType::Update);
            bytes.extend_from_slice(&message);
        }
        if bytes.is_empty() {
            return self.say_routes();
        }
        connection.give(now, bytes.len());
        // A peer that hears UPDATEs needs no KEEPALIVE (RFC 4271 §8.2.2).
        self.restart_keepalive(now, id);
        if updates > 0 {
            self.out.push_back(Action::Report(Observed::UpdatesSent(updates)));
        }
        Some(Action::Send { connection: id, bytes })
    }

    /// Turns a connection away that was not opened yet.
    pub(super) fn reject(&mut self, id: ConnectionId) {
        let notification = Cease::ConnectionRejected.notification(KeepsRoutes::Never);
        if let Ok(bytes) = Message::Notification(notification).encode(&Default::default()) {
            self.counters.sent.count(MessageType::Notification);
            self.out.push_back(Action::Send { connection: id, bytes });
        }
        self.out.push_back(Action::Close { connection: id });
        self.report(Observed::Rejected);
    }

    /// Returns when the peer of a connection keeps our routes.
    pub(super) fn keeps_routes(&self, id: ConnectionId) -> KeepsRoutes {
        let connection = self.connections.iter().find(|connection| connection.id == id);
        let negotiated = connection.and_then(|connection| connection.negotiated.as_ref());
        negotiated.map(|negotiated| negotiated.keeps_routes).unwrap_or_default()
    }
}
