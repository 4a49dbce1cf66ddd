//! A layer-2 advertisement whose selectors have been looked up.

use std::collections::BTreeSet;

use super::select::{Labels, Selector};

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
