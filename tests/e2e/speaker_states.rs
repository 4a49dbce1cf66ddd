//! What each speaker shows of the configuration: its ConfigurationState.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test on a real network has a real clock"
)]

mod common;

use common::{Lab, lab};
use herald_crds::api::{ConfigurationResult, ConfigurationState};
use herald_tests::{cluster::HERALD, herald::PATIENCE};
use kube::Api;
use std::{thread::sleep, time::Duration, time::Instant};

/// Waits until the state of the speaker on a node is as wanted, and returns it.
fn wait_for(lab: &Lab, node: usize, wanted: fn(&ConfigurationState) -> bool) -> ConfigurationState {
    let name = format!("speaker-{}", lab.node(node).name);
    let result = lab.wait_for(&format!("the state {name}"), PATIENCE, move |client| {
        let api: Api<ConfigurationState> = Api::namespaced(client, HERALD);
        let name = name.clone();
        async move { Ok(api.get_opt(&name).await?.filter(wanted)) }
    });
    result.unwrap_or_else(|error| {
        let states = lab.kubectl(&["get", "configurationstates", "--namespace", HERALD, "--output", "yaml"]);
        panic!("{error:#}: {}", states.unwrap_or_default())
    })
}

fn is(state: &ConfigurationState, result: ConfigurationResult) -> bool {
    state.status.as_ref().is_some_and(|status| status.result == Some(result))
}

fn is_valid(state: &ConfigurationState) -> bool {
    is(state, ConfigurationResult::Valid)
}

fn is_invalid(state: &ConfigurationState) -> bool {
    is(state, ConfigurationResult::Invalid)
}

fn message(state: &ConfigurationState) -> &str {
    state.status.as_ref().unwrap().conditions[0].message.as_str()
}

/// A peer of this spec, slipped in behind the webhook.
fn peer(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: metallb.io/v1beta2\nkind: BGPPeer\nmetadata: {{name: {name}, namespace: {HERALD}}}\nspec: \
         {{myASN: 64500, peerASN: 64501, peerAddress: 10.66.0.1, {spec}}}\n"
    )
}

fn secret(kind: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: router, namespace: {HERALD}}}\ntype: {kind}\nstringData: \
         {{username: none, password: hidden-word}}\n"
    )
}

#[test]
fn every_speaker_shows_that_the_configuration_makes_sense_and_its_state_goes_with_its_pod() {
    let lab = lab();
    let states: Vec<_> = (1..=3).map(|node| wait_for(&lab, node, is_valid)).collect();
    for (state, node) in states.iter().zip(1..) {
        let name = lab.node(node).name.clone();
        let labels = state.metadata.labels.as_ref().unwrap();
        assert_eq!(labels["metallb.io/component-type"], "speaker");
        assert_eq!(labels["metallb.io/node-name"], name);
        let condition = &state.status.as_ref().unwrap().conditions[0];
        let shown = (condition.type_.as_str(), condition.status.as_str(), condition.reason.as_str());
        assert_eq!(shown, ("configReconcilerValid", "True", "Reconciled"));
        let pods = lab.pods(HERALD, "component=speaker").unwrap();
        let pod = pods.iter().find(|pod| pod.spec.as_ref().unwrap().node_name.as_ref() == Some(&name)).unwrap();
        let owners = state.metadata.owner_references.as_deref().unwrap_or_default();
        assert!(owners.len() == 1 && Some(&owners[0].uid) == pod.metadata.uid.as_ref(), "{owners:?}");
    }
    let table = lab.kubectl(&["get", "configurationstates", "--namespace", HERALD]).unwrap();
    let columns: Vec<_> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(columns, ["NAME", "RESULT", "ERRORSUMMARY", "AGE"]);

    // A new pod on the node takes the state over, or makes it again if Kubernetes was faster.
    let before = states[0].metadata.owner_references.clone();
    let pods = lab.pods(HERALD, "component=speaker").unwrap();
    let name = &lab.node(1).name;
    let pod = pods.iter().find(|pod| pod.spec.as_ref().unwrap().node_name.as_ref() == Some(name)).unwrap();
    lab.kubectl(&["delete", "pod", pod.metadata.name.as_ref().unwrap(), "--namespace", HERALD]).unwrap();
    lab.wait_for_speakers().unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let state = wait_for(&lab, 1, is_valid);
        if state.metadata.owner_references != before {
            break;
        }
        assert!(Instant::now() < deadline, "the state still belongs to the pod that is gone");
        sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_mistake_shows_on_the_nodes_that_it_is_for() {
    let lab = lab();
    (1..=3).for_each(|node| drop(wait_for(&lab, node, is_valid)));
    lab.kubectl(&["delete", "validatingwebhookconfiguration", "metallb-webhook-configuration"]).unwrap();
    let selector = format!(
        "ebgpMultiHop: true, peerASN: 64500, nodeSelectors: [{{matchLabels: {{kubernetes.io/hostname: {}}}}}]",
        lab.node(1).name
    );
    lab.apply(&peer("bad", &selector).replace("peerASN: 64501, ", "")).unwrap();
    let state = wait_for(&lab, 1, is_invalid);
    assert!(state.status.as_ref().unwrap().error_summary.starts_with("BGPPeer bad: spec.ebgpMultiHop"), "{state:?}");
    let condition = &state.status.as_ref().unwrap().conditions[0];
    assert_eq!((condition.status.as_str(), condition.reason.as_str()), ("False", "ConfigurationError"));
    // The others read it too, and have nothing to say of it.
    let deadline = Instant::now() + PATIENCE;
    while lab.metric(2, "herald_config_problems").unwrap() != Some(1.0) {
        assert!(Instant::now() < deadline, "the speaker on node 2 does not know of the peer");
        sleep(Duration::from_millis(200));
    }
    sleep(Duration::from_secs(1));
    wait_for(&lab, 2, is_valid);
    lab.kubectl(&["delete", "bgppeer", "bad", "--namespace", HERALD]).unwrap();
    wait_for(&lab, 1, is_valid);
    lab.apply("config/default").unwrap();
}

#[test]
fn a_peer_waits_for_its_secret_and_a_secret_of_another_type_is_a_mistake() {
    let lab = lab();
    lab.apply(&peer("router", "passwordSecret: {name: router}")).unwrap();
    let waits =
        |state: &ConfigurationState| is_valid(state) && message(state) == "BGPPeer router waits for the Secret router";
    (1..=3).for_each(|node| drop(wait_for(&lab, node, waits)));
    lab.apply(&secret("Opaque")).unwrap();
    let state = wait_for(&lab, 1, is_invalid);
    assert!(message(&state).contains("it must be of type kubernetes.io/basic-auth"), "{}", message(&state));
    lab.kubectl(&["delete", "secret", "router", "--namespace", HERALD]).unwrap();
    wait_for(&lab, 1, waits);
    lab.apply(&secret("kubernetes.io/basic-auth")).unwrap();
    (1..=3).for_each(|node| drop(wait_for(&lab, node, |state| is_valid(state) && message(state).is_empty())));

    for pod in lab.pods(HERALD, "component=speaker").unwrap() {
        let logs = lab.logs(HERALD, pod.metadata.name.as_ref().unwrap()).unwrap();
        assert!(!logs.contains("hidden-word"), "a log shows the password");
    }
    let states = lab.kubectl(&["get", "configurationstates", "--namespace", HERALD, "--output", "yaml"]).unwrap();
    assert!(!states.contains("hidden-word"), "a state shows the password");
    lab.kubectl(&["delete", "bgppeer/router", "secret/router", "--namespace", HERALD]).unwrap();
}
