//! All Services together: by peer, what it is to hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use herald_crds::model::{BgpAdvert, Peer};
use ipnet::IpNet;

use super::{Attributes, Desired, Wish, takes};
use crate::View;

/// Puts the wishes of all Services together. They have to come of the same view.
///
/// Services on one address that are selected by different advertisements may disagree on LOCAL_PREF; the highest counts then.
pub fn desired<'a>(view: &View<'_>, wishes: impl IntoIterator<Item = &'a Wish>) -> Desired {
    let mut prefixes: BTreeMap<&IpNet, Vec<&BTreeSet<String>>> = BTreeMap::new();
    for (prefix, asking) in wishes.into_iter().flat_map(|wish| &wish.prefixes) {
        let known = prefixes.entry(prefix).or_default();
        // Of thousands of Services in an aggregate nearly all are asked for by the same advertisements.
        if !known.contains(&asking) {
            known.push(asking);
        }
    }
    let here = view.resolved.bgp_peers.values().filter(|peer| peer.nodes.contains(view.me));
    let mut desired: Desired = here.clone().map(|peer| (peer.name.clone(), BTreeMap::new())).collect();
    let mut made = Made { view, by_asking: BTreeMap::new() };
    let peers: Vec<&Peer> = here.collect();
    for (prefix, asking) in prefixes {
        let all = made.of(&asking, &peers);
        for (peer, attributes) in peers.iter().zip(all) {
            if let (Some(attributes), true) = (attributes, takes(peer, prefix))
                && let Some(routes) = desired.get_mut(&peer.name)
            {
                routes.insert(*prefix, Arc::clone(attributes));
            }
        }
    }
    desired
}

/// The attributes made so far, by who asks, for each of the peers.
struct Made<'a> {
    view: &'a View<'a>,
    by_asking: BTreeMap<BTreeSet<&'a str>, Vec<Option<Arc<Attributes>>>>,
}

impl<'a> Made<'a> {
    fn of(&mut self, asking: &[&'a BTreeSet<String>], peers: &[&Peer]) -> &[Option<Arc<Attributes>>] {
        let names: BTreeSet<&str> = asking.iter().copied().flatten().map(String::as_str).collect();
        let known = &self.view.resolved.bgp_advertisements;
        self.by_asking.entry(names).or_insert_with_key(|names| {
            let adverts: Vec<&BgpAdvert> = names.iter().filter_map(|name| known.get(*name)).collect();
            peers.iter().map(|peer| attributes(peer, &adverts).map(Arc::new)).collect()
        })
    }
}

fn attributes(peer: &Peer, adverts: &[&BgpAdvert]) -> Option<Attributes> {
    let to_peer = adverts.iter().filter(|advert| advert.peers.include(&peer.name));
    to_peer.fold(None, |sum: Option<Attributes>, advert| {
        let mut sum = sum.unwrap_or_default();
        sum.local_pref = sum.local_pref.max(advert.local_pref);
        sum.communities.extend(&advert.communities);
        Some(sum)
    })
}
