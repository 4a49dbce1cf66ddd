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
//! Asked again every two heartbeats; after `T_dead` without a claim the next candidate is asked; when the drain time is over the address is given up.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Instant;

use crate::election::Election;
use crate::node::NodeId;
use crate::owner::entry;
use crate::vocabulary::{LoseReason, Observed};
use crate::wire::{Flags, Offer};

/// A hand-over in progress.
#[derive(Debug)]
pub(crate) struct Handing {
    until: Instant,
    heir: Option<(NodeId, Instant)>,
    tried: BTreeSet<NodeId>,
}

impl Handing {
    /// Whether this node was asked to take the address.
    pub(crate) fn asked(&self, node: NodeId) -> bool {
        self.tried.contains(&node)
    }
}

impl Election {
    /// Begins or goes on to hand an owned address to the first live candidate.
    pub(crate) fn hand_over(&mut self, now: Instant, ip: IpAddr, why: LoseReason) {
        let timing = self.timing();
        let again = now + timing.heartbeat() * 2;
        let until = self.leaving_until.unwrap_or(now + timing.drain());
        let Some(hold) = self.holds.get_mut(&ip) else { return };
        let epoch = hold.claim.epoch;
        let handing = hold.handing.get_or_insert_with(|| Handing { until, heir: None, tried: BTreeSet::new() });
        let (until, asked, tried) = (handing.until.min(until), handing.heir, handing.tried.clone());
        if now >= until {
            self.lose(ip, why, None);
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
                self.lose(ip, why, None);
                return;
            }
        }
        self.agenda.insert((again.min(until), ip));
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
        for offer in offers {
            let ip = offer.vip.ip();
            if let Some(hold) = self.holds.get(&ip) {
                self.news.push(entry(ip, &hold.claim));
                continue;
            }
            let Some((owner, claim)) = self.best_claim(ip) else { continue };
            if owner == from && claim.epoch <= offer.epoch && self.is_active() && self.is_candidate(ip) {
                self.prepare_offered(now, ip, from, offer.epoch);
            }
        }
    }
}
