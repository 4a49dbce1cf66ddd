//! The baseline works as VRRP should, on the same wire and seen by the same probes.

use std::{net::Ipv4Addr, time::Duration};

use herald_tests::{
    fault::{self, strike},
    keepalived::{Keepalived, Options},
    probe::{Report, UdpProbe, who_answers},
    wire::{Wire, WireOptions},
};
use nix::sys::signal::Signal;

#[test]
fn a_silent_cut_moves_the_address_and_the_client_sees_for_how_long() {
    let (wire, keepalived) = started();
    let probe = UdpProbe::start(&wire.client().namespace, keepalived.target(), MS * 5).unwrap();
    assert!(probe.wait_for_answers(20, LIMIT));
    let cut = fault::cut(&wire, &wire.node(1)).unwrap();
    let when = cut.when;
    super::eventually("the client is served again", || probe.report().answered_since(when.in_force) > 20);
    let report = probe.report();
    assert_eq!(vec!["node1", "node2"], turns(&report));
    // Two missed advertisements at least; the limit is for a busy machine.
    assert!((MS * 200..MS * 3000).contains(&report.outage()), "{:?}", report.outage());

    // It comes back as soon as it can be heard: VRRP's own way.
    cut.heal().unwrap();
    keepalived.wait_for_owner("node1", LIMIT).unwrap();
    // Whether or not it announced itself, a client that asks finds it.
    wire.client().forget(VIP.into()).unwrap();
    super::eventually("node1 serves", || turns(&probe.report()).last().is_some_and(|by| by == "node1"));
}

#[test]
fn a_killed_owner_leaves_its_address_behind() {
    let (wire, mut keepalived) = started();
    strike(keepalived.target_on("node1").unwrap(), Signal::SIGKILL).unwrap();
    super::eventually("there are two owners", || keepalived.owners().unwrap() == ["node1", "node2"]);
    super::eventually("both answer", || {
        who_answers(&wire.client(), VIP.into(), MS * 50).unwrap().into_keys().eq([wire.node(1).mac, wire.node(2).mac])
    });
    keepalived.restart_on("node1").unwrap();
    keepalived.wait_for_owner("node1", LIMIT).unwrap();
}

#[test]
fn a_planned_stop_hands_over_and_a_second_run_starts_clean() {
    let (wire, mut keepalived) = started();
    keepalived.stop_on("node1").unwrap();
    keepalived.wait_for_owner("node2", LIMIT).unwrap();
    drop(keepalived);
    for node in &wire.nodes {
        assert!(!node.namespace.output("ip", &["address"]).unwrap().contains(&VIP.to_string()));
    }
    Keepalived::start(&wire, OPTIONS).unwrap();
}

fn started() -> (Wire, Keepalived) {
    let wire = Wire::build(WireOptions::default()).unwrap();
    let keepalived = Keepalived::start(&wire, OPTIONS).unwrap();
    (wire, keepalived)
}

fn turns(report: &Report) -> Vec<String> {
    report.turns().into_iter().map(|turn| turn.by.to_string()).collect()
}

const MS: Duration = Duration::from_millis(1);
const LIMIT: Duration = Duration::from_secs(10);
const VIP: Ipv4Addr = Ipv4Addr::new(10, 66, 100, 200);
const OPTIONS: Options = Options { advertise: Duration::from_millis(100), vip: VIP, port: 7000 };
