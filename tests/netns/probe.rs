//! Probes report what happened, as the client saw it, in both families.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use herald_tests::{
    fault,
    probe::{AddressProbe, Ask, Echo, TcpProbe, UdpProbe, who_answers},
    wire::{Node, Wire, WireOptions},
};

#[test]
fn a_healthy_service_loses_nothing_and_says_who_it_is() {
    let wire = wire();
    let node = wire.node(1);
    let client = wire.client();
    for address in node.addresses() {
        let target = SocketAddr::new(address, PORT);
        let _echo = Echo::start(&node.namespace, target, "node1").unwrap();
        let udp = UdpProbe::start(&client.namespace, target, MS * 2).unwrap();
        let flows = UdpProbe::start_flows(&client.namespace, target, MS * 2, 4).unwrap();
        let tcp = [Ask::Connect, Ask::Get, Ask::Flow]
            .map(|ask| TcpProbe::start(&client.namespace, target, MS * 10, ask).unwrap());
        assert!(udp.wait_for_answers(50, LIMIT) && flows.wait_for_answers(50, LIMIT));
        assert!(tcp.iter().all(|probe| probe.wait_for_answers(10, LIMIT)));
        for report in [udp.stop().unwrap(), flows.stop().unwrap()] {
            assert_eq!((0, 0, Duration::ZERO), (report.lost(), report.doubles.len(), report.outage()));
            assert_eq!(vec!["node1"], names(&report));
        }
        let [connect, get, flow] = tcp.map(|probe| probe.stop().unwrap());
        for (report, name) in [(connect, ""), (get, "node1"), (flow, "node1")] {
            assert_eq!((0, 0), (report.lost(), report.resets.len()));
            assert_eq!(vec![name], names(&report));
        }
    }
}

#[test]
fn an_outage_is_as_long_as_it_was() {
    let wire = wire();
    let node = wire.node(1);
    for address in node.addresses() {
        let target = SocketAddr::new(address, PORT);
        let _echo = Echo::start(&node.namespace, target, "node1").unwrap();
        let probe = UdpProbe::start(&wire.client().namespace, target, MS * 5).unwrap();
        assert!(probe.wait_for_answers(10, LIMIT));
        let cut = fault::cut(&wire, &node).unwrap();
        let began = cut.when;
        std::thread::sleep(MS * 200);
        let healed = cut.heal().unwrap();
        assert!(probe.wait_for_answers(10, LIMIT));
        let report = probe.stop().unwrap();
        let (least, most) = (healed.asked - began.in_force, healed.in_force - began.asked);
        let slack = MS * 10 + report.worst_lateness * 2 + report.worst_round_trip().unwrap() * 2;
        assert!(report.outage() >= least && report.outage() <= most + slack, "{:?}", report.outage());
        assert_eq!(1, report.gaps().len());
    }
}

#[test]
fn a_refusal_is_no_silence() {
    let wire = wire();
    let target = SocketAddr::from((wire.node(1).v4, PORT));
    let udp = UdpProbe::start(&wire.client().namespace, target, MS * 5).unwrap();
    let tcp = TcpProbe::start(&wire.client().namespace, target, MS * 5, Ask::Connect).unwrap();
    super::eventually("both are refused", || udp.report().refused() > 3 && tcp.report().refused() > 3);
    assert_eq!(0, udp.stop().unwrap().answered_since(Instant::now() - LIMIT));
}

#[test]
fn a_flow_is_reset_once_when_its_server_ends_and_goes_on_with_the_next() {
    let wire = wire();
    let node = wire.node(1);
    for address in node.addresses() {
        let target = SocketAddr::new(address, PORT);
        let first = Echo::start(&node.namespace, target, "first").unwrap();
        let flow = TcpProbe::start(&wire.client().namespace, target, MS * 5, Ask::Flow).unwrap();
        assert!(flow.wait_for_answers(10, LIMIT));
        // A reset instead of a polite end, as from a node that does not know the connection.
        let reset = format!("tcp dport {PORT} reject with tcp reset");
        let chain = format!("chain in {{\ntype filter hook input priority 0;\n{reset}\n}}");
        node.namespace.nft(&format!("table inet gone {{\n{chain}\n}}\n")).unwrap();
        super::eventually("the flow is reset", || !flow.report().resets.is_empty());
        drop(first);
        node.namespace.nft("delete table inet gone\n").unwrap();
        let mut second = None;
        super::eventually("the port is free", || {
            second = Echo::start(&node.namespace, target, "second").ok();
            second.is_some()
        });
        assert!(flow.wait_for_answers(10, LIMIT));
        let report = flow.stop().unwrap();
        assert_eq!(1, report.resets.len());
        let turns: Vec<String> = report.turns().into_iter().map(|turn| turn.by.to_string()).collect();
        assert_eq!(vec!["first", "second"], turns);
    }
}

#[test]
fn a_lost_handshake_costs_its_connection_a_second_and_the_others_nothing() {
    let wire = wire();
    let node = wire.node(1);
    let target = SocketAddr::from((node.v4, PORT));
    let _echo = Echo::start(&node.namespace, target, "node1").unwrap();
    let probe = TcpProbe::start(&wire.client().namespace, target, MS * 20, Ask::Get).unwrap();
    assert!(probe.wait_for_answers(5, LIMIT));
    let cut = fault::cut(&wire, &node).unwrap();
    std::thread::sleep(MS * 100);
    cut.heal().unwrap();
    super::eventually("those in the gap are answered", || {
        probe.report().worst_round_trip().is_some_and(|worst| worst > MS * 900)
    });
    let report = probe.stop().unwrap();
    assert_eq!(0, report.lost());
    let slow = report.impatient(MS * 500).lost();
    assert!((1..report.sent() / 2).contains(&slow), "{slow} of {}", report.sent());
}

#[test]
fn all_owners_of_an_address_are_found() {
    let wire = wire();
    let client = wire.client();
    for vip in ["10.66.100.1", "fd00:10:66::100:1"] {
        let ip = vip.parse().unwrap();
        let window = MS * 200;
        assert!(who_answers(&client, ip, window).unwrap().is_empty());
        add(&wire.node(1), vip);
        assert_eq!(vec![wire.node(1).mac], who_answers(&client, ip, window).unwrap().into_keys().collect::<Vec<_>>());
        add(&wire.node(3), vip);
        let owners = who_answers(&client, ip, window).unwrap();
        assert_eq!(vec![wire.node(1).mac, wire.node(3).mac], owners.into_keys().collect::<Vec<_>>());
    }
}

#[test]
fn a_second_owner_shows_as_doubles_and_a_missing_one_as_a_gap() {
    let wire = wire();
    for vip in ["10.66.100.1", "fd00:10:66::100:1"] {
        add(&wire.node(1), vip);
        let probe = AddressProbe::start(&wire.client(), vip.parse().unwrap(), MS * 10).unwrap();
        super::eventually("one owner answers", || {
            probe.report().samples.iter().filter(|s| s.answer().is_some()).count() > 5
        });
        let alone = Instant::now();
        assert_eq!(0, probe.report().doubles.len());
        add(&wire.node(2), vip);
        super::eventually("two answer", || probe.report().doubles.len() > 5);
        for node in [1, 2] {
            wire.node(node).namespace.ip(&format!("address del {vip}/{} dev eth0\n", length(vip))).unwrap();
        }
        let gone = Instant::now();
        super::eventually("nobody answers", || probe.report().between(gone, Instant::now()).lost() > 5);
        let report = probe.stop().unwrap();
        assert!(report.between(alone, gone).answered_since(alone) > 0);
        assert_eq!(Duration::MAX, report.outage());
    }
}

fn wire() -> Wire {
    Wire::build(WireOptions::default()).unwrap()
}

/// Gives a node an address so that it answers for it on the segment, duplicate or not.
fn add(node: &Node, vip: &str) {
    let unchecked = if vip.contains(':') { "nodad" } else { "" };
    node.namespace.ip(&format!("address add {vip}/{} dev eth0 {unchecked}\n", length(vip))).unwrap();
}

fn length(address: &str) -> u8 {
    if address.contains(':') { 128 } else { 32 }
}

fn names(report: &herald_tests::probe::Report) -> Vec<String> {
    report.answers().into_keys().map(|name| name.to_string()).collect()
}

const PORT: u16 = 7000;
const MS: Duration = Duration::from_millis(1);
/// Far more than a busy machine needs.
const LIMIT: Duration = Duration::from_secs(10);
