//! Faults, and what the client and the segment see of them.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test on a real network has a real clock"
)]

mod common;

use common::{Lab, lab, service, udp};
use herald_tests::{
    capture::Capture,
    cluster::HERALD,
    fault::{self, strike},
    herald::PATIENCE,
    probe::{AddressProbe, UdpProbe},
};
use nix::sys::signal::Signal;
use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

const EVERY: Duration = Duration::from_millis(5);

/// Both addresses of the sample's Service, IPv4 first.
fn addresses(lab: &Lab) -> [IpAddr; 2] {
    let mut ips = lab.addresses("default", "echo", 2).unwrap();
    ips.sort();
    ips.try_into().unwrap()
}

/// What the speakers wrote about owning, for the message of a failed test.
fn story(lab: &Lab) -> String {
    let text = lab.logs(HERALD, "speaker-").unwrap_or_default();
    let mut lines: Vec<_> = text
        .lines()
        .filter(|line| ["address ", "speaker ", "ending", "told"].iter().any(|word| line.contains(word)))
        .collect();
    lines.sort_unstable();
    lines.split_off(lines.len().saturating_sub(60)).join("\n")
}

/// Waits until a node other than `not` answers for the address, alone.
fn new_owner(lab: &Lab, ip: IpAddr, not: usize) -> usize {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match lab.owner(ip) {
            Ok(owner) if owner != not => return owner,
            other if Instant::now() > deadline => panic!("{ip} did not leave node {not}: {other:?}"),
            _ => {}
        }
    }
}

#[test]
fn a_cut_owner_loses_its_address_and_takes_nothing_back() {
    let lab = lab();
    for ip in addresses(&lab) {
        let owner = lab.wait_for_owner(ip).unwrap();
        let client = lab.outside();
        let probe = UdpProbe::start(&client.namespace, udp(ip), EVERY).unwrap();
        assert!(probe.wait_for_answers(20, PATIENCE));
        let capture = Capture::start(lab.wire()).unwrap();

        let cut = fault::cut(lab.wire(), &lab.node(owner)).unwrap();
        let heir = new_owner(&lab, ip, owner);
        assert!(probe.wait_for_answers(20, PATIENCE), "the client reaches the address again");
        let healed = cut.heal().unwrap();
        lab.wait_for_speakers().unwrap();

        assert_eq!(lab.owner(ip).unwrap(), heir, "{ip} does not move back");
        let log = capture.stop().unwrap();
        let old = lab.node(owner).mac;
        let after = log.since(healed.asked).sent().claims(ip);
        assert!(!after.claimants(ip).contains(&old), "the old owner claims nothing after it came back");
        assert_ne!(probe.stop().unwrap().outage(), Duration::MAX);
    }
}

#[test]
fn a_pulled_cable_moves_the_address() {
    let lab = lab();
    for ip in addresses(&lab) {
        let owner = lab.wait_for_owner(ip).unwrap();
        let down = fault::link_down(lab.wire(), &lab.node(owner)).unwrap();
        let heir = new_owner(&lab, ip, owner);
        down.heal().unwrap();
        lab.wait_for_speakers().unwrap();
        assert_eq!(lab.owner(ip).unwrap(), heir, "{ip} stays; {}", story(&lab));
    }
}

#[test]
fn a_killed_speaker_costs_no_probe_and_leaves_one_owner() {
    let lab = lab();
    for ip in addresses(&lab) {
        let owner = lab.wait_for_owner(ip).unwrap();
        let probe = UdpProbe::start(&lab.outside().namespace, udp(ip), EVERY).unwrap();
        assert!(probe.wait_for_answers(20, PATIENCE));
        let capture = Capture::start(lab.wire()).unwrap();

        let killed = strike(lab.speaker(owner).unwrap(), Signal::SIGKILL).unwrap();
        let heir = new_owner(&lab, ip, owner);
        lab.wait_for_speakers().unwrap();

        assert_eq!(lab.owner(ip).unwrap(), heir, "the restarted speaker takes nothing back");
        let claims = capture.stop().unwrap().since(killed.in_force).sent().claims(ip);
        assert_eq!(claims.claimants(ip), [lab.node(heir).mac].into(), "nobody but the heir says that it has {ip}");
        let first = claims.first_claim(ip, lab.node(heir).mac).unwrap();
        eprintln!("{ip}: the heir announces it {:?} after the kill", first.at - killed.in_force);
        let report = probe.stop().unwrap();
        let since = |at: Option<Instant>| at.map(|at| at.saturating_duration_since(killed.in_force));
        let gaps: Vec<_> = report.gaps().into_iter().map(|gap| (since(gap.from), since(gap.until), gap.lost)).collect();
        assert_eq!(report.lost(), 0, "of {} probes: from, until, lost {gaps:?}\n{}", report.sent(), story(&lab));
    }
    // A process that is killed closes its sockets when it next gets the processor. On a machine that is busy enough its silence is noticed first, as often as that.
    let refused = |line: &str| line.contains("speaker gone") && line.contains("refused");
    for kill in 1.. {
        if lab.logs(HERALD, "speaker-").unwrap().lines().any(refused) {
            break;
        }
        assert!(kill < 20, "of {kill} killed speakers none was noticed by what its kernel says\n{}", story(&lab));
        strike(lab.speaker(1 + kill % 3).unwrap(), Signal::SIGKILL).unwrap();
        lab.wait_for_speakers().unwrap();
    }
}

#[test]
fn a_stopped_speaker_is_replaced_and_stays_silent_when_it_goes_on() {
    let lab = lab();
    for ip in addresses(&lab) {
        let owner = lab.wait_for_owner(ip).unwrap();
        let process = lab.speaker(owner).unwrap();
        let capture = Capture::start(lab.wire()).unwrap();
        strike(process, Signal::SIGSTOP).unwrap();
        let heir = new_owner(&lab, ip, owner);
        // Requests queue up in the stopped process's sockets: none may be answered later.
        for _ in 0..5 {
            assert_eq!(lab.owner(ip).unwrap(), heir);
        }
        let thawed = strike(process, Signal::SIGCONT).unwrap();
        lab.wait_for_speakers().unwrap();
        for _ in 0..3 {
            assert_eq!(lab.owner(ip).unwrap(), heir);
        }
        let claims = capture.stop().unwrap().since(thawed.asked).sent().claims(ip);
        assert!(
            !claims.claimants(ip).contains(&lab.node(owner).mac),
            "a thawed speaker answers nothing that it no longer owns"
        );
    }
}

#[test]
fn a_speaker_that_ends_hands_over_first() {
    let lab = lab();
    for ip in addresses(&lab) {
        let owner = lab.wait_for_owner(ip).unwrap();
        let probe = UdpProbe::start(&lab.outside().namespace, udp(ip), EVERY).unwrap();
        let asked = AddressProbe::start(&lab.outside(), ip, Duration::from_millis(10)).unwrap();
        assert!(probe.wait_for_answers(20, PATIENCE));
        let pod = format!("--field-selector=spec.nodeName={}", lab.node(owner).name);
        lab.kubectl(&["delete", "pod", "--namespace=herald-system", "--selector=component=speaker", &pod]).unwrap();
        let heir = new_owner(&lab, ip, owner);
        assert!(probe.wait_for_answers(20, PATIENCE));
        lab.wait_for_speakers().unwrap();
        assert_eq!(lab.owner(ip).unwrap(), heir);
        let (probe, asked) = (probe.stop().unwrap(), asked.stop().unwrap());
        assert_eq!(probe.lost(), 0, "of {} probes", probe.sent());
        assert_eq!(asked.lost(), 0, "of {} questions who has {ip}: {:?}\n{}", asked.sent(), asked.gaps(), story(&lab));
    }
}

#[test]
fn an_address_leaves_a_node_that_an_operator_drains_and_a_cordon_alone_moves_nothing() {
    let lab = lab();
    for ip in addresses(&lab) {
        let owner = lab.wait_for_owner(ip).unwrap();
        let name = lab.node(owner).name.clone();
        let probe = UdpProbe::start(&lab.outside().namespace, udp(ip), EVERY).unwrap();
        let asked = AddressProbe::start(&lab.outside(), ip, Duration::from_millis(10)).unwrap();
        assert!(probe.wait_for_answers(20, PATIENCE));
        let exclude = "node.kubernetes.io/exclude-from-external-load-balancers";
        let triggers: [(&[&str], &[&str]); 3] = [
            (
                &["annotate", "node", "NODE", "heraldlb.io/drain=true"],
                &["annotate", "node", "NODE", "heraldlb.io/drain-"],
            ),
            (&["cordon", "NODE"], &["uncordon", "NODE"]),
            (&["label", "node", "NODE", &format!("{exclude}=")], &["label", "node", "NODE", &format!("{exclude}-")]),
        ];
        let mut owner = owner;
        for (on, off) in triggers {
            let name = lab.node(owner).name.clone();
            let run = |words: &[&str]| {
                let words: Vec<_> =
                    words.iter().map(|word| if *word == "NODE" { name.as_str() } else { word }).collect();
                lab.kubectl(&words).unwrap()
            };
            if on[0] == "cordon" {
                run(on);
                // The API server has said so; what the speakers would make of it they make in milliseconds.
                std::thread::sleep(Duration::from_millis(500));
                assert_eq!(lab.owner(ip).unwrap(), owner, "a cordon alone moves nothing");
                run(&["annotate", "node", "NODE", "heraldlb.io/drain=on-cordon"]);
            } else {
                run(on);
            }
            let heir = new_owner(&lab, ip, owner);
            assert!(probe.wait_for_answers(20, PATIENCE));
            run(off);
            if on[0] == "cordon" {
                run(&["annotate", "node", "NODE", "heraldlb.io/drain-"]);
            }
            assert_eq!(lab.owner(ip).unwrap(), heir, "nothing moves back");
            owner = heir;
        }
        let (probe, asked) = (probe.stop().unwrap(), asked.stop().unwrap());
        assert_eq!(
            probe.lost(),
            0,
            "of {} probes of {ip}, first of {name}: {:?}\n{}",
            probe.sent(),
            probe.gaps(),
            story(&lab)
        );
        assert_eq!(asked.lost(), 0, "of {} questions who has {ip}: {:?}\n{}", asked.sent(), asked.gaps(), story(&lab));
    }
}

#[test]
fn an_address_moves_without_the_api_server() {
    let lab = lab();
    let [v4, v6] = addresses(&lab);
    let owner = lab.wait_for_owner(v4).unwrap();
    lab.wait_for_owner(v6).unwrap();
    let probe = UdpProbe::start(&lab.outside().namespace, udp(v4), EVERY).unwrap();
    assert!(probe.wait_for_answers(20, PATIENCE));

    lab.stop_api_server();
    let cut = fault::cut(lab.wire(), &lab.node(owner)).unwrap();
    let heir = new_owner(&lab, v4, owner);
    assert!(probe.wait_for_answers(20, PATIENCE));
    assert_ne!(lab.wait_for_owner(v6).unwrap(), owner);
    cut.heal().unwrap();
    lab.start_api_server().unwrap();

    lab.wait_for_speakers().unwrap();
    assert_eq!(lab.owner(v4).unwrap(), heir, "an API server that comes back moves nothing");
    assert_ne!(probe.stop().unwrap().outage(), Duration::MAX);
}

#[test]
fn a_local_service_is_announced_where_an_endpoint_is_ready() {
    let lab = lab();
    let pods = lab.pods("default", "app=echo").unwrap();
    let node_of =
        |pod: &k8s_openapi::api::core::v1::Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap();
    lab.apply(&service("local", "", "externalTrafficPolicy: Local\nipFamilyPolicy: RequireDualStack")).unwrap();
    for ip in lab.addresses("default", "local", 2).unwrap() {
        let owner = lab.wait_for_owner(ip).unwrap();
        let name = lab.node(owner).name.clone();
        let local: Vec<_> = pods.iter().filter(|pod| node_of(pod) == name).collect();
        assert!(!local.is_empty(), "{name} owns {ip} and has no endpoint");
        let ready = |set: &str| {
            for pod in &local {
                let pod_ip = pod.status.as_ref().and_then(|status| status.pod_ip.clone()).unwrap();
                let url = format!("http://{pod_ip}:8080/readyz?set={set}");
                let status = lab
                    .node(owner)
                    .namespace
                    .command("curl")
                    .args(["--silent", "--output", "/dev/null", &url])
                    .status();
                assert!(status.unwrap().success());
            }
        };
        ready("false");
        let heir = new_owner(&lab, ip, owner);
        ready("true");
        lab.kubectl(&["wait", "--for=condition=Ready", "pod", "--selector=app=echo", "--timeout=30s"]).unwrap();
        assert_eq!(lab.owner(ip).unwrap(), heir, "an endpoint that comes back moves nothing");
    }
    lab.kubectl(&["delete", "service", "local"]).unwrap();
}

#[test]
fn a_preferred_node_gets_what_has_no_owner_and_takes_nothing_that_has() {
    let lab = lab();
    let name = lab.node(3).name.clone();
    lab.apply(&format!(
        "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {{name: preferred, namespace: herald-system}}\nspec:\n  \
         autoAssign: false\n  addresses: [10.66.103.0/29]\n---\napiVersion: metallb.io/v1beta1\nkind: L2Advertisement\nmetadata: \
         {{name: preferred, namespace: herald-system}}\nspec:\n  ipAddressPools: [preferred]\n  preferredNodeSelectors:\n  - weight: \
         50\n    preference: {{matchLabels: {{kubernetes.io/hostname: {name}}}}}\n"
    ))
    .unwrap();
    let names: Vec<_> = (1..=4).map(|number| format!("preferred-{number}")).collect();
    for name in &names {
        lab.apply(&service(name, "annotations: {metallb.io/address-pool: preferred}", "")).unwrap();
        let ip = lab.addresses("default", name, 1).unwrap()[0];
        assert_eq!(lab.wait_for_owner(ip).unwrap(), 3, "{ip} goes to the preferred node");
    }
    lab.kubectl(&["delete", "l2advertisement", "preferred", "--namespace=herald-system"]).unwrap();
    for name in &names {
        lab.kubectl(&["delete", "service", name]).unwrap();
    }
    lab.kubectl(&["delete", "ipaddresspool", "preferred", "--namespace=herald-system"]).unwrap();
}
