//! The configuration, read whole whenever some object of it comes to mean something else.
//!
//! ```text
//!   objects --learn--> Config --resolve--> Resolved, Problems
//! ```
//!
//! Layer 2 needs pools, L2Advertisements and nodes alone; BGP is left as it is until every kind that belongs to it was listed, so that a
//! cluster whose rights or CRDs are those of an older release announces by layer 2 all the same. An object that cannot be read stays in
//! force as it was last known, and that is a problem like any other.

use super::kind::Kind;
use crate::metrics::Metrics;
use herald_crds::{
    api::{BFDProfile, BGPAdvertisement, BGPPeer, Community, IPAddressPool, L2Advertisement},
    model::{self, Config, NodeFacts, ObjectRef, Problem, ProblemReason, Resolved, SecretFacts, concerns, resolve},
};
use herald_runtime::{
    state::Found,
    watch::{Change, Key},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A change of the configuration.
pub(super) enum News {
    Pool(Change<IPAddressPool>),
    L2Advertisement(Change<L2Advertisement>),
    Node(Change<NodeFacts>),
    BgpAdvertisement(Change<BGPAdvertisement>),
    BgpPeer(Change<BGPPeer>),
    BfdProfile(Change<BFDProfile>),
    Community(Change<Community>),
    /// What a Secret of this name holds; nothing where there is none.
    Secret(String, Option<SecretFacts>),
}

/// The configuration, and what was made of it.
pub(super) struct Reading {
    node: String,
    pools: Kind,
    l2_advertisements: Kind,
    nodes: Kind,
    bgp_advertisements: Kind,
    bgp_peers: Kind,
    bfd_profiles: Kind,
    communities: Kind,
    config: Config,
    changed: bool,
    nodes_in_force: Arc<BTreeMap<String, NodeFacts>>,
    resolved: Arc<Resolved>,
    problems: Vec<Problem>,
}

impl Reading {
    pub(super) fn new(node: String) -> Self {
        Self {
            node,
            pools: Kind::new("IPAddressPool"),
            l2_advertisements: Kind::new("L2Advertisement"),
            nodes: Kind::new("Node"),
            bgp_advertisements: Kind::new("BGPAdvertisement"),
            bgp_peers: Kind::new("BGPPeer"),
            bfd_profiles: Kind::new("BFDProfile"),
            communities: Kind::new("Community"),
            config: Config::default(),
            changed: true,
            nodes_in_force: Arc::default(),
            resolved: Arc::default(),
            problems: Vec::new(),
        }
    }

    pub(super) fn learn(&mut self, news: News) {
        let config = &mut self.config;
        self.changed |= match news {
            News::Pool(change) => learn(&mut self.pools, &mut config.pools, change),
            News::L2Advertisement(change) => learn(&mut self.l2_advertisements, &mut config.l2_advertisements, change),
            News::Node(change) => learn(&mut self.nodes, &mut config.nodes, change),
            News::BgpAdvertisement(change) => {
                learn(&mut self.bgp_advertisements, &mut config.bgp_advertisements, change)
            }
            News::BgpPeer(change) => learn(&mut self.bgp_peers, &mut config.bgp_peers, change),
            News::BfdProfile(change) => learn(&mut self.bfd_profiles, &mut config.bfd_profiles, change),
            News::Community(change) => learn(&mut self.communities, &mut config.communities, change),
            News::Secret(name, Some(facts)) => config.secrets.insert(name, facts.clone()) != Some(facts),
            News::Secret(name, None) => config.secrets.remove(&name).is_some(),
        };
    }

    /// Whether everything that layer 2 needs was listed.
    pub(super) fn is_enough(&self) -> bool {
        [&self.pools, &self.l2_advertisements, &self.nodes].iter().all(|kind| kind.is_listed())
    }

    /// The kinds that were never listed, by name.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        let [a, b, c] = [&self.pools, &self.l2_advertisements, &self.nodes];
        let [d, e, f, g] = [&self.bgp_advertisements, &self.bgp_peers, &self.bfd_profiles, &self.communities];
        [a, b, c, d, e, f, g].into_iter().filter(|kind| !kind.is_listed()).map(Kind::name).collect()
    }

    /// The Secrets that peers name.
    pub(super) fn secrets(&self) -> BTreeSet<String> {
        let named = self.config.bgp_peers.values().filter_map(|peer| peer.spec.password_secret.as_ref());
        named.map(|secret| secret.name.clone()).filter(|name| !name.is_empty()).collect()
    }

    /// What this node's speaker found, `missing` being the kinds that were never listed.
    pub(super) fn found(&self, missing: &[&str]) -> Found {
        let mine = |object: &ObjectRef| concerns(&self.config, object, &self.node);
        let problems: Vec<_> = self.problems.iter().filter(|problem| mine(&problem.object)).cloned().collect();
        let waiting: Vec<_> = self.resolved.waiting.iter().filter(|waiting| mine(&waiting.object)).cloned().collect();
        Found::new(missing, &problems, &waiting)
    }

    /// Every node, by name, as of the last reading.
    pub(super) fn nodes(&self) -> &Arc<BTreeMap<String, NodeFacts>> {
        &self.nodes_in_force
    }

    /// What is in force, as far as it was read.
    pub(super) fn resolved(&self) -> &Arc<Resolved> {
        &self.resolved
    }

    /// Reads the configuration again if it came to mean something else, and returns whether it did.
    pub(super) fn read(&mut self, metrics: &Metrics) -> bool {
        if !std::mem::take(&mut self.changed) {
            return false;
        }
        if *self.nodes_in_force != self.config.nodes {
            self.nodes_in_force = Arc::new(self.config.nodes.clone());
        }
        let (mut resolved, mut problems) = resolve(&self.config);
        resolved.keep_advertisements(&self.resolved, &self.config);
        let unreadable = self.unreadable();
        problems.retain(|problem| !unreadable.iter().any(|other| other.object == problem.object));
        problems.extend(unreadable);
        problems.sort();
        for problem in problems.iter().filter(|problem| !self.problems.contains(problem)) {
            tracing::warn!(
                object = %problem.object,
                reason = problem.reason.as_str(),
                error = problem.message,
                "object set aside, everything else is in force"
            );
        }
        metrics.config_resolved(problems.len());
        (self.resolved, self.problems) = (Arc::new(resolved), problems);
        true
    }

    fn unreadable(&self) -> Vec<Problem> {
        let kinds = [
            (model::Kind::IPAddressPool, &self.pools),
            (model::Kind::L2Advertisement, &self.l2_advertisements),
            (model::Kind::BGPAdvertisement, &self.bgp_advertisements),
            (model::Kind::BGPPeer, &self.bgp_peers),
            (model::Kind::BFDProfile, &self.bfd_profiles),
            (model::Kind::Community, &self.communities),
        ];
        let objects =
            kinds.into_iter().flat_map(|(kind, known)| known.unreadable().map(move |(key, error)| (kind, key, error)));
        let problem = |(kind, key, error): (model::Kind, &Key, &str)| Problem {
            object: ObjectRef { kind, name: key.name.clone() },
            reason: ProblemReason::Unreadable,
            message: format!("it cannot be read, and stays in force as it was: {error}"),
        };
        objects.map(problem).collect()
    }
}

fn learn<T: PartialEq>(kind: &mut Kind, index: &mut BTreeMap<String, T>, change: Change<T>) -> bool {
    kind.apply(index, |key| key.name.clone(), change, |_, _, _| {})
}
