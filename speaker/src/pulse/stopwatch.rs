//! How long the steps of a move took, as this node saw them.
//!
//! ```text
//!   owner last heard --detect--> owner known dead --+
//!                                                   +--decide--> address gained --announce--> first round of announcements out
//!   owner offers the address -----------------------+
//! ```
//!
//! The election itself says how long it took to detect. Kept are a time for each dead member and each address on its way, no more.

use herald_election::{Action, Foresight, NodeId, Observed};
use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

#[derive(Debug, Default)]
pub(super) struct Stopwatch {
    dead: BTreeMap<NodeId, Instant>,
    offered: BTreeMap<IpAddr, Instant>,
    gained: BTreeMap<IpAddr, Instant>,
}

impl Stopwatch {
    /// Takes note of a decision of the election; returns how long it took to decide where an address is gained from somebody.
    pub(super) fn see(&mut self, now: Instant, action: &Action) -> Option<Duration> {
        match action {
            Action::Report(Observed::MemberDown { node, .. }) => {
                self.dead.insert(*node, now);
            }
            Action::Report(Observed::MemberUp { node, .. }) => {
                self.dead.remove(node);
            }
            Action::Prepare { ip, why: Foresight::Offer, .. } => {
                self.offered.entry(*ip).or_insert(now);
            }
            Action::Withdraw { ip } => {
                self.offered.remove(ip);
            }
            Action::Lose { ip, .. } => {
                self.gained.remove(ip);
            }
            Action::Gain { ip, from, .. } => {
                self.gained.insert(*ip, now);
                let offered = self.offered.remove(ip);
                let since = offered.or_else(|| from.and_then(|from| self.dead.get(&from).copied()));
                return since.map(|since| now.saturating_duration_since(since));
            }
            _ => {}
        }
        None
    }

    /// A round of announcements is out: returns how long after the gain, if it is the first.
    pub(super) fn announced(&mut self, now: Instant, ip: IpAddr) -> Option<Duration> {
        self.gained.remove(&ip).map(|gained| now.saturating_duration_since(gained))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use herald_election::{Evidence, GainReason};

    fn gain(ip: IpAddr, reason: GainReason, from: Option<NodeId>) -> Action {
        Action::Gain { ip, epoch: 1, reason, from, silent_for: None }
    }

    fn down(node: NodeId) -> Action {
        let silent_for = Duration::from_millis(80);
        Action::Report(Observed::MemberDown { node, silent_for, evidence: Evidence::Alone })
    }

    #[test]
    fn deciding_begins_with_the_death_of_the_owner_or_with_its_offer() {
        let (start, ms) = (Instant::now(), Duration::from_millis);
        let (dead, alive) = (NodeId::of("dead"), NodeId::of("alive"));
        for ip in ["192.0.2.1", "2001:db8::1"].map(|ip| ip.parse().unwrap()) {
            let mut watch = Stopwatch::default();
            watch.see(start, &down(dead));
            let took_over = gain(ip, GainReason::TookOver, Some(dead));
            assert_eq!(watch.see(start + ms(3), &took_over), Some(ms(3)));
            assert_eq!(watch.announced(start + ms(5), ip), Some(ms(2)));
            assert_eq!(watch.announced(start + ms(900), ip), None, "only the first round counts");

            watch.see(start + ms(10), &Action::Prepare { ip, from: alive, why: Foresight::Offer });
            let handed_over = gain(ip, GainReason::HandedOver, Some(alive));
            assert_eq!(watch.see(start + ms(14), &handed_over), Some(ms(4)));
            assert_eq!(watch.see(start + ms(20), &gain(ip, GainReason::FirstOwner, None)), None);
        }
    }

    #[test]
    fn what_is_lost_before_it_was_announced_is_not_announced_late() {
        let (start, ip) = (Instant::now(), "192.0.2.1".parse().unwrap());
        let mut watch = Stopwatch::default();
        watch.see(start, &gain(ip, GainReason::FirstOwner, None));
        watch.see(start, &Action::Lose { ip, reason: herald_election::LoseReason::Unwanted, to: None });
        assert_eq!(watch.announced(start, ip), None);
    }
}
