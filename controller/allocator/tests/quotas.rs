//! What quotas of namespaces promise.

mod build;

use build::*;
use herald_allocator::{Book, Decision, Effect, plan, plan_one};
use herald_crds::model::{Allocation, FamilyPolicy, Pool, Service};
use proptest::{prelude::*, sample::subsequence};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

fn given(book: &mut Book, service: &Service) -> Vec<String> {
    let decision = plan_one(service, book);
    let _ = book.apply(service, &decision);
    let _ = book.settle(&service.key);
    decision.holds().map(|held| held.ips.iter().map(ToString::to_string).collect()).unwrap_or_default()
}

fn refusal(book: &Book, service: &Service) -> String {
    let decision = plan_one(service, book);
    decision.refusal().map(ToString::to_string).unwrap_or_else(|| format!("not refused: {decision:?}"))
}

const NOTHING: Vec<String> = Vec::new();

#[test]
fn a_namespace_gets_no_more_than_its_quota_however_it_asks() {
    let mut book = book(&[limited("a=1, *=2", pool("p", &["10.0.0.0/29"]))]);
    assert_eq!(given(&mut book, &service("a/one")), ["10.0.0.0"]);
    assert_eq!(refusal(&book, &service("a/two")), "no available IPs: p (the namespace holds 1 of its quota of 1)");
    assert_eq!(
        refusal(&book, &from_pool("p", service("a/two"))),
        "no available IPs in pool p: the namespace holds 1 of its quota of 1"
    );
    assert_eq!(
        refusal(&book, &requesting(&["10.0.0.5"], service("a/two"))),
        "no available IPs in pool p: the namespace holds 1 of its quota of 1"
    );
    assert_eq!(given(&mut book, &service("b/one")), ["10.0.0.1"]);
    assert_eq!(given(&mut book, &service("b/two")), ["10.0.0.2"]);
    assert_eq!(given(&mut book, &service("b/three")), NOTHING);
    assert_eq!(book.forget(&service("a/one").key), Effect::Freed, "and whoever waits is planned again");
    assert_eq!(given(&mut book, &service("a/two")), ["10.0.0.0"]);
}

#[test]
fn a_full_quota_sends_to_the_next_pool() {
    let mut book = book(&[limited("a=1", pool("p", &["10.0.0.0/29"])), pool("q", &["10.0.1.0/32"])]);
    assert_eq!(given(&mut book, &service("a/one")), ["10.0.0.0"]);
    assert_eq!(given(&mut book, &service("a/two")), ["10.0.1.0"]);
    assert_eq!(
        refusal(&book, &service("a/three")),
        "no available IPs: p (the namespace holds 1 of its quota of 1), q (no free IPv4 address)"
    );
    assert_eq!(given(&mut book, &service("b/one")), ["10.0.0.1"], "who is not named is not limited");
}

#[test]
fn a_shared_address_counts_once_for_each_namespace() {
    let mut book = book(&[limited("*=1", pool("p", &["10.0.0.0/29"]))]);
    assert_eq!(given(&mut book, &sharing("k", &[80], service("a/one"))), ["10.0.0.0"]);
    assert_eq!(given(&mut book, &sharing("k", &[81], service("a/two"))), ["10.0.0.0"]);
    assert_eq!(given(&mut book, &sharing("k", &[82], service("b/one"))), ["10.0.0.0"]);
    assert_eq!(given(&mut book, &sharing("k", &[81], service("a/clashes"))), NOTHING);
    // The address still counts while one of the two holds it.
    let _ = book.forget(&service("a/one").key);
    assert_eq!(given(&mut book, &service("a/alone")), NOTHING);
    let _ = book.forget(&service("a/two").key);
    assert_eq!(given(&mut book, &service("a/alone")), ["10.0.0.1"]);
}

#[test]
fn who_gives_an_address_up_has_room_for_another() {
    let mut book = book(&[limited("*=1", pool("p", &["10.0.0.0/29"]))]);
    assert_eq!(given(&mut book, &service("a/one")), ["10.0.0.0"]);
    assert_eq!(given(&mut book, &requesting(&["10.0.0.5"], service("a/one"))), ["10.0.0.5"]);
}

#[test]
fn both_families_count() {
    let mut book = book(&[limited("*=3", pool("p", &["10.0.0.0/29", "fd00::/125"]))]);
    let prefer = |name: &str| dual(FamilyPolicy::PreferDualStack, service(name));
    assert_eq!(given(&mut book, &prefer("a/one")), ["10.0.0.0", "fd00::"]);
    assert_eq!(given(&mut book, &prefer("a/two")), ["10.0.0.1"]);
    assert_eq!(
        refusal(&book, &prefer("a/two")),
        "no additional IPv6 address in pool p: the namespace holds 3 of its quota of 3"
    );
    assert_eq!(
        refusal(&book, &dual(FamilyPolicy::RequireDualStack, service("a/three"))),
        "no available IPs: p (the namespace holds 3 of its quota of 3)"
    );
    let _ = book.forget(&service("a/one").key);
    assert_eq!(given(&mut book, &prefer("a/two")), ["10.0.0.1", "fd00::"]);
}

#[test]
fn a_lower_quota_takes_nothing_away_and_a_higher_one_is_in_force_at_once() {
    let addresses = pool("p", &["10.0.0.0/29"]);
    let mut book = book(std::slice::from_ref(&addresses));
    for name in ["a/one", "a/two"] {
        given(&mut book, &service(name));
    }
    assert!(book.set_pools(&by_name(&[limited("*=1", addresses.clone())]), false));
    for name in ["a/one", "a/two"] {
        assert!(matches!(plan_one(&service(name), &book), Decision::Keep(_)));
    }
    assert_eq!(given(&mut book, &service("a/three")), NOTHING);
    let _ = book.forget(&service("a/one").key);
    assert_eq!(given(&mut book, &service("a/three")), NOTHING, "two use it down to the quota first");
    assert!(book.set_pools(&by_name(&[limited("*=2", addresses)]), false));
    assert_eq!(given(&mut book, &service("a/three")), ["10.0.0.0"]);
}

#[test]
fn selectors_that_match_no_namespace_any_more_admit_nobody_and_take_nothing_away() {
    let open = pinned("p", &["10.0.0.0/29"], 0, &["default"]);
    let mut book = book(std::slice::from_ref(&open));
    assert_eq!(given(&mut book, &service("one")), ["10.0.0.0"]);
    let allocation = open.allocation.clone();
    let with = |names: &[&str]| Pool {
        allocation: allocation.clone().map(|allocation| Allocation {
            namespaces: Some(names.iter().map(|name| (*name).to_owned()).collect()),
            ..allocation
        }),
        ..open.clone()
    };
    book.set_pools(&by_name(&[with(&[])]), false);
    assert!(matches!(plan_one(&service("one"), &book), Decision::Keep(_)));
    assert_eq!(given(&mut book, &service("two")), NOTHING);
    assert_eq!(given(&mut book, &from_pool("p", service("two"))), NOTHING);
    // That others may have it is no slip.
    book.set_pools(&by_name(&[with(&["other"])]), false);
    assert!(matches!(plan_one(&service("one"), &book), Decision::Release { .. }));
}

/// One Service of a small world.
fn services() -> impl Strategy<Value = Vec<Service>> {
    let one = (0usize..2, any::<bool>(), proptest::option::of(0u16..3), proptest::option::of(0u8..6), 0u8..4);
    proptest::collection::vec(one, 0..12).prop_map(|all| {
        all.into_iter()
            .enumerate()
            .map(|(at, (namespace, both, shares, asks, pool))| {
                let mut it = service(&format!("{}/s{at}", ["a", "b"][namespace]));
                if both {
                    it = dual(FamilyPolicy::PreferDualStack, it);
                }
                if let Some(port) = shares {
                    it = sharing("k", &[80 + port], it);
                }
                match asks {
                    Some(last) if !both => requesting(&[&format!("10.0.0.{last}")], it),
                    _ if pool == 0 => from_pool("q", it),
                    _ => it,
                }
            })
            .collect()
    })
}

/// What each namespace uses of a pool, counted anew.
fn used(book: &Book, services: &[Service], pool: &str, namespace: &str) -> usize {
    let held = services.iter().filter(|service| service.key.namespace == namespace);
    let held = held.filter_map(|service| book.allocation(&service.key)).filter(|held| held.pool == pool);
    held.flat_map(|held| held.ips.clone()).collect::<BTreeSet<IpAddr>>().len()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_namespace_ever_gets_beyond_its_quota_and_what_it_had_before_stays(
        services in services(), first in 0u32..5, second in 0u32..5, gone in subsequence((0..12usize).collect::<Vec<_>>(), 0..6),
    ) {
        let pools = |quota: u32| [
            limited(&format!("a={quota}"), pool("p", &["10.0.0.0/30", "fd00::/127"])),
            limited(&format!("*={quota}"), pool("q", &["10.0.0.4/30", "fd00::4/127"])),
        ];
        let limited_here = |pool: &str, namespace: &str| pool == "q" || namespace == "a";
        let mut book = book(&pools(first));
        plan(&services, &mut book);
        let mut before = BTreeMap::new();
        for (pool, namespace) in [("p", "a"), ("p", "b"), ("q", "a"), ("q", "b")] {
            let count = used(&book, &services, pool, namespace);
            prop_assert!(!limited_here(pool, namespace) || count <= first as usize, "{namespace} uses {count} of {pool}");
            before.insert((pool, namespace), count);
        }
        let shown: Vec<Service> = services.iter().map(|service| match book.allocation(&service.key) {
            Some(held) => Service { assigned: held.ips.clone(), allocated_from: Some(held.pool.clone()), ..service.clone() },
            None => service.clone(),
        }).collect();
        book.set_pools(&by_name(&pools(second)), false);
        let left: Vec<Service> = shown.iter().enumerate().filter(|(at, _)| !gone.contains(at)).map(|(_, service)| service.clone()).collect();
        for service in shown.iter().enumerate().filter(|(at, _)| gone.contains(at)).map(|(_, service)| service) {
            let _ = book.forget(&service.key);
        }
        let mut restarted = build::book(&pools(second));
        let again = plan(&left, &mut restarted);
        let decisions = plan(&left, &mut book);
        prop_assert_eq!(&decisions, &again, "a restart counts the same");
        for service in left.iter().filter(|service| !service.assigned.is_empty()) {
            let now = book.allocation(&service.key).map(|held| held.ips.clone()).unwrap_or_default();
            let asks = service.requested_pool.is_some() || service.requested_ips != Ok(Vec::new());
            prop_assert!(asks || service.assigned.iter().all(|ip| now.contains(ip)), "{} lost something", service.key);
            prop_assert!(!now.is_empty(), "{} lost everything", service.key);
        }
        for ((pool, namespace), count) in before {
            let now = used(&book, &left, pool, namespace);
            prop_assert!(!limited_here(pool, namespace) || now <= count.max(second as usize), "{namespace} uses {now} of {pool}");
        }
    }
}
