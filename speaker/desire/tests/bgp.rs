//! What one node announces by BGP: the gates of a Service, and the routes of each peer.

#![allow(clippy::unwrap_used, reason = "a test whose input cannot be built has failed")]

use std::collections::{BTreeMap, BTreeSet};

use herald_crds::model::{Community, Config, Endpoint, NodeFacts, Resolved, Service, ServiceKey, resolve};
use herald_desire::bgp::{Attributes, Book, Desired, Routes, Wish, service};
use herald_desire::{Refusal, View};
use ipnet::IpNet;
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, from_value, json};

#[test]
fn a_plain_service_goes_to_every_peer_of_the_node_that_takes_its_family() {
    let lab = lab().advert("all", json!({}));
    for (ips, prefixes, peers) in [
        (vec!["192.0.2.1"], vec!["192.0.2.1/32"], vec!["both", "four", "port"]),
        (vec!["2001:db8::1"], vec!["2001:db8::1/128"], vec!["both", "port", "six"]),
        (vec!["198.51.100.1", "fd00::1"], vec!["198.51.100.1/32", "fd00::1/128"], vec!["both", "four", "port", "six"]),
    ] {
        let wish = lab.ask("n1", &holding(&ips)).unwrap();
        let asked = |prefix: &str| (net(prefix), names(&["all"]));
        assert_eq!(wish.prefixes, prefixes.into_iter().map(asked).collect());
        assert_eq!(wish.peers, names(&peers));
        assert_eq!(wish.ips, ips.iter().map(|ip| ip.parse().unwrap()).collect::<Vec<std::net::IpAddr>>());
    }
}

#[test]
fn the_first_gate_that_is_not_passed_is_the_reason() {
    let all = || lab().advert("all", json!({}));
    let held = || holding(&["192.0.2.1"]);
    let here = |zone: &str| json!({"nodeSelectors": [{"matchLabels": {"zone": zone}}]});
    let web = || json!([{"matchLabels": {"app": "web"}}]);
    let disagreeing = || {
        lab()
            .advert("one", json!({"serviceSelectors": web(), "localPref": 1}))
            .advert("two", json!({"serviceSelectors": [{}], "localPref": 2}))
    };
    let local = |service: Service| Service { traffic_policy: herald_crds::model::TrafficPolicy::Local, ..service };
    let labelled = |service: Service| Service { labels: BTreeMap::from([("app".into(), "web".into())]), ..service };
    let other = |service: Service| Service { kind: herald_crds::model::ServiceKind::Other, ..service };
    let table: Vec<(Lab, Service, Result<(), Refusal>)> = vec![
        (all(), held(), Ok(())),
        (all(), other(held()), Err(Refusal::NotLoadBalancer)),
        (all(), holding(&[]), Err(Refusal::NoIpAllocated)),
        (all(), holding(&["203.0.113.1"]), Err(Refusal::IpNotAllowed)),
        (all().endpoints(&[("n1", false)]), held(), Err(Refusal::NoEndpoints)),
        (lab(), held(), Err(Refusal::NoMatchingAdvertisement)),
        (lab().advert("x", here("b")), held(), Err(Refusal::NoMatchingAdvertisement)),
        (lab().advert("x", json!({"ipAddressPools": ["six"]})), held(), Err(Refusal::NoMatchingAdvertisement)),
        (lab().advert("x", json!({"serviceSelectors": web()})), held(), Err(Refusal::NoMatchingAdvertisement)),
        (lab().advert("x", json!({"serviceSelectors": web()})), labelled(held()), Ok(())),
        (disagreeing(), held(), Ok(())),
        (disagreeing(), labelled(held()), Err(Refusal::ConflictingAdvertisements)),
        (all().no_network("n1"), held(), Err(Refusal::NodeNetworkUnavailable)),
        (all().no_network("n2"), held(), Ok(())),
        (all().excluded("n1"), held(), Err(Refusal::NodeExcluded)),
        (all().excluded("n2"), held(), Ok(())),
        (all().endpoints(&[("n2", true), ("n1", false)]), local(held()), Err(Refusal::NoLocalEndpoints)),
        (all().endpoints(&[("n2", true)]), held(), Ok(())),
        (all().endpoints(&[("n1", true)]), local(held()), Ok(())),
        (lab().advert("x", json!({"peers": ["six", "unheard-of"]})), held(), Err(Refusal::NoPeer)),
        (lab().advert("x", json!({"peers": ["elsewhere"]})), held(), Err(Refusal::NoPeer)),
    ];
    for (at, (lab, service, outcome)) in table.iter().enumerate() {
        assert_eq!(lab.ask("n1", service).map(drop), *outcome, "row {at}");
        assert!(lab.ask("unknown", service).is_err(), "row {at} asked by nobody");
    }
}

#[test]
fn an_excluded_node_announces_where_the_label_is_ignored() {
    let lab = Lab { ignore_exclude_label: true, ..lab().advert("all", json!({})).excluded("n1") };
    assert!(lab.ask("n1", &holding(&["192.0.2.1"])).is_ok());
}

#[test]
fn advertisements_that_disagree_towards_different_peers_do_not_conflict() {
    let web = || json!([{}]);
    let lab = lab()
        .advert("one", json!({"serviceSelectors": web(), "localPref": 1, "peers": ["four"]}))
        .advert("two", json!({"serviceSelectors": web(), "localPref": 2, "peers": ["both"]}));
    let routes = lab.routes("n1", &[("web", holding(&["192.0.2.1"]))]);
    let pref = |peer: &str| routes[peer].get(&net("192.0.2.1/32")).unwrap().local_pref;
    assert_eq!((pref("four"), pref("both")), (1, 2));
    assert!(routes["port"].is_empty());
}

#[test]
fn every_length_is_a_prefix_of_its_own_and_what_is_said_about_one_prefix_adds_up() {
    let lab = lab()
        .community("vpn", "65000:1")
        .advert("host", json!({"communities": ["vpn", "65000:2"], "ipAddressPools": ["dual"]}))
        .advert("more", json!({"communities": ["large:1:2:3", "65000:2"], "peers": ["four", "six"]}))
        .advert("wide", json!({"aggregationLength": 24, "aggregationLengthV6": 120, "localPref": 200}));
    let routes = lab.routes("n1", &[("web", holding(&["198.51.100.1", "fd00::1"]))]);
    let (vpn, two, large) = (Community::Standard(65000, 1), Community::Standard(65000, 2), Community::Large(1, 2, 3));
    let host =
        |communities: &[Community]| Attributes { local_pref: 0, communities: communities.iter().copied().collect() };
    let wide = Attributes { local_pref: 200, communities: BTreeSet::new() };
    for (peer, expected) in [
        ("four", vec![("198.51.100.0/24", wide.clone()), ("198.51.100.1/32", host(&[vpn, two, large]))]),
        ("six", vec![("fd00::/120", wide.clone()), ("fd00::1/128", host(&[vpn, two, large]))]),
        (
            "both",
            vec![
                ("198.51.100.0/24", wide.clone()),
                ("198.51.100.1/32", host(&[vpn, two])),
                ("fd00::/120", wide.clone()),
                ("fd00::1/128", host(&[vpn, two])),
            ],
        ),
    ] {
        let got: BTreeMap<_, _> = routes[peer].iter().map(|(prefix, said)| (*prefix, (**said).clone())).collect();
        assert_eq!(got, expected.into_iter().map(|(prefix, said)| (net(prefix), said)).collect(), "{peer}");
    }
}

#[test]
fn an_aggregate_goes_with_the_last_service_in_it() {
    let lab = lab().advert("wide", json!({"aggregationLength": 24}));
    let (one, two) = (("one", holding(&["192.0.2.1"])), ("two", holding(&["192.0.2.2"])));
    let has = |services: &[(&str, Service)]| !lab.routes("n1", services)["four"].is_empty();
    assert!(has(&[one.clone(), two.clone()]));
    assert!(has(&[two]));
    assert!(!has(&[]));
}

#[test]
fn services_on_one_address_that_disagree_are_told_with_the_highest_preference() {
    let app = |app: &str| json!([{"matchLabels": {"app": app}}]);
    let lab = lab()
        .advert("a", json!({"serviceSelectors": app("a"), "localPref": 1}))
        .advert("b", json!({"serviceSelectors": app("b"), "localPref": 2}));
    let of = |app: &str| Service { labels: [("app".into(), app.into())].into(), ..holding(&["192.0.2.1"]) };
    let routes = lab.routes("n1", &[("a", of("a")), ("b", of("b"))]);
    assert_eq!(routes["four"].get(&net("192.0.2.1/32")).unwrap().local_pref, 2);
}

#[test]
fn a_peer_that_gets_nothing_is_there_and_one_of_another_node_is_not() {
    let routes = lab().routes("n1", &[]);
    assert_eq!(routes.keys().map(String::as_str).collect::<Vec<_>>(), ["both", "four", "port", "six"]);
    assert!(routes.values().all(Routes::is_empty));
    assert_eq!(lab().routes("n2", &[]).into_keys().collect::<Vec<_>>(), ["elsewhere"]);
}

proptest! {
    #[test]
    fn a_prefix_goes_to_a_peer_if_and_only_if_some_service_asks_for_that(world in worlds()) {
        let (resolved, _) = resolve(&world.config);
        let view = View { resolved: &resolved, nodes: &world.config.nodes, me: "n1", ignore_exclude_label: false };
        let wishes = world.wishes(&view);
        let routes = desired(&view, wishes.values().flatten());
        let mut asked: BTreeMap<(String, IpNet), (u32, BTreeSet<Community>)> = BTreeMap::new();
        for (prefix, advert) in wishes.values().flatten().flat_map(|wish| &wish.prefixes).flat_map(|(p, a)| a.iter().map(move |a| (p, a))) {
            let advert = &resolved.bgp_advertisements[advert];
            for peer in resolved.bgp_peers.values().filter(|peer| peer.nodes.contains("n1") && advert.peers.include(&peer.name)) {
                if peer.name == "four" && prefix.addr().is_ipv6() || peer.name == "six" && prefix.addr().is_ipv4() {
                    continue;
                }
                let sum = asked.entry((peer.name.clone(), *prefix)).or_default();
                sum.0 = sum.0.max(advert.local_pref);
                sum.1.extend(&advert.communities);
            }
        }
        let told = routes.iter().flat_map(|(peer, routes)| routes.iter().map(move |(prefix, said)| {
            ((peer.clone(), *prefix), (said.local_pref, said.communities.clone()))
        }));
        prop_assert_eq!(told.collect::<BTreeMap<_, _>>(), asked);
    }

    #[test]
    fn a_wish_has_a_prefix_around_each_address_and_only_peers_that_get_one(world in worlds()) {
        let (resolved, _) = resolve(&world.config);
        let view = View { resolved: &resolved, nodes: &world.config.nodes, me: "n1", ignore_exclude_label: false };
        let wishes = world.wishes(&view);
        for wish in wishes.values() {
            let Ok(wish) = wish else { continue };
            prop_assert!(!wish.peers.is_empty());
            for ip in &wish.ips {
                prop_assert!(wish.prefixes.keys().any(|prefix| prefix.contains(ip)));
            }
            prop_assert!(wish.prefixes.keys().all(|prefix| wish.ips.iter().any(|ip| prefix.contains(ip))));
            let alone = desired(&view, [wish]);
            let getting = alone.iter().filter(|(_, routes)| !routes.is_empty()).map(|(peer, _)| peer.clone());
            prop_assert_eq!(&getting.collect::<BTreeSet<_>>(), &wish.peers);
        }
    }
}

proptest! {
    #[test]
    fn what_is_noted_one_by_one_over_changes_of_everything_is_what_one_look_gives(
        worlds in vec(worlds(), 1..4),
        edits in vec((0usize..5, 0usize..5), 0..12),
    ) {
        let mut book = Book::default();
        let mut known: BTreeMap<ServiceKey, Wish> = BTreeMap::new();
        for world in &worlds {
            let (resolved, _) = resolve(&world.config);
            let view = View { resolved: &resolved, nodes: &world.config.nodes, me: "n1", ignore_exclude_label: false };
            let wishes = world.wishes(&view);
            for key in known.keys().chain(wishes.keys()).cloned().collect::<BTreeSet<_>>() {
                book.note(&view, &key, wishes.get(&key).and_then(|wish| wish.clone().ok()));
            }
            book.renew(&view);
            known = wishes.into_iter().filter_map(|(key, wish)| Some((key, wish.ok()?))).collect();
            // Services take over what others wished for, or stop to wish.
            for (to, from) in &edits {
                let key = |number: &usize| ServiceKey::new("shop", number.to_string());
                let wish = known.get(&key(from)).cloned();
                book.note(&view, &key(to), wish.clone());
                match wish {
                    Some(wish) => drop(known.insert(key(to), wish)),
                    None => drop(known.remove(&key(to))),
                }
            }
            prop_assert_eq!(book.desired(), &desired(&view, known.values()));
        }
    }
}

/// What one look at these wishes gives.
fn desired<'a>(view: &View<'_>, wishes: impl IntoIterator<Item = &'a Wish>) -> Desired {
    let mut book = Book::default();
    book.renew(view);
    for (at, wish) in wishes.into_iter().enumerate() {
        book.note(view, &ServiceKey::new("shop", at.to_string()), Some(wish.clone()));
    }
    book.desired().clone()
}

#[derive(Debug)]
struct World {
    config: Config,
    services: BTreeMap<String, Service>,
}

impl World {
    fn wishes(&self, view: &View<'_>) -> BTreeMap<ServiceKey, Result<Wish, Refusal>> {
        let endpoints = [Endpoint { node: Some("n1".to_owned()), can_serve: true, address: None }];
        let ask =
            |(name, asked): (&String, &Service)| (ServiceKey::new("shop", name), service(view, asked, &endpoints));
        self.services.iter().map(ask).collect()
    }
}

fn worlds() -> impl Strategy<Value = World> {
    let peers = || btree_set(select(vec!["four", "six", "both", "elsewhere"]), 0..3);
    let communities = || btree_set(select(vec!["65000:1", "65000:2", "large:1:2:3"]), 0..3);
    let advert = (peers(), communities(), any::<bool>(), 0u32..3, any::<bool>());
    let ips = select(vec![
        vec!["198.51.100.1"],
        vec!["198.51.100.2"],
        vec!["fd00::1"],
        vec!["198.51.100.1", "fd00::1"],
        vec!["192.0.2.1"],
        vec![],
    ]);
    (vec(advert, 0..4), vec((ips, any::<bool>()), 0..5)).prop_map(|(adverts, services)| {
        let mut lab = lab();
        for (at, (peers, communities, wide, local_pref, selective)) in adverts.into_iter().enumerate() {
            let mut spec = json!({"peers": peers, "communities": communities, "localPref": local_pref});
            if wide {
                spec["aggregationLength"] = json!(24);
            } else if selective {
                spec["serviceSelectors"] = json!([{"matchLabels": {"app": "web"}}]);
            }
            lab = lab.advert(&at.to_string(), spec);
        }
        let service = |(at, (ips, labelled)): (usize, (Vec<&str>, bool))| {
            let labels = labelled.then(|| ("app".to_owned(), "web".to_owned())).into_iter().collect();
            (at.to_string(), Service { labels, ..holding(&ips) })
        };
        World { config: lab.config, services: services.into_iter().enumerate().map(service).collect() }
    })
}

/// Two nodes n1, n2 in the zones a, b; a pool of each sort; an endpoint on n1; peers of n1 with IPv4, IPv6, both, and behind a port;
/// one of n2.
fn lab() -> Lab {
    let pool = |addresses: &[&str]| from_value(json!({"metadata": {}, "spec": {"addresses": addresses}})).unwrap();
    let pools =
        [("four", &["192.0.2.0/24"][..]), ("six", &["2001:db8::/120"]), ("dual", &["198.51.100.0/24", "fd00::/120"])];
    let peer = |zone: &str, spec: Value| {
        let mut whole = json!({"myASN": 64512, "peerASN": 64513, "nodeSelectors": [{"matchLabels": {"zone": zone}}]});
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        from_value(json!({"metadata": {}, "spec": whole})).unwrap()
    };
    let peers = [
        ("four", peer("a", json!({"peerAddress": "10.0.0.1"}))),
        ("six", peer("a", json!({"peerAddress": "fd01::1"}))),
        ("both", peer("a", json!({"peerAddress": "10.0.0.2", "dualStackAddressFamily": true}))),
        ("port", peer("a", json!({"interface": "eth1"}))),
        ("elsewhere", peer("b", json!({"peerAddress": "10.0.0.3"}))),
    ];
    let node = |zone: &str| NodeFacts { labels: [("zone".into(), zone.into())].into(), ..NodeFacts::default() };
    let config = Config {
        pools: pools.map(|(name, list)| (name.to_owned(), pool(list))).into(),
        bgp_peers: peers.map(|(name, peer)| (name.to_owned(), peer)).into(),
        nodes: [("n1".to_owned(), node("a")), ("n2".to_owned(), node("b"))].into(),
        ..Config::default()
    };
    Lab { config, endpoints: vec![], ignore_exclude_label: false }.endpoints(&[("n1", true)])
}

struct Lab {
    config: Config,
    endpoints: Vec<Endpoint>,
    ignore_exclude_label: bool,
}

impl Lab {
    fn look<T>(&self, me: &str, see: impl FnOnce(&View<'_>) -> T) -> T {
        let (resolved, _): (Resolved, _) = resolve(&self.config);
        let ignore_exclude_label = self.ignore_exclude_label;
        see(&View { resolved: &resolved, nodes: &self.config.nodes, me, ignore_exclude_label })
    }

    fn ask(&self, me: &str, asked: &Service) -> Result<Wish, Refusal> {
        self.look(me, |view| service(view, asked, &self.endpoints))
    }

    fn routes(&self, me: &str, services: &[(&str, Service)]) -> Desired {
        self.look(me, |view| {
            let wishes: Vec<_> =
                services.iter().filter_map(|(_, asked)| service(view, asked, &self.endpoints).ok()).collect();
            desired(view, &wishes)
        })
    }

    fn advert(mut self, name: &str, spec: Value) -> Self {
        let object = from_value(json!({"metadata": {}, "spec": spec})).unwrap();
        self.config.bgp_advertisements.insert(name.to_owned(), object);
        self
    }

    fn community(mut self, alias: &str, value: &str) -> Self {
        let spec = json!({"communities": [{"name": alias, "value": value}]});
        self.config.communities.insert(alias.to_owned(), from_value(json!({"metadata": {}, "spec": spec})).unwrap());
        self
    }

    fn endpoints(mut self, list: &[(&str, bool)]) -> Self {
        let endpoint =
            |&(node, can_serve): &(&str, bool)| Endpoint { node: Some(node.to_owned()), can_serve, address: None };
        self.endpoints = list.iter().map(endpoint).collect();
        self
    }

    fn no_network(mut self, node: &str) -> Self {
        self.config.nodes.get_mut(node).unwrap().network_unavailable = true;
        self
    }

    fn excluded(mut self, node: &str) -> Self {
        let labels = &mut self.config.nodes.get_mut(node).unwrap().labels;
        labels.insert("node.kubernetes.io/exclude-from-external-load-balancers".to_owned(), String::new());
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

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn names(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|&name| name.to_owned()).collect()
}
