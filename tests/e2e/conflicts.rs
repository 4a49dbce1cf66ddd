//! Hosts that have, or claim, addresses that Herald is to announce.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test on a real network has a real clock"
)]

mod common;

use common::{Lab, lab, service};
use herald_tests::{
    capture::{Capture, send_raw},
    herald::PATIENCE,
    probe::who_answers,
};
use std::{
    net::IpAddr,
    thread::sleep,
    time::{Duration, Instant},
};

const WINDOW: Duration = Duration::from_millis(100);

/// Waits until the Service has an Event with this reason, and returns what it says.
fn wait_for_event(lab: &Lab, service: &str, reason: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let query = format!("--field-selector=involvedObject.name={service},reason={reason}");
        let notes = lab.kubectl(&["get", "events", &query, "--output=jsonpath={.items[*].message}"]).unwrap();
        if !notes.is_empty() {
            return notes;
        }
        assert!(Instant::now() < deadline, "{service} has no event {reason}");
        sleep(WINDOW);
    }
}

fn conflicts(lab: &Lab) -> f64 {
    (1..=3).map(|node| lab.metric(node, "herald_layer2_conflicts_total").unwrap().unwrap_or_default()).sum()
}

#[test]
fn row_24_an_address_that_another_host_has_is_not_announced_until_it_is_free() {
    let lab = lab();
    let stranger = &lab.wire().control_plane;
    let ips: [IpAddr; 2] = ["10.66.100.77".parse().unwrap(), "fd00:10:66::100:77".parse().unwrap()];
    let change = |verb: &str| {
        for ip in ips {
            let (length, flags) = if ip.is_ipv4() { (32, "") } else { (128, "nodad") };
            let flags = if verb == "add" { flags } else { "" };
            stranger.namespace.ip(&format!("address {verb} {ip}/{length} dev eth0 {flags}\n")).unwrap();
        }
    };
    change("add");
    let (before, capture) = (conflicts(&lab), Capture::start(lab.wire()).unwrap());
    let annotation = format!("annotations: {{metallb.io/loadBalancerIPs: '{},{}'}}", ips[0], ips[1]);
    lab.apply(&service("taken", &annotation, "ipFamilyPolicy: RequireDualStack")).unwrap();
    lab.addresses("default", "taken", 2).unwrap();

    let notes = wait_for_event(&lab, "taken", "addressConflict");
    assert!(notes.contains(&stranger.mac.to_string()), "the event names the host: {notes}");
    let deadline = Instant::now() + PATIENCE;
    while conflicts(&lab) < before + 2.0 {
        assert!(Instant::now() < deadline, "a conflict for each address is counted");
    }
    for ip in ips {
        let answers: Vec<_> = who_answers(&lab.outside(), ip, WINDOW).unwrap().into_keys().collect();
        assert_eq!(answers, [stranger.mac], "nobody but the host that has {ip} answers for it");
    }
    let log = capture.stop().unwrap().sent();
    for ip in ips {
        let nodes = lab.wire().nodes.iter().map(|node| node.mac);
        let claimants = log.claims(ip).claimants(ip);
        assert!(nodes.into_iter().all(|node| !claimants.contains(&node)), "no node has claimed {ip}: {claimants:?}");
    }

    change("delete");
    for ip in ips {
        // It is asked for again every ten seconds.
        lab.wait_for_owner(ip).unwrap();
    }
    lab.kubectl(&["delete", "service", "taken"]).unwrap();
}

#[test]
fn row_23_a_host_that_claims_an_announced_address_is_answered_and_reported() {
    let lab = lab();
    let ip = lab.addresses("default", "echo", 2).unwrap().into_iter().find(IpAddr::is_ipv4).unwrap();
    let IpAddr::V4(vip) = ip else { unreachable!() };
    let owner = lab.wait_for_owner(ip).unwrap();
    let (client, stranger) = (lab.outside(), &lab.wire().control_plane);
    let entry = || client.namespace.output("ip", &["neighbour", "show", &ip.to_string()]).unwrap();
    // The client has the owner's entry, as any host that has just used the address.
    client
        .namespace
        .ip(&format!("neighbour replace {ip} lladdr {} dev eth0 nud stale\n", lab.node(owner).mac))
        .unwrap();
    let before = conflicts(&lab);

    let mut frame = vec![0xff; 6];
    frame.extend(stranger.mac.0);
    frame.extend([0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 2]);
    frame.extend(stranger.mac.0);
    frame.extend(vip.octets());
    frame.extend([0xff; 6]);
    frame.extend(vip.octets());
    send_raw(stranger, &[frame]).unwrap();

    let notes = wait_for_event(&lab, "echo", "addressConflict");
    assert!(notes.contains(&stranger.mac.to_string()), "the event names the host: {notes}");
    assert!(conflicts(&lab) > before, "it is counted");
    let deadline = Instant::now() + PATIENCE;
    while !entry().contains(&lab.node(owner).mac.to_string()) {
        assert!(Instant::now() < deadline, "the client has the owner's entry again: {}", entry());
    }
    assert_eq!(lab.owner(ip).unwrap(), owner, "it has not moved");
}
