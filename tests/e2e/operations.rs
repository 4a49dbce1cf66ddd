//! What operators look at: logs, metrics, health; and that nothing stays behind.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test on a real network has a real clock"
)]

mod common;

use common::lab;
use herald_tests::{
    cluster::HERALD,
    fault::strike,
    herald::{PATIENCE, metrics_of_alerts},
};
use nix::sys::signal::Signal;
use std::time::Instant;

#[test]
fn a_gain_is_logged_as_json_with_everything_an_operator_asks() {
    let lab = lab();
    let ip = lab.addresses("default", "echo", 2).unwrap()[0];
    let owner = lab.wait_for_owner(ip).unwrap();
    let name = lab.node(owner).name.clone();
    let text = lab.logs(HERALD, "speaker-").unwrap();
    let gained = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
        .find(|line| line["message"] == "address gained" && line["ip"] == ip.to_string() && line["node"] == name)
        .expect("the owner's gain is in its log");
    assert_eq!(gained["service"], "default/echo");
    assert_eq!(gained["interface"], "eth0");
    assert!(gained["reason"].is_string());
    assert_eq!(gained["level"], "INFO");

    let deadline = Instant::now() + PATIENCE;
    let says = format!("announcing from node \"{name}\" with protocol \"layer2\"");
    loop {
        let text = lab.kubectl(&["describe", "service", "echo"]).unwrap();
        if text.contains(&says) {
            break;
        }
        assert!(Instant::now() < deadline, "no {says} in\n{text}");
    }
}

#[test]
fn metrics_have_the_names_that_dashboards_know() {
    let lab = lab();
    let ip = lab.addresses("default", "echo", 2).unwrap()[0];
    let owner = lab.wait_for_owner(ip).unwrap();
    let text = lab.metrics(owner).unwrap();
    for line in [
        format!(
            "metallb_speaker_announced{{service=\"default/echo\",protocol=\"layer2\",node=\"{}\",ip=\"{ip}\"}} 1",
            lab.node(owner).name
        ),
        "metallb_k8s_client_config_loaded_bool 1".to_owned(),
        "metallb_k8s_client_config_stale_bool 0".to_owned(),
    ] {
        assert!(text.contains(&line), "no {line} in\n{text}");
    }
    for name in ["requests_received", "responses_sent", "gratuitous_sent"] {
        let name = format!("metallb_layer2_{name}{{ip=\"{ip}\"}}");
        assert!(text.contains(&name), "no {name} in\n{text}");
    }

    // The controllers are pods: asked from a node.
    let mut leaders = 0;
    let mut exported = text;
    for pod in lab.pods(HERALD, "component=controller").unwrap() {
        let pod_ip = pod.status.unwrap().pod_ip.unwrap();
        let get = |port: u16, path: &str| {
            let url = format!("http://{pod_ip}:{port}{path}");
            let output = lab.node(1).namespace.command("curl").args(["--silent", "--fail", &url]).output().unwrap();
            assert!(output.status.success(), "{url}: {}", output.status);
            String::from_utf8(output.stdout).unwrap()
        };
        get(17472, "/healthz");
        get(17472, "/readyz");
        let text = get(9120, "/metrics");
        if text.contains("metallb_allocator_addresses_in_use_total{pool=\"lan\"}") {
            leaders += 1;
            assert!(text.contains("metallb_allocator_addresses_total{pool=\"lan\"} 228"), "{text}");
        }
        exported.push_str(&text);
    }
    assert!(leaders > 0, "some controller counts the pool");

    // What the alerts ask for is there. What is counted by BGP peer, `bgp.rs` looks for: here is no peer.
    let names = metrics_of_alerts().unwrap();
    assert!(names.len() > 8, "{names:?}");
    for name in names.iter().filter(|name| !name.starts_with("metallb_bgp_")) {
        let shown = |line: &str| line.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with(['{', ' ']));
        assert!(exported.lines().any(shown), "no {name}, which an alert asks for, in\n{exported}");
    }
}

#[test]
fn the_guard_goes_with_the_speaker_however_it_ends() {
    let lab = lab();
    let node = lab.node(3);
    let has_table =
        || node.namespace.command("nft").args(["list", "table", "inet", "herald"]).output().unwrap().status.success();
    let wait = |wanted: bool| {
        let deadline = Instant::now() + PATIENCE;
        while has_table() != wanted {
            assert!(
                Instant::now() < deadline,
                "the guard's table is {}",
                if wanted { "missing" } else { "left behind" }
            );
        }
    };
    wait(true);
    // The kubelet would start the speaker again at once: it stands still while we look.
    let kubelet = herald_tests::fault::Target::Process(u32::try_from(lab.kubelet_pid(3).as_raw()).unwrap());
    strike(kubelet, Signal::SIGSTOP).unwrap();
    strike(lab.speaker(3).unwrap(), Signal::SIGKILL).unwrap();
    wait(false);
    strike(kubelet, Signal::SIGCONT).unwrap();
    wait(true);
    lab.wait_for_speakers().unwrap();
}
