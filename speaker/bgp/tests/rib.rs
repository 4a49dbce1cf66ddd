//! The table towards a peer: whatever is wanted when, the peer holds it in the end, for as few octets as there can be.

#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use herald_bgp::wire::{
    Asn, Attributes, Community, Encoding, Families, Family, Message, NextHop, PeerKind, Prefix, RefreshSubtype, Update,
};
use herald_bgp::{NextHopChoice, NotSent, OwnAddresses, RibOut, Route, Routes, Terms};
use proptest::collection::vec;
use proptest::prelude::*;

const V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

fn terms() -> Terms {
    Terms {
        encoding: Encoding { four_octet_as: true, ..Encoding::default() },
        families: Families::ALL,
        local_as: Asn(64_512),
        local: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        own: OwnAddresses { v6: Some(V6), ..OwnAddresses::default() },
        only_to_customer: None,
        marks_refresh: true,
    }
}

/// A peer that reads with this crate's decoder.
#[derive(Debug, Default)]
struct Peer {
    held: BTreeMap<Prefix, (NextHop, Attributes)>,
    /// Prefixes in messages.
    announced: usize,
    withdrawn: usize,
    messages: usize,
    octets: usize,
    ended: Vec<Family>,
    marks: Vec<(Family, RefreshSubtype)>,
    /// What was held when a refresh began and has not come again: dropped at its end (RFC 7313 §4).
    stale: BTreeSet<Prefix>,
}

impl Peer {
    fn take(&mut self, bytes: &[u8], encoding: &Encoding) {
        let decoded = Message::decode(bytes, encoding).unwrap();
        assert_eq!(decoded.flaw, None);
        self.messages += 1;
        self.octets += bytes.len();
        let update = match decoded.message {
            Message::Update(update) => update,
            Message::RouteRefresh(mark) => return self.mark(mark.family.family().unwrap(), mark.subtype),
            other => panic!("{other:?}"),
        };
        self.ended.extend(update.ends_rib_of());
        let Update { withdrawn, attributes, nlri, reach, unreach, .. } = update;
        let kinds = [!withdrawn.is_empty(), !nlri.is_empty(), reach.is_some(), unreach.is_some()];
        assert!(kinds.into_iter().filter(|kind| *kind).count() <= 1, "one kind in a message (RFC 7606 §5.1)");
        for entry in withdrawn.into_iter().chain(unreach.into_iter().flat_map(|unreach| unreach.nlri)) {
            self.withdrawn += 1;
            self.stale.remove(&entry.prefix);
            assert!(self.held.remove(&entry.prefix).is_some(), "{} was not held", entry.prefix);
        }
        for entry in nlri {
            self.announced += 1;
            self.stale.remove(&entry.prefix);
            let next_hop = NextHop::V4(attributes.next_hop.unwrap());
            self.held.insert(entry.prefix, (next_hop, attributes.clone()));
        }
        if let Some(reach) = reach {
            for entry in reach.nlri {
                self.announced += 1;
                self.stale.remove(&entry.prefix);
                self.held.insert(entry.prefix, (reach.next_hop, attributes.clone()));
            }
        }
    }

    fn mark(&mut self, family: Family, mark: RefreshSubtype) {
        self.marks.push((family, mark));
        if mark == RefreshSubtype::Begin {
            self.stale.extend(self.held.keys().filter(|prefix| prefix.family() == family));
        } else {
            let (over, rest) = std::mem::take(&mut self.stale).into_iter().partition(|it| it.family() == family);
            let over: BTreeSet<Prefix> = over;
            self.held.retain(|prefix, _| !over.contains(prefix));
            self.stale = rest;
        }
    }

    fn drain(&mut self, rib: &mut RibOut, encoding: &Encoding) {
        while let Some(bytes) = rib.next_message() {
            self.take(&bytes, encoding);
        }
    }
}

fn prefix(n: u16) -> Prefix {
    let net = match n % 2 {
        0 => format!("10.{}.{}.0/24", n >> 8, n & 0xff),
        _ => format!("2001:db8:{n:x}::/48"),
    };
    Prefix::new(net.parse().unwrap())
}

/// A handful of routes, one of which cannot be said in both families.
fn route(n: u8) -> Arc<Route> {
    Arc::new(match n % 5 {
        0 => Route::default(),
        1 => Route { med: Some(7), ..Route::default() },
        2 => Route { communities: [Community(1), Community(2)].into(), prepend: 3, ..Route::default() },
        3 => Route { next_hop: NextHopChoice::Given(Ipv4Addr::new(192, 0, 2, 99).into()), ..Route::default() },
        _ => Route { communities: (0..250).map(Community).collect(), ..Route::default() },
    })
}

/// What the peer should hold.
fn expected(wanted: &Routes, terms: &Terms) -> BTreeMap<Prefix, (NextHop, Attributes)> {
    let said = |(prefix, route): (&Prefix, &Arc<Route>)| {
        let next_hop = terms.next_hop(prefix.family(), route.next_hop).ok()?;
        let mut attributes = terms.attributes(route);
        if let NextHop::V4(ip) = next_hop {
            attributes.next_hop = Some(ip);
        }
        Some((*prefix, (next_hop, attributes)))
    };
    wanted.iter().filter_map(said).collect()
}

#[derive(Clone, Debug)]
enum Act {
    Set(Vec<(u16, u8)>),
    Change(u16, Option<u8>),
    Refresh(Family),
    /// So many messages leave.
    Say(usize),
    Reopen,
    OwnV6(bool),
}

fn acts() -> impl Strategy<Value = Act> {
    let family = prop_oneof![Just(Family::V4Unicast), Just(Family::V6Unicast)];
    prop_oneof![
        2 => vec((0..400u16, any::<u8>()), 0..200).prop_map(Act::Set),
        6 => (0..400u16, prop::option::of(any::<u8>())).prop_map(|(n, route)| Act::Change(n, route)),
        1 => family.prop_map(Act::Refresh),
        4 => (0..4usize).prop_map(Act::Say),
        1 => Just(Act::Reopen),
        1 => any::<bool>().prop_map(Act::OwnV6),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn whatever_happens_the_peer_holds_what_is_wanted_once_all_is_said(acts in vec(acts(), 0..60)) {
        let (mut rib, mut peer, mut terms) = (RibOut::new(), Peer::default(), terms());
        rib.open(terms);
        for act in acts {
            match act {
                Act::Set(routes) => rib.set(routes.iter().map(|(n, it)| (prefix(*n), route(*it))).collect()),
                Act::Change(n, it) => rib.change(prefix(n), it.map(route)),
                Act::Refresh(family) => {
                    rib.refresh(family);
                }
                Act::Say(messages) => {
                    for _ in 0..messages {
                        let Some(bytes) = rib.next_message() else { break };
                        peer.take(&bytes, &terms.encoding);
                    }
                }
                Act::Reopen => {
                    rib.close();
                    rib.open(terms);
                    peer = Peer::default();
                }
                Act::OwnV6(known) => {
                    terms.own.v6 = known.then_some(V6);
                    rib.renew(terms);
                }
            }
        }
        peer.drain(&mut rib, &terms.encoding);
        let expected = expected(rib.wanted(), &terms);
        prop_assert_eq!(&peer.held, &expected);
        prop_assert_eq!((rib.held(), rib.pending(), rib.is_pending()), (expected.len(), 0, false));
        prop_assert_eq!(rib.not_sent_count(), rib.wanted().len() - expected.len());
        prop_assert_eq!(&peer.ended, &[Family::V4Unicast, Family::V6Unicast], "each ended once");
        let begins = peer.marks.iter().filter(|(_, mark)| *mark == RefreshSubtype::Begin).count();
        prop_assert_eq!(peer.marks.len(), 2 * begins, "every begin has its end");
    }

    #[test]
    fn a_new_set_costs_one_entry_for_every_difference(before in vec((0..400u16, 0..3u8), 0..300), after in vec((0..400u16, 0..3u8), 0..300)) {
        let routes = |list: &[(u16, u8)]| list.iter().map(|(n, it)| (prefix(*n), route(*it))).collect::<Routes>();
        let (before, after) = (routes(&before), routes(&after));
        let (mut rib, mut peer, terms) = (RibOut::new(), Peer::default(), terms());
        rib.set(before.clone());
        rib.open(terms);
        peer.drain(&mut rib, &terms.encoding);
        let (announced, withdrawn) = (peer.announced, peer.withdrawn);
        prop_assert_eq!((announced, withdrawn), (before.len(), 0));
        rib.set(after.clone());
        peer.drain(&mut rib, &terms.encoding);
        prop_assert_eq!(peer.announced - announced, after.iter().filter(|(key, it)| before.get(key) != Some(it)).count());
        prop_assert_eq!(peer.withdrawn - withdrawn, before.keys().filter(|key| !after.contains_key(key)).count());
        let messages = peer.messages;
        rib.set(after);
        peer.drain(&mut rib, &terms.encoding);
        prop_assert_eq!(peer.messages, messages, "the same set says nothing");
    }
}

/// Messages that announce so many prefixes of one route, and the octets of all of them.
fn cost(encoding: Encoding, prefixes: impl Iterator<Item = Prefix>) -> (usize, usize) {
    let terms = Terms { encoding, ..terms() };
    let mut rib = RibOut::new();
    let route = route(0);
    rib.set(prefixes.map(|prefix| (prefix, Arc::clone(&route))).collect());
    rib.open(terms);
    let mut peer = Peer::default();
    peer.drain(&mut rib, &encoding);
    assert_eq!(peer.held.len(), rib.wanted().len());
    (peer.messages, peer.octets)
}

#[test]
fn prefixes_fill_messages_to_the_last_octet() {
    let v4 = |count: u32| (0..count).map(|n| Prefix::new(format!("{}/32", Ipv4Addr::from(n)).parse().unwrap()));
    let v6 = |count: u128| (0..count).map(|n| Prefix::new(format!("{}/128", Ipv6Addr::from(n)).parse().unwrap()));
    let ends = 2;
    // Header, lengths, ORIGIN, AS_PATH, NEXT_HOP: 43 octets. Each prefix has five.
    let fit = (4_096 - 43) / 5;
    let short = terms().encoding;
    assert_eq!(cost(short, v4(fit)).0, 1 + ends);
    assert_eq!(cost(short, v4(fit + 1)).0, 2 + ends);
    assert_eq!(cost(short, v4(100 * fit)).0, 100 + ends);
    // Header, lengths, ORIGIN, AS_PATH: 36, and the attribute's 4 + 3 + 1 + 16 + 1. Each prefix has seventeen.
    let fit = (4_096 - 36 - 25) / 17;
    assert_eq!(cost(short, v6(fit)).0, 1 + ends);
    assert_eq!(cost(short, v6(fit + 1)).0, 2 + ends);
    let long = Encoding { extended_message: true, ..short };
    let fit = (65_535 - 43) / 5;
    assert_eq!(cost(long, v4(fit)).0, 1 + ends);
    assert_eq!(cost(long, v4(fit + 1)).0, 2 + ends);
}

#[test]
fn another_own_address_costs_the_routes_that_it_is_the_next_hop_of_and_no_other() {
    let (mut rib, mut peer, mut terms) = (RibOut::new(), Peer::default(), terms());
    rib.set((0..100).map(|n| (prefix(n), route(0))).collect());
    rib.open(terms);
    peer.drain(&mut rib, &terms.encoding);
    terms.own.v6 = Some(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2));
    rib.renew(terms);
    peer.drain(&mut rib, &terms.encoding);
    assert_eq!((peer.announced, peer.withdrawn), (150, 0), "50 of IPv6 again");
    assert_eq!(peer.held, expected(rib.wanted(), &terms));
    terms.own.link_local = Some(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1));
    rib.renew(terms);
    assert!(!rib.is_pending(), "nobody's next hop");
}

#[test]
fn what_is_new_is_announced_before_what_is_old_is_withdrawn() {
    let (mut rib, mut peer, terms) = (RibOut::new(), Peer::default(), terms());
    let aggregate = Prefix::new("10.0.0.0/24".parse().unwrap());
    rib.change(aggregate, Some(route(0)));
    rib.open(terms);
    peer.drain(&mut rib, &terms.encoding);
    let parts = (0..=255u8).map(|n| (Prefix::new(format!("10.0.0.{n}/32").parse().unwrap()), route(0)));
    rib.set(parts.collect());
    peer.take(&rib.next_message().unwrap(), &terms.encoding);
    assert_eq!(peer.held.len(), 257, "all parts and the aggregate");
    peer.drain(&mut rib, &terms.encoding);
    assert_eq!(peer.held.len(), 256);
}

#[test]
fn attributes_that_leave_no_room_for_a_prefix_are_told_and_do_no_harm() {
    let (mut rib, mut peer, terms) = (RibOut::new(), Peer::default(), terms());
    let huge = Arc::new(Route { communities: (0..2_000).map(Community).collect(), ..Route::default() });
    rib.change(prefix(0), Some(Arc::clone(&huge)));
    rib.change(prefix(1), Some(Arc::clone(&huge)));
    rib.change(prefix(2), Some(route(0)));
    rib.open(terms);
    peer.drain(&mut rib, &terms.encoding);
    assert_eq!(peer.held.keys().copied().collect::<Vec<_>>(), [prefix(2)]);
    let not_sent: Vec<_> = rib.not_sent().collect();
    assert_eq!(not_sent, [(prefix(0), NotSent::TooLong), (prefix(1), NotSent::TooLong)]);
    // With long messages there is room.
    let terms = Terms { encoding: Encoding { extended_message: true, ..terms.encoding }, ..terms };
    rib.open(terms);
    peer = Peer::default();
    peer.drain(&mut rib, &terms.encoding);
    assert_eq!((peer.held.len(), rib.not_sent_count()), (3, 0));
}

#[test]
fn an_internal_peer_gets_an_empty_path_and_a_preference_for_both_families() {
    let encoding = Encoding { peer: PeerKind::Internal, ..terms().encoding };
    let terms = Terms { encoding, only_to_customer: Some(Asn(64_512)), ..terms() };
    let (mut rib, mut peer) = (RibOut::new(), Peer::default());
    rib.set([(prefix(0), route(2)), (prefix(1), route(2))].into());
    rib.open(terms);
    peer.drain(&mut rib, &encoding);
    for (prefix, (_, attributes)) in peer.held {
        assert_eq!(attributes.as_path.unwrap().asns().count(), 0, "{prefix}");
        assert_eq!((attributes.local_pref, attributes.only_to_customer), (Some(100), None), "{prefix}");
        assert_eq!(attributes.communities.len(), 2, "{prefix}");
    }
}
