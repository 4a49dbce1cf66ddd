//! What the peer is told about routes, and how much of it may wait.

use std::sync::Arc;

use herald_bgp::wire::{Asn, Prefix};
use herald_bgp::{Event, NotSent, Observed, RemoteAs, Route, Routes, Settings, State, WINDOW};

use crate::reader::UPDATE;
use crate::solo::{LOCAL6, OUR_AS, Solo, prefix, routes, settings};
use crate::written::{self, Open, keepalive, refresh};

fn up(settings: Settings, routes: Routes, open: &Open) -> (Solo, herald_bgp::ConnectionId) {
    Solo::of(settings, routes).bring_to(State::Established, &open.bytes())
}

fn many(count: u32) -> Routes {
    let route = Arc::new(Route::default());
    let net = |n: u32| Prefix::new(format!("{}/32", std::net::Ipv4Addr::from(0x0a00_0000 + n)).parse().unwrap());
    (0..count).map(|n| (net(n), Arc::clone(&route))).collect()
}

#[test]
fn an_external_peer_hears_our_as_our_address_and_no_preference() {
    let (solo, _) = Solo::established();
    let held = &solo.table.routes[&"198.51.100.1/32".parse().unwrap()];
    assert_eq!(held.next_hop, solo.local);
    assert_eq!(held.attributes[&1], [0], "ORIGIN");
    assert_eq!(held.attributes[&2], [&[2, 1][..], &OUR_AS.to_be_bytes()].concat(), "AS_PATH");
    assert!(!held.attributes.contains_key(&5), "LOCAL_PREF");
}

#[test]
fn an_internal_peer_hears_an_empty_path_and_always_a_preference() {
    let mut settings = settings();
    settings.remote_as = RemoteAs::Internal;
    let open = Open { asn: OUR_AS, capabilities: written::all(OUR_AS), ..Default::default() };
    let (solo, _) = up(settings, routes(["198.51.100.1/32"]), &open);
    let held = &solo.table.routes[&"198.51.100.1/32".parse().unwrap()];
    assert_eq!(held.attributes[&2], [0; 0]);
    assert_eq!(held.attributes[&5], 100u32.to_be_bytes());
}

#[test]
fn a_peer_that_reads_two_octets_gets_the_long_number_beside_the_stand_in() {
    let mut settings = settings();
    settings.local_as = Asn(4_200_000_000);
    let open = Open { capabilities: vec![(1, vec![0, 1, 0, 1])], ..Default::default() };
    let (solo, _) = up(settings, routes(["198.51.100.1/32"]), &open);
    let held = &solo.table.routes[&"198.51.100.1/32".parse().unwrap()];
    assert_eq!(held.attributes[&2], [&[2, 1][..], &23456u16.to_be_bytes()].concat(), "AS_PATH");
    assert_eq!(held.attributes[&17], [&[2, 1][..], &4_200_000_000u32.to_be_bytes()].concat(), "AS4_PATH");
}

#[test]
fn the_override_stands_alone_in_the_path() {
    let mut settings = settings();
    settings.local_as_override = Some(Asn(65_000));
    let (solo, _) = up(settings, routes(["198.51.100.1/32"]), &Open::default());
    let held = &solo.table.routes[&"198.51.100.1/32".parse().unwrap()];
    assert_eq!(held.attributes[&2], [&[2, 1][..], &65_000u32.to_be_bytes()].concat());
}

#[test]
fn a_family_that_the_peer_does_not_take_is_kept_back_with_the_reason() {
    let open = Open { capabilities: vec![(1, vec![0, 1, 0, 1])], ..Default::default() };
    let (solo, _) = up(settings(), routes(["198.51.100.1/32", "2001:db8::1/128"]), &open);
    assert_eq!(solo.table.routes.len(), 1);
    let why = NotSent::Family(herald_bgp::wire::Family::V6Unicast);
    assert_eq!(solo.session.rib().not_sent().collect::<Vec<_>>(), [(prefix("2001:db8::1/128"), why)]);
    assert!(solo.observed.contains(&Observed::Synchronized { held: 1, not_sent: 1 }));
}

#[test]
fn an_own_address_that_appears_releases_what_waited_for_it() {
    let mut solo = Solo::unborn(settings(), routes(["198.51.100.1/32", "2001:db8::1/128"]));
    solo.local = LOCAL6;
    solo.apply();
    let (mut solo, _) = solo.bring_to(State::Established, &written::open());
    assert_eq!(solo.table.routes.len(), 1, "no IPv4 next hop is known");
    solo.wanted.settings.own.v4 = Some([192, 0, 2, 77].into());
    solo.apply();
    let held = &solo.table.routes[&"198.51.100.1/32".parse().unwrap()];
    assert_eq!(held.next_hop, std::net::IpAddr::from([192, 0, 2, 77]));
    solo.wanted.settings.own.v4 = None;
    solo.apply();
    assert_eq!(solo.table.routes.len(), 1, "what cannot be said any more is withdrawn");
}

#[test]
fn only_differences_are_said() {
    let (mut solo, id) = up(settings(), many(5_000), &Open::default());
    solo.forget();
    let before = solo.table.clone();
    solo.apply();
    assert!(solo.said(id).is_empty());
    solo.wanted.routes.remove(&prefix("10.0.0.7/32"));
    solo.wanted.routes.insert(prefix("10.0.0.8/32"), Arc::new(Route { med: Some(1), ..Route::default() }));
    solo.apply();
    assert_eq!((solo.table.withdrawn - before.withdrawn, solo.table.announced - before.announced), (1, 1));
    solo.session.change(solo.now, prefix("10.0.0.7/32"), Some(Arc::new(Route::default())));
    solo.handle(Event::Tick);
    assert_eq!(solo.table.announced - before.announced, 2);
    assert_eq!(solo.table.routes.len(), 5_000);
}

#[test]
fn no_more_waits_in_the_shell_than_the_window_and_a_batch() {
    let mut solo = Solo::of(settings(), many(100_000));
    let id = solo.connected();
    solo.receive(id, &written::open());
    solo.writes = false;
    solo.receive(id, &keepalive());
    let mut turns = 0;
    while !solo.unwritten.is_empty() {
        let waiting: usize = solo.unwritten.iter().map(|(_, octets)| octets).sum();
        assert!(waiting <= WINDOW + 16 * 1024 + 4_096, "{waiting} octets wait");
        solo.write_all();
        turns += 1;
    }
    assert!(turns > 5);
    assert_eq!(solo.table.routes.len(), 100_000);
    assert_eq!(solo.session.rib().pending(), 0);
}

#[test]
fn a_change_overtakes_what_still_waits() {
    let mut solo = Solo::of(settings(), many(100_000));
    let id = solo.connected();
    solo.receive(id, &written::open());
    solo.writes = false;
    solo.receive(id, &keepalive());
    solo.wanted.routes = many(10);
    solo.apply();
    while !solo.unwritten.is_empty() {
        solo.write_all();
    }
    assert_eq!(solo.table.routes.len(), 10);
    assert!(solo.table.announced < 50_000, "{} were announced", solo.table.announced);
}

#[test]
fn a_refresh_is_answered_between_marks_with_all_of_that_family_and_no_other() {
    let both = routes(["198.51.100.1/32", "198.51.100.2/32", "2001:db8::1/128"]);
    let mut settings = settings();
    settings.own.v6 = Some("2001:db8::aaaa".parse().unwrap());
    let (mut solo, id) = up(settings, both, &Open::default());
    solo.forget();
    let before = solo.table.announced;
    solo.receive(id, &refresh(1));
    let said = solo.said(id);
    assert_eq!(said.first().unwrap(), &(crate::reader::REFRESH, vec![0, 1, 1, 1]), "BoRR");
    assert_eq!(said.last().unwrap(), &(crate::reader::REFRESH, vec![0, 1, 2, 1]), "EoRR");
    assert_eq!(solo.table.announced - before, 2);
    assert!(solo.observed.contains(&Observed::RefreshRequested(herald_bgp::wire::Family::V4Unicast)));
}

#[test]
fn a_refresh_of_a_peer_without_marks_is_answered_without_marks() {
    let capabilities = vec![(1, vec![0, 1, 0, 1]), (2, Vec::new())];
    let (mut solo, id) = up(settings(), routes(["198.51.100.1/32"]), &Open { capabilities, ..Default::default() });
    solo.forget();
    solo.receive(id, &refresh(1));
    assert_eq!(solo.kinds(id), [UPDATE]);
}

#[test]
fn a_refresh_of_a_family_that_is_not_ours_is_ignored() {
    let (mut solo, id) = Solo::established();
    solo.forget();
    solo.receive(id, &refresh(25));
    assert!(solo.said(id).is_empty());
    assert_eq!(solo.session.state(), State::Established);
}

#[test]
fn a_flood_of_refreshes_is_answered_together() {
    let mut solo = Solo::of(settings(), many(50_000));
    let id = solo.connected();
    solo.receive(id, &written::open());
    solo.writes = false;
    solo.receive(id, &keepalive());
    for _ in 0..1_000 {
        solo.receive(id, &refresh(1));
    }
    while !solo.unwritten.is_empty() {
        solo.write_all();
    }
    assert_eq!(solo.table.announced, 100_000, "the first batch and one answer");
    let told = solo.observed.iter().filter(|observed| matches!(observed, Observed::RefreshRequested(_)));
    assert_eq!(told.count(), 1);
}

#[test]
fn a_full_table_of_the_peer_is_counted_and_not_kept() {
    let (mut solo, id) = Solo::established();
    let nlri: Vec<u8> = (0..900u16).flat_map(|n| [24, 10, (n >> 8) as u8, n as u8]).collect();
    let message = written::update(&nlri);
    for _ in 0..1_000 {
        for piece in message.chunks(1_460) {
            solo.receive(id, piece);
        }
    }
    assert_eq!(solo.session.counters().announced_by_peer, 900_000);
    assert_eq!(solo.session.state(), State::Established);
    assert!(format!("{:?}", solo.session).len() < 20_000, "nothing of it is kept");
}

#[test]
fn an_update_with_a_flaw_costs_its_routes_and_the_second_report_waits_for_the_second_the_third_for_the_fourth() {
    let (mut solo, id) = Solo::established();
    solo.forget();
    // ORIGIN of 9.
    let bad = written::update_of(&[0x40, 1, 1, 9, 0x40, 2, 0, 0x40, 3, 4, 192, 0, 2, 254], &[24, 198, 51, 100]);
    for _ in 0..1_000 {
        solo.receive(id, &bad);
    }
    assert_eq!(solo.session.state(), State::Established);
    let counters = solo.session.counters();
    assert_eq!((counters.malformed_updates, counters.announced_by_peer, counters.withdrawn_by_peer), (1_000, 0, 1_000));
    let told: Vec<_> = solo.observed.iter().map(|observed| format!("{observed:?}")).collect();
    assert_eq!(told.len(), 10, "{told:?}");
    assert!(told[0].contains("octet 26: an ORIGIN of 9, expected 0 to 2 (RFC 7606 §7.1)"), "{told:?}");
}
