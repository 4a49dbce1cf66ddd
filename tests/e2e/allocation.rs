//! Addresses, as users ask for them and see them.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test on a real network has a real clock"
)]

mod common;

use common::{Lab, http, lab, service};
use herald_tests::{
    fault::{Target, strike},
    herald::{PATIENCE, ips},
    probe::{Ask, TcpProbe},
};
use k8s_openapi::api::{coordination::v1::Lease, core::v1::Service};
use kube::{Api, api::ListParams};
use nix::sys::signal::Signal;
use std::{collections::BTreeSet, net::IpAddr, time::Duration};

/// Waits until the events of an object contain a text.
fn wait_for_event(lab: &Lab, namespace: &str, object: &str, text: &str) {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let events = lab.kubectl(&["events", "--namespace", namespace, "--for", object]).unwrap();
        if events.contains(text) {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "no event of {object} says {text:?}:\n{events}");
    }
}

fn delete(lab: &Lab, names: &[&str]) {
    for name in names {
        lab.kubectl(&["delete", "service", name]).unwrap();
    }
}

fn get(lab: &Lab, name: &str) -> Service {
    let api: Api<Service> = Api::default_namespaced(lab.client());
    let name = name.to_owned();
    lab.run(async move { api.get(&name).await }).unwrap().unwrap()
}

/// Waits until a Service has exactly these addresses.
fn wait_for_ips(lab: &Lab, name: &'static str, expected: &[&str]) {
    let expected: Vec<IpAddr> = expected.iter().map(|text| text.parse().unwrap()).collect();
    let told = format!("{name} to have {expected:?}");
    lab.wait_for(&told, PATIENCE, move |client| {
        let (api, expected) = (Api::<Service>::default_namespaced(client), expected.clone());
        async move { Ok((ips(&api.get(name).await?) == expected).then_some(())) }
    })
    .unwrap();
}

#[test]
fn a_service_gets_addresses_of_both_families_and_is_reached() {
    let lab = lab();
    lab.apply(&service("both", "", "ipFamilyPolicy: RequireDualStack")).unwrap();
    let addresses = lab.addresses("default", "both", 2).unwrap();
    assert_eq!(addresses.iter().filter(|ip| ip.is_ipv4()).count(), 1, "{addresses:?}");
    for ip in addresses {
        lab.wait_for_owner(ip).unwrap();
        let probe = TcpProbe::start(&lab.outside().namespace, http(ip), Duration::from_millis(20), Ask::Get).unwrap();
        assert!(probe.wait_for_answers(10, PATIENCE), "{ip} is reached");
    }
    let object = get(&lab, "both");
    let annotations = object.metadata.annotations.clone().unwrap_or_default();
    assert_eq!(annotations.get("metallb.io/ip-allocated-from-pool").map(String::as_str), Some("lan"));
    wait_for_event(&lab, "default", "service/both", "IPAllocated");
    wait_for_event(&lab, "default", "service/both", "nodeAssigned");
    delete(&lab, &["both"]);
}

#[test]
fn what_is_asked_for_is_given() {
    let lab = lab();
    lab.apply(
        "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: asked, namespace: herald-system}\nspec:\n  \
         autoAssign: false\n  addresses: [10.66.101.0/30, \"fd00:10:66::101:0/126\"]\n",
    )
    .unwrap();
    lab.apply(&service("by-annotation", "annotations: {metallb.io/loadBalancerIPs: 10.66.101.2}", "")).unwrap();
    wait_for_ips(&lab, "by-annotation", &["10.66.101.2"]);
    lab.apply(&service("by-field", "", "loadBalancerIP: 10.66.101.1")).unwrap();
    wait_for_ips(&lab, "by-field", &["10.66.101.1"]);
    lab.apply(&service("by-pool", "annotations: {metallb.io/address-pool: asked}", "ipFamilyPolicy: RequireDualStack"))
        .unwrap();
    wait_for_ips(&lab, "by-pool", &["10.66.101.0", "fd00:10:66::101:0"]);
    delete(&lab, &["by-annotation", "by-field", "by-pool"]);
    lab.kubectl(&["delete", "ipaddresspool", "asked", "--namespace=herald-system"]).unwrap();
}

#[test]
fn what_cannot_be_given_is_refused_with_its_reason() {
    let lab = lab();
    lab.apply(
        "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: tiny, namespace: herald-system}\nspec:\n  \
         autoAssign: false\n  addresses: [10.66.102.7/32]\n",
    )
    .unwrap();
    lab.apply(&service("first", "annotations: {metallb.io/address-pool: tiny}", "")).unwrap();
    wait_for_ips(&lab, "first", &["10.66.102.7"]);
    for (name, metadata, text) in [
        ("exhausted", "annotations: {metallb.io/address-pool: tiny}", "no available IPs"),
        ("no-pool", "annotations: {metallb.io/address-pool: nowhere}", "unknown pool"),
        ("outside", "annotations: {metallb.io/loadBalancerIPs: 203.0.113.9}", "is not allowed in config"),
    ] {
        lab.apply(&service(name, metadata, "")).unwrap();
        wait_for_event(&lab, "default", &format!("service/{name}"), "AllocationFailed");
        wait_for_event(&lab, "default", &format!("service/{name}"), text);
    }
    lab.apply(&service("garbled", "annotations: {metallb.io/loadBalancerIPs: not-an-address}", "")).unwrap();
    wait_for_event(&lab, "default", "service/garbled", "not-an-address");
    lab.apply(&service("foreign", "", "loadBalancerClass: example.com/other")).unwrap();

    // The address that is waited for goes to who waits for it as soon as it is free.
    delete(&lab, &["first"]);
    wait_for_ips(&lab, "exhausted", &["10.66.102.7"]);
    assert!(ips(&get(&lab, "foreign")).is_empty(), "a Service of another class is not touched");
    delete(&lab, &["exhausted", "no-pool", "outside", "garbled", "foreign"]);
    lab.kubectl(&["delete", "ipaddresspool", "tiny", "--namespace=herald-system"]).unwrap();
}

/// An annotation's name and value, and what is told of it.
type Garbage<'a> = (&'a str, &'a str, Option<&'a str>);

#[test]
fn garbage_in_an_annotation_is_told_and_costs_only_its_service() {
    let lab = lab();
    let long = "x".repeat(20_000);
    // None: it asks for nothing, and the Service gets an address.
    let table: &[Garbage<'_>] = &[
        ("loadBalancerIPs", "", None),
        ("loadBalancerIPs", " ", None),
        ("loadBalancerIPs", ",", Some("\"\"")),
        ("loadBalancerIPs", "10.66.100.300", Some("10.66.100.300")),
        ("loadBalancerIPs", "fd00::g", Some("fd00::g")),
        ("loadBalancerIPs", "10.66.100.0/24", Some("10.66.100.0/24")),
        ("loadBalancerIPs", "10.66.100.90,10.66.100.91", Some("10.66.100.91")),
        ("loadBalancerIPs", "fd00:10:66::100:90,fd00:10:66::100:91", Some("fd00:10:66::100:91")),
        ("loadBalancerIPs", "fd00:10:66::100:90", Some("fd00:10:66::100:90")),
        ("loadBalancerIPs", "\\u0000\\n\\u202e", Some("AllocationFailed")),
        ("loadBalancerIPs", &long, Some("xxxx")),
        ("address-pool", "", None),
        ("address-pool", "../lan", Some("../lan")),
        ("address-pool", "\\u0000\\n\\u202e", Some("AllocationFailed")),
        ("address-pool", &long, Some("xxxx")),
        ("allow-shared-ip", "", None),
        ("allow-shared-ip", "\\u0000\\n\\u202e", None),
        ("allow-shared-ip", &long, None),
        ("ip-allocated-from-pool", &long, None),
    ];
    let rows =
        ["metallb.io", "metallb.universe.tf"].into_iter().flat_map(|group| table.iter().map(move |row| (group, *row)));
    let rows: Vec<(String, &str, Garbage<'_>)> =
        rows.enumerate().map(|(number, (group, row))| (format!("garbage-{number}"), group, row)).collect();
    for (name, group, (key, value, _)) in &rows {
        lab.apply(&service(name, &format!("annotations: {{{group}/{key}: \"{value}\"}}"), "")).unwrap();
    }
    for (name, group, (key, value, told)) in &rows {
        match told {
            Some(text) => wait_for_event(&lab, "default", &format!("service/{name}"), text),
            None => {
                let given = lab.addresses("default", name, 1);
                given.unwrap_or_else(|error| panic!("{group}/{key}: {}: {error:#}", value.get(..20).unwrap_or(value)));
            }
        }
    }
    delete(&lab, &rows.iter().map(|(name, ..)| name.as_str()).collect::<Vec<_>>());
}

#[test]
fn a_bad_pool_costs_only_itself() {
    let lab = lab();
    let before = ips(&get(&lab, "echo"));
    // The webhook would refuse them.
    lab.kubectl(&["delete", "validatingwebhookconfiguration", "metallb-webhook-configuration"]).unwrap();
    lab.apply(
        "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: typo, namespace: herald-system}\nspec:\n  \
         addresses: [10.66.102.300-10.66.102.310]\n---\napiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: \
         {name: overlap, namespace: herald-system}\nspec:\n  addresses: [10.66.100.0/24]\n",
    )
    .unwrap();
    wait_for_event(&lab, "herald-system", "ipaddresspool/typo", "10.66.102.300");
    wait_for_event(&lab, "herald-system", "ipaddresspool/overlap", "lan");
    lab.apply(&service("meanwhile", "", "")).unwrap();
    let got = lab.addresses("default", "meanwhile", 1).unwrap();
    lab.wait_for_owner(got[0]).unwrap();
    assert_eq!(ips(&get(&lab, "echo")), before, "nothing in use is lost");
    delete(&lab, &["meanwhile"]);
    lab.kubectl(&["delete", "ipaddresspool", "typo", "overlap", "--namespace=herald-system"]).unwrap();
    lab.apply("config/default").unwrap();
}

#[test]
fn an_address_is_free_again_when_its_service_is_a_load_balancer_no_more() {
    let lab = lab();
    lab.apply(&service("changing", "annotations: {metallb.io/loadBalancerIPs: 10.66.100.77}", "")).unwrap();
    wait_for_ips(&lab, "changing", &["10.66.100.77"]);
    lab.kubectl(&["patch", "service", "changing", "--patch={\"spec\":{\"type\":\"ClusterIP\"}}"]).unwrap();
    wait_for_ips(&lab, "changing", &[]);
    lab.apply(&service("next", "annotations: {metallb.io/loadBalancerIPs: 10.66.100.77}", "")).unwrap();
    wait_for_ips(&lab, "next", &["10.66.100.77"]);
    let annotations = get(&lab, "changing").metadata.annotations.unwrap_or_default();
    assert!(!annotations.contains_key("metallb.io/ip-allocated-from-pool"), "{annotations:?}");
    delete(&lab, &["changing", "next"]);
}

/// Resource versions of everything that a controller may write.
fn versions(lab: &Lab) -> BTreeSet<String> {
    let services: Api<Service> = Api::all(lab.client());
    let pools: Api<herald_crds::IPAddressPool> = Api::namespaced(lab.client(), "herald-system");
    lab.run(async move {
        let services = services.list(&ListParams::default()).await?.items.into_iter().map(|object| object.metadata);
        let pools = pools.list(&ListParams::default()).await?.items.into_iter().map(|object| object.metadata);
        Ok::<BTreeSet<String>, kube::Error>(
            services
                .chain(pools)
                .map(|metadata| format!("{:?} {:?}", metadata.name, metadata.resource_version))
                .collect(),
        )
    })
    .unwrap()
    .unwrap()
}

fn leader(lab: &Lab) -> String {
    let api: Api<Lease> = Api::namespaced(lab.client(), "herald-system");
    let lease = lab.run(async move { api.get("herald-controller").await }).unwrap().unwrap();
    lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default()
}

fn wait_for_other_leader(lab: &Lab, than: &str) -> String {
    let than = than.to_owned();
    lab.wait_for("another leader", PATIENCE, move |client| {
        let (api, than) = (Api::<Lease>::namespaced(client, "herald-system"), than.clone());
        async move {
            let holder =
                api.get("herald-controller").await?.spec.and_then(|spec| spec.holder_identity).unwrap_or_default();
            Ok((!holder.is_empty() && holder != than).then_some(holder))
        }
    })
    .unwrap()
}

#[test]
fn the_standby_acts_when_the_leader_is_killed_and_writes_nothing_that_is_written() {
    let lab = lab();
    lab.addresses("default", "echo", 2).unwrap();
    let first = leader(&lab);
    let mut before = versions(&lab);
    let pod = first.split('_').next().unwrap();
    let process = lab.pod_pid("herald-system", pod).unwrap().as_raw();
    strike(Target::Process(u32::try_from(process).unwrap()), Signal::SIGKILL).unwrap();
    let second = wait_for_other_leader(&lab, &first);
    lab.apply(&service("after", "", "")).unwrap();
    lab.addresses("default", "after", 1).unwrap();
    delete(&lab, &["after"]);
    assert_ne!(first, second);
    let mut after = versions(&lab);
    // The pool's counters moved with the new Service.
    let pool = |entry: &String| entry.contains("\"lan\"");
    before.retain(|entry| !pool(entry));
    after.retain(|entry| !pool(entry));
    assert_eq!(before, after, "a new leader rewrites nothing");
}
