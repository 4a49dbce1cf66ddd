//! Which objects a node has to do with.

use super::problem::{Kind, ObjectRef};
use super::select::Selector;
use super::snapshot::Config;

/// Whether an object is for a node, so that a mistake in it shows in the state of that node's speaker. A BGPPeer and a BGPAdvertisement are for
/// the nodes that they select, and for all of them where that cannot be read; everything else is for all of them.
pub fn concerns(config: &Config, object: &ObjectRef, node: &str) -> bool {
    let selectors = match object.kind {
        Kind::BGPPeer => config.bgp_peers.get(&object.name).map(|peer| &peer.spec.node_selectors),
        Kind::BGPAdvertisement => config.bgp_advertisements.get(&object.name).map(|advert| &advert.spec.node_selectors),
        _ => None,
    };
    let Some(selectors) = selectors.filter(|selectors| !selectors.is_empty()) else { return true };
    let Some(facts) = config.nodes.get(node) else { return true };
    selectors
        .iter()
        .any(|selector| Selector::compile(selector).map_or(true, |selector| selector.matches(&facts.labels)))
}
