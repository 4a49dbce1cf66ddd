//! From the routes as users mean them to the routes as BGP says them. Pure.

use herald_bgp::{
    Route, Routes,
    wire::{self, LargeCommunity, Prefix},
};
use herald_crds::model::Community;
use herald_desire::bgp::{self, Attributes};
use std::{collections::BTreeMap, sync::Arc};

/// The routes' attributes in the words of BGP; shared as they were.
#[derive(Default)]
pub(super) struct Spoken(BTreeMap<Attributes, Arc<Route>>);

impl Spoken {
    /// Returns every route.
    pub(super) fn all(&mut self, routes: &bgp::Routes) -> Routes {
        routes.iter().map(|(prefix, said)| (Prefix::new(*prefix), self.of(said))).collect()
    }

    /// Returns the routes that differ; nothing for one that is gone.
    pub(super) fn since(&mut self, before: &bgp::Routes, now: &bgp::Routes) -> Vec<(Prefix, Option<Arc<Route>>)> {
        let mut changes = Vec::new();
        now.since(before, |prefix, _, said| changes.push((Prefix::new(*prefix), said.map(|said| self.of(said)))));
        changes
    }

    /// Returns the attributes in the words of BGP.
    fn of(&mut self, said: &Attributes) -> Arc<Route> {
        if let Some(known) = self.0.get(said) {
            return Arc::clone(known);
        }
        let route = Arc::new(route(said));
        self.0.insert(said.clone(), Arc::clone(&route));
        route
    }
}

fn route(said: &Attributes) -> Route {
    let mut route = Route { local_pref: Some(said.local_pref).filter(|&given| given != 0), ..Route::default() };
    for community in &said.communities {
        match *community {
            Community::Standard(high, low) => {
                route.communities.insert(wire::Community(u32::from(high) << 16 | u32::from(low)));
            }
            Community::Large(global, local1, local2) => {
                route.large_communities.insert(LargeCommunity { global, local1, local2 });
            }
        }
    }
    route
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(local_pref: u32) -> Arc<Attributes> {
        Arc::new(Attributes { local_pref, ..Attributes::default() })
    }

    #[test]
    fn attributes_keep_their_meaning_and_are_shared() {
        let said = Attributes {
            local_pref: 200,
            communities: [Community::Standard(65000, 1), Community::Large(1, 2, 3)].into(),
        };
        let mut spoken = Spoken::default();
        let route = spoken.of(&said);
        assert!(Arc::ptr_eq(&route, &spoken.of(&said)));
        let expected = Route {
            local_pref: Some(200),
            communities: [wire::Community(65000 << 16 | 1)].into(),
            large_communities: [LargeCommunity { global: 1, local1: 2, local2: 3 }].into(),
            ..Route::default()
        };
        assert_eq!(*route, expected);
        assert_eq!(spoken.of(&Attributes::default()).local_pref, None);
    }

    #[test]
    fn only_what_differs_is_said_again() {
        let net = |text: &str| text.parse::<ipnet::IpNet>().unwrap();
        let prefix = |text: &str| Prefix::new(net(text));
        let before = bgp::Routes::from([
            (net("192.0.2.1/32"), said(1)),
            (net("192.0.2.2/32"), said(1)),
            (net("2001:db8::1/128"), said(1)),
        ]);
        let mut now = before.clone();
        now.remove(&net("192.0.2.2/32"));
        now.insert(net("2001:db8::1/128"), said(2));
        now.insert(net("2001:db8::2/128"), said(1));
        let mut spoken = Spoken::default();
        let all = spoken.all(&before);
        let changes = spoken.since(&before, &now);
        let expected = [
            (prefix("192.0.2.2/32"), None),
            (prefix("2001:db8::1/128"), Some(spoken.of(&said(2)))),
            (prefix("2001:db8::2/128"), Some(spoken.of(&said(1)))),
        ];
        assert_eq!(changes, expected);
        let mut changed = all;
        for (prefix, route) in changes {
            match route {
                Some(route) => drop(changed.insert(prefix, route)),
                None => drop(changed.remove(&prefix)),
            }
        }
        assert_eq!(changed, spoken.all(&now));
    }
}
