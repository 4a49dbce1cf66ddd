//! Addresses that this node owns and does not announce yet, or no more, because somebody who is no node of ours may have them.
//!
//! ```text
//!   the first owner there is -----> doubtful --nobody has it--> announced
//!   a stranger claims it, yield --> doubtful
//! ```
//!
//! The election goes on owning them: that keeps the other nodes from announcing them instead. What another node has announced is not doubted when it moves: asking
//! would cost the time that a failover is to take.

use super::Thread;
use crate::pulse::{News, OnConflict};
use herald_l2::{Doubtful, Finding, Prober};
use std::{collections::BTreeSet, net::IpAddr, time::Instant};

/// What is in doubt.
#[derive(Debug)]
pub(crate) struct Doubts {
    pub(super) prober: Prober,
    on_conflict: OnConflict,
    pub(super) about: BTreeSet<IpAddr>,
}

impl Doubts {
    /// None.
    pub(crate) fn new(seed: u64, on_conflict: OnConflict) -> Self {
        Self { prober: Prober::new(seed), on_conflict, about: BTreeSet::new() }
    }

    /// A stranger claims an announced address; says whether that makes it doubtful.
    pub(super) fn claimed(&mut self, ip: IpAddr) -> bool {
        self.on_conflict == OnConflict::Yield && self.about.insert(ip)
    }
}

impl Thread {
    /// Tells the prober, whole, what is owned and in doubt.
    pub(super) fn doubt(&mut self, now: Instant) {
        let Some(orders) = &self.orders else { return };
        self.doubts.about.retain(|ip| self.owned.contains(ip));
        let asks = |ip: &IpAddr| Some((*ip, orders.addresses.get(ip)?.interfaces.clone()));
        let about = self.doubts.about.iter().filter(|_| !self.suspended);
        let wanted = Doubtful {
            addresses: about.filter_map(asks).collect(),
            own: orders.interfaces.iter().map(|(index, interface)| (*index, interface.mac)).collect(),
            peers: orders.peers.clone(),
        };
        self.doubts.prober.set(now, wanted);
    }

    /// Asks, and announces what nobody else has.
    pub(super) fn resolve_doubts(&mut self, now: Instant) {
        self.doubts.prober.tick(now);
        let mut resolved = false;
        while let Some(finding) = self.doubts.prober.poll() {
            match finding {
                Finding::Send { interface, frame } => {
                    if let Err(error) = self.send(interface, &frame) {
                        self.tell(News::Failed { what: "send a frame", error });
                    }
                }
                Finding::Free { ip } => {
                    resolved |= self.doubts.about.remove(&ip);
                    self.tell(News::Free { ip });
                }
                Finding::Taken { ip, interface, mac } => self.tell(News::Taken { ip, interface, mac }),
            }
        }
        if resolved {
            self.announce(now);
        }
    }
}
