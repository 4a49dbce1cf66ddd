//! What manifests written for MetalLB look like, and that they are read and written as they are.

#![allow(clippy::unwrap_used, reason = "a test whose input cannot be built has failed")]

use std::collections::BTreeSet;

use herald_crds::api::reason::{ControllerReason, SpeakerReason};
use herald_crds::api::{IPAddressPool, IPAddressPoolStatus, L2Advertisement, L2AdvertisementSpec, crds};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

#[test]
fn a_full_pool_survives_a_round_trip() {
    let written = json!({
        "apiVersion": "metallb.io/v1beta1",
        "kind": "IPAddressPool",
        "metadata": {"name": "gold", "namespace": "herald-system"},
        "spec": {
            "addresses": ["192.0.2.0/28", "2001:db8::1-2001:db8::ff"],
            "autoAssign": false,
            "avoidBuggyIPs": true,
            "serviceAllocation": {
                "priority": 50,
                "namespaces": ["a", "b"],
                "namespaceSelectors": [{"matchLabels": {"team": "x"}}],
                "serviceSelectors": [{"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}],
            },
        },
        "status": {"assignedIPv4": 1, "assignedIPv6": 2, "availableIPv4": 3, "availableIPv6": i64::MAX},
    });
    let pool: IPAddressPool = round_trip(&written);
    assert!(!pool.spec.auto_assign && pool.spec.avoid_buggy_ips);
    let status =
        IPAddressPoolStatus { assigned_ipv4: 1, assigned_ipv6: 2, available_ipv4: 3, available_ipv6: i64::MAX };
    assert_eq!(pool.status, Some(status));
}

#[test]
fn a_full_advertisement_survives_a_round_trip() {
    let selector = json!({"matchLabels": {"a": "b"}});
    let advert: L2Advertisement = round_trip(&json!({
        "apiVersion": "metallb.io/v1beta1",
        "kind": "L2Advertisement",
        "metadata": {"name": "all"},
        "spec": {
            "ipAddressPools": ["gold"],
            "ipAddressPoolSelectors": [selector],
            "nodeSelectors": [selector],
            "interfaces": ["eth0"],
            "serviceSelectors": [selector],
            "preferredNodeSelectors": [{"weight": 7, "preference": {}}],
        },
        "status": {},
    }));
    assert_eq!(advert.spec.preferred_node_selectors[0].weight, 7);
}

#[test]
fn what_is_left_out_is_the_default() {
    let pool: IPAddressPool = read(json!({"metadata": {}, "spec": {"addresses": []}}));
    assert!(pool.spec.auto_assign && !pool.spec.avoid_buggy_ips && pool.spec.service_allocation.is_none());
    let pool: IPAddressPool = read(json!({"metadata": {}, "spec": {"addresses": []}, "status": {"assignedIPv4": 1}}));
    assert_eq!(pool.status, Some(IPAddressPoolStatus { assigned_ipv4: 1, ..Default::default() }));
}

#[test]
fn an_advertisement_needs_no_spec() {
    for written in [json!({"metadata": {}}), json!({"metadata": {}, "spec": null}), json!({"metadata": {}, "spec": {}})]
    {
        let advert: L2Advertisement = read(written);
        assert_eq!(advert.spec, L2AdvertisementSpec::default());
    }
}

#[test]
fn an_empty_key_reads_like_no_key_and_an_unknown_one_is_passed_over() {
    let yaml = "metadata: {name: a}\nspec:\n  interfaces:\n  nodeSelectors: null\n  aFieldOfALaterVersion: 1\n";
    let advert: L2Advertisement = serde_yaml::from_str(yaml).unwrap();
    assert_eq!(advert.spec, L2AdvertisementSpec::default());
    let pool: IPAddressPool = serde_yaml::from_str("metadata: {name: a}\nspec: {addresses: null}\n").unwrap();
    assert_eq!(pool.spec.addresses, [""; 0]);
}

#[test]
fn the_schema_has_exactly_the_fields_of_metallb() {
    let spec = |kind: &str| property(&schema(kind), "spec");
    assert_eq!(names(&spec("IPAddressPool")), ["addresses", "autoAssign", "avoidBuggyIPs", "serviceAllocation"]);
    let allocation = property(&spec("IPAddressPool"), "serviceAllocation");
    assert_eq!(names(&allocation), ["namespaceSelectors", "namespaces", "priority", "serviceSelectors"]);
    let status = property(&schema("IPAddressPool"), "status");
    assert_eq!(names(&status), ["assignedIPv4", "assignedIPv6", "availableIPv4", "availableIPv6"]);
    assert_eq!(property(&status, "availableIPv6").format.as_deref(), Some("int64"));
    let fields = [
        "interfaces",
        "ipAddressPoolSelectors",
        "ipAddressPools",
        "nodeSelectors",
        "preferredNodeSelectors",
        "serviceSelectors",
    ];
    assert_eq!(names(&spec("L2Advertisement")), fields);
    assert!(names(&property(&schema("L2Advertisement"), "status")).is_empty());
}

#[test]
fn the_schema_asks_for_no_more_and_no_less_than_metallb() {
    let required = |schema: &JSONSchemaProps| schema.required.clone().unwrap_or_default();
    let (pool, advert) = (schema("IPAddressPool"), schema("L2Advertisement"));
    assert_eq!(required(&pool), ["spec"]);
    assert_eq!(required(&property(&pool, "spec")), ["addresses"]);
    assert_eq!(required(&property(&pool, "status")), [""; 0]);
    assert_eq!(required(&advert), [""; 0]);
    assert_eq!(required(&property(&advert, "spec")), [""; 0]);

    let default = |field: &str| property(&property(&pool, "spec"), field).default.map(|d| d.0);
    assert_eq!(default("autoAssign"), Some(json!(true)));
    assert_eq!(default("avoidBuggyIPs"), Some(json!(false)));
    assert_eq!(property(&property(&pool, "spec"), "addresses").min_items, None);

    let preference = items(&property(&property(&advert, "spec"), "preferredNodeSelectors"));
    assert_eq!(
        required(&preference).into_iter().collect::<BTreeSet<_>>(),
        BTreeSet::from(["preference".into(), "weight".into()])
    );
    let weight = property(&preference, "weight");
    assert_eq!((weight.minimum, weight.maximum, weight.format.as_deref()), (Some(1.0), Some(100.0), Some("int32")));
    assert_eq!(property(&preference, "preference").x_kubernetes_map_type.as_deref(), Some("atomic"));
}

#[test]
fn kubectl_get_shows_the_columns_of_metallb() {
    let columns = |kind: &str, version: usize| -> Vec<Value> {
        let version = crd(kind).spec.versions[version].clone();
        let columns = version.additional_printer_columns.unwrap_or_default();
        columns.iter().map(|c| json!([c.name, c.json_path, c.type_, c.priority])).collect()
    };
    assert_eq!(
        columns("IPAddressPool", 0),
        [
            json!(["Auto Assign", ".spec.autoAssign", "boolean", null]),
            json!(["Avoid Buggy IPs", ".spec.avoidBuggyIPs", "boolean", null]),
            json!(["Addresses", ".spec.addresses", "string", null]),
        ]
    );
    assert_eq!(
        columns("L2Advertisement", 0),
        [
            json!(["IPAddressPools", ".spec.ipAddressPools", "string", null]),
            json!(["IPAddressPool Selectors", ".spec.ipAddressPoolSelectors", "string", null]),
            json!(["Interfaces", ".spec.interfaces", "string", null]),
            json!(["Node Selectors", ".spec.nodeSelectors", "string", 10]),
        ]
    );
}

#[test]
fn every_kind_is_namespaced_and_has_a_status_subresource() {
    let kept = crds().into_iter().filter(|crd| crd.spec.group == "metallb.io");
    let mut kinds = Vec::new();
    for crd in kept {
        assert_eq!(crd.spec.scope.as_str(), "Namespaced");
        let versions = crd.spec.versions.iter().map(|v| (v.name.as_str(), v.served, v.storage)).collect::<Vec<_>>();
        match crd.spec.names.kind.as_str() {
            "BGPPeer" => {
                assert_eq!(BTreeSet::from_iter(versions), [("v1beta1", true, false), ("v1beta2", true, true)].into());
            }
            _ => assert_eq!(versions, [("v1beta1", true, true)]),
        }
        assert!(crd.spec.versions.iter().all(|v| v.subresources.as_ref().is_some_and(|s| s.status.is_some())));
        assert_eq!((&crd.spec.names.short_names, &crd.spec.names.categories), (&None, &None));
        kinds.push(crd.spec.names.plural);
    }
    let all = [
        "bfdprofiles",
        "bgpadvertisements",
        "bgppeers",
        "communities",
        "configurationstates",
        "ipaddresspools",
        "l2advertisements",
        "servicebgpstatuses",
        "servicel2statuses",
    ];
    assert_eq!(kinds, all);
}

#[test]
fn events_give_the_reasons_of_metallb() {
    let controller = [
        (ControllerReason::IpAllocated, "IPAllocated", false),
        (ControllerReason::ClearAssignment, "ClearAssignment", false),
        (ControllerReason::AdditionalAssignFailed, "AdditionalAssignFailed", false),
        (ControllerReason::AllocationFailed, "AllocationFailed", true),
        (ControllerReason::LoadBalancerFailed, "LoadBalancerFailed", true),
        (ControllerReason::NotEnoughClusterIps, "not enough clusterips", true),
        (ControllerReason::NoLbIpsFamily, "nolbIPsIPFamily", true),
        (ControllerReason::NoClusterIpsFamily, "noclusterIPsIPFamily", true),
        (ControllerReason::DeprecatedAnnotation, "deprecatedAnnotation", true),
        (ControllerReason::InternalError, "InternalError", true),
    ];
    for (reason, text, warning) in controller {
        assert_eq!((reason.as_str(), reason.is_warning()), (text, warning));
    }
    let speaker = [
        (SpeakerReason::NodeAssigned, "nodeAssigned", false),
        (SpeakerReason::AnnounceFailed, "announceFailed", true),
        (SpeakerReason::AddressConflict, "addressConflict", true),
    ];
    for (reason, text, warning) in speaker {
        assert_eq!((reason.as_str(), reason.is_warning()), (text, warning));
    }
}

fn read<T: DeserializeOwned>(written: Value) -> T {
    serde_json::from_value(written).unwrap()
}

fn round_trip<T: DeserializeOwned + Serialize>(written: &Value) -> T {
    let object: T = read(written.clone());
    assert_eq!(&serde_json::to_value(&object).unwrap(), written);
    object
}

fn crd(kind: &str) -> CustomResourceDefinition {
    crds().into_iter().find(|crd| crd.spec.names.kind == kind).unwrap()
}

fn schema(kind: &str) -> JSONSchemaProps {
    crd(kind).spec.versions[0].schema.as_ref().and_then(|s| s.open_api_v3_schema.clone()).unwrap()
}

fn names(schema: &JSONSchemaProps) -> Vec<String> {
    schema.properties.iter().flatten().map(|(name, _)| name.clone()).collect()
}

fn property(schema: &JSONSchemaProps, name: &str) -> JSONSchemaProps {
    schema.properties.as_ref().unwrap()[name].clone()
}

fn items(schema: &JSONSchemaProps) -> JSONSchemaProps {
    match &schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => (**items).clone(),
        other => panic!("a list has one kind of item, not {other:?}"),
    }
}
