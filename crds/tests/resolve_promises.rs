//! The promises at the top of the crate, on any configuration.

#![allow(clippy::unwrap_used, reason = "a test whose input cannot be built has failed")]

use std::collections::BTreeSet;

use herald_crds::api::{BGPAdvertisement, BGPPeer, IPAddressPool, L2Advertisement};
use herald_crds::model::{Candidate, Change, Config, Kind, NodeFacts, ProblemReason, admit, resolve};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, from_value, json};

proptest! {
    #[test]
    fn no_two_pools_in_force_hold_the_same_address(config in configs()) {
        let (resolved, _) = resolve(&config);
        let ranges: Vec<_> = resolved.pools.values().flat_map(|pool| &pool.ranges).collect();
        for (at, range) in ranges.iter().enumerate() {
            for other in &ranges[at + 1..] {
                prop_assert!(!range.overlaps(other), "{range} and {other}");
            }
        }
    }

    #[test]
    fn every_object_is_in_force_or_has_a_problem_and_never_both(config in configs()) {
        let (resolved, problems) = resolve(&config);
        let with_problems = |kind| -> BTreeSet<&String> {
            problems.iter().filter(|p| p.object.kind == kind).map(|p| &p.object.name).collect()
        };
        let written: BTreeSet<_> = config.pools.keys().collect();
        let in_force: BTreeSet<_> = resolved.pools.keys().collect();
        prop_assert_eq!(&written - &in_force, with_problems(Kind::IPAddressPool));
        prop_assert_eq!(&written - &in_force, resolved.set_aside.iter().collect());
        let written: BTreeSet<_> = config.l2_advertisements.keys().collect();
        let in_force: BTreeSet<_> = resolved.l2_advertisements.keys().collect();
        prop_assert_eq!(&written - &in_force, with_problems(Kind::L2Advertisement));
        prop_assert!(problems.iter().all(|p| !p.message.is_empty()));

        let waiting = |kind| -> BTreeSet<&String> {
            resolved.waiting.iter().filter(|w| w.object.kind == kind).map(|w| &w.object.name).collect()
        };
        let adverts = (config.bgp_advertisements.keys().collect(), resolved.bgp_advertisements.keys().collect());
        let peers = (config.bgp_peers.keys().collect(), resolved.bgp_peers.keys().collect());
        let profiles = (config.bfd_profiles.keys().collect(), resolved.bfd_profiles.keys().collect());
        for (kind, (written, in_force)) in
            [(Kind::BGPAdvertisement, adverts), (Kind::BGPPeer, peers), (Kind::BFDProfile, profiles)]
        {
            let (wrong, waiting): (BTreeSet<&String>, _) = (with_problems(kind), waiting(kind));
            prop_assert!(wrong.is_disjoint(&in_force) && wrong.is_disjoint(&waiting) && waiting.is_disjoint(&in_force));
            prop_assert_eq!(&(&wrong | &waiting) | &in_force, written);
        }
        prop_assert!(resolved.waiting.iter().all(|waiting| !waiting.missing.is_empty()));
    }

    #[test]
    fn advertisements_in_force_never_contradict_each_other(config in configs()) {
        let (resolved, _) = resolve(&config);
        // Those that select Services may, Service by Service: the speaker looks then.
        let adverts: Vec<_> = resolved.bgp_advertisements.values().filter(|a| a.service_selectors.is_empty()).collect();
        for (at, one) in adverts.iter().enumerate() {
            for other in &adverts[at + 1..] {
                for pool in one.pools.intersection(&other.pools).filter_map(|name| resolved.pools.get(name)) {
                    prop_assert!(!one.contradicts(other, pool));
                }
            }
        }
    }

    #[test]
    fn nothing_in_force_is_lost_to_a_slip(before in configs(), after in configs()) {
        let was = resolve(&before).0;
        let mut is = resolve(&after).0;
        is.keep_advertisements(&was, &after);
        for name in was.bgp_peers.keys().filter(|name| after.bgp_peers.contains_key(*name)) {
            prop_assert!(is.bgp_peers.contains_key(name));
        }
        for name in was.bgp_advertisements.keys().filter(|name| after.bgp_advertisements.contains_key(*name)) {
            prop_assert!(is.bgp_advertisements.contains_key(name));
        }
    }

    #[test]
    fn what_is_admitted_puts_nobody_out_of_force(config in configs(), pool in pool(), name in name()) {
        let mut pool = pool;
        pool.metadata.name = Some(name.clone());
        let candidate = Candidate::IPAddressPool(Box::new(pool.clone()));
        if admit(&config, "", Change::Update, &candidate).is_ok() {
            let bad = |config: &Config| -> BTreeSet<_> { resolve(config).1.into_iter().map(|p| p.object).collect() };
            let before = bad(&config);
            let mut after = config;
            after.pools.insert(name, pool);
            prop_assert!(bad(&after).is_subset(&before));
        }
    }

    #[test]
    fn an_object_set_aside_costs_the_others_nothing(config in configs()) {
        let (resolved, problems) = resolve(&config);
        let mut sound = config.clone();
        for problem in &problems {
            match problem.object.kind {
                Kind::IPAddressPool => drop(sound.pools.remove(&problem.object.name)),
                Kind::L2Advertisement => drop(sound.l2_advertisements.remove(&problem.object.name)),
                Kind::BGPAdvertisement => drop(sound.bgp_advertisements.remove(&problem.object.name)),
                Kind::BGPPeer => drop(sound.bgp_peers.remove(&problem.object.name)),
                Kind::BFDProfile => drop(sound.bfd_profiles.remove(&problem.object.name)),
                Kind::Community => drop(sound.communities.remove(&problem.object.name)),
            }
        }
        let (alone, left) = resolve(&sound);
        prop_assert_eq!(left, vec![]);
        prop_assert_eq!(alone.pools, resolved.pools);
        prop_assert!(alone.l2_advertisements.keys().eq(resolved.l2_advertisements.keys()));
    }

    #[test]
    fn a_pool_gives_way_only_to_an_older_one_in_force(config in configs()) {
        let (resolved, problems) = resolve(&config);
        let age = |name: &String| {
            let born = config.pools[name].metadata.creation_timestamp.as_ref().map(|t| t.0);
            (born.is_none(), born, name.clone())
        };
        for problem in problems.iter().filter(|p| p.reason == ProblemReason::OverlapsPool) {
            let older = resolved.pools.keys().filter(|name| problem.message.contains(&format!("IPAddressPool {name},")));
            let older: Vec<_> = older.collect();
            prop_assert_eq!(older.len(), 1, "{}", problem);
            prop_assert!(age(older[0]) < age(&problem.object.name));
        }
    }

    #[test]
    fn the_order_of_arrival_makes_no_difference(config in configs()) {
        let mut backwards = Config { namespaces: config.namespaces.clone(), nodes: config.nodes.clone(), ..Config::default() };
        backwards.pools.extend(config.pools.clone().into_iter().rev());
        backwards.l2_advertisements.extend(config.l2_advertisements.clone().into_iter().rev());
        backwards.bgp_advertisements.extend(config.bgp_advertisements.clone().into_iter().rev());
        backwards.bgp_peers.extend(config.bgp_peers.clone().into_iter().rev());
        backwards.bfd_profiles.extend(config.bfd_profiles.clone().into_iter().rev());
        backwards.communities.extend(config.communities.clone().into_iter().rev());
        prop_assert_eq!(resolve(&backwards), resolve(&config));
    }
}

/// Few names, few addresses, few labels, so that they meet; and mistakes of every kind.
fn configs() -> impl Strategy<Value = Config> {
    let pools = vec((name(), pool()), 0..8);
    let adverts = vec((name(), advert()), 0..4);
    let namespaces = vec((name(), labels()), 0..3);
    let bgp = (
        vec((name(), bgp_advert()), 0..4),
        vec((name(), peer()), 0..4),
        vec((name(), (9_u32..300, any::<bool>())), 0..3),
        vec((name(), born(), vec((name(), community()), 0..3)), 0..3),
        vec((name(), labels()), 0..3),
    );
    (pools, adverts, namespaces, bgp).prop_map(|(pools, adverts, namespaces, bgp)| Config {
        bgp_advertisements: bgp.0.into_iter().collect(),
        bgp_peers: bgp.1.into_iter().collect(),
        bfd_profiles: bgp
            .2
            .into_iter()
            .map(|(name, (interval, echo))| {
                (
                    name,
                    from_value(json!({"metadata": {}, "spec": {"receiveInterval": interval, "echoMode": echo}}))
                        .unwrap(),
                )
            })
            .collect(),
        communities: bgp
            .3
            .into_iter()
            .map(|(name, born, aliases)| {
                let aliases: Vec<Value> =
                    aliases.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
                let object = json!({"metadata": {"creationTimestamp": born}, "spec": {"communities": aliases}});
                (name, from_value(object).unwrap())
            })
            .collect(),
        nodes: bgp
            .4
            .into_iter()
            .map(|(name, labels)| (name, NodeFacts { labels: from_value(labels).unwrap(), ..NodeFacts::default() }))
            .collect(),
        pools: pools.into_iter().collect(),
        l2_advertisements: adverts.into_iter().collect(),
        namespaces: namespaces.into_iter().map(|(name, labels)| (name, from_value(labels).unwrap())).collect(),
        ..Config::default()
    })
}

fn name() -> impl Strategy<Value = String> {
    "[a-h]"
}

fn pool() -> impl Strategy<Value = IPAddressPool> {
    let allocation = prop_oneof![
        Just(Value::Null),
        (vec(name(), 0..3), selectors(), selectors(), -2_i64..3).prop_map(|(namespaces, by_label, services, priority)| json!({
            "namespaces": namespaces, "namespaceSelectors": by_label, "serviceSelectors": services, "priority": priority,
        })),
    ];
    (vec(entry(), 0..4), born(), labels(), allocation, any::<bool>()).prop_map(
        |(addresses, born, labels, allocation, avoid)| {
            let spec = json!({"addresses": addresses, "serviceAllocation": allocation, "avoidBuggyIPs": avoid});
            from_value(json!({"metadata": {"labels": labels, "creationTimestamp": born}, "spec": spec})).unwrap()
        },
    )
}

fn advert() -> impl Strategy<Value = L2Advertisement> {
    (vec(name(), 0..3), selectors(), selectors(), 0..102).prop_map(|(pools, by_label, services, weight)| {
        let preferred = json!([{"weight": weight, "preference": {}}]);
        from_value(json!({"metadata": {}, "spec": {
            "ipAddressPools": pools, "ipAddressPoolSelectors": by_label, "serviceSelectors": services, "preferredNodeSelectors": preferred,
        }}))
        .unwrap()
    })
}

fn bgp_advert() -> impl Strategy<Value = BGPAdvertisement> {
    let names = (vec(name(), 0..2), vec(name(), 0..2), vec(community(), 0..3));
    (names, selectors(), selectors(), 0..3_u32, select(vec![0, 24, 28, 32]), born()).prop_map(
        |((pools, peers, communities), nodes, services, preference, length, born)| {
            from_value(json!({"metadata": {"creationTimestamp": born}, "spec": {
                "ipAddressPools": pools, "peers": peers, "communities": communities, "nodeSelectors": nodes, "serviceSelectors": services,
                "localPref": preference, "aggregationLength": length,
            }}))
            .unwrap()
        },
    )
}

fn peer() -> impl Strategy<Value = BGPPeer> {
    (0..3_u32, 0..3_u32, select(vec!["192.0.2.1", "2001:db8::1", "", "x"]), select(vec!["", "a", "b"]), "[0-9]{1,2}s")
        .prop_map(|(mine, theirs, address, profile, hold)| {
            from_value(json!({"metadata": {}, "spec": {
                "myASN": mine, "peerASN": theirs, "peerAddress": address, "bfdProfile": profile, "holdTime": hold,
            }}))
            .unwrap()
        })
}

fn community() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[12]:[12]", 2 => name(), 1 => "large:1:[12]:3", 1 => "\\PC{0,9}"]
}

fn entry() -> impl Strategy<Value = String> {
    let (a, b) = (any::<u8>(), any::<u8>());
    prop_oneof![
        4 => (any::<u8>(), 24..=32_u8).prop_map(|(host, bits)| format!("192.0.2.{host}/{bits}")),
        4 => (any::<u8>(), 120..=128_u8).prop_map(|(host, bits)| format!("2001:db8::{host:x}/{bits}")),
        4 => (a, b).prop_map(|(a, b)| format!("192.0.2.{}-192.0.2.{}", a.min(b), a.max(b))),
        1 => (a, b).prop_map(|(a, b)| format!("192.0.2.{a} - 192.0.2.{b}")),
        1 => "\\PC{0,12}",
    ]
}

fn selectors() -> impl Strategy<Value = Value> {
    let expression =
        (select(vec!["k", "l", ""]), select(vec!["In", "NotIn", "Exists", "DoesNotExist", "?"]), vec("[ab]", 0..3))
            .prop_map(|(key, operator, values)| json!({"key": key, "operator": operator, "values": values}));
    let selector = (labels(), vec(expression, 0..2))
        .prop_map(|(labels, expressions)| json!({"matchLabels": labels, "matchExpressions": expressions}));
    prop_oneof![3 => Just(json!([])), 1 => vec(selector, 0..3).prop_map(Value::from)]
}

fn labels() -> impl Strategy<Value = Value> {
    select(vec![json!({}), json!({"k": "a"}), json!({"k": "b", "l": "a"})])
}

fn born() -> impl Strategy<Value = Value> {
    select(vec![
        Value::Null,
        json!("2026-01-01T00:00:00Z"),
        json!("2026-01-02T00:00:00Z"),
        json!("2026-01-03T00:00:00Z"),
    ])
}
