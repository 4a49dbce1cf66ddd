//! What `kubectl get servicel2statuses` shows: which node answers for a Service, before and after a move.
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
    cluster::HERALD,
    fault::{self, strike},
    herald::PATIENCE,
};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::{
    net::IpAddr,
    thread::sleep,
    time::{Duration, Instant},
};

/// Node, Service and namespace of every status of a Service, as `kubectl get` prints them.
fn rows(lab: &Lab, service: &str) -> Vec<[String; 3]> {
    let selector = format!("metallb.io/service-name={service},metallb.io/service-namespace=default");
    let arguments = ["get", "servicel2statuses", "--namespace", HERALD, "--selector", &selector];
    let table = lab.kubectl(&arguments).unwrap();
    let mut lines = table.lines();
    let Some(head) = lines.next() else { return Vec::new() };
    let head: Vec<_> = head.split_whitespace().collect();
    assert_eq!(head.join(" "), "NAME ALLOCATED NODE SERVICE NAME SERVICE NAMESPACE");
    lines
        .map(|line| {
            let mut words = line.split_whitespace().map(str::to_owned);
            assert!(words.next().unwrap().starts_with("l2-"), "{line}");
            std::array::from_fn(|_| words.next().unwrap_or_default())
        })
        .collect()
}

/// Waits until the one status of a Service names the node that answers for both addresses, and returns that node.
fn wait_for_the_owner(lab: &Lab, service: &str, ips: &[IpAddr]) -> usize {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let owners: Vec<_> = ips.iter().map(|ip| lab.wait_for_owner(*ip).unwrap()).collect();
        let shown = rows(lab, service);
        let expected = [lab.node(owners[0]).name.clone(), service.to_owned(), "default".to_owned()];
        if owners.iter().all(|owner| *owner == owners[0]) && shown == [expected] {
            return owners[0];
        }
        assert!(
            Instant::now() < deadline,
            "nodes {owners:?} answer, and the statuses are {shown:?}\n{}",
            lab.last_words(HERALD)
        );
        sleep(Duration::from_millis(200));
    }
}

fn field(lab: &Lab, service: &str, path: &str) -> String {
    let selector = format!("metallb.io/service-name={service}");
    let path = format!("jsonpath={{.items[*].{path}}}");
    let arguments = ["get", "servicel2statuses", "--namespace", HERALD, "--selector", &selector, "--output", &path];
    lab.kubectl(&arguments).unwrap()
}

/// The line in which the speaker of a node says how it came to announce an address, for this reason.
fn story(lab: &Lab, node: usize, ip: IpAddr, reason: &str) -> Value {
    let name = &lab.node(node).name;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let logs = lab.logs(HERALD, "speaker-").unwrap();
        let lines = logs.lines().filter_map(|line| serde_json::from_str::<Value>(&line[line.find('{')?..]).ok());
        let told = lines.map(|line| if line["fields"].is_object() { line["fields"].clone() } else { line });
        let mut found = told.filter(|line| {
            line["message"] == "address announced"
                && line["node"] == name.as_str()
                && line["ip"] == ip.to_string()
                && line["reason"] == reason
        });
        if let Some(line) = found.next_back() {
            return line;
        }
        assert!(
            Instant::now() < deadline,
            "{name} does not say how it came to announce {ip}\n{}",
            lab.last_words(HERALD)
        );
        sleep(Duration::from_millis(200));
    }
}

fn remove(lab: &Lab, name: &str) {
    lab.kubectl(&["delete", "service", name]).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while !rows(lab, name).is_empty() {
        assert!(Instant::now() < deadline, "the status of {name} stays: {:?}", rows(lab, name));
        sleep(Duration::from_millis(200));
    }
}

#[test]
fn the_status_names_the_node_that_answers_and_goes_with_the_service() {
    let lab = lab();
    lab.apply(&service("shown", "", "ipFamilyPolicy: RequireDualStack\n")).unwrap();
    let ips = lab.addresses("default", "shown", 2).unwrap();
    let owner = wait_for_the_owner(&lab, "shown", &ips);
    let node = lab.node(owner).name.clone();
    assert_eq!(field(&lab, "shown", r"metadata.labels.metallb\.io/node"), node);
    let pods = lab.pods(HERALD, "component=speaker").unwrap();
    let pod = pods.iter().find(|pod| pod.spec.as_ref().unwrap().node_name.as_ref() == Some(&node)).unwrap();
    assert_eq!(Some(&field(&lab, "shown", "metadata.ownerReferences[*].uid")), pod.metadata.uid.as_ref());
    assert_eq!(field(&lab, "shown", "status.interfaces"), "", "no advertisement names an interface");

    // What somebody makes of it is put right.
    let uid = field(&lab, "shown", "metadata.uid");
    let name = field(&lab, "shown", "metadata.name");
    lab.kubectl(&["delete", "servicel2status", &name, "--namespace", HERALD]).unwrap();
    wait_for_the_owner(&lab, "shown", &ips);
    assert_ne!(field(&lab, "shown", "metadata.uid"), uid);
    let lie = r#"{"status": {"interfaces": [{"name": "lie"}]}}"#;
    let patch = ["patch", "servicel2status", &name, "--namespace", HERALD, "--subresource=status", "--type=merge"];
    lab.kubectl(&[&patch[..], &["--patch", lie]].concat()).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while field(&lab, "shown", "status.interfaces[*].name").contains("lie") {
        assert!(Instant::now() < deadline, "the lie stays");
        sleep(Duration::from_millis(200));
    }
    remove(&lab, "shown");
}

#[test]
fn after_a_move_there_is_one_status_and_it_names_the_heir() {
    let lab = lab();
    lab.apply(&service("moving", "", "ipFamilyPolicy: RequireDualStack\n")).unwrap();
    let ips = lab.addresses("default", "moving", 2).unwrap();

    // The owner can neither answer nor remove what it wrote: its heir does.
    let owner = wait_for_the_owner(&lab, "moving", &ips);
    let cut = fault::cut(lab.wire(), &lab.node(owner)).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while lab.owner(ips[0]).ok().is_none_or(|now| now == owner) {
        assert!(Instant::now() < deadline, "the address stays on the node that is cut off");
    }
    let heir = wait_for_the_owner(&lab, "moving", &ips);
    assert_ne!(heir, owner);
    for ip in &ips {
        let line = story(&lab, heir, *ip, "took-over");
        assert_eq!(line["from"], lab.node(owner).name.as_str(), "{line}");
        assert_eq!(line["service"], "default/moving", "{line}");
        for step in ["detect_ms", "decide_ms", "announce_ms"] {
            assert!(line[step].as_f64().is_some_and(|ms| ms >= 0.0), "{step}: {line}");
        }
    }
    assert!(lab.metrics(heir).unwrap().contains(&format!("herald_address_owned_since_seconds{{ip=\"{}\"}}", ips[0])));
    cut.heal().unwrap();
    lab.wait_for_speakers().unwrap();
    assert_eq!(wait_for_the_owner(&lab, "moving", &ips), heir);

    // A speaker that is killed comes back in the same pod and finds what it wrote.
    strike(lab.speaker(heir).unwrap(), Signal::SIGKILL).unwrap();
    lab.wait_for_speakers().unwrap();
    let third = wait_for_the_owner(&lab, "moving", &ips);

    // A planned move: the node may no longer own it, and removes its status itself.
    let name = lab.node(third).name.clone();
    let label = "node.kubernetes.io/exclude-from-external-load-balancers";
    lab.kubectl(&["label", "node", &name, &format!("{label}=")]).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while lab.owner(ips[0]).ok().is_none_or(|now| now == third) {
        assert!(Instant::now() < deadline, "the address stays on the excluded node");
    }
    assert_ne!(wait_for_the_owner(&lab, "moving", &ips), third);
    lab.kubectl(&["label", "node", &name, &format!("{label}-")]).unwrap();
    remove(&lab, "moving");
}
