//! Planned moves, made before broken.
//!
//! ```text
//! owner                                   heir (first live candidate)
//!   | -- HANDOVER (address, epoch) ---------> | makes ready (prepare.rs)
//!   |    answers on                           | claims epoch + 1, answers, announces
//!   | <------------------------------- CLAIM  |
//! silent, from this instant                   |
//! ```
//!
//! Asked again every two heartbeats; after `T_dead` without a claim the next candidate is asked; when the drain time is over the address is given up,
//! or, by an owner that is only unfit, kept and offered again later.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Instant;

use crate::election::Election;
use crate::node::NodeId;
use crate::owner::entry;
use crate::timing::ASK_AGAIN;
use crate::vocabulary::{Fitness, LoseReason, Observed};
use crate::wire::{Flags, Offer};

/// What happens where nobody takes an address in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unless {
    /// It is lost.
    Lose(LoseReason),
    /// It stays, and the others are asked again later.
    Keep,
}

/// A hand-over in progress.
#[derive(Debug)]
pub(crate) struct Handing {
    until: Instant,
    heir: Option<(NodeId, Instant)>,
    tried: BTreeSet<NodeId>,
    /// Nobody took it: until then nobody is asked.
    rest: Option<Instant>,
}

impl Handing {
    /// Whether this node was asked to take the address.
    pub(crate) fn asked(&self, node: NodeId) -> bool {
        self.tried.contains(&node)
    }
}

impl Election {
    /// Begins or goes on to hand an owned address to the first live candidate.
    pub(crate) fn hand_over(&mut self, now: Instant, ip: IpAddr, unless_taken: Unless) {
        let timing = self.timing();
        let again = now + timing.heartbeat() * 2;
        let until = self.leaving_until.unwrap_or(now + timing.drain());
        let Some(hold) = self.holds.get_mut(&ip) else { return };
        let epoch = hold.claim.epoch;
        let new = || Handing { until, heir: None, tried: BTreeSet::new(), rest: None };
        let handing = hold.handing.get_or_insert_with(new);
        if let Some(rest) = handing.rest {
            if unless_taken == Unless::Keep && now < rest {
                return;
            }
            *handing = new();
        }
        let (until, asked, tried) = (handing.until.min(until), handing.heir, handing.tried.clone());
        if now >= until {
            self.nobody_took(now, ip, unless_taken);
            return;
        }
        let heirs = self.heirs(now, ip);
        let ready = |node: &NodeId| self.members.get(node).is_some_and(|member| !member.flags.has(Flags::LEARNING));
        let patient =
            asked.filter(|(node, since)| heirs.contains(node) && now.saturating_duration_since(*since) < timing.dead());
        let next = || {
            let untried = heirs.iter().find(|node| ready(node) && !tried.contains(node));
            untried.or_else(|| heirs.iter().find(|node| ready(node))).map(|node| (*node, now))
        };
        match patient.or_else(next) {
            Some((heir, since)) => {
                if asked.map(|(node, _)| node) != Some(heir) {
                    self.report(Observed::HandingOver { ip, to: heir });
                }
                if let Some(handing) = self.holds.get_mut(&ip).and_then(|hold| hold.handing.as_mut()) {
                    handing.heir = Some((heir, since));
                    if handing.tried.len() >= heirs.len() {
                        handing.tried.clear();
                    }
                    handing.tried.insert(heir);
                }
                self.offers.entry(heir).or_default().push(Offer { vip: ip.into(), epoch });
            }
            // Somebody may be able to take it soon.
            None if !heirs.is_empty() => {}
            None => {
                self.nobody_took(now, ip, unless_taken);
                return;
            }
        }
        self.agenda.insert((again.min(until), ip));
    }

    fn nobody_took(&mut self, now: Instant, ip: IpAddr, unless_taken: Unless) {
        let again = now + ASK_AGAIN;
        match unless_taken {
            Unless::Lose(why) => self.lose(ip, why, None),
            Unless::Keep => {
                if let Some(handing) = self.holds.get_mut(&ip).and_then(|hold| hold.handing.as_mut()) {
                    handing.rest = Some(again);
                    self.agenda.insert((again, ip));
                }
            }
        }
    }

    /// The other candidates that live and stay, in their order.
    fn heirs(&self, now: Instant, ip: IpAddr) -> Vec<NodeId> {
        let lives = |node: &&NodeId| {
            self.members.get(node).is_some_and(|member| member.is_reachable(now) && !member.flags.has(Flags::LEAVING))
        };
        self.slots.get(&ip).into_iter().flat_map(|slot| &slot.ranking).filter(lives).copied().collect()
    }

    /// Makes ready to take what its owner offers, or says again that it has been taken.
    pub(crate) fn take_offers(&mut self, now: Instant, from: NodeId, offers: &[Offer]) {
        let able = self.is_active() && self.fitness == Fitness::Fit;
        for offer in offers {
            let ip = offer.vip.ip();
            if let Some(hold) = self.holds.get(&ip) {
                self.news.push(entry(ip, &hold.claim));
                continue;
            }
            let Some((owner, claim)) = self.best_claim(ip) else { continue };
            if owner == from && claim.epoch <= offer.epoch && able && self.is_candidate(ip) {
                self.prepare_offered(now, ip, from, offer.epoch);
            }
        }
    }
}
