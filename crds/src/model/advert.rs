//! A layer-2 advertisement whose selectors have been looked up.

use std::collections::BTreeSet;

use super::problem::{Kind, Mistakes, Problem, ProblemReason};
use super::select::{Labels, Selector, compile_all, matching_nodes, matching_pools, unique};
use super::snapshot::Config;
use crate::api::{L2Advertisement, PreferredNodeSelector};

/// Which pools are announced from which nodes on which interfaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct L2Advert {
    /// The name of the object.
    pub name: String,
    /// The pools it announces, by name: only pools that exist, those set aside included (their addresses stay in use).
    pub pools: BTreeSet<String>,
    /// The nodes that may announce, by name.
    pub nodes: BTreeSet<String>,
    /// The interfaces to announce on.
    pub interfaces: Interfaces,
    /// The Services it is for; empty means every Service.
    pub service_selectors: Vec<Selector>,
    /// Which of the nodes are preferred, and how much. All that name a node add up.
    pub preferences: Vec<Preference>,
}

impl L2Advert {
    /// Whether a Service with these labels is announced by this advertisement.
    pub fn selects_service(&self, labels: &Labels) -> bool {
        self.service_selectors.is_empty() || self.service_selectors.iter().any(|s| s.matches(labels))
    }
}

impl L2Advert {
    /// Reads an advertisement and looks up what its selectors select.
    pub(super) fn read(name: &str, object: &L2Advertisement, config: &Config) -> Result<L2Advert, Vec<Problem>> {
        let mut mistakes = Mistakes::of(Kind::L2Advertisement, name);
        let spec = &object.spec;
        unique("spec.ipAddressPools", &spec.ip_address_pools, &mut mistakes);
        let pool_selectors = compile_all("spec.ipAddressPoolSelectors", &spec.ip_address_pool_selectors, &mut mistakes);
        let node_selectors = compile_all("spec.nodeSelectors", &spec.node_selectors, &mut mistakes);
        let interfaces = if spec.interfaces.is_empty() {
            Interfaces::All
        } else {
            Interfaces::Named(spec.interfaces.iter().cloned().collect())
        };
        let advert = L2Advert {
            name: name.to_owned(),
            pools: matching_pools(&spec.ip_address_pools, &spec.ip_address_pool_selectors, &pool_selectors, config),
            nodes: matching_nodes(&spec.node_selectors, &node_selectors, config),
            interfaces,
            service_selectors: compile_all("spec.serviceSelectors", &spec.service_selectors, &mut mistakes),
            preferences: read_preferences(&spec.preferred_node_selectors, config, &mut mistakes),
        };
        mistakes.or(advert)
    }
}

fn read_preferences(written: &[PreferredNodeSelector], config: &Config, mistakes: &mut Mistakes) -> Vec<Preference> {
    let mut preferences = Vec::new();
    for (at, entry) in written.iter().enumerate() {
        let field = format!("spec.preferredNodeSelectors[{at}]");
        let weight = u32::try_from(entry.weight).ok().filter(|weight| (1..=100).contains(weight));
        if weight.is_none() {
            let message = format!("{field}.weight is {}: use a number from 1 to 100", entry.weight);
            mistakes.add(ProblemReason::BadWeight, message);
        }
        let selector = Selector::compile(&entry.preference);
        if let Err(why) = &selector {
            mistakes.add(ProblemReason::BadSelector, format!("{field}.preference: {why}"));
        }
        if let (Some(weight), Ok(selector)) = (weight, selector) {
            let nodes = config.nodes.iter().filter(|(_, node)| selector.matches(&node.labels));
            preferences.push(Preference { weight, nodes: nodes.map(|(name, _)| name.clone()).collect() });
        }
    }
    preferences
}

/// The interfaces an address is announced on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Interfaces {
    /// Every interface of the node.
    All,
    /// The interfaces of these names; none at all where the set is empty.
    Named(BTreeSet<String>),
}

impl Interfaces {
    /// Whether the interface of this name is among them.
    pub fn include(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.contains(name),
        }
    }

    /// The interfaces that are in either.
    pub fn union(self, other: &Interfaces) -> Interfaces {
        match (self, other) {
            (Self::Named(mut names), Self::Named(more)) => {
                names.extend(more.iter().cloned());
                Self::Named(names)
            }
            _ => Self::All,
        }
    }
}

/// A wish that some nodes rather than others announce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preference {
    /// How much, 1 to 100.
    pub weight: u32,
    /// The preferred nodes, by name.
    pub nodes: BTreeSet<String>,
}
