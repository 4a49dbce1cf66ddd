//! Updates of the speaker: the new process takes the place of the old one, and nobody notices.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test on a real network has a real clock"
)]

mod common;

use common::{Lab, http, lab, udp};
use herald_tests::{
    capture::Capture,
    cluster::HERALD,
    fault::{self, strike},
    herald::PATIENCE,
    probe::{AddressProbe, Ask, TcpProbe, UdpProbe},
};
use nix::sys::signal::Signal;
use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

const EVERY: Duration = Duration::from_millis(5);
const DAEMONSET: &[&str] = &["daemonset/speaker", "--namespace=herald-system"];

fn count(lab: &Lab, words: &str) -> usize {
    lab.logs(HERALD, "speaker-").unwrap().lines().filter(|line| line.contains(words)).count()
}

fn story(lab: &Lab) -> String {
    let text = lab.logs(HERALD, "speaker-").unwrap_or_default();
    let mut lines: Vec<_> = text.lines().filter(|line| !line.contains("speaker heard")).collect();
    lines.sort_unstable();
    lines.split_off(lines.len().saturating_sub(80)).join("\n")
}

fn owners(lab: &Lab) -> BTreeMap<IpAddr, usize> {
    let ips = lab.addresses("default", "echo", 2).unwrap();
    ips.into_iter().map(|ip| (ip, lab.wait_for_owner(ip).unwrap())).collect()
}

/// Replaces every speaker, one node after the other, as an update does.
fn update(lab: &Lab) {
    lab.kubectl(&[&["rollout", "restart"], DAEMONSET].concat()).unwrap();
    let status = lab.kubectl(&[&["rollout", "status", "--timeout=60s"], DAEMONSET].concat());
    status.unwrap_or_else(|error| {
        let pods = lab.kubectl(&[
            "get",
            "pods",
            "--namespace=herald-system",
            "--output=jsonpath={range .items[*]}{.metadata.name} {.status.conditions}{\"\\n\"}{end}",
        ]);
        panic!("{error:#}\n{}\n{}", pods.unwrap_or_default(), story(lab))
    });
    lab.wait_for_speakers().unwrap();
}

#[test]
fn row_7_an_update_moves_nothing_and_every_question_is_answered() {
    let lab = lab();
    let before = owners(&lab);
    let client = lab.outside();
    let probes: Vec<_> = before
        .keys()
        .map(|ip| {
            let data = UdpProbe::start(&client.namespace, udp(*ip), EVERY).unwrap();
            let flow = TcpProbe::start(&client.namespace, http(*ip), Duration::from_millis(20), Ask::Flow).unwrap();
            let asked = AddressProbe::start(&client, *ip, Duration::from_millis(10)).unwrap();
            assert!(data.wait_for_answers(20, PATIENCE));
            (*ip, data, flow, asked)
        })
        .collect();
    let capture = Capture::start(lab.wire()).unwrap();
    let words = ["address gained", "address lost", "took the place of the earlier speaker"];
    let said = words.map(|words| count(&lab, words));

    update(&lab);

    assert_eq!(owners(&lab), before, "nothing has moved\n{}", story(&lab));
    let [gained, lost, took] = said;
    assert_eq!(words.map(|words| count(&lab, words)), [gained, lost, took + 3], "{}", story(&lab));
    let log = capture.stop().unwrap().sent();
    for (ip, data, flow, asked) in probes {
        let (data, flow, asked) = (data.stop().unwrap(), flow.stop().unwrap(), asked.stop().unwrap());
        assert_eq!(data.lost(), 0, "of {} probes of {ip}: {:?}\n{}", data.sent(), data.gaps(), story(&lab));
        assert_eq!(asked.lost(), 0, "of {} questions who has {ip}\n{}", asked.sent(), story(&lab));
        assert_eq!(flow.resets.len(), 0, "resets of a connection to {ip}");
        let owner = lab.node(before[&ip]).mac;
        assert_eq!(log.claims(ip).claimants(ip), [owner].into(), "nobody but its owner says that it has {ip}");
    }
    for node in 1..=3 {
        let tables = lab.node(node).namespace.output("nft", &["list", "ruleset"]).unwrap();
        let guarded = tables.contains("chain guard") && before.keys().all(|ip| tables.contains(&ip.to_string()));
        assert!(guarded, "the loop guard is in force on node {node}:\n{tables}");
    }
}

#[test]
fn after_an_update_everything_is_as_before_it() {
    let lab = lab();
    update(&lab);
    for (ip, owner) in owners(&lab) {
        // A killed one is noticed at once, and its heir tells the clients that the one before the update knew.
        let probe = UdpProbe::start(&lab.outside().namespace, udp(ip), EVERY).unwrap();
        assert!(probe.wait_for_answers(20, PATIENCE));
        strike(lab.speaker(owner).unwrap(), Signal::SIGKILL).unwrap();
        let deadline = Instant::now() + PATIENCE;
        let heir = loop {
            match lab.owner(ip) {
                Ok(heir) if heir != owner => break heir,
                other => assert!(Instant::now() < deadline, "{ip}: {other:?}\n{}", story(&lab)),
            }
        };
        lab.wait_for_speakers().unwrap();
        let report = probe.stop().unwrap();
        assert_eq!(report.lost(), 0, "of {} probes: {:?}\n{}", report.sent(), report.gaps(), story(&lab));
        let cut = fault::cut(lab.wire(), &lab.node(heir)).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while lab.owner(ip).is_ok_and(|owner| owner == heir) || lab.owner(ip).is_err() {
            assert!(Instant::now() < deadline, "{ip} does not leave a node that is cut off\n{}", story(&lab));
        }
        cut.heal().unwrap();
        lab.wait_for_speakers().unwrap();
    }
}
