//! What is read from the objects of Kubernetes: nodes and endpoints.

#![allow(clippy::unwrap_used, reason = "a test whose input cannot be built has failed")]

use herald_crds::model::{Endpoint, NodeFacts, endpoints_of};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, from_value, json};

#[test]
fn a_node_gives_its_labels_its_internal_addresses_and_its_network() {
    let node: Node = from_value(json!({
        "metadata": {"name": "n1", "labels": {"zone": "a"}},
        "status": {
            "addresses": [
                {"type": "Hostname", "address": "n1"},
                {"type": "InternalIP", "address": "192.0.2.1"},
                {"type": "ExternalIP", "address": "198.51.100.1"},
                {"type": "InternalIP", "address": "2001:db8::1"},
                {"type": "InternalIP", "address": "not one"},
            ],
            "conditions": [
                {"type": "Ready", "status": "False"},
                {"type": "NetworkUnavailable", "status": "True"},
            ],
        },
    }))
    .unwrap();
    let expected = NodeFacts {
        labels: [("zone".to_owned(), "a".to_owned())].into(),
        addresses: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
        network_unavailable: true,
        drained: false,
    };
    assert_eq!(NodeFacts::from(&node), expected);
}

#[test]
fn a_bare_node_is_available_and_a_false_condition_changes_nothing() {
    assert_eq!(NodeFacts::from(&Node::default()), NodeFacts::default());
    let status = json!({"conditions": [{"type": "NetworkUnavailable", "status": "False"}]});
    let node: Node = from_value(json!({"metadata": {}, "status": status})).unwrap();
    assert!(!NodeFacts::from(&node).network_unavailable);
}

#[test]
fn the_exclusion_label_counts_by_presence() {
    let node = |labels: Value| NodeFacts::from(&from_value::<Node>(json!({"metadata": {"labels": labels}})).unwrap());
    assert!(node(json!({"node.kubernetes.io/exclude-from-external-load-balancers": ""})).is_excluded());
    assert!(node(json!({"node.kubernetes.io/exclude-from-external-load-balancers": "false"})).is_excluded());
    assert!(!node(json!({"node": "x"})).is_excluded());
}

#[test]
fn a_node_is_drained_by_annotation_or_by_annotation_and_cordon() {
    let drained = |value: &str, cordoned: bool| {
        let metadata = json!({"annotations": {"heraldlb.io/drain": value}});
        NodeFacts::from(
            &from_value::<Node>(json!({"metadata": metadata, "spec": {"unschedulable": cordoned}})).unwrap(),
        )
        .drained
    };
    for (value, free, cordoned) in [
        ("true", true, true),
        ("on-cordon", false, true),
        ("false", false, false),
        ("", false, false),
        ("yes", false, false),
    ] {
        assert_eq!((drained(value, false), drained(value, true)), (free, cordoned), "{value}");
    }
    let cordoned: Node = from_value(json!({"metadata": {}, "spec": {"unschedulable": true}})).unwrap();
    assert!(!NodeFacts::from(&cordoned).drained, "a cordon alone moves nothing");
}

#[test]
fn an_endpoint_can_serve_if_it_is_ready_or_still_serving() {
    let table = [
        (json!(null), true),
        (json!({}), true),
        (json!({"ready": true}), true),
        (json!({"ready": false}), false),
        (json!({"ready": false, "serving": false}), false),
        (json!({"ready": false, "serving": true, "terminating": true}), true),
        (json!({"ready": false, "serving": false, "terminating": true}), false),
        (json!({"serving": false}), true),
    ];
    for (conditions, can_serve) in table {
        let slice = slice(json!([{"addresses": ["10.0.0.1"], "conditions": conditions}]));
        assert_eq!(endpoints_of([&slice])[0].can_serve, can_serve, "{conditions}");
    }
}

#[test]
fn the_endpoints_of_all_slices_are_gathered() {
    let four = slice(json!([{"addresses": ["10.0.0.1"], "nodeName": "n1"}, {"addresses": ["10.0.0.2"]}]));
    let six =
        slice(json!([{"addresses": ["fd00::1"], "nodeName": "n2"}, {"addresses": ["name.example"], "nodeName": ""}]));
    let endpoint = |node: Option<&str>, address: Option<&str>| Endpoint {
        node: node.map(str::to_owned),
        can_serve: true,
        address: address.map(|text| text.parse().unwrap()),
    };
    let expected = [
        endpoint(Some("n1"), Some("10.0.0.1")),
        endpoint(None, Some("10.0.0.2")),
        endpoint(Some("n2"), Some("fd00::1")),
        endpoint(None, None),
    ];
    assert_eq!(endpoints_of([&four, &six]), expected);
    assert_eq!(endpoints_of([]), []);
}

fn slice(endpoints: Value) -> EndpointSlice {
    from_value(json!({"metadata": {}, "addressType": "IPv4", "endpoints": endpoints})).unwrap()
}
