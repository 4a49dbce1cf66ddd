//! Two connections with one peer: which one is kept (RFC 4271 §6.8).
//!
//! Both sides dial, the SYNs cross, and there are two connections. The one that the side with the higher BGP Identifier
//! made is kept; of equal identifiers, the higher AS counts (RFC 6286 §2.3). Both sides see the same numbers, so they
//! close the same one.
//!
//! It is decided with the first OPEN that comes on either. The RFC compares with connections in OpenConfirm and allows to
//! look at those in OpenSent once the peer's identifier is known; it is, from that OPEN. Waiting for the second OPEN
//! would let the first connection become Established on one side and lose on the other.
//!
//! An established session stands, and the newcomer is closed. The exception is a peer that restarts gracefully: it has
//! forgotten the old connection, and its new one, made after the old one was established, takes over (RFC 4724 §5).

use std::net::Ipv4Addr;
use std::time::Instant;

use super::{ConnectionId, End, Origin, Session, Step, Tcp};
use crate::KeepsRoutes;
use crate::cease::Cease;
use crate::observed::Ended;
use crate::transition::State;
use crate::wire::Asn;

impl Session {
    /// An acceptable OPEN has come on a connection. Ends the connections that lose against it, and returns whether it
    /// stands itself.
    pub(super) fn collide(&mut self, now: Instant, id: ConnectionId, peer_id: Ipv4Addr, peer_as: Asn) -> bool {
        let Some(this) = self.connections.iter().find(|connection| connection.id == id) else { return false };
        let (origin, since) = (this.origin, this.since);
        let others: Vec<_> = self.connections.iter().filter(|other| other.id != id).collect();
        let mut losers = Vec::new();
        for other in others {
            let replaced = other
                .established
                .is_some_and(|established| self.keeps_routes(other.id) != KeepsRoutes::Never && established < since);
            if replaced {
                losers.push((other.id, Loser::Replaced));
            } else if other.state == State::Established
                || (other.origin != origin && self.keeper(peer_id, peer_as) != origin)
            {
                losers = vec![(id, Loser::Collided)];
                break;
            } else {
                losers.push((other.id, Loser::Collided));
            }
        }
        let stands = losers.iter().all(|(loser, _)| *loser != id);
        for (loser, how) in losers {
            match how {
                Loser::Replaced => {
                    self.finish(now, loser, State::Idle, End::silent(Ended::Replaced), Tcp::Open);
                }
                Loser::Collided => self.lose(now, loser),
            }
        }
        stands
    }

    /// The peer dialled anew: it knows nothing of the connection it made before, unless that one is established.
    pub(super) fn replace_accepted(&mut self, now: Instant, new: ConnectionId) {
        let old = self.connections.iter().find(|connection| {
            connection.id != new && connection.origin == Origin::Accepted && connection.state != State::Established
        });
        if let Some(id) = old.map(|connection| connection.id) {
            self.lose(now, id);
        }
    }

    fn lose(&mut self, now: Instant, id: ConnectionId) {
        self.cease(now, id, Step::CollisionLost, Cease::ConnectionCollisionResolution);
    }

    /// Who made the connection that is kept.
    fn keeper(&self, peer_id: Ipv4Addr, peer_as: Asn) -> Origin {
        let ours = self.settings.as_ref().map(|settings| (settings.router_id, settings.shown_as()));
        if ours > Some((peer_id, peer_as)) { Origin::Dialled } else { Origin::Accepted }
    }
}

enum Loser {
    Collided,
    Replaced,
}
