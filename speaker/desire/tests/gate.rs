//! One Service at a time: which gate stops it, and for whom.

#![allow(clippy::unwrap_used, reason = "a test whose input cannot be built has failed")]

use std::collections::{BTreeMap, BTreeSet};

use herald_crds::model::{
    Config, Endpoint, Interfaces, Labels, NodeFacts, Resolved, Service, ServiceKind, TrafficPolicy, resolve,
};
use herald_desire::{Refusal, View, Wish, service};
use serde_json::{Value, from_value, json};

#[test]
fn a_plain_service_may_be_owned_by_every_node() {
    for (ips, pool) in
        [(vec!["192.0.2.1"], "four"), (vec!["2001:db8::1"], "six"), (vec!["198.51.100.1", "fd00::1"], "dual")]
    {
        let lab = lab().advert("all", json!({}));
        let expected = Wish {
            pool: pool.to_owned(),
            ips: ips.iter().map(|ip| ip.parse().unwrap()).collect(),
            candidates: names(&["n1", "n2", "n3"]),
            preference: BTreeMap::new(),
            interfaces: Interfaces::All,
            me: Ok(()),
        };
        assert_eq!(lab.ask("n1", &holding(&ips)), Ok(expected));
    }
}

#[test]
fn the_first_gate_that_nobody_passes_is_the_reason() {
    let all = || lab().advert("all", json!({}));
    let web = json!({"matchLabels": {"app": "web"}});
    let web_only = json!({"serviceSelectors": [web]});
    let held = || holding(&["192.0.2.1"]);
    let table: Vec<(Lab, Service, Refusal)> = vec![
        (all(), Service { kind: ServiceKind::Other, ..holding(&[]) }, Refusal::NotLoadBalancer),
        (all(), holding(&[]), Refusal::NoIpAllocated),
        (all(), holding(&["203.0.113.1"]), Refusal::IpNotAllowed),
        (all(), holding(&["192.0.2.1", "2001:db8::1"]), Refusal::IpNotAllowed),
        (all().endpoints(&[]), held(), Refusal::NoEndpoints),
        (all().endpoints(&[("n1", false)]), held(), Refusal::NoEndpoints),
        (all().endpoints(&[]), Service { traffic_policy: TrafficPolicy::Local, ..held() }, Refusal::NoEndpoints),
        (lab(), held(), Refusal::NoMatchingAdvertisement),
        (lab().advert("six", json!({"ipAddressPools": ["six"]})), held(), Refusal::NoMatchingAdvertisement),
        (lab().advert("web", web_only.clone()), held(), Refusal::NoMatchingAdvertisement),
        (lab().advert("x", nodes("zone", "x")), held(), Refusal::NoMatchingAdvertisement),
        (lab().advert("web", web_only.clone()), labelled(shared(held())), Refusal::SharedIpWithServiceSelector),
        (
            lab().advert("web", web_only.clone()),
            labelled(Service { sharing_annotated: true, ..held() }),
            Refusal::SharedIpWithServiceSelector,
        ),
        (lab().advert("web", web_only), shared(held()), Refusal::NoMatchingAdvertisement),
        (all().no_network(&["n1", "n2"]).excluded(&["n3"]), held(), Refusal::NoEligibleNode),
        (all().endpoints(&[("n4", true)]), local(held()), Refusal::NoLocalEndpoints),
        (all().endpoints(&[("", true), ("n1", false)]), local(held()), Refusal::NoLocalEndpoints),
        (all().endpoints(&[("n1", true)]).excluded(&["n1"]), local(held()), Refusal::NoLocalEndpoints),
    ];
    for (at, (lab, service, refusal)) in table.iter().enumerate() {
        for me in ["n1", "n3", "unknown"] {
            assert_eq!(lab.ask(me, service), Err(*refusal), "row {at} asked by {me}");
        }
    }
}

#[test]
fn a_node_that_is_left_out_knows_why_and_knows_the_others() {
    let lab = lab()
        .advert("a", nodes("zone", "a"))
        .advert("b", nodes("zone", "b"))
        .node("n4", "a")
        .node("n5", "b")
        .no_network(&["n1"])
        .excluded(&["n2"])
        .endpoints(&[("n5", true), ("n1", true)]);
    let service = local(holding(&["192.0.2.1"]));
    let table = [
        ("n1", Err(Refusal::NodeNetworkUnavailable)),
        ("n2", Err(Refusal::NodeExcluded)),
        ("n3", Err(Refusal::NoMatchingAdvertisement)),
        ("n4", Err(Refusal::NoLocalEndpoints)),
        ("n5", Ok(())),
        ("unknown", Err(Refusal::NoMatchingAdvertisement)),
    ];
    for (me, standing) in table {
        let wish = lab.ask(me, &service).unwrap();
        assert_eq!((wish.me, wish.candidates), (standing, names(&["n5"])), "{me}");
    }
}

#[test]
fn the_exclusion_label_can_be_ignored_but_a_missing_network_cannot() {
    let mut lab = lab().advert("all", json!({})).no_network(&["n1"]).excluded(&["n2"]);
    let candidates = |lab: &Lab| lab.ask("n2", &holding(&["192.0.2.1"])).unwrap().candidates;
    assert_eq!(candidates(&lab), names(&["n3"]));
    lab.ignore_exclude_label = true;
    assert_eq!(candidates(&lab), names(&["n2", "n3"]));
}

#[test]
fn a_drained_node_announces_nothing_whatever_is_said_of_the_label() {
    let mut lab = lab().advert("all", json!({})).excluded(&["n2"]);
    lab.config.nodes.get_mut("n1").unwrap().drained = true;
    lab.ignore_exclude_label = true;
    let wish = lab.ask("n1", &holding(&["192.0.2.1"])).unwrap();
    assert_eq!((wish.me, wish.candidates), (Err(Refusal::NodeDrained), names(&["n2", "n3"])));
}

#[test]
fn local_traffic_goes_to_nodes_with_an_endpoint_that_can_serve() {
    let lab = lab().advert("all", json!({})).endpoints(&[("n1", true), ("n1", true), ("n2", false), ("n3", true)]);
    assert_eq!(lab.ask("n2", &local(holding(&["2001:db8::1"]))).unwrap().candidates, names(&["n1", "n3"]));
    assert_eq!(lab.ask("n2", &holding(&["2001:db8::1"])).unwrap().candidates, names(&["n1", "n2", "n3"]));
}

#[test]
fn the_interfaces_of_a_node_add_up_over_the_advertisements_that_include_it() {
    let on = |zone: &str, interfaces: &[&str]| {
        let mut spec = nodes("zone", zone);
        spec["interfaces"] = json!(interfaces);
        spec
    };
    let mut other_pool = on("a", &["eth9"]);
    other_pool["ipAddressPools"] = json!(["six"]);
    let lab = lab()
        .node("n4", "d")
        .advert("1", on("a", &["eth0"]))
        .advert("2", on("a", &["eth1"]))
        .advert("3", on("b", &["eth2"]))
        .advert("4", on("b", &[]))
        .advert("5", on("c", &["eth3"]))
        .advert("6", other_pool);
    let named = |list: &[&str]| Interfaces::Named(names(list));
    let table = [
        ("n1", named(&["eth0", "eth1"])),
        ("n2", Interfaces::All),
        ("n3", named(&["eth3"])),
        ("n4", named(&[])),
        ("unknown", named(&[])),
    ];
    for (me, interfaces) in table {
        let wish = lab.ask(me, &holding(&["192.0.2.1"])).unwrap();
        assert_eq!((wish.interfaces, wish.candidates), (interfaces, names(&["n1", "n2", "n3"])), "{me}");
    }
}

#[test]
fn preferences_of_all_matching_advertisements_add_up() {
    let prefer = |weight: u32, zone: &str| json!({"weight": weight, "preference": {"matchLabels": {"zone": zone}}});
    let lab = lab()
        .advert(
            "1",
            json!({"preferredNodeSelectors": [prefer(10, "a"), prefer(5, "b"), {"weight": 1, "preference": {}}]}),
        )
        .advert("2", json!({"preferredNodeSelectors": [prefer(10, "a")]}))
        .advert("3", json!({"preferredNodeSelectors": [prefer(10, "a")], "ipAddressPools": ["six"]}))
        .excluded(&["n3"]);
    let wish = lab.ask("n1", &holding(&["192.0.2.1"])).unwrap();
    assert_eq!(wish.preference, BTreeMap::from([("n1".to_owned(), 21), ("n2".to_owned(), 6)]));
}

#[test]
fn a_service_selector_lets_its_services_through() {
    let lab = lab().advert("web", json!({"serviceSelectors": [{"matchLabels": {"app": "web"}}]}));
    assert!(lab.ask("n1", &labelled(holding(&["192.0.2.1"]))).is_ok());
}

#[test]
fn a_mistake_in_a_pool_silences_no_address_allocated_from_it() {
    let mut lab = lab().advert("four", json!({"ipAddressPools": ["four"]}));
    lab.config.pools.get_mut("four").unwrap().spec.addresses.push("192.0.2.1".to_owned());
    let held = Service { allocated_from: Some("four".to_owned()), ..holding(&["192.0.2.1"]) };
    assert_eq!(lab.ask("n1", &held).unwrap().candidates, names(&["n1", "n2", "n3"]));
    assert_eq!(lab.ask("n1", &holding(&["192.0.2.1"])), Err(Refusal::IpNotAllowed));
}

#[test]
fn reasons_are_the_words_metallb_users_know() {
    let table = [
        (Refusal::NotLoadBalancer, "notLoadBalancer"),
        (Refusal::NoIpAllocated, "noIPAllocated"),
        (Refusal::IpNotAllowed, "ipNotAllowed"),
        (Refusal::NoEndpoints, "noEndpoints"),
        (Refusal::SharedIpWithServiceSelector, "sharedIPWithServiceSelector"),
        (Refusal::NoMatchingAdvertisement, "noMatchingAdvertisement"),
        (Refusal::ConflictingAdvertisements, "conflictingAdvertisements"),
        (Refusal::NodeNetworkUnavailable, "nodeNetworkUnavailable"),
        (Refusal::NodeExcluded, "nodeLabeledExcludeBalancers"),
        (Refusal::NoEligibleNode, "noEligibleNode"),
        (Refusal::NoLocalEndpoints, "noLocalEndpoints"),
        (Refusal::NoPeer, "noPeer"),
    ];
    for (refusal, word) in table {
        assert_eq!((refusal.as_str(), refusal.to_string()), (word, word.to_owned()));
    }
}

/// Three nodes n1, n2, n3 in the zones a, b, c; a pool of each sort; an endpoint on n1.
fn lab() -> Lab {
    let pool = |addresses: &[&str]| from_value(json!({"metadata": {}, "spec": {"addresses": addresses}})).unwrap();
    let pools =
        [("four", &["192.0.2.0/24"][..]), ("six", &["2001:db8::/120"]), ("dual", &["198.51.100.0/24", "fd00::/120"])];
    let config = Config { pools: pools.map(|(name, list)| (name.to_owned(), pool(list))).into(), ..Config::default() };
    let lab = Lab { config, endpoints: vec![], ignore_exclude_label: false };
    lab.node("n1", "a").node("n2", "b").node("n3", "c").endpoints(&[("n1", true)])
}

struct Lab {
    config: Config,
    endpoints: Vec<Endpoint>,
    ignore_exclude_label: bool,
}

impl Lab {
    fn ask(&self, me: &str, asked: &Service) -> Result<Wish, Refusal> {
        let (resolved, _): (Resolved, _) = resolve(&self.config);
        let view = View {
            resolved: &resolved,
            nodes: &self.config.nodes,
            me,
            ignore_exclude_label: self.ignore_exclude_label,
        };
        service(&view, asked, &self.endpoints)
    }

    fn node(mut self, name: &str, zone: &str) -> Self {
        let facts = NodeFacts { labels: labels("zone", zone), ..NodeFacts::default() };
        self.config.nodes.insert(name.to_owned(), facts);
        self
    }

    fn advert(mut self, name: &str, spec: Value) -> Self {
        let object = from_value(json!({"metadata": {}, "spec": spec})).unwrap();
        self.config.l2_advertisements.insert(name.to_owned(), object);
        self
    }

    fn endpoints(mut self, list: &[(&str, bool)]) -> Self {
        let endpoint = |&(node, can_serve): &(&str, bool)| {
            let node = Some(node.to_owned()).filter(|node| !node.is_empty());
            Endpoint { node, can_serve, address: None }
        };
        self.endpoints = list.iter().map(endpoint).collect();
        self
    }

    fn no_network(mut self, nodes: &[&str]) -> Self {
        nodes.iter().for_each(|&name| self.config.nodes.get_mut(name).unwrap().network_unavailable = true);
        self
    }

    fn excluded(mut self, nodes: &[&str]) -> Self {
        for &name in nodes {
            let labels = &mut self.config.nodes.get_mut(name).unwrap().labels;
            labels.insert("node.kubernetes.io/exclude-from-external-load-balancers".to_owned(), String::new());
        }
        self
    }
}

fn holding(ips: &[&str]) -> Service {
    let ingress: Vec<Value> = ips.iter().map(|ip| json!({"ip": ip})).collect();
    let written = json!({
        "metadata": {"namespace": "shop", "name": "web"},
        "spec": {"type": "LoadBalancer"},
        "status": {"loadBalancer": {"ingress": ingress}},
    });
    let written: k8s_openapi::api::core::v1::Service = from_value(written).unwrap();
    Service::from(&written)
}

fn local(service: Service) -> Service {
    Service { traffic_policy: TrafficPolicy::Local, ..service }
}

fn shared(service: Service) -> Service {
    Service { sharing_key: Some("k".to_owned()), sharing_annotated: true, ..service }
}

fn labelled(service: Service) -> Service {
    Service { labels: labels("app", "web"), ..service }
}

fn nodes(key: &str, value: &str) -> Value {
    json!({"nodeSelectors": [{"matchLabels": {key: value}}]})
}

fn labels(key: &str, value: &str) -> Labels {
    [(key.to_owned(), value.to_owned())].into()
}

fn names(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|&name| name.to_owned()).collect()
}
