//! What is true of the virtual cluster, seen from outside.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use herald_election::Observed;

use crate::world::{News, World};

impl World {
    /// Whether the node would answer an ARP request now.
    pub(crate) fn answers(&self, index: usize, ip: IpAddr) -> bool {
        let node = &self.nodes[index];
        let owned = !node.frozen && !node.suspended && node.owned.contains_key(&ip);
        node.carrier && (owned || self.now < node.legacy.0 && node.legacy.1.contains(&ip))
    }

    pub(crate) fn answerers(&self, ip: IpAddr) -> Vec<usize> {
        (0..self.nodes.len()).filter(|index| self.answers(*index, ip)).collect()
    }

    pub(crate) fn owner(&self, ip: IpAddr) -> usize {
        let owners = self.answerers(ip);
        assert_eq!(owners.len(), 1, "seed {}: {:?} {ip} is answered by {owners:?}", self.seed, self.now);
        owners[0]
    }

    pub(crate) fn observe(&mut self) {
        let counts: Vec<_> = self.answering.keys().map(|ip| (*ip, self.answerers(*ip).len())).collect();
        for (ip, count) in counts {
            if let Some(times) = self.answering.get_mut(&ip)
                && times.last().is_none_or(|(_, last)| *last != count)
            {
                times.push((self.now, count));
            }
        }
    }

    /// How long, since then, an address was answered by as many as `wrong` says.
    pub(crate) fn time_with(&self, ip: IpAddr, since: Duration, wrong: impl Fn(usize) -> bool) -> Duration {
        let times = &self.answering[&ip];
        let ends = times.iter().skip(1).map(|(at, _)| *at).chain([self.now]);
        times
            .iter()
            .zip(ends)
            .filter(|((_, count), _)| wrong(*count))
            .map(|((at, _), end)| end.saturating_sub((*at).max(since)))
            .sum()
    }

    /// I2, when all wires are whole or cut between sides: one owner in each side that has a live candidate.
    pub(crate) fn check_one_owner(&self) {
        for component in self.components() {
            for (ip, address) in &self.addresses {
                let owners: Vec<_> = component.iter().filter(|index| self.answers(**index, *ip)).collect();
                let expected = component.iter().any(|index| address.candidates.contains(&self.nodes[*index].id));
                assert_eq!(
                    owners.len(),
                    usize::from(expected),
                    "seed {}: {:?} in {component:?} {ip} is owned by {owners:?}\n{}",
                    self.seed,
                    self.now,
                    self.story(60)
                );
            }
        }
    }

    /// Every preparation has ended in a gain or was called off.
    pub(crate) fn check_nothing_is_foreseen(&self) {
        for (index, node) in self.nodes.iter().enumerate() {
            assert!(
                node.prepared.is_empty(),
                "seed {}: {:?} {index} still prepares for {:?}\n{}",
                self.seed,
                self.now,
                node.prepared,
                self.story(60)
            );
        }
    }

    /// Live nodes that are connected both ways.
    fn components(&self) -> Vec<BTreeSet<usize>> {
        let live = |index: &usize| self.nodes[*index].election.is_some() && self.nodes[*index].carrier;
        let mut left: BTreeSet<_> = (0..self.nodes.len()).filter(live).collect();
        let mut components = Vec::new();
        while let Some(first) = left.pop_first() {
            let mut component = BTreeSet::from([first]);
            let mut grown = vec![first];
            while let Some(next) = grown.pop() {
                let linked: Vec<_> = left
                    .iter()
                    .copied()
                    .filter(|other| !self.wires[&(next, *other)].cut && !self.wires[&(*other, next)].cut)
                    .collect();
                for other in linked {
                    left.remove(&other);
                    component.insert(other);
                    grown.push(other);
                }
            }
            components.push(component);
        }
        components
    }

    pub(crate) fn moves_since(&self, since: Duration) -> usize {
        self.log
            .iter()
            .filter(|(at, _, news)| *at >= since && matches!(news, News::Gain { .. } | News::Lose { .. }))
            .count()
    }

    pub(crate) fn gains_since(&self, since: Duration) -> Vec<(Duration, usize, News)> {
        self.log.iter().filter(|(at, _, news)| *at >= since && matches!(news, News::Gain { .. })).cloned().collect()
    }

    pub(crate) fn saw(&self, since: Duration, what: impl Fn(usize, &Observed) -> bool) -> bool {
        self.log.iter().any(|(at, index, news)| *at >= since && matches!(news, News::Saw(seen) if what(*index, seen)))
    }

    pub(crate) fn story(&self, last: usize) -> String {
        let skip = self.log.len().saturating_sub(last);
        let line = |(at, index, news): &(Duration, usize, News)| format!("{at:>12?} {index} {news:?}\n");
        self.log.iter().skip(skip).map(line).collect()
    }
}
