//! What comes in: messages, each of which is checked, counted and forgotten.

use std::time::Instant;

use super::{ConnectionId, End, Session, Step};
use crate::iana::{ErrorCode, FsmSubcode, MessageType};
use crate::negotiate;
use crate::observed::{Ended, Observed};
use crate::transition::{Fault, State};
use crate::wire::{DecodeError, Decoded, Flaw, Message, Notification, Open, RefreshSubtype, RouteRefresh, Update};

impl Session {
    pub(super) fn receive(&mut self, now: Instant, id: ConnectionId, bytes: &[u8]) {
        let Some(connection) = self.find(id) else { return };
        connection.input.push(bytes);
        // What a message does may end the connection, and an OPEN changes how the next message is read.
        while let Some(connection) = self.find(id) {
            let encoding = connection.receiving();
            match connection.input.next(&encoding) {
                Some(Ok(Decoded { message, flaw })) => self.message(now, id, message, flaw),
                Some(Err(error)) => self.malformed(now, id, &error),
                None => break,
            }
        }
    }

    fn message(&mut self, now: Instant, id: ConnectionId, message: Message, flaw: Option<Flaw>) {
        let kind = message.message_type();
        self.counters.received.count(kind);
        match message {
            Message::Open(open) => self.opened(now, id, &open),
            Message::Keepalive => self.expect(now, id, Step::Keepalive, kind),
            Message::Notification(notification) => {
                self.report(Observed::NotificationReceived(notification.clone()));
                self.step(now, id, Step::Notification, End::silent(Ended::PeerNotified(notification)));
            }
            Message::Update(update) => {
                let established = self.is_established(id);
                self.expect(now, id, Step::Routes, kind);
                if established {
                    self.count(&update);
                    self.flawed(id, flaw);
                }
            }
            Message::RouteRefresh(refresh) => {
                let established = self.is_established(id);
                self.expect(now, id, Step::Routes, kind);
                if established {
                    self.refresh(refresh);
                }
            }
        }
    }

    fn is_established(&self, id: ConnectionId) -> bool {
        self.established().is_some_and(|connection| connection.id == id)
    }

    /// A message that is fine by itself, but may have no place in the state.
    fn expect(&mut self, now: Instant, id: ConnectionId, step: Step, message: MessageType) {
        let Some(connection) = self.find(id) else { return };
        let why = Ended::Unexpected { state: connection.state, message };
        self.step(now, id, step, End::silent(why));
    }

    fn opened(&mut self, now: Instant, id: ConnectionId, open: &Open) {
        let Some(settings) = self.settings.clone() else { return };
        let Some(connection) = self.find(id) else { return };
        if connection.state != State::OpenSent {
            return self.expect(now, id, Step::Open, MessageType::Open);
        }
        match negotiate::negotiate(&settings, &connection.ours, open) {
            Err(refusal) => {
                let notification = Some(refusal.notification());
                self.step(now, id, Step::OpenRefused, End { why: Ended::Refused(refusal), notification });
            }
            Ok(negotiated) => {
                if self.collide(now, id, negotiated.peer_id, negotiated.peer_as)
                    && let Some(connection) = self.find(id)
                {
                    connection.negotiated = Some(Box::new(negotiated));
                    self.expect(now, id, Step::Open, MessageType::Open);
                }
            }
        }
    }

    fn count(&mut self, update: &Update) {
        let announced = update.nlri.len() + update.reach.as_ref().map_or(0, |reach| reach.nlri.len());
        let withdrawn = update.withdrawn.len() + update.unreach.as_ref().map_or(0, |unreach| unreach.nlri.len());
        self.counters.announced_by_peer += announced as u64;
        self.counters.withdrawn_by_peer += withdrawn as u64;
    }

    /// A peer whose every UPDATE is wrong is told of less and less often: of the first, the second, the fourth, the eighth …
    fn flawed(&mut self, id: ConnectionId, flaw: Option<Flaw>) {
        let (Some(flaw), Some(connection)) = (flaw, self.find(id)) else { return };
        connection.flaws += 1;
        let news = connection.flaws.is_power_of_two();
        self.counters.malformed_updates += 1;
        if news {
            self.report(Observed::MalformedUpdate(flaw.to_string()));
        }
    }

    /// The marks of the peer's own answers say nothing to a speaker that keeps no routes.
    fn refresh(&mut self, refresh: RouteRefresh) {
        if let (RefreshSubtype::Request, Some(family)) = (refresh.subtype, refresh.family.family())
            && self.rib.refresh(family)
        {
            self.report(Observed::RefreshRequested(family));
        }
    }

    /// The connection cannot go on.
    fn malformed(&mut self, now: Instant, id: ConnectionId, error: &DecodeError) {
        let step = match error.problem.error_code() {
            ErrorCode::Open => Step::OpenRefused,
            ErrorCode::Update => return self.bad_routes(now, id, error, MessageType::Update),
            ErrorCode::RouteRefresh => return self.bad_routes(now, id, error, MessageType::RouteRefresh),
            _ => Step::BadHeader,
        };
        self.step(now, id, step, malformed(error));
    }

    /// Where routes have no place, that they are malformed is the smaller mistake.
    fn bad_routes(&mut self, now: Instant, id: ConnectionId, error: &DecodeError, message: MessageType) {
        match self.is_established(id) {
            true => self.step(now, id, Step::BadRoutes, malformed(error)),
            false => self.expect(now, id, Step::BadRoutes, message),
        }
    }
}

fn malformed(error: &DecodeError) -> End {
    End { why: Ended::Malformed { error: error.to_string() }, notification: Some(error.notification()) }
}

/// Returns the NOTIFICATION of an end that has no message of its own.
pub(super) fn fault(fault: Fault, state: State, why: &Ended) -> Option<Notification> {
    match fault {
        Fault::Given => None,
        Fault::HoldTimer => Some(Notification::new(ErrorCode::HoldTimerExpired, 0)),
        Fault::SendHoldTimer => Some(Notification::new(ErrorCode::SendHoldTimerExpired, 0)),
        Fault::Unexpected => {
            let subcode = match state {
                State::OpenSent => FsmSubcode::OpenSent,
                State::OpenConfirm => FsmSubcode::OpenConfirm,
                State::Established => FsmSubcode::Established,
                State::Idle | State::Active | State::Connect => FsmSubcode::Unspecified,
            };
            let data = match why {
                Ended::Unexpected { message, .. } => vec![message.number()],
                _ => Vec::new(),
            };
            Some(Notification { data, ..Notification::new(ErrorCode::FiniteStateMachine, subcode.number()) })
        }
    }
}
