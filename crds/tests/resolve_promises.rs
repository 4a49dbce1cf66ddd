//! The promises at the top of the crate, on any configuration.

#![allow(clippy::unwrap_used, reason = "a test whose input cannot be built has failed")]

use std::collections::BTreeSet;

use herald_crds::api::{IPAddressPool, L2Advertisement};
use herald_crds::model::{Config, Kind, ProblemReason, resolve};
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
        prop_assert_eq!(resolve(&backwards), resolve(&config));
    }
}

/// Few names, few addresses, few labels, so that they meet; and mistakes of every kind.
fn configs() -> impl Strategy<Value = Config> {
    let pools = vec((name(), pool()), 0..8);
    let adverts = vec((name(), advert()), 0..4);
    let namespaces = vec((name(), labels()), 0..3);
    (pools, adverts, namespaces).prop_map(|(pools, adverts, namespaces)| Config {
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
