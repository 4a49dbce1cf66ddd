//! A BGP advertisement whose selectors and names have been looked up.

use std::collections::BTreeSet;

use super::community::Community;
use super::pool::Pool;
use super::problem::{Kind, Mistakes, Problem, ProblemReason};
use super::range::Family;
use super::resolve::Resolved;
use super::select::{Labels, Selector, compile_all, matching_nodes, matching_pools, unique};
use super::snapshot::Config;
use super::waiting::{Missing, Waiting};
use crate::api::BGPAdvertisement;

/// Which pools are announced from which nodes to which peers, and with which attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BgpAdvert {
    /// The name of the object.
    pub name: String,
    /// The pools it announces, by name: only pools that exist, those set aside included (their addresses stay in use).
    pub pools: BTreeSet<String>,
    /// The nodes that announce, by name.
    pub nodes: BTreeSet<String>,
    /// The peers announced to.
    pub peers: Peers,
    /// The Services it is for; empty means every Service.
    pub service_selectors: Vec<Selector>,
    /// The length of the IPv4 prefixes.
    pub length_v4: u8,
    /// The length of the IPv6 prefixes.
    pub length_v6: u8,
    /// LOCAL_PREF inside the AS.
    pub local_pref: u32,
    /// The communities of the routes.
    pub communities: BTreeSet<Community>,
}

/// The peers that an advertisement announces to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peers {
    /// Every peer.
    All,
    /// The peers of these names, whether they exist or not.
    Named(BTreeSet<String>),
}

impl Peers {
    /// Whether the peer of this name is among them.
    pub fn include(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.contains(name),
        }
    }

    fn overlap(&self, other: &Peers) -> bool {
        match (self, other) {
            (Self::Named(names), Self::Named(others)) => !names.is_disjoint(others),
            _ => true,
        }
    }
}

/// The most communities that one route may carry.
const MOST_COMMUNITIES: usize = 63;

impl BgpAdvert {
    /// The length of the prefixes of a family.
    pub fn length(&self, family: Family) -> u8 {
        match family {
            Family::V4 => self.length_v4,
            Family::V6 => self.length_v6,
        }
    }

    /// Whether a Service with these labels is announced by this advertisement.
    pub fn selects_service(&self, labels: &Labels) -> bool {
        self.service_selectors.is_empty() || self.service_selectors.iter().any(|s| s.matches(labels))
    }

    /// Whether both announce the same prefix of this pool from the same node to the same peer, with different LOCAL_PREF. For advertisements
    /// with service selectors this can only be told Service by Service.
    pub fn contradicts(&self, other: &BgpAdvert, pool: &Pool) -> bool {
        self.local_pref != other.local_pref
            && [Family::V4, Family::V6]
                .into_iter()
                .any(|family| pool.has_family(family) && self.length(family) == other.length(family))
            && self.peers.overlap(&other.peers)
            && !self.nodes.is_disjoint(&other.nodes)
    }

    /// The name of a pool, announced by both, over which they contradict each other whatever the Service.
    pub(super) fn contradiction<'a>(&self, other: &BgpAdvert, so_far: &'a Resolved) -> Option<&'a str> {
        if !self.service_selectors.is_empty() || !other.service_selectors.is_empty() {
            return None;
        }
        let common = self.pools.intersection(&other.pools).filter_map(|name| so_far.pools.get(name));
        common
            .map(|pool| (pool, self.contradicts(other, pool)))
            .find(|(_, bad)| *bad)
            .map(|(pool, _)| pool.name.as_str())
    }

    pub(super) fn read(
        name: &str,
        object: &BGPAdvertisement,
        config: &Config,
        so_far: &Resolved,
    ) -> Result<Result<BgpAdvert, Waiting>, Vec<Problem>> {
        let mut mistakes = Mistakes::of(Kind::BGPAdvertisement, name);
        let spec = &object.spec;
        unique("spec.ipAddressPools", &spec.ip_address_pools, &mut mistakes);
        let pool_selectors = compile_all("spec.ipAddressPoolSelectors", &spec.ip_address_pool_selectors, &mut mistakes);
        let node_selectors = compile_all("spec.nodeSelectors", &spec.node_selectors, &mut mistakes);
        let service_selectors = compile_all("spec.serviceSelectors", &spec.service_selectors, &mut mistakes);
        let peers = unique("spec.peers", &spec.peers, &mut mistakes);
        let length_v4 = read_length("spec.aggregationLength", spec.aggregation_length, 1, 32, &mut mistakes);
        let length_v6 = read_length("spec.aggregationLengthV6", spec.aggregation_length_v6, 0, 128, &mut mistakes);
        if !spec.service_selectors.is_empty() && (length_v4, length_v6) != (32, 128) {
            let message =
                "spec.serviceSelectors does not go together with aggregation: remove it, or both aggregation lengths";
            mistakes.add(ProblemReason::Contradiction, message);
        }
        let pools = matching_pools(&spec.ip_address_pools, &spec.ip_address_pool_selectors, &pool_selectors, config);
        for pool in pools.iter().filter_map(|name| so_far.pools.get(name)) {
            for (family, length, field) in
                [(Family::V4, length_v4, "aggregationLength"), (Family::V6, length_v6, "aggregationLengthV6")]
            {
                let ranges = pool.ranges.iter().filter(|range| range.family() == family);
                for range in ranges.filter(|range| length < range.shortest_prefix()) {
                    let shortest = range.shortest_prefix();
                    let message = format!(
                        "spec.{field} is {length}, which reaches beyond {range} of the IPAddressPool {}: use at least {shortest}",
                        pool.name
                    );
                    mistakes.add(ProblemReason::BadAggregation, message);
                }
            }
        }
        let mut missing = Vec::new();
        let communities = read_communities(&spec.communities, so_far, &mut missing, &mut mistakes);
        let advert = mistakes.or(BgpAdvert {
            name: name.to_owned(),
            pools,
            nodes: matching_nodes(&spec.node_selectors, &node_selectors, config),
            peers: if spec.peers.is_empty() { Peers::All } else { Peers::Named(peers) },
            service_selectors,
            length_v4,
            length_v6,
            local_pref: spec.local_pref,
            communities,
        })?;
        Ok(Waiting::unless(Kind::BGPAdvertisement, name, missing, advert))
    }
}

fn read_length(field: &str, written: Option<i32>, shortest: u8, longest: u8, mistakes: &mut Mistakes) -> u8 {
    let Some(written) = written else { return longest };
    let length = u8::try_from(written).ok().filter(|length| (shortest..=longest).contains(length));
    length.unwrap_or_else(|| {
        let message = format!("{field} is {written}: use a number from {shortest} to {longest}");
        mistakes.add(ProblemReason::BadAggregation, message);
        longest
    })
}

fn read_communities(
    texts: &[String],
    so_far: &Resolved,
    missing: &mut Vec<Missing>,
    mistakes: &mut Mistakes,
) -> BTreeSet<Community> {
    unique("spec.communities", texts, mistakes);
    let mut communities = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for text in texts.iter().filter(|text| seen.insert(text.as_str())) {
        let community = match so_far.communities.get(text) {
            Some(&community) => community,
            None => match text.parse() {
                Ok(community) => community,
                Err(_) if !text.is_empty() && !text.contains(':') => {
                    missing.push(Missing::CommunityAlias(text.clone()));
                    continue;
                }
                Err(why) => {
                    mistakes.add(ProblemReason::BadCommunity, format!("spec.communities: {why}"));
                    continue;
                }
            },
        };
        if !communities.insert(community) {
            let message =
                format!("spec.communities: \"{text}\" is {community}, which is listed already: remove one of them");
            mistakes.add(ProblemReason::Duplicate, message);
        }
    }
    if communities.len() > MOST_COMMUNITIES {
        let message = format!("spec.communities lists {}: use at most {MOST_COMMUNITIES}", communities.len());
        mistakes.add(ProblemReason::BadCommunity, message);
    }
    communities
}
