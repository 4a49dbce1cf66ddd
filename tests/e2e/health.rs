//! Addresses go to nodes where kube-proxy is healthy, if speakers are told to ask it.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test on a real network has a real clock"
)]

mod common;

use common::{Lab, lab, service, udp};
use herald_tests::{cluster::HERALD, herald::PATIENCE, kube_proxy::HEALTH_PORT, probe::UdpProbe};
use std::{
    thread::sleep,
    time::{Duration, Instant},
};

/// Has every speaker ask the kube-proxy of its node.
fn ask_kube_proxy(lab: &Lab) {
    let add = format!(
        r#"[{{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "--kube-proxy-healthz=127.0.0.1:{HEALTH_PORT}"}}]"#
    );
    lab.kubectl(&["patch", "daemonset/speaker", "--namespace", HERALD, "--type=json", "--patch", &add]).unwrap();
    lab.kubectl(&["rollout", "status", "daemonset/speaker", "--namespace", HERALD, "--timeout=120s"]).unwrap();
    lab.wait_for_speakers().unwrap();
}

/// Nobody on the node hears from its kube-proxy any more. Its rules stay in the kernel.
fn silence(lab: &Lab, node: usize) {
    let rules = format!(
        "add table inet deaf; add chain inet deaf in {{ type filter hook input priority 0; }}; add rule inet deaf in tcp dport {HEALTH_PORT} drop"
    );
    let output = lab.node(node).namespace.command("nft").arg(rules).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn mend(lab: &Lab, node: usize) {
    let output = lab.node(node).namespace.command("nft").arg("delete table inet deaf").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn wait_for_fitness(lab: &Lab, node: usize, wanted: f64) {
    let deadline = Instant::now() + PATIENCE;
    while lab.metric(node, "herald_node_fit").unwrap() != Some(wanted) {
        assert!(Instant::now() < deadline, "node {node}\n{}", lab.last_words(HERALD));
        sleep(Duration::from_millis(200));
    }
}

#[test]
fn an_address_goes_where_kube_proxy_is_healthy_and_stays_where_it_is_when_no_other_node_is() {
    let lab = lab();
    ask_kube_proxy(&lab);
    lab.apply(&service("healthy", "", "ipFamilyPolicy: RequireDualStack\n")).unwrap();
    let ips = lab.addresses("default", "healthy", 2).unwrap();
    let owner = lab.wait_for_owner(ips[0]).unwrap();
    assert_eq!(lab.wait_for_owner(ips[1]).unwrap(), owner);
    (1..=3).for_each(|node| wait_for_fitness(&lab, node, 1.0));

    let probes: Vec<_> = ips
        .iter()
        .map(|ip| UdpProbe::start(&lab.outside().namespace, udp(*ip), Duration::from_millis(5)).unwrap())
        .collect();
    assert!(probes.iter().all(|probe| probe.wait_for_answers(20, PATIENCE)));
    silence(&lab, owner);
    let deadline = Instant::now() + PATIENCE;
    let heirs: Vec<_> = ips
        .iter()
        .map(|ip| {
            loop {
                match lab.owner(*ip) {
                    Ok(heir) if heir != owner => return heir,
                    other => assert!(Instant::now() < deadline, "{ip}: {other:?}\n{}", lab.last_words(HERALD)),
                }
            }
        })
        .collect();
    for (ip, probe) in ips.iter().zip(probes) {
        let report = probe.stop().unwrap();
        assert_eq!(report.lost(), 0, "of {} probes to {ip}: {:?}", report.sent(), report.gaps());
    }
    mend(&lab, owner);
    wait_for_fitness(&lab, owner, 1.0);
    assert_eq!(ips.iter().map(|ip| lab.wait_for_owner(*ip).unwrap()).collect::<Vec<_>>(), heirs, "nothing moves back");

    (1..=3).for_each(|node| silence(&lab, node));
    (1..=3).for_each(|node| wait_for_fitness(&lab, node, 0.0));
    // They find out one after the other: until the last does, addresses go to it, and then they stay.
    let last: Vec<_> = ips.iter().map(|ip| lab.wait_for_owner(*ip).unwrap()).collect();
    sleep(Duration::from_secs(3));
    for (ip, last) in ips.iter().zip(last) {
        assert_eq!(lab.wait_for_owner(*ip).unwrap(), last);
    }
    (1..=3).for_each(|node| mend(&lab, node));
    lab.kubectl(&["delete", "service", "healthy"]).unwrap();
}
