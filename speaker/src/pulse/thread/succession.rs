//! One process takes the place of another, see [`crate::succession`]: what that means for the thread of each.

use super::{ElectionEvent, Thread};
use crate::pulse::{Bequeathed, Inheritance, News, Orders};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// A process that goes on where another ended tells that one after so long, also if the other nodes have not acknowledged it: the other is silent by then.
const UNPROVEN: Duration = Duration::from_secs(1);

impl Thread {
    /// Goes on with what an earlier process owned.
    pub(super) fn inherit(&mut self, now: Instant, orders: Arc<Orders>, inheritance: Inheritance) {
        let Inheritance { testament, following, doubtful, heartbeat } = inheritance;
        self.doubts.about.extend(doubtful);
        self.heartbeat = Some((orders.heartbeat, heartbeat));
        self.election.handle(now, ElectionEvent::Inherit(&testament));
        self.moves.follow(now, following);
        self.inheriting = Some(now);
        self.obey(now, orders);
    }

    /// Ends as far as the others can see, and answers for a moment longer, with the same Ethernet address as the next process.
    pub(super) fn bequeath(&mut self, now: Instant) -> Option<Bequeathed> {
        let testament = self.election.bequeath(now)?;
        self.replaced = Some(now + testament.answers);
        // The next process has bound its own: what comes is for that one.
        self.heartbeat = None;
        self.bfd.leave(now);
        let clients = self
            .orders
            .iter()
            .flat_map(|orders| orders.addresses.keys())
            .flat_map(|ip| self.announcer.clients(*ip).map(|(interface, client)| (*ip, interface, client)));
        Some(Bequeathed {
            testament,
            following: self.moves.following(now),
            doubtful: self.doubts.about.clone(),
            clients: clients.collect(),
        })
    }

    /// Answers for nothing any more, once another process has had time to take over.
    pub(super) fn fall_silent(&mut self, now: Instant) {
        if self.replaced.is_some_and(|until| now >= until) {
            self.replaced = None;
            self.owned.clear();
            self.announce(now);
            self.sockets.clear();
        }
    }

    /// Says that the earlier process may end, once this one answers.
    pub(super) fn confirm_succession(&mut self, now: Instant) {
        let proven = |since: Instant| !self.suspended || now.saturating_duration_since(since) >= UNPROVEN;
        if self.inheriting.is_some_and(proven) {
            self.inheriting = None;
            self.tell(News::Took);
        }
    }
}
