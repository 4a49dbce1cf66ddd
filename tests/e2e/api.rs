//! The kinds of metallb.io, as a real API server keeps them: what it takes, what it refuses, what it fills in and what it shows. Without
//! Herald: its webhooks, which know more, have their own stories.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test on a real network has a real clock"
)]

use herald_tests::{
    cluster::{Cluster, Options},
    herald::PATIENCE,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, api::ListParams};
use serde_json::{Value, json};
use std::process::Output;

const NAMESPACE: &str = "herald-system";

#[test]
fn the_api_server_keeps_the_kinds_of_metallb() {
    let cluster = Cluster::start(Options::nodes(1)).unwrap();
    cluster.apply("config/crd").unwrap();
    cluster.kubectl(&["create", "namespace", NAMESPACE]).unwrap();
    every_kind_is_established_and_structural(&cluster);
    what_is_legal_is_taken_and_what_is_not_is_refused(&cluster);
    what_is_left_out_is_filled_in(&cluster);
    what_must_not_change_does_not(&cluster);
    kubectl_get_shows_the_familiar_columns(&cluster);
    the_old_version_needs_its_webhook_and_the_stored_one_does_not(&cluster);
}

fn every_kind_is_established_and_structural(cluster: &Cluster) {
    cluster
        .wait_for("every CRD to be established", PATIENCE, |client| async move {
            let crds = Api::<CustomResourceDefinition>::all(client).list(&ListParams::default()).await?.items;
            let ours: Vec<_> = crds.iter().filter(|crd| crd.spec.group == "metallb.io").collect();
            let is = |crd: &CustomResourceDefinition, kind: &str, status: &str| {
                let conditions = crd.status.iter().flat_map(|status| status.conditions.iter().flatten());
                conditions.clone().any(|condition| condition.type_ == kind && condition.status == status)
            };
            for crd in &ours {
                anyhow::ensure!(!is(crd, "NonStructuralSchema", "True"), "{:?} is not structural", crd.metadata.name);
            }
            Ok((ours.len() == 9 && ours.iter().all(|crd| is(crd, "Established", "True"))).then_some(()))
        })
        .unwrap();
}

/// Kind, what the row shows, its spec, and what the refusal says; nothing where it is taken.
fn what_is_legal_is_taken_and_what_is_not_is_refused(cluster: &Cluster) {
    let sound = json!({"myASN": 64512, "peerASN": 64513, "peerAddress": "192.0.2.1"});
    let peer = |more: Value| {
        let mut spec = sound.clone();
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        spec
    };
    let web = json!({"matchLabels": {"app": "web"}});
    let table = [
        (
            "IPAddressPool",
            "both families, CIDRs and ranges",
            json!({"addresses": ["192.0.2.0/24", "2001:db8::1-2001:db8::9"]}),
            "",
        ),
        ("IPAddressPool", "an empty list is for the webhook to refuse", json!({"addresses": []}), ""),
        ("IPAddressPool", "addresses are required", json!({}), "spec.addresses: Required value"),
        (
            "IPAddressPool",
            "whom it is for",
            json!({"addresses": ["192.0.2.0/24"], "autoAssign": false, "avoidBuggyIPs": true, "serviceAllocation": {
            "priority": 50, "namespaces": ["a"], "namespaceSelectors": [web], "serviceSelectors": [web]}}),
            "",
        ),
        ("L2Advertisement", "nothing is everything", json!({}), ""),
        (
            "L2Advertisement",
            "every field",
            json!({"ipAddressPools": ["a"], "ipAddressPoolSelectors": [web], "nodeSelectors": [web], "interfaces": ["eth0"],
            "serviceSelectors": [web], "preferredNodeSelectors": [{"weight": 100, "preference": {}}]}),
            "",
        ),
        (
            "L2Advertisement",
            "a weight is at least 1",
            json!({"preferredNodeSelectors": [{"weight": 0, "preference": {}}]}),
            "weight",
        ),
        (
            "L2Advertisement",
            "a weight is at most 100",
            json!({"preferredNodeSelectors": [{"weight": 101, "preference": {}}]}),
            "weight",
        ),
        (
            "L2Advertisement",
            "a preference names its nodes",
            json!({"preferredNodeSelectors": [{"weight": 1}]}),
            "preference: Required value",
        ),
        ("L2Advertisement", "unknown fields are slips", json!({"interface": ["eth0"]}), "unknown field"),
        ("BGPAdvertisement", "nothing is everything", json!({}), ""),
        (
            "BGPAdvertisement",
            "every field",
            json!({"aggregationLength": 24, "aggregationLengthV6": 64, "localPref": 4294967295_u32, "communities": ["11:22", "alias"],
            "ipAddressPools": ["a"], "ipAddressPoolSelectors": [web], "nodeSelectors": [web], "peers": ["p"]}),
            "",
        ),
        ("BGPAdvertisement", "Services are selected without aggregation", json!({"serviceSelectors": [web]}), ""),
        (
            "BGPAdvertisement",
            "also with the lengths written out",
            json!({"serviceSelectors": [web], "aggregationLength": 32, "aggregationLengthV6": 128}),
            "",
        ),
        (
            "BGPAdvertisement",
            "Services are not selected with IPv4 aggregation",
            json!({"serviceSelectors": [web], "aggregationLength": 24}),
            "serviceSelectors",
        ),
        (
            "BGPAdvertisement",
            "Services are not selected with IPv6 aggregation",
            json!({"serviceSelectors": [web], "aggregationLengthV6": 64}),
            "serviceSelectors",
        ),
        (
            "BGPAdvertisement",
            "an empty list selects nothing, whatever the aggregation",
            json!({"serviceSelectors": [], "aggregationLength": 24}),
            "",
        ),
        ("BGPAdvertisement", "an IPv4 prefix has a length", json!({"aggregationLength": 0}), "aggregationLength"),
        ("BGPAdvertisement", "a preference is not negative", json!({"localPref": -1}), "localPref"),
        ("BGPPeer", "an address and an AS", sound.clone(), ""),
        (
            "BGPPeer",
            "every field",
            peer(
                json!({"localASN": 4294967295_u32, "sourceAddress": "192.0.2.2", "peerPort": 16384, "holdTime": "90s",
            "keepaliveTime": "30s", "connectTime": "10s", "routerID": "192.0.2.3", "nodeSelectors": [web], "passwordSecret": {"name": "s", "namespace": NAMESPACE},
            "bfdProfile": "b", "enableGracefulRestart": true, "ebgpMultiHop": true, "vrf": "red", "dualStackAddressFamily": true}),
            ),
            "",
        ),
        (
            "BGPPeer",
            "an interface and a kind of AS",
            json!({"myASN": 64512, "dynamicASN": "external", "interface": "eth0"}),
            "",
        ),
        (
            "BGPPeer",
            "our AS is required",
            json!({"peerASN": 64513, "peerAddress": "192.0.2.1"}),
            "spec.myASN: Required value",
        ),
        ("BGPPeer", "an AS has 32 bits", peer(json!({"peerASN": 4294967296_u64})), "peerASN"),
        ("BGPPeer", "an AS is not negative", peer(json!({"myASN": -1})), "myASN"),
        ("BGPPeer", "a local AS is not 0", peer(json!({"localASN": 0})), "localASN"),
        ("BGPPeer", "the kinds of AS are two", peer(json!({"dynamicASN": "any"})), "dynamicASN: Unsupported value"),
        ("BGPPeer", "a port is at least 1", peer(json!({"peerPort": 0})), "peerPort"),
        ("BGPPeer", "a port is at most 16384", peer(json!({"peerPort": 16385})), "peerPort"),
        (
            "BGPPeer",
            "connecting waits a second at least",
            peer(json!({"connectTime": "0s"})),
            "between 1 seconds to 65535",
        ),
        (
            "BGPPeer",
            "connecting waits 65535 seconds at most",
            peer(json!({"connectTime": "65536s"})),
            "between 1 seconds to 65535",
        ),
        (
            "BGPPeer",
            "connecting waits whole seconds",
            peer(json!({"connectTime": "1500ms"})),
            "whole number of seconds",
        ),
        ("BFDProfile", "nothing is every default", json!({}), ""),
        (
            "BFDProfile",
            "every field at its lowest",
            json!({"receiveInterval": 10, "transmitInterval": 10, "echoInterval": 10, "detectMultiplier": 2, "minimumTtl": 1,
            "echoMode": true, "passiveMode": true}),
            "",
        ),
        (
            "BFDProfile",
            "every field at its highest",
            json!({"receiveInterval": 60000, "transmitInterval": 60000, "echoInterval": 60000, "detectMultiplier": 255,
            "minimumTtl": 254}),
            "",
        ),
        ("BFDProfile", "receiving is not too fast", json!({"receiveInterval": 9}), "receiveInterval"),
        ("BFDProfile", "sending is not too slow", json!({"transmitInterval": 60001}), "transmitInterval"),
        ("BFDProfile", "echo is not too fast", json!({"echoInterval": 9}), "echoInterval"),
        ("BFDProfile", "one lost packet is no fault", json!({"detectMultiplier": 1}), "detectMultiplier"),
        ("BFDProfile", "a multiplier has 8 bits", json!({"detectMultiplier": 256}), "detectMultiplier"),
        ("BFDProfile", "a packet has a TTL", json!({"minimumTtl": 0}), "minimumTtl"),
        ("BFDProfile", "TTL 255 is for one hop", json!({"minimumTtl": 255}), "minimumTtl"),
        ("Community", "no names", json!({}), ""),
        (
            "Community",
            "names",
            json!({"communities": [{"name": "a", "value": "11:22"}, {"name": "b", "value": "large:1:2:3"}]}),
            "",
        ),
        ("ServiceL2Status", "no spec to speak of", json!({}), ""),
        ("ServiceBGPStatus", "no spec to speak of", json!({}), ""),
    ];
    for (at, (kind, shows, spec, says)) in table.iter().enumerate() {
        let object = object(kind, &format!("row-{at}"), Some(spec));
        let output = apply(cluster, &object);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        if says.is_empty() {
            assert!(output.status.success(), "{kind}: {shows}: {told}");
        } else {
            assert!(!output.status.success() && told.contains(says), "{kind}: {shows}: {told}");
        }
    }
    for kind in ["L2Advertisement", "BGPAdvertisement", "BFDProfile", "Community", "ConfigurationState"] {
        let output = apply(cluster, &object(kind, "without-spec", None));
        assert!(output.status.success(), "{kind} without a spec: {}", String::from_utf8_lossy(&output.stderr));
    }
    let output = apply(cluster, &object("IPAddressPool", "without-spec", None));
    assert!(!output.status.success(), "a pool needs a spec");
    for kind in ["ipaddresspool", "l2advertisement", "bgpadvertisement", "bgppeer", "bfdprofile", "community"] {
        cluster.kubectl(&["delete", kind, "--all", "-n", NAMESPACE]).unwrap();
    }
}

fn what_is_left_out_is_filled_in(cluster: &Cluster) {
    let table = [
        (
            "IPAddressPool",
            json!({"addresses": ["192.0.2.0/24"]}),
            json!({"addresses": ["192.0.2.0/24"], "autoAssign": true, "avoidBuggyIPs": false}),
        ),
        ("L2Advertisement", json!({}), json!({})),
        ("BGPAdvertisement", json!({}), json!({"aggregationLength": 32, "aggregationLengthV6": 128})),
        (
            "BGPPeer",
            json!({"myASN": 1}),
            json!({"myASN": 1, "peerPort": 179, "disableMP": false, "dualStackAddressFamily": false}),
        ),
        ("BFDProfile", json!({}), json!({})),
        ("Community", json!({}), json!({})),
    ];
    for (kind, written, stored) in table {
        let output = apply(cluster, &object(kind, "bare", Some(&written)));
        assert!(output.status.success(), "{kind}: {}", String::from_utf8_lossy(&output.stderr));
        let read = cluster.kubectl(&["get", &full_name(kind), "bare", "-n", NAMESPACE, "-o", "json"]).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&read).unwrap()["spec"], stored, "{kind}");
    }
}

fn what_must_not_change_does_not(cluster: &Cluster) {
    let spec =
        |restart: bool| json!({"myASN": 1, "peerASN": 2, "peerAddress": "192.0.2.1", "enableGracefulRestart": restart});
    assert!(apply(cluster, &object("BGPPeer", "graceful", Some(&spec(true)))).status.success());
    let output = apply(cluster, &object("BGPPeer", "graceful", Some(&spec(false))));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("cannot be changed after creation"), "{told}");

    for kind in ["ServiceL2Status", "ServiceBGPStatus"] {
        let name = full_name(kind);
        let patch = |status: Value| {
            let patch = json!({"status": status}).to_string();
            cluster.kubectl(&[
                "patch",
                &name,
                "status",
                "-n",
                NAMESPACE,
                "--subresource=status",
                "--type=merge",
                "-p",
                &patch,
            ])
        };
        assert!(apply(cluster, &object(kind, "status", Some(&json!({})))).status.success());
        patch(json!({"node": "n1", "serviceName": "web", "serviceNamespace": "default"})).unwrap();
        for field in ["node", "serviceName", "serviceNamespace"] {
            let refusal = patch(json!({field: "other"})).unwrap_err().to_string();
            assert!(refusal.contains("Value is immutable"), "{kind} {field}: {refusal}");
        }
    }
    let name = full_name("ConfigurationState");
    let result = |result: &str| {
        let patch = json!({"status": {"result": result, "errorSummary": "two lines\nof it"}}).to_string();
        cluster.kubectl(&[
            "patch",
            &name,
            "without-spec",
            "-n",
            NAMESPACE,
            "--subresource=status",
            "--type=merge",
            "-p",
            &patch,
        ])
    };
    result("Invalid").unwrap();
    assert!(result("Wrong").unwrap_err().to_string().contains("Unsupported value"));
}

fn kubectl_get_shows_the_familiar_columns(cluster: &Cluster) {
    let table = [
        ("IPAddressPool", "NAME AUTO ASSIGN AVOID BUGGY IPS ADDRESSES", ""),
        ("L2Advertisement", "NAME IPADDRESSPOOLS IPADDRESSPOOL SELECTORS INTERFACES", "NODE SELECTORS"),
        ("BGPAdvertisement", "NAME IPADDRESSPOOLS IPADDRESSPOOL SELECTORS PEERS", "NODE SELECTORS"),
        ("BGPPeer", "NAME ADDRESS ASN BFD PROFILE MULTI HOPS", ""),
        ("BFDProfile", "NAME PASSIVE MODE TRANSMIT INTERVAL RECEIVE INTERVAL MULTIPLIER", ""),
        ("Community", "NAME AGE", ""),
        ("ServiceL2Status", "NAME ALLOCATED NODE SERVICE NAME SERVICE NAMESPACE", ""),
        ("ServiceBGPStatus", "NAME NODE SERVICE NAME SERVICE NAMESPACE", ""),
        ("ConfigurationState", "NAME RESULT ERRORSUMMARY AGE", ""),
    ];
    for (kind, narrow, more) in table {
        let header = |wide: &[&str]| {
            let name = full_name(kind);
            let arguments: Vec<&str> =
                ["get", &name, "-n", NAMESPACE].into_iter().chain(wide.iter().copied()).collect();
            let shown = cluster.kubectl(&arguments).unwrap();
            shown.lines().next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(header(&[]), narrow, "{kind}");
        assert_eq!(header(&["-o", "wide"]), format!("{narrow} {more}").trim_end(), "{kind}");
    }
}

fn the_old_version_needs_its_webhook_and_the_stored_one_does_not(cluster: &Cluster) {
    cluster.kubectl(&["get", "bgppeers.v1beta2.metallb.io", "-A"]).unwrap();
    let refusal = cluster.kubectl(&["get", "bgppeers.v1beta1.metallb.io", "-A"]).unwrap_err().to_string();
    assert!(refusal.contains("conversion webhook"), "{refusal}");
    cluster.kubectl(&["delete", "bgppeer", "--all", "-n", NAMESPACE]).unwrap();
    let output = cluster.kubectl_command(&["get", "bgppeers.v1beta1.metallb.io", "-A"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("v1beta1 is deprecated, please use v1beta2"), "{told}");
}

fn object(kind: &str, name: &str, spec: Option<&Value>) -> Value {
    let version = if kind == "BGPPeer" { "metallb.io/v1beta2" } else { "metallb.io/v1beta1" };
    let mut object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}});
    if let Some(spec) = spec {
        object["spec"] = spec.clone();
    }
    object
}

fn full_name(kind: &str) -> String {
    format!("{}.metallb.io", kind.to_lowercase())
}

fn apply(cluster: &Cluster, object: &Value) -> Output {
    let file = cluster.directory().join("object.json");
    std::fs::write(&file, object.to_string()).unwrap();
    cluster.kubectl_command(&["apply", "-f", &file.display().to_string()]).output().unwrap()
}
