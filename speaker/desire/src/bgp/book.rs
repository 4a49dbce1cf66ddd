//! What came of every Service, and the routes of every peer, kept by key.
//!
//! ```text
//!   note(Service, wish) --> its prefixes, old and new --> counts[prefix]: who asks --> routes[peer][prefix]
//! ```
//!
//! A Service that changes costs its own prefixes, also within an aggregate of thousands: of a prefix only the different sets of
//! advertisements that ask for it are counted. Copies share everything that did not change ([`Tree`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use herald_crds::model::{BgpAdvert, Peer, ServiceKey};
use ipnet::IpNet;

use super::{Attributes, Desired, Routes, Wish, takes};
use crate::{Tree, View};

/// The names of the advertisements that ask for a prefix, for the sake of one Service or more.
type Asking = BTreeSet<String>;

/// What every Service wishes for, and the routes that follow.
#[derive(Clone, Debug, Default)]
pub struct Book {
    wishes: Tree<ServiceKey, Wish>,
    /// How many Services each set of advertisements asks for a prefix for.
    counts: BTreeMap<IpNet, BTreeMap<Asking, usize>>,
    desired: Desired,
    /// The attributes that follow from who asks, by peer.
    made: BTreeMap<Asking, BTreeMap<String, Arc<Attributes>>>,
}

impl Book {
    /// Notes what a Service wishes for; nothing where this node announces nothing for it.
    pub fn note(&mut self, view: &View<'_>, key: &ServiceKey, wish: Option<Wish>) {
        let before = self.wishes.get(key).cloned();
        if before == wish {
            return;
        }
        let mut touched = BTreeSet::new();
        for (prefix, asking) in before.into_iter().flat_map(|wish| wish.prefixes) {
            if self.forget(prefix, &asking) {
                touched.insert(prefix);
            }
        }
        for (prefix, asking) in wish.iter().flat_map(|wish| &wish.prefixes) {
            let count = self.counts.entry(*prefix).or_default().entry(asking.clone()).or_default();
            *count += 1;
            if *count == 1 {
                touched.insert(*prefix);
            }
        }
        match wish {
            Some(wish) => self.wishes.insert(key.clone(), wish),
            None => drop(self.wishes.remove(key)),
        }
        touched.into_iter().for_each(|prefix| self.fold(view, prefix));
    }

    /// Puts everything together again: for when the configuration has changed, once every Service was noted anew.
    pub fn renew(&mut self, view: &View<'_>) {
        self.made.clear();
        let old = std::mem::take(&mut self.desired);
        self.desired = peers(view).map(|peer| (peer.name.clone(), Routes::new())).collect();
        // What did not change goes on to be shared with the copies that there are.
        for (name, routes) in &mut self.desired {
            if let Some(known) = old.get(name) {
                *routes = known.clone();
            }
        }
        let gone = old.values().flat_map(Tree::keys).filter(|prefix| !self.counts.contains_key(prefix));
        let prefixes: BTreeSet<IpNet> = gone.chain(self.counts.keys()).copied().collect();
        prefixes.into_iter().for_each(|prefix| self.fold(view, prefix));
    }

    /// What every Service wishes for that was noted.
    pub fn wishes(&self) -> &Tree<ServiceKey, Wish> {
        &self.wishes
    }

    /// The routes of every peer of this node.
    pub fn desired(&self) -> &Desired {
        &self.desired
    }

    /// Takes one Service out of a count; returns whether it was the last.
    fn forget(&mut self, prefix: IpNet, asking: &Asking) -> bool {
        let Some(counts) = self.counts.get_mut(&prefix) else { return false };
        let Some(count) = counts.get_mut(asking) else { return false };
        *count = count.saturating_sub(1);
        if *count > 0 {
            return false;
        }
        counts.remove(asking);
        if counts.is_empty() {
            self.counts.remove(&prefix);
        }
        true
    }

    /// Decides again what each peer is told about a prefix.
    fn fold(&mut self, view: &View<'_>, prefix: IpNet) {
        let asking: Asking = self.counts.get(&prefix).into_iter().flat_map(BTreeMap::keys).flatten().cloned().collect();
        let made = self.made.entry(asking).or_insert_with_key(|asking| make(view, asking));
        for peer in peers(view) {
            let routes = self.desired.entry(peer.name.clone()).or_default();
            match made.get(&peer.name).filter(|_| takes(peer, &prefix)) {
                Some(said) if routes.get(&prefix) == Some(said) => {}
                Some(said) => routes.insert(prefix, Arc::clone(said)),
                None => drop(routes.remove(&prefix)),
            }
        }
    }
}

/// The peers of this node.
fn peers<'a>(view: &View<'a>) -> impl Iterator<Item = &'a Peer> {
    let me = view.me;
    view.resolved.bgp_peers.values().filter(move |peer| peer.nodes.contains(me))
}

/// What each peer is told of a prefix that these advertisements ask for.
fn make(view: &View<'_>, asking: &Asking) -> BTreeMap<String, Arc<Attributes>> {
    let known = &view.resolved.bgp_advertisements;
    let adverts: Vec<&BgpAdvert> = asking.iter().filter_map(|name| known.get(name)).collect();
    let of = |peer: &Peer| Some((peer.name.clone(), Arc::new(attributes(peer, &adverts)?)));
    peers(view).filter_map(of).collect()
}

/// Services on one address that are selected by different advertisements may disagree on LOCAL_PREF; the highest counts then.
fn attributes(peer: &Peer, adverts: &[&BgpAdvert]) -> Option<Attributes> {
    let to_peer = adverts.iter().filter(|advert| advert.peers.include(&peer.name));
    to_peer.fold(None, |sum: Option<Attributes>, advert| {
        let mut sum = sum.unwrap_or_default();
        sum.local_pref = sum.local_pref.max(advert.local_pref);
        sum.communities.extend(&advert.communities);
        Some(sum)
    })
}
