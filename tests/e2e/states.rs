//! What the controller shows of the configuration: its ConfigurationState, Events on whatever is wrong, and the gauges of MetalLB's alerts.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test on a real network has a real clock"
)]

mod common;

use common::{Lab, lab};
use herald_crds::api::{ConfigurationResult, ConfigurationState, ConfigurationStateStatus};
use herald_tests::{cluster::HERALD, herald::PATIENCE};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;

/// A peer that the schema takes and that makes no sense: BGP over several hops within one AS.
const BAD_PEER: &str = "apiVersion: metallb.io/v1beta2\nkind: BGPPeer\nmetadata: {name: bad, namespace: herald-system}\nspec: \
                        {myASN: 64500, peerASN: 64500, peerAddress: 10.66.0.1, ebgpMultiHop: true}\n";
const BAD_POOL: &str = "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: bad, namespace: herald-system}\nspec: \
                        {addresses: [10.66.104.9]}\n";

fn state(lab: &Lab) -> ConfigurationState {
    let api: Api<ConfigurationState> = Api::namespaced(lab.client(), HERALD);
    lab.run(async move { api.get("controller").await }).unwrap().unwrap()
}

/// Waits until the state is as wanted, and returns it.
fn wait_for_state(lab: &Lab, told: &str, wanted: fn(&ConfigurationStateStatus) -> bool) -> ConfigurationState {
    let result = lab.wait_for(told, PATIENCE, move |client| async move {
        let api: Api<ConfigurationState> = Api::namespaced(client, HERALD);
        let state = api.get_opt("controller").await?;
        Ok(state.filter(|state| state.status.as_ref().is_some_and(wanted)))
    });
    result.unwrap_or_else(|error| panic!("{error:#}: {:?}", state(lab)))
}

fn is_valid(status: &ConfigurationStateStatus) -> bool {
    status.result == Some(ConfigurationResult::Valid) && status.error_summary.is_empty()
}

/// The value of a metric on every controller.
fn metrics(lab: &Lab, name: &str) -> Vec<String> {
    let pods = lab.pods(HERALD, "component=controller").unwrap();
    let values = pods.iter().map(|pod: &Pod| {
        let url = format!("http://{}:9120/metrics", pod.status.as_ref().unwrap().pod_ip.as_ref().unwrap());
        let output = lab.node(1).namespace.command("curl").args(["--silent", "--fail", &url]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned()
    });
    values.collect()
}

fn wait_for_metric(lab: &Lab, name: &str, wanted: &str) {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let values = metrics(lab, name);
        if values.len() == 2 && values.iter().all(|value| value == wanted) {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "{name} is {values:?}, not {wanted}");
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}

/// Waits until every speaker has read a configuration in which so many objects are set aside.
fn wait_for_speakers_to_set_aside(lab: &Lab, count: usize) {
    let deadline = std::time::Instant::now() + PATIENCE;
    for node in 1..=3 {
        loop {
            let value = lab.metric(node, "herald_config_problems").unwrap();
            if value == Some(count as f64) {
                break;
            }
            assert!(
                std::time::Instant::now() < deadline,
                "the speaker on node {node} sets aside {value:?}, not {count}"
            );
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
    }
}

#[test]
fn what_is_wrong_is_shown_until_it_is_mended_and_stops_nothing_else() {
    let lab = lab();
    let valid = wait_for_state(&lab, "the controller's state to be valid", is_valid);
    assert_eq!(valid.metadata.labels.as_ref().unwrap()["metallb.io/component-type"], "controller");
    let owners = valid.metadata.owner_references.clone().unwrap_or_default();
    let pods: Vec<_> =
        lab.pods(HERALD, "component=controller").unwrap().into_iter().map(|pod| pod.metadata.uid.unwrap()).collect();
    assert!(owners.len() == 1 && owners[0].kind == "Pod" && pods.contains(&owners[0].uid), "{owners:?}");
    let condition = &valid.status.as_ref().unwrap().conditions[0];
    let shown = (condition.type_.as_str(), condition.status.as_str(), condition.reason.as_str());
    assert_eq!(shown, ("poolReconcilerValid", "True", "Reconciled"));
    wait_for_metric(&lab, "metallb_k8s_client_config_loaded_bool", "1");
    wait_for_metric(&lab, "metallb_k8s_client_config_stale_bool", "0");

    // The webhook would refuse what is slipped in here.
    lab.kubectl(&["delete", "validatingwebhookconfiguration", "metallb-webhook-configuration"]).unwrap();
    lab.apply(BAD_PEER).unwrap();
    lab.apply(BAD_POOL).unwrap();
    let invalid = wait_for_state(&lab, "both mistakes to be shown", |status| {
        status.result == Some(ConfigurationResult::Invalid) && status.error_summary.lines().count() == 2
    });
    let status = invalid.status.as_ref().unwrap();
    assert!(status.error_summary.starts_with("IPAddressPool bad: spec.addresses[0]"), "{status:?}");
    assert!(status.error_summary.contains("\nBGPPeer bad: spec.ebgpMultiHop"), "{status:?}");
    let condition = &status.conditions[0];
    assert_eq!((condition.status.as_str(), condition.reason.as_str()), ("False", "ConfigurationError"));
    wait_for_metric(&lab, "metallb_k8s_client_config_stale_bool", "1");
    wait_for_speakers_to_set_aside(&lab, 2);
    for object in ["bgppeer/bad", "ipaddresspool/bad"] {
        let deadline = std::time::Instant::now() + PATIENCE;
        while !lab.kubectl(&["events", "--namespace", HERALD, "--for", object]).unwrap().contains("ConfigurationError")
        {
            assert!(std::time::Instant::now() < deadline, "no event on {object}");
        }
    }

    for kind in ["bgppeer", "ipaddresspool"] {
        lab.kubectl(&["delete", kind, "bad", "--namespace", HERALD]).unwrap();
    }
    let mended = wait_for_state(&lab, "the state to be valid again", is_valid);
    wait_for_speakers_to_set_aside(&lab, 0);
    assert_ne!(mended.status.unwrap().conditions[0].last_transition_time, condition.last_transition_time);
    wait_for_metric(&lab, "metallb_k8s_client_config_stale_bool", "0");
    lab.apply("config/default").unwrap();
}

#[test]
fn what_somebody_makes_of_the_state_is_put_right() {
    let lab = lab();
    let before = wait_for_state(&lab, "the controller's state to be valid", is_valid);
    let lie = r#"{"status": {"result": "Invalid", "errorSummary": "a lie"}}"#;
    let patch = ["patch", "configurationstate", "controller", "--namespace", HERALD, "--subresource=status"];
    lab.kubectl(&[&patch[..], &["--type=merge", "--patch", lie]].concat()).unwrap();
    let after = wait_for_state(&lab, "the lie to be gone", is_valid);
    assert_eq!(after.status, before.status);

    lab.kubectl(&["delete", "configurationstate", "controller", "--namespace", HERALD]).unwrap();
    let again = wait_for_state(&lab, "the state to be there again", is_valid);
    assert_ne!(again.metadata.uid, before.metadata.uid);
    assert_eq!(again.metadata.owner_references, before.metadata.owner_references);
}

#[test]
fn a_controller_that_finds_the_same_writes_no_state() {
    let lab = lab();
    wait_for_state(&lab, "the controller's state to be valid", is_valid);
    // Whatever is written is written within a second after a change; a pool's counters are a change of an object that means nothing.
    let before = state(&lab).metadata.resource_version;
    let poke = r#"{"status": {"assignedIPv4": 99}}"#;
    let patch = ["patch", "ipaddresspool", "lan", "--namespace", HERALD, "--subresource=status"];
    lab.kubectl(&[&patch[..], &["--type=merge", "--patch", poke]].concat()).unwrap();
    lab.wait_for("the counters to be put right", PATIENCE, |client| async move {
        let api: Api<herald_crds::IPAddressPool> = Api::namespaced(client, HERALD);
        Ok(api.get("lan").await?.status.is_some_and(|status| status.assigned_ipv4 != 99).then_some(()))
    })
    .unwrap();
    assert_eq!(state(&lab).metadata.resource_version, before);
}
