//! Make ready before an address comes: what the shell needs to have in force when the first packet arrives.
//!
//! ```text
//! offered by its owner         -> Prepare -> Prepared, or half of T_dead over -> claim, gain
//! its owner is suspected, and  -> Prepare -> its death, in its own time ------> claim, gain
//! this node would be next         '------> heard again, or somebody else's ---> Withdraw
//! ```
//!
//! Only an offer waits, since its owner answers until it sees the claim; and it waits no longer than that, so a shell that never answers moves addresses all
//! the same. A death never waits: between suspicion and verdict there is a quarter of `T_dead`. Every `Prepare` is followed by one `Gain` or one `Withdraw`.

use std::net::IpAddr;
use std::time::Instant;

use crate::election::Election;
use crate::member::Health;
use crate::node::NodeId;
use crate::owner::Taking;
use crate::vocabulary::{Action, Foresight, GainReason, Observed};
use crate::wire::Flags;

/// An address that is likely to come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Preparation {
    from: NodeId,
    why: Foresight,
    /// The number of the claim that it was foreseen under.
    epoch: u64,
    /// When waiting ends.
    pub(crate) until: Instant,
    ready: bool,
}

enum Next {
    Wait,
    Take { quorate: bool },
    Withdraw,
}

impl Election {
    /// Prepares for what its owner offers; does nothing if that is under way.
    pub(crate) fn prepare_offered(&mut self, now: Instant, ip: IpAddr, from: NodeId, epoch: u64) {
        let same = |known: &Preparation| (known.from, known.why) == (from, Foresight::Offer);
        if let Some(known) = self.preparing.get_mut(&ip).filter(|known| same(known)) {
            known.epoch = epoch;
            return;
        }
        self.prepare(
            ip,
            Preparation { from, why: Foresight::Offer, epoch, until: now + self.timing().prepare(), ready: false },
        );
    }

    /// Prepares for those addresses of a silent member that would be this node's.
    pub(crate) fn foresee(&mut self, now: Instant, node: NodeId) {
        if !self.is_active() {
            return;
        }
        let Some(member) = self.members.get(&node) else { return };
        let ours = |ip: IpAddr| {
            let (owner, claim) = self.owner(ip)?;
            (owner == node && self.is_next(ip, node)).then_some((ip, claim.epoch))
        };
        let ours: Vec<_> = member.claims.iter().filter_map(|(vip, _)| ours(vip.ip())).collect();
        let until = now + self.timing().foresight();
        for (ip, epoch) in ours {
            if !self.preparing.contains_key(&ip) {
                self.prepare(ip, Preparation { from: node, why: Foresight::Suspicion, epoch, until, ready: false });
            }
        }
    }

    /// Whether this node is the first candidate if that one dies.
    fn is_next(&self, ip: IpAddr, dead: NodeId) -> bool {
        let may = |node: &NodeId| {
            let member = self.members.get(node);
            member.is_some_and(|member| {
                member.counts() && !member.flags.has(Flags::LEAVING) && !member.flags.has(Flags::LEARNING)
            })
        };
        let me = self.settings.node;
        let ranking = self.slots.get(&ip).into_iter().flat_map(|slot| &slot.ranking);
        ranking.filter(|node| **node != dead).find(|node| **node == me || may(node)) == Some(&me)
    }

    fn prepare(&mut self, ip: IpAddr, preparation: Preparation) {
        self.preparing.insert(ip, preparation);
        self.outbox.push_back(Action::Prepare { ip, from: preparation.from, why: preparation.why });
    }

    /// The shell has made ready.
    pub(crate) fn prepared(&mut self, ips: &[IpAddr]) {
        for ip in ips {
            if let Some(preparation) = self.preparing.get_mut(ip) {
                preparation.ready = true;
            }
        }
    }

    /// Takes what is ready, and calls off what does not come.
    pub(crate) fn follow_preparations(&mut self, now: Instant) {
        let all: Vec<_> = self.preparing.iter().map(|(ip, preparation)| (*ip, *preparation)).collect();
        for (ip, preparation) in all {
            let Preparation { from, ready, .. } = preparation;
            match self.next_for(now, ip, preparation) {
                Next::Wait => {}
                Next::Take { quorate } => {
                    if !ready {
                        self.report(Observed::Unprepared { ip, from });
                    }
                    let reason = GainReason::HandedOver;
                    self.take(now, ip, Taking { reason, from: Some(from), silent_for: None, quorate });
                }
                Next::Withdraw => {
                    self.preparing.remove(&ip);
                    self.outbox.push_back(Action::Withdraw { ip });
                }
            }
        }
    }

    fn next_for(&self, now: Instant, ip: IpAddr, preparation: Preparation) -> Next {
        if !self.is_active() || !self.is_candidate(ip) {
            return Next::Withdraw;
        }
        let late = now >= preparation.until;
        let Some((owner, claim)) = self.best_claim(ip) else {
            // Nobody's: whose turn it is, is asked elsewhere.
            return if late { Next::Withdraw } else { Next::Wait };
        };
        if owner != preparation.from || claim.epoch > preparation.epoch {
            return Next::Withdraw;
        }
        match preparation.why {
            Foresight::Offer if preparation.ready || late => {
                // The incumbent's majority is handed over with the address: nobody else can hold a better claim.
                Next::Take { quorate: claim.quorate || self.side(now) == crate::watch::Side::Majority }
            }
            Foresight::Suspicion if late || self.is_clear(owner) => Next::Withdraw,
            Foresight::Offer | Foresight::Suspicion => Next::Wait,
        }
    }

    /// Whether nothing is held against a member any more.
    fn is_clear(&self, node: NodeId) -> bool {
        self.members.get(&node).is_some_and(|member| member.health == Health::Up || member.vetoed.is_some())
    }
}
