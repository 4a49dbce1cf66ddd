//! Every object that makes no sense, written to a real API server: refused when it is asked for, and, where it was stored all the same because nobody
//! was asked, set aside with the reason in an Event while everything else stays in force.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test on a real network has a real clock"
)]

mod common;

use common::{Lab, lab, service};
use herald_tests::{cluster::HERALD, herald::PATIENCE};
use k8s_openapi::api::events::v1::Event;
use kube::{Api, api::ListParams};
use std::{collections::BTreeMap, time::Instant};

/// Who refuses.
#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    /// The API server itself, by the schema.
    Schema,
    Herald,
}
use By::{Herald, Schema};

/// Kind, spec, who refuses it, and what the text names.
type Row = (&'static str, &'static str, By, &'static str);

const POOLS: &[Row] = &[
    ("IPAddressPool", "addresses: []", Herald, "spec.addresses"),
    ("IPAddressPool", "{}", Schema, "spec.addresses"),
    ("IPAddressPool", "addresses: [10.66.130.1]", Herald, "10.66.130.1"),
    ("IPAddressPool", "addresses: [\"fd00:66::1\"]", Herald, "fd00:66::1"),
    ("IPAddressPool", "addresses: [10.66.130.0/33]", Herald, "\"33\" of 10.66.130.0"),
    ("IPAddressPool", "addresses: [\"fd00:66::/129\"]", Herald, "\"129\" of fd00:66::"),
    ("IPAddressPool", "addresses: [10.66.130.9-10.66.130.1]", Herald, "10.66.130.9-10.66.130.1"),
    ("IPAddressPool", "addresses: [\"fd00:66::9-fd00:66::1\"]", Herald, "fd00:66::9-fd00:66::1"),
    ("IPAddressPool", "addresses: [\"10.66.130.1-fd00:66::1\"]", Herald, "10.66.130.1-fd00:66::1"),
    ("IPAddressPool", "addresses: [somewhere]", Herald, "somewhere"),
    ("IPAddressPool", "addresses: [10.66.130.0/28, 10.66.130.8/32]", Herald, "10.66.130.8/32"),
    ("IPAddressPool", "addresses: [10.66.100.50/32]", Herald, "lan"),
    ("IPAddressPool", "addresses: [\"fd00:10:66::100:50/128\"]", Herald, "lan"),
    ("IPAddressPool", "addresses: [10.66.130.0/28], serviceAllocation: {namespaces: [a, a]}", Herald, "namespaces"),
    (
        "IPAddressPool",
        "addresses: [10.66.130.0/28], serviceAllocation: {namespaceSelectors: [{matchExpressions: [{key: a, operator: Near}]}]}",
        Herald,
        "Near",
    ),
    (
        "IPAddressPool",
        "addresses: [10.66.130.0/28], serviceAllocation: {serviceSelectors: [{matchLabels: {a: b}}, {matchLabels: {a: b}}]}",
        Herald,
        "serviceSelectors[1]",
    ),
];

const ADVERTISEMENTS: &[Row] = &[
    ("L2Advertisement", "ipAddressPools: [a, a]", Herald, "ipAddressPools"),
    ("L2Advertisement", "nodeSelectors: [{matchLabels: {a: b}}, {matchLabels: {a: b}}]", Herald, "nodeSelectors[1]"),
    (
        "L2Advertisement",
        "nodeSelectors: [{matchExpressions: [{key: a, operator: In, values: [b, b]}]}]",
        Herald,
        "lists a value twice",
    ),
    ("L2Advertisement", "ipAddressPoolSelectors: [{matchExpressions: [{key: a, operator: Near}]}]", Herald, "Near"),
    ("L2Advertisement", "preferredNodeSelectors: [{weight: 101, preference: {}}]", Schema, "weight"),
    ("BGPAdvertisement", "aggregationLength: 33", Herald, "33"),
    ("BGPAdvertisement", "aggregationLength: 0", Schema, "aggregationLength"),
    ("BGPAdvertisement", "aggregationLengthV6: 129", Herald, "129"),
    ("BGPAdvertisement", "ipAddressPools: [lan], aggregationLength: 8", Herald, "lan"),
    ("BGPAdvertisement", "communities: [\"1:2\", \"1:2\"]", Herald, "1:2"),
    ("BGPAdvertisement", "communities: [known, \"65535:65281\"]", Herald, "65535:65281"),
    ("BGPAdvertisement", "communities: [\"1:65536\"]", Herald, "1:65536"),
    ("BGPAdvertisement", "communities: [\"1:2:3\"]", Herald, "1:2:3"),
    ("BGPAdvertisement", "peers: [p, p]", Herald, "peers"),
    (
        "BGPAdvertisement",
        "serviceSelectors: [{matchLabels: {a: b}}], aggregationLength: 24",
        Schema,
        "aggregationLength",
    ),
    ("Community", "communities: [{name: a, value: \"1234\"}]", Herald, "1234"),
    ("Community", "communities: [{name: a, value: \"1:2:3\"}]", Herald, "1:2:3"),
    ("Community", "communities: [{name: twice, value: \"1:2\"}, {name: twice, value: \"1:3\"}]", Herald, "twice"),
    ("Community", "communities: [{name: known, value: \"1:2\"}]", Herald, "known"),
];

const PEERS: &[Row] = &[
    ("BGPPeer", "peerASN: 1, peerAddress: 10.66.0.250", Schema, "myASN"),
    ("BGPPeer", "myASN: 0, peerASN: 1, peerAddress: 10.66.0.250", Herald, "myASN"),
    ("BGPPeer", "myASN: 4294967296, peerASN: 1, peerAddress: 10.66.0.250", Schema, "myASN"),
    ("BGPPeer", "myASN: 1, peerAddress: 10.66.0.250", Herald, "peerASN"),
    ("BGPPeer", "myASN: 1, peerASN: 2, dynamicASN: external, peerAddress: 10.66.0.250", Herald, "dynamicASN"),
    ("BGPPeer", "myASN: 1, dynamicASN: sometimes, peerAddress: 10.66.0.250", Schema, "dynamicASN"),
    ("BGPPeer", "myASN: 1, peerASN: 2", Herald, "peerAddress"),
    ("BGPPeer", "myASN: 1, peerASN: 2, peerAddress: 10.66.0.250, interface: eth0", Herald, "interface"),
    ("BGPPeer", "myASN: 1, peerASN: 2, peerAddress: router", Herald, "router"),
    ("BGPPeer", "myASN: 1, peerASN: 2, peerAddress: \"fd00::g\"", Herald, "fd00::g"),
    ("BGPPeer", "myASN: 1, peerASN: 2, peerAddress: 10.66.0.250, sourceAddress: 10.66.0.300", Herald, "10.66.0.300"),
    ("BGPPeer", "myASN: 1, peerASN: 2, peerAddress: 10.66.0.250, routerID: one", Herald, "routerID"),
    ("BGPPeer", "myASN: 1, peerASN: 2, peerAddress: 10.66.0.250, peerPort: 16385", Schema, "peerPort"),
    ("BGPPeer", "myASN: 1, peerASN: 2, peerAddress: 10.66.0.250, holdTime: 2s", Herald, "2s"),
    (
        "BGPPeer",
        "myASN: 1, peerASN: 2, peerAddress: 10.66.0.250, holdTime: 9s, keepaliveTime: 10s",
        Herald,
        "hold time",
    ),
    ("BGPPeer", "myASN: 1, peerASN: 2, peerAddress: 10.66.0.250, connectTime: 0s", Schema, "connect time"),
    ("BGPPeer", "myASN: 1, peerASN: 2, peerAddress: 10.66.0.250, connectTime: 1500ms", Schema, "connect time"),
    ("BGPPeer", "myASN: 1, peerASN: 1, peerAddress: 10.66.0.250, ebgpMultiHop: true", Herald, "ebgpMultiHop"),
    (
        "BGPPeer",
        "myASN: 1, peerASN: 2, peerAddress: 10.66.0.250, password: p, passwordSecret: {name: s}",
        Herald,
        "passwordSecret",
    ),
    ("BGPPeer", "myASN: 1, peerASN: 2, peerAddress: wrong, disableMP: true", Herald, "wrong"),
    (
        "BGPPeer",
        "myASN: 1, peerASN: 2, peerAddress: 10.66.0.250, nodeSelectors: [{matchExpressions: [{key: a, operator: Near}]}]",
        Herald,
        "Near",
    ),
    ("BFDProfile", "receiveInterval: 9", Schema, "receiveInterval"),
    ("BFDProfile", "transmitInterval: 60001", Schema, "transmitInterval"),
    ("BFDProfile", "echoInterval: 9", Schema, "echoInterval"),
    ("BFDProfile", "detectMultiplier: 1", Schema, "detectMultiplier"),
    ("BFDProfile", "minimumTtl: 255", Schema, "minimumTtl"),
];

/// Sound objects that some rows clash with.
const SOUND: &str = "apiVersion: metallb.io/v1beta1\nkind: Community\nmetadata: {name: sound, namespace: herald-system}\nspec: \
                     {communities: [{name: known, value: \"65535:65281\"}]}\n";

fn rows() -> impl Iterator<Item = (String, Row)> {
    let all = [POOLS, ADVERTISEMENTS, PEERS].into_iter().flatten();
    all.enumerate().map(|(number, row)| (format!("row-{number}"), *row))
}

fn manifest(name: &str, (kind, spec, ..): Row) -> String {
    let version = if kind == "BGPPeer" { "v1beta2" } else { "v1beta1" };
    let spec = if spec.starts_with('{') { spec.to_owned() } else { format!("{{{spec}}}") };
    format!(
        "apiVersion: metallb.io/{version}\nkind: {kind}\nmetadata: {{name: {name}, namespace: herald-system}}\nspec: {spec}\n"
    )
}

/// The API server's answer to a row: nothing when the object is stored.
fn refusal(lab: &Lab, name: &str, row: Row) -> Option<String> {
    lab.apply(&manifest(name, row)).err().map(|error| format!("{error:#}"))
}

/// Every Event on objects of the configuration, by kind and name.
fn told(lab: &Lab) -> BTreeMap<(String, String), String> {
    let client = lab.client();
    let list = async move { Api::<Event>::namespaced(client, HERALD).list(&ListParams::default()).await };
    let mut told = BTreeMap::new();
    for event in lab.run(list).unwrap().unwrap() {
        let about = event.regarding.unwrap_or_default();
        let text: &mut String =
            told.entry((about.kind.unwrap_or_default(), about.name.unwrap_or_default())).or_default();
        text.push_str(&format!("{}: {}\n", event.reason.unwrap_or_default(), event.note.unwrap_or_default()));
    }
    told
}

#[test]
fn what_makes_no_sense_is_refused_or_set_aside_with_a_reason_and_costs_nobody_else() {
    let lab = lab();
    lab.apply(SOUND).unwrap();
    let deadline = Instant::now() + PATIENCE;
    // The API server asks a moment after the webhooks are trusted.
    while refusal(&lab, "row-0", POOLS[0]).is_none() {
        lab.kubectl(&["delete", "ipaddresspool", "row-0", "-n=herald-system"]).unwrap();
        assert!(Instant::now() < deadline, "the webhooks are not asked");
    }
    let mut wrong = Vec::new();
    for (name, row) in rows() {
        let (kind, spec, by, found) = row;
        let text = refusal(&lab, &name, row).unwrap_or_default();
        if !text.contains(found) || text.contains("admission webhook") != (by == Herald) {
            wrong.push(format!("{kind} {spec}: {text}"));
        }
    }
    assert!(wrong.is_empty(), "not refused, or not by whom or not with the words expected:\n{}", wrong.join("\n"));

    lab.kubectl(&["delete", "validatingwebhookconfiguration", "metallb-webhook-configuration"]).unwrap();
    let slipped: Vec<(String, Row)> = rows().filter(|(_, row)| row.2 == Herald).collect();
    let deadline = Instant::now() + PATIENCE;
    for (name, row) in rows() {
        match row.2 {
            Schema => assert!(refusal(&lab, &name, row).is_some(), "{row:?} is stored"),
            // Forgotten by the API server a moment after it was deleted.
            Herald => {
                while let Some(error) = refusal(&lab, &name, row) {
                    assert!(Instant::now() < deadline, "{row:?}: {error}");
                }
            }
        }
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        let told = told(&lab);
        let silent: Vec<_> = slipped
            .iter()
            .filter(|(name, (kind, _, _, found))| {
                !told.get(&((*kind).to_owned(), name.clone())).is_some_and(|text| text.contains(found))
            })
            .collect();
        if silent.is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "nothing is said of {silent:?}\n{told:?}");
    }
    lab.apply(&service("among-mistakes", "", "ipFamilyPolicy: RequireDualStack")).unwrap();
    let ips = lab.addresses("default", "among-mistakes", 2).unwrap();
    for ip in ips {
        lab.wait_for_owner(ip).unwrap();
    }

    lab.kubectl(&["delete", "service", "among-mistakes"]).unwrap();
    for (name, (kind, ..)) in &slipped {
        lab.kubectl(&[
            "delete",
            &format!("{}.metallb.io", kind.to_lowercase()),
            name,
            "-n=herald-system",
            "--wait=false",
        ])
        .unwrap();
    }
    lab.kubectl(&["delete", "community", "sound", "-n=herald-system"]).unwrap();
    lab.apply("config/default").unwrap();
}
