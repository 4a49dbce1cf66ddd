//! Who owns each address: one question, asked again whenever something that it depends on has changed.
//!
//! ```text
//! this node owns it
//!   a live member has the better claim       -> lose it, silent from this instant
//!   a live member has a lesser claim         -> send it ours
//!   that lesser claim is gone                -> announce once more
//!   this node leaves or is no candidate      -> hand over (handover.rs)
//!   this node is unfit                       -> hand over, or keep what nobody takes
//! a live member owns it                      -> nothing, whatever the order says: an owner stays
//! nobody owns it
//!   this node is the first live candidate    -> claim it
//!   it is the second, third ...              -> claim it after one, two ... steps, if still nobody has
//!   it is unfit                              -> that much later still
//! ```

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::claim::{Claim, next_epoch, standing};
use crate::election::Election;
use crate::handover::{Handing, Unless};
use crate::node::NodeId;
use crate::order::ranking;
use crate::timing::UNWANTED_WAIT;
use crate::vocabulary::{Action, Address, Fitness, GainReason, LoseReason, Observed};
use crate::watch::Side;
use crate::wire::{Entry, Flags, Vip};

/// A wanted address.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) address: Address,
    /// The candidates in their order.
    pub(crate) ranking: Vec<NodeId>,
    /// The highest epoch of any claim seen.
    seen: u64,
    /// Since when nobody owns it.
    pub(crate) vacant_since: Option<Instant>,
    /// Who had it last, and how it ended.
    lost: Option<(NodeId, Lost)>,
    /// Who claims it with a lesser claim than ours.
    rival: Option<NodeId>,
    /// Who handed it to this node and may not have seen yet that it was taken.
    giver: Option<NodeId>,
}

/// How somebody's ownership ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// In silence, since then.
    Silent {
        since: Instant,
    },
    Left,
    /// By its own word, for the `LoseReason` at this place in the list.
    Resigned {
        reason: u8,
    },
}

/// An address that this node owns.
#[derive(Debug)]
pub(crate) struct Hold {
    pub(crate) claim: Claim,
    pub(crate) handing: Option<Handing>,
}

impl Slot {
    pub(crate) fn new(address: Address) -> Self {
        let ranking = ranking(&address);
        Self { address, ranking, seen: 0, vacant_since: None, lost: None, rival: None, giver: None }
    }

    /// Nobody is known to have lost it: an owner may exist that this node has not heard of.
    pub(crate) fn forget_loss(&mut self) {
        self.lost = None;
    }

    pub(crate) fn set(&mut self, address: Address) {
        self.ranking = ranking(&address);
        self.address = address;
    }

    /// Notes that a claim with this epoch exists.
    pub(crate) fn see(&mut self, epoch: u64) {
        self.seen = self.seen.max(epoch);
    }
}

impl Election {
    /// Asks the question for every address it may have a new answer for.
    pub(crate) fn judge_claims(&mut self, now: Instant) {
        while let Some((at, ip)) = self.agenda.first().copied().filter(|(at, _)| *at <= now) {
            self.agenda.remove(&(at, ip));
            self.dirty.insert(ip);
        }
        while let Some(ip) = self.dirty.pop_first() {
            self.consider(now, ip);
        }
    }

    fn consider(&mut self, now: Instant, ip: IpAddr) {
        if !self.slots.contains_key(&ip) {
            return;
        }
        let owner = self.best_claim(ip);
        if let Some(claim) = self.holds.get(&ip).map(|hold| hold.claim) {
            self.defend(now, ip, claim, owner);
        } else if owner.is_some() {
            self.vacant.remove(&ip);
            if let Some(slot) = self.slots.get_mut(&ip) {
                (slot.vacant_since, slot.lost) = (None, None);
            }
        } else {
            self.consider_vacancy(now, ip);
        }
    }

    fn defend(&mut self, now: Instant, ip: IpAddr, claim: Claim, best: Option<(NodeId, Claim)>) {
        let me = self.settings.node;
        let better = best.filter(|(node, theirs)| standing(theirs, *node, ip) > standing(&claim, me, ip));
        let giver = self.slots.get(&ip).and_then(|slot| slot.giver);
        let lesser = || self.claims_on(ip).map(|(node, _)| node).find(|node| Some(*node) != giver);
        if let Some(node) = better.map(|(node, _)| node).or_else(lesser) {
            if better.is_some() {
                let asked = self
                    .holds
                    .get(&ip)
                    .and_then(|hold| hold.handing.as_ref())
                    .is_some_and(|handing| handing.asked(node));
                let reason = if asked { LoseReason::HandedOver } else { LoseReason::BetterClaim };
                self.lose(ip, reason, Some(node));
                return;
            }
            if self.slots.get_mut(&ip).is_some_and(|slot| slot.rival.replace(node) != Some(node)) {
                self.report(Observed::Rival { ip, node });
                self.news.push(entry(ip, &claim));
            }
        } else if let Some(rival) = self.slots.get_mut(&ip).and_then(|slot| slot.rival.take()) {
            self.outbox.push_back(Action::Reassert { ip, epoch: claim.epoch, rival });
        }
        let unless_taken = if self.leaving_until.is_some() {
            Some(Unless::Lose(LoseReason::Leaving))
        } else if !self.is_candidate(ip) {
            Some(Unless::Lose(LoseReason::NotCandidate))
        } else if self.fitness == Fitness::Unfit {
            Some(Unless::Keep)
        } else {
            None
        };
        match unless_taken {
            Some(unless_taken) if self.suspended.is_none() => self.hand_over(now, ip, unless_taken),
            Some(_) => {}
            None => {
                if let Some(hold) = self.holds.get_mut(&ip) {
                    hold.handing = None;
                }
            }
        }
    }

    pub(crate) fn set_fitness(&mut self, fitness: Fitness) {
        if std::mem::replace(&mut self.fitness, fitness) != fitness {
            self.dirty.extend(self.slots.keys());
        }
    }

    fn consider_vacancy(&mut self, now: Instant, ip: IpAddr) {
        self.vacant.insert(ip);
        let retry = now + self.timing().pace();
        let Some(slot) = self.slots.get_mut(&ip) else { return };
        let since = *slot.vacant_since.get_or_insert(now);
        let Some(slot) = self.slots.get(&ip) else { return };
        if !self.may_claim || !slot.address.candidates.contains(&self.settings.node) {
            return;
        }
        let turn = since + self.turn(slot);
        if now < turn {
            self.agenda.insert((turn, ip));
        } else if !self.knows_enough(now, slot, since) {
            self.agenda.insert((retry, ip));
        } else {
            let (reason, from, silent_for) = match slot.lost {
                None => (GainReason::FirstOwner, None, None),
                Some((node, Lost::Silent { since })) => {
                    (GainReason::TookOver, Some(node), Some(now.saturating_duration_since(since)))
                }
                Some((node, Lost::Left | Lost::Resigned { .. })) => (GainReason::Resigned, Some(node), None),
            };
            let quorate = self.side(now) == Side::Majority;
            self.take(now, ip, Taking { reason, from, silent_for, quorate });
        }
    }

    /// How long after the address became vacant it is this node's turn.
    fn turn(&self, slot: &Slot) -> Duration {
        let timing = self.timing();
        let ahead = || {
            let before = slot.ranking.iter().take_while(|node| **node != self.settings.node);
            before.filter_map(|node| self.members.get(node)).filter(|member| {
                // A node that still learns cannot take what needs an owner now; an address that never had one can wait for it.
                member.counts()
                    && !member.flags.has(Flags::LEAVING)
                    && (slot.lost.is_none() || !member.flags.has(Flags::LEARNING))
            })
        };
        let rank = u32::try_from(ahead().count()).unwrap_or(u32::MAX);
        let mut turn = timing.step().saturating_mul(rank);
        if ahead().any(|member| member.flags.has(Flags::LEARNING)) {
            turn += timing.learn();
        }
        if matches!(slot.lost, Some((_, Lost::Resigned { reason })) if reason == LoseReason::Unwanted as u8) {
            turn += UNWANTED_WAIT;
        }
        if self.fitness == Fitness::Unfit {
            turn += timing.drain();
        }
        turn
    }

    /// Whether an owner could exist that this node has not heard of. Where an owner has just died, waiting costs more than a short double claim.
    fn knows_enough(&self, now: Instant, slot: &Slot, since: Instant) -> bool {
        let candidates = || slot.address.candidates.iter().filter_map(|node| Some((*node, self.members.get(node)?)));
        // What a member claims comes within a few heartbeats of hearing it, or not at all.
        let patience = if slot.lost.is_some() { self.timing().heartbeat() * 2 } else { self.timing().learn() };
        let unsynced = candidates().any(|(_, member)| {
            let from = since.max(member.heard_since);
            member.is_heard(now) && !member.is_synced() && now.saturating_duration_since(from) < patience
        });
        if unsynced || slot.lost.is_some() {
            return !unsynced;
        }
        !candidates().any(|(node, member)| !member.is_heard(now) && self.is_heard_elsewhere(node, now))
    }

    fn is_heard_elsewhere(&self, node: NodeId, now: Instant) -> bool {
        let heard = |age: &Duration| *age < self.timing().suspect();
        self.members
            .values()
            .filter(|member| member.is_heard(now))
            .filter_map(|member| member.fresh_report(now))
            .any(|report| report.heard.get(&node).is_some_and(heard))
    }

    /// Claims an address: the claim goes out in this round, before the gain.
    pub(crate) fn take(&mut self, now: Instant, ip: IpAddr, taking: Taking) {
        let clock_ms = now.saturating_duration_since(self.started).as_millis();
        let clock_ms =
            self.settings.incarnation.min(1 << 47).saturating_add(u64::try_from(clock_ms).unwrap_or(u64::MAX));
        let Some(slot) = self.slots.get_mut(&ip) else { return };
        let Taking { reason, from, silent_for, quorate } = taking;
        let claim = Claim { epoch: next_epoch(self.settings.node, slot.seen, clock_ms), quorate, reason: reason as u8 };
        slot.see(claim.epoch);
        (slot.vacant_since, slot.lost, slot.rival) = (None, None, None);
        slot.giver = from.filter(|_| reason == GainReason::HandedOver);
        self.vacant.remove(&ip);
        self.preparing.remove(&ip);
        self.roster.claimed(quorate);
        self.mine.insert(ip.into(), claim);
        self.holds.insert(ip, Hold { claim, handing: None });
        self.news.push(entry(ip, &claim));
        self.gains.push(Action::Gain { ip, epoch: claim.epoch, reason, from, silent_for });
    }

    /// Gives an address up, silent from this instant; does nothing if it is not owned.
    pub(crate) fn lose(&mut self, ip: IpAddr, reason: LoseReason, to: Option<NodeId>) {
        let Some(hold) = self.holds.remove(&ip) else { return };
        self.mine.remove(ip.into());
        let resigned = Entry { resigned: true, reason: reason as u8, ..entry(ip, &hold.claim) };
        self.news.push(resigned);
        self.outbox.push_back(Action::Lose { ip, reason, to });
        if let Some(slot) = self.slots.get_mut(&ip) {
            slot.lost = Some((self.settings.node, Lost::Resigned { reason: reason as u8 }));
            slot.rival = None;
            self.dirty.insert(ip);
        }
    }

    pub(crate) fn lose_all(&mut self, reason: LoseReason) {
        let all: Vec<_> = self.holds.keys().copied().collect();
        for ip in all {
            self.lose(ip, reason, None);
        }
    }

    /// Writes the majority bit of one claim.
    pub(crate) fn mark_claim(&mut self, ip: IpAddr, quorate: bool) {
        let Some(hold) = self.holds.get_mut(&ip) else { return };
        hold.claim.quorate = quorate;
        let claim = hold.claim;
        if let Some(slot) = self.slots.get_mut(&ip) {
            slot.see(claim.epoch);
        }
        self.mine.insert(ip.into(), claim);
        self.news.push(entry(ip, &claim));
        self.dirty.insert(ip);
    }

    /// A member's claims end with it, and are kept in case it comes back.
    pub(crate) fn orphan_claims(&mut self, node: NodeId, how: Lost) {
        let Some(member) = self.members.get(&node) else { return };
        for ip in member.claims.iter().map(|(vip, _)| vip.ip()) {
            if let Some(slot) = self.slots.get_mut(&ip) {
                slot.lost = Some((node, how));
            }
            self.dirty.insert(ip);
        }
    }

    /// A member's claims end with it, for good.
    pub(crate) fn forget_claims(&mut self, node: NodeId, how: Lost) {
        self.orphan_claims(node, how);
        let Some(member) = self.members.get_mut(&node) else { return };
        for (vip, _) in std::mem::take(&mut member.claims).iter() {
            if let Some(claimants) = self.claimants.get_mut(&vip) {
                claimants.remove(&node);
                if claimants.is_empty() {
                    self.claimants.remove(&vip);
                }
            }
        }
    }

    /// A member's word about one address.
    pub(crate) fn note_claim(&mut self, node: NodeId, vip: Vip, claim: Option<Claim>, reason: u8) {
        let ip = vip.ip();
        let Some(member) = self.members.get_mut(&node) else { return };
        match claim {
            Some(claim) => {
                if member.claims.get(vip) == Some(&claim) {
                    return;
                }
                member.claims.insert(vip, claim);
                self.claimants.entry(vip).or_default().insert(node);
                if let Some(slot) = self.slots.get_mut(&ip) {
                    slot.see(claim.epoch);
                }
            }
            None => {
                let known = member.claims.remove(vip).is_some();
                let beaten = reason == LoseReason::BetterClaim as u8;
                if let Some(slot) = self.slots.get_mut(&ip).filter(|_| beaten && self.holds.contains_key(&ip)) {
                    // It gave up before its claim was even heard here: it answered all the same.
                    slot.rival = Some(node);
                    self.dirty.insert(ip);
                }
                if !known {
                    return;
                }
                if let Some(claimants) = self.claimants.get_mut(&vip) {
                    claimants.remove(&node);
                    if claimants.is_empty() {
                        self.claimants.remove(&vip);
                    }
                }
                if let Some(slot) = self.slots.get_mut(&ip) {
                    slot.lost = Some((node, Lost::Resigned { reason }));
                    slot.giver = slot.giver.filter(|giver| *giver != node);
                }
            }
        }
        self.dirty.insert(ip);
    }

    /// What members that are not dead claim.
    pub(crate) fn claims_on(&self, ip: IpAddr) -> impl Iterator<Item = (NodeId, Claim)> {
        let vip = Vip::from(ip);
        self.claimants.get(&vip).into_iter().flatten().filter_map(move |node| {
            let member = self.members.get(node).filter(|member| member.counts())?;
            Some((*node, *member.claims.get(vip)?))
        })
    }

    /// The best claim of another node. Claims of the dead do not count, claims of the living all do: leaving out one that was overtaken by a majority
    /// which has died since would let two nodes disagree for good, if only one of them had heard of that majority.
    pub(crate) fn best_claim(&self, ip: IpAddr) -> Option<(NodeId, Claim)> {
        self.claims_on(ip).max_by_key(|(node, claim)| standing(claim, *node, ip))
    }

    /// The owner as this node sees it.
    pub(crate) fn owner(&self, ip: IpAddr) -> Option<(NodeId, Claim)> {
        let own = self.holds.get(&ip).map(|hold| (self.settings.node, hold.claim));
        own.into_iter().chain(self.best_claim(ip)).max_by_key(|(node, claim)| standing(claim, *node, ip))
    }

    pub(crate) fn is_candidate(&self, ip: IpAddr) -> bool {
        self.slots.get(&ip).is_some_and(|slot| slot.address.candidates.contains(&self.settings.node))
    }
}

/// How an address comes to this node.
pub(crate) struct Taking {
    pub(crate) reason: GainReason,
    pub(crate) from: Option<NodeId>,
    pub(crate) silent_for: Option<Duration>,
    pub(crate) quorate: bool,
}

pub(crate) fn entry(ip: IpAddr, claim: &Claim) -> Entry {
    Entry { vip: ip.into(), epoch: claim.epoch, quorate: claim.quorate, resigned: false, reason: claim.reason }
}

#[cfg(test)]
mod tests;
