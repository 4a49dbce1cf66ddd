//! All Services together, and the promises at the top of the crate.

#![allow(clippy::unwrap_used, reason = "a test whose input cannot be built has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use herald_crds::model::{Config, Endpoint, Interfaces, NodeFacts, Service, ServiceKey, resolve};
use herald_desire::{Address, Book, Desired, Refusal, View, Wish, service};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, from_value, json};

#[test]
fn a_refused_service_wants_nothing() {
    assert_eq!(desired(&BTreeMap::from([(key("web"), Err(Refusal::NoEndpoints))])), Desired::default());
}

#[test]
fn both_families_of_a_service_are_ranked_by_its_first_address() {
    let wanted = desired(&BTreeMap::from([(key("web"), Ok(wish(&["2001:db8::1", "192.0.2.1"], &["n1", "n2"])))]));
    let address = Address {
        services: BTreeSet::from([key("web")]),
        pool: "p".to_owned(),
        candidates: names(&["n1", "n2"]),
        preference: BTreeMap::new(),
        interfaces: Interfaces::All,
        order_by: ip("2001:db8::1"),
    };
    let expected = [(ip("192.0.2.1"), address.clone()), (ip("2001:db8::1"), address)];
    assert_eq!(wanted, Desired { addresses: expected.into() });
}

#[test]
fn a_shared_address_is_for_the_nodes_that_serve_all_its_services() {
    let wishes = BTreeMap::from([
        (key("dns-tcp"), Ok(wish(&["192.0.2.1"], &["n1", "n2"]))),
        (key("dns-udp"), Ok(wish(&["192.0.2.1", "2001:db8::1"], &["n2", "n3"]))),
        (key("ntp"), Err(Refusal::NoEndpoints)),
    ]);
    let addresses = desired(&wishes).addresses;
    let shared = addresses.get(&ip("192.0.2.1")).unwrap();
    assert_eq!(
        (&shared.services, &shared.candidates),
        (&BTreeSet::from([key("dns-tcp"), key("dns-udp")]), &names(&["n2"]))
    );
    let alone = addresses.get(&ip("2001:db8::1")).unwrap();
    assert_eq!((&alone.candidates, alone.order_by), (&names(&["n2", "n3"]), ip("192.0.2.1")));
}

#[test]
fn a_shared_address_goes_to_nodes_that_serve_some_while_none_serves_all() {
    let wishes =
        BTreeMap::from([(key("a"), Ok(wish(&["192.0.2.1"], &["n1"]))), (key("b"), Ok(wish(&["192.0.2.1"], &["n2"])))]);
    assert_eq!(desired(&wishes).addresses.get(&ip("192.0.2.1")).unwrap().candidates, names(&["n1", "n2"]));
}

proptest! {
    #[test]
    fn an_address_is_wanted_if_and_only_if_somebody_wishes_for_it_and_then_somebody_may_own_it(wishes in wishes()) {
        let wanted = desired(&wishes).addresses;
        let wished: BTreeSet<IpAddr> = wishes.values().flatten().flat_map(|wish| wish.ips.clone()).collect();
        prop_assert_eq!(wanted.keys().copied().collect::<BTreeSet<_>>(), wished);
        for (ip, address) in &wanted {
            let of = |wish: &Wish| wish.ips.contains(ip);
            let askers = wishes.iter().filter(|(_, wish)| wish.as_ref().is_ok_and(of));
            let askers: BTreeMap<_, _> = askers.map(|(key, wish)| (key.clone(), wish.clone().unwrap())).collect();
            prop_assert!(!address.candidates.is_empty());
            prop_assert!(address.candidates.iter().all(|node| askers.values().any(|wish| wish.candidates.contains(node))));
            let firsts: BTreeSet<_> = askers.values().map(|wish| wish.ips[0]).collect();
            prop_assert_eq!(Some(&address.order_by), firsts.first());
            prop_assert_eq!(&address.services, &askers.into_keys().collect());
        }
    }

    #[test]
    fn what_was_noted_before_leaves_no_trace(edits in vec(("[a-f]", option::of(outcomes())), 0..30)) {
        let (mut book, mut last) = (Book::default(), BTreeMap::new());
        for (name, outcome) in edits {
            book.note(&key(&name), outcome.clone());
            match outcome {
                Some(outcome) => drop(last.insert(key(&name), outcome)),
                None => drop(last.remove(&key(&name))),
            }
            prop_assert!(book.wishes().iter().eq(last.iter()));
            prop_assert_eq!(book.desired(), &desired(&last));
        }
    }

    #[test]
    fn who_asks_changes_nothing_that_others_must_agree_on(world in worlds()) {
        let (resolved, _) = resolve(&world.config);
        let ask = |me: &str| {
            let view = View { resolved: &resolved, nodes: &world.config.nodes, me, ignore_exclude_label: world.ignore };
            service(&view, &world.service, &world.endpoints)
        };
        let first = ask("a");
        for me in ["b", "c", "nobody"] {
            let common = |wish: Result<Wish, Refusal>| wish.map(|w| (w.pool, w.ips, w.candidates, w.preference));
            prop_assert_eq!(common(ask(me)), common(first.clone()));
        }
        for me in ["a", "b", "c", "nobody"] {
            let Ok(wish) = ask(me) else { continue };
            prop_assert!(!wish.candidates.is_empty());
            prop_assert_eq!(wish.me.is_ok(), wish.candidates.contains(me));
            prop_assert!(wish.me.is_err() || wish.interfaces != Interfaces::Named(BTreeSet::new()));
            prop_assert!(wish.preference.keys().all(|node| wish.candidates.contains(node)));
        }
    }
}

/// All wishes together, noted one after the other.
fn desired(wishes: &BTreeMap<ServiceKey, Result<Wish, Refusal>>) -> Desired {
    let mut book = Book::default();
    wishes.iter().for_each(|(key, outcome)| book.note(key, Some(outcome.clone())));
    book.desired().clone()
}

fn wishes() -> impl Strategy<Value = BTreeMap<ServiceKey, Result<Wish, Refusal>>> {
    vec(("[a-f]", outcomes()), 0..6).prop_map(|list| list.into_iter().map(|(name, wish)| (key(&name), wish)).collect())
}

fn outcomes() -> impl Strategy<Value = Result<Wish, Refusal>> {
    let ips = select(vec![
        vec!["192.0.2.1"],
        vec!["192.0.2.2"],
        vec!["2001:db8::1"],
        vec!["192.0.2.1", "2001:db8::1"],
        vec!["2001:db8::2", "192.0.2.2"],
    ]);
    let nodes = btree_set("[a-d]", 1..4);
    prop_oneof![
        3 => (ips, nodes).prop_map(|(ips, nodes)| Ok(Wish { candidates: nodes, ..wish(&ips, &[]) })),
        1 => Just(Err(Refusal::NoLocalEndpoints)),
    ]
}

#[derive(Debug)]
struct World {
    config: Config,
    service: Service,
    endpoints: Vec<Endpoint>,
    ignore: bool,
}

fn worlds() -> impl Strategy<Value = World> {
    let flag = any::<bool>;
    let node = (select(vec!["x", "y"]), prop::bool::weighted(0.2), prop::bool::weighted(0.2)).prop_map(
        |(zone, unavailable, excluded)| {
            let mut labels = BTreeMap::from([("zone".to_owned(), zone.to_owned())]);
            if excluded {
                labels.insert("node.kubernetes.io/exclude-from-external-load-balancers".to_owned(), String::new());
            }
            NodeFacts { labels, network_unavailable: unavailable, ..NodeFacts::default() }
        },
    );
    let nodes = vec(("[abc]", node), 0..5);
    let adverts = vec((select(vec![Value::Null, json!("x"), json!("y")]), flag(), flag(), flag()), 0..4);
    let endpoints = vec((option::of("[abc]"), flag()), 0..4);
    (nodes, adverts, endpoints, flag(), flag(), flag(), flag()).prop_map(|(nodes, adverts, endpoints, six, local, shared, ignore)| {
        let pool = json!({"metadata": {}, "spec": {"addresses": ["192.0.2.0/24", "2001:db8::/120"]}});
        let adverts = adverts.into_iter().enumerate().map(|(at, (zone, interface, selective, preferring))| {
            let selectors: Vec<Value> = zone.as_str().map(|zone| json!({"matchLabels": {"zone": zone}})).into_iter().collect();
            let spec = json!({
                "nodeSelectors": selectors,
                "interfaces": if interface { json!(["eth0"]) } else { json!([]) },
                "serviceSelectors": if selective { json!([{}]) } else { json!([]) },
                "preferredNodeSelectors": if preferring { json!([{"weight": 1, "preference": {}}]) } else { json!([]) },
            });
            (at.to_string(), from_value(json!({"metadata": {}, "spec": spec})).unwrap())
        });
        let written = json!({
            "metadata": {"annotations": if shared { json!({"metallb.io/allow-shared-ip": "k"}) } else { json!({}) }},
            "spec": {"type": "LoadBalancer", "externalTrafficPolicy": if local { "Local" } else { "Cluster" }},
            "status": {"loadBalancer": {"ingress": [{"ip": if six { "2001:db8::1" } else { "192.0.2.1" }}]}},
        });
        let written: k8s_openapi::api::core::v1::Service = from_value(written).unwrap();
        World {
            config: Config {
                pools: [("p".to_owned(), from_value(pool).unwrap())].into(),
                l2_advertisements: adverts.collect(),
                nodes: nodes.into_iter().collect(),
                ..Config::default()
            },
            service: Service::from(&written),
            endpoints: endpoints.into_iter().map(|(node, can_serve)| Endpoint { node, can_serve, address: None }).collect(),
            ignore,
        }
    })
}

fn wish(ips: &[&str], candidates: &[&str]) -> Wish {
    Wish {
        pool: "p".to_owned(),
        ips: ips.iter().map(|text| ip(text)).collect(),
        candidates: names(candidates),
        preference: BTreeMap::new(),
        interfaces: Interfaces::All,
        me: Ok(()),
    }
}

fn key(name: &str) -> ServiceKey {
    ServiceKey::new("shop", name)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn names(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|&name| name.to_owned()).collect()
}
