//! The capture sees who said what about an address, from which node, and what of it arrived.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::{Duration, Instant},
};

use herald_tests::{
    capture::{Capture, frame::Kind},
    fault,
    probe::who_answers,
    wire::{Node, Wire, WireOptions},
};

#[test]
fn answers_are_laid_to_the_nodes_that_gave_them() {
    let wire = Wire::build(WireOptions::default()).unwrap();
    let capture = Capture::start(&wire).unwrap();
    for (node, vip) in [(2, "10.66.100.1"), (3, "fd00:10:66::100:1")] {
        let (node, ip) = (wire.node(node), vip.parse().unwrap());
        own(&node, ip);
        let before = Instant::now();
        assert_eq!(1, who_answers(&wire.client(), ip, WINDOW).unwrap().len());
        super::eventually("the answer is captured", || capture.log().seen_by("client1").answerers(ip).len() == 1);
        let log = capture.log();
        assert_eq!(BTreeMap::from([(node.mac, 1)]), log.seen_by("client1").since(before).answerers(ip));
        assert_eq!(BTreeMap::from([(node.mac, 1)]), log.sent_by(&node.name).answerers(ip));
        assert_eq!(BTreeMap::new(), log.sent_by("node1").answerers(ip));
        assert_eq!(BTreeSet::from([node.mac]), log.sent().claimants(ip));
        let asked = log.sent_by("client1").records.into_iter().find(|record| record.frame.target == ip).unwrap();
        let answered = log.seen_by("client1").claims(ip).records[0].at;
        assert_eq!(Kind::Request, asked.frame.kind);
        assert!(before <= asked.at && asked.at <= answered && answered <= before + WINDOW);
    }
    capture.stop().unwrap();
}

#[test]
fn an_announcement_is_found_with_its_time_and_an_earlier_one_is_not_taken_for_it() {
    let wire = Wire::build(WireOptions::default()).unwrap();
    let capture = Capture::start(&wire).unwrap();
    let ip: IpAddr = "10.66.100.7".parse().unwrap();
    announce(&wire.node(1), ip);
    super::eventually("the first is captured", || capture.log().seen_by("client1").first_announcement(ip).is_some());
    let second = Instant::now();
    announce(&wire.node(2), ip);
    super::eventually("both are captured", || capture.log().seen_by("client1").claimants(ip).len() == 2);
    let seen = capture.stop().unwrap().seen_by("client1");
    let (first, later) = (seen.first_announcement(ip).unwrap(), seen.since(second));
    assert_eq!((Some(wire.node(1).mac), Kind::GratuitousRequest), (first.frame.sender_mac, first.frame.kind));
    let found = later.first_announcement(ip).unwrap();
    assert_eq!(Some(wire.node(2).mac), found.frame.sender_mac);
    assert_eq!(found.at, seen.first_claim(ip, wire.node(2).mac).unwrap().at);
    assert_eq!(0, seen.answerers(ip).len());
}

#[test]
fn what_a_cut_node_says_is_sent_and_not_seen() {
    let wire = Wire::build(WireOptions::default()).unwrap();
    let capture = Capture::start(&wire).unwrap();
    let ip: IpAddr = "10.66.100.9".parse().unwrap();
    let _cut = fault::cut(&wire, &wire.node(1)).unwrap();
    announce(&wire.node(1), ip);
    super::eventually("it is captured at its port", || capture.log().sent_by("node1").first_announcement(ip).is_some());
    announce(&wire.node(2), ip);
    super::eventually("the other is captured", || capture.log().sent_by("node2").first_announcement(ip).is_some());
    let log = capture.stop().unwrap();
    assert_eq!(BTreeSet::from([wire.node(2).mac]), log.seen_by("client1").claimants(ip));
    assert_eq!(2, log.sent().claimants(ip).len());
}

#[test]
fn a_capture_ends_on_a_segment_that_never_falls_silent() {
    let wire = Wire::build(WireOptions::default()).unwrap();
    let capture = Capture::start(&wire).unwrap();
    let ip = wire.node(1).v4.into();
    let noise = herald_tests::probe::AddressProbe::start(&wire.client(), ip, Duration::from_millis(1)).unwrap();
    super::eventually("there is noise", || capture.log().seen_by("client1").answerers(ip).values().any(|n| *n > 20));
    let started = Instant::now();
    let log = capture.stop().unwrap();
    assert!(started.elapsed() < Duration::from_secs(2));
    let asked = log.sent_by("client1").records.iter().filter(|record| record.frame.target == ip).count();
    assert!(asked > 20);
    noise.stop().unwrap();
}

fn own(node: &Node, ip: IpAddr) {
    let length = if ip.is_ipv4() { 32 } else { 128 };
    node.namespace
        .ip(&format!("address add {ip}/{length} dev eth0{}\n", if ip.is_ipv4() { "" } else { " nodad" }))
        .unwrap();
}

/// Lets the kernel announce: with `arp_notify` it does so for the addresses of an interface whose link-layer address is set.
fn announce(node: &Node, ip: IpAddr) {
    own(node, ip);
    node.namespace.sysctls(&[("net/ipv4/conf/eth0/arp_notify", "1")]).unwrap();
    node.namespace.ip(&format!("link set eth0 address {}\n", node.mac)).unwrap();
}

const WINDOW: Duration = Duration::from_millis(200);
