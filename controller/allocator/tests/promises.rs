//! The promises at the top of the crate, for any pools and any Services of a small world where everything collides.

mod build;

use build::*;
use herald_allocator::{Book, Cause, Decision, plan, plan_one};
use herald_crds::model::{Family, FamilyPolicy, Pool, Service, ServiceKey, ServiceKind, TrafficPolicy};
use proptest::{prelude::*, sample::subsequence};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

const ADDRESSES: [&str; 8] =
    ["10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.1.5", "10.0.2.1", "fd00::1", "fd00::2", "fd00:1::1"];

/// Up to four pools, none of which overlap.
fn pools() -> impl Strategy<Value = Vec<Pool>> {
    let ranges: [&[&str]; 4] = [
        &["10.0.0.0/30", "fd00::1-fd00::2"],
        &["10.0.1.5-10.0.1.6", "10.0.1.0/31"],
        &["fd00:1::/127", "10.0.2.0/31"],
        &["10.0.3.254-10.0.4.1"],
    ];
    let quota = proptest::option::weighted(0.3, 0u32..3);
    let one = (any::<bool>(), any::<bool>(), proptest::option::of((0i64..3, any::<bool>())), quota);
    (proptest::collection::vec(one, 4), subsequence(vec![0, 1, 2, 3], 0..=4)).prop_map(move |(settings, chosen)| {
        let make = |index: usize| {
            let (manual, avoid_buggy_ips, allocation, quota) = settings[index];
            let name = ["a", "b", "c", "d"][index];
            let base = match allocation {
                Some((priority, true)) => pinned(name, ranges[index], priority, &["one"]),
                Some((priority, false)) => pinned(name, ranges[index], priority, &[]),
                None => pool(name, ranges[index]),
            };
            let base = match quota {
                Some(quota) => limited(&format!("one={quota}"), base),
                None => base,
            };
            Pool { auto_assign: !manual || index == 0 || index == 2, avoid_buggy_ips, ..base }
        };
        chosen.into_iter().map(make).collect()
    })
}

fn services() -> impl Strategy<Value = Vec<Service>> {
    let stack = prop_oneof![Just(0u8), Just(1), Just(2), Just(3), Just(4), Just(5)];
    let shape = (stack, any::<bool>(), 0u8..10, proptest::option::of(0usize..5));
    let request = prop_oneof![
        3 => Just(Vec::new()),
        2 => subsequence(ADDRESSES.to_vec(), 1..=2),
    ];
    let share = (proptest::option::of(0usize..2), subsequence(vec![80, 81, 82], 1..=2), any::<bool>(), any::<bool>());
    let status = prop_oneof![2 => Just(Vec::new()), 1 => subsequence(ADDRESSES.to_vec(), 0..=3)];
    let one = (shape, request, share, status).prop_map(|(shape, request, share, status)| {
        let (stack, other_namespace, odd, pool) = shape;
        let mut it = service(if other_namespace { "two/x" } else { "one/x" });
        it = match stack {
            0 | 1 => it,
            2 => Service { cluster_ips: ips(&["fd96::1"]), primary_family: Family::V6, ..it },
            3 => dual(FamilyPolicy::PreferDualStack, it),
            4 => dual(FamilyPolicy::RequireDualStack, it),
            _ => Service { family_policy: FamilyPolicy::PreferDualStack, ..it },
        };
        let (key, ports, local, selector) = share;
        if let Some(key) = key {
            it = sharing(["k", "l"][key], &ports, it);
        }
        if local {
            it.traffic_policy = TrafficPolicy::Local;
        }
        it.selector = BTreeMap::from([("app".to_owned(), selector.to_string())]);
        it.requested_ips = Ok(ips(&request));
        it.requested_pool = pool.map(|pool| ["a", "b", "c", "d", "missing"][pool].to_owned());
        match odd {
            0 => it.kind = ServiceKind::Other,
            1 => it.deleting = true,
            2..6 => it.requested_pool = None,
            _ => {}
        }
        it.assigned = ips(&status);
        it
    });
    proptest::collection::vec(one, 0..10).prop_map(|services| {
        let mut services = services;
        for (index, service) in services.iter_mut().enumerate() {
            service.key.name = format!("s{index}");
        }
        services
    })
}

/// Plans, and returns the Services as the API server shows them afterwards.
fn settle(services: &[Service], book: &mut Book) -> (Vec<Service>, BTreeMap<ServiceKey, Decision>) {
    let decisions: BTreeMap<_, _> = plan(services, book).into_iter().collect();
    (services.iter().map(|service| written(service, &decisions[&service.key])).collect(), decisions)
}

fn holders(book: &Book, services: &[Service]) -> BTreeMap<IpAddr, Vec<Service>> {
    let mut holders: BTreeMap<_, Vec<Service>> = BTreeMap::new();
    for service in services {
        for ip in book.allocation(&service.key).into_iter().flat_map(|assignment| &assignment.ips) {
            holders.entry(*ip).or_default().push(service.clone());
        }
    }
    holders
}

/// The rule of sharing, said once more and differently.
fn may_share(a: &Service, b: &Service) -> bool {
    let backend = |service: &Service| match service.traffic_policy {
        TrafficPolicy::Cluster => None,
        TrafficPolicy::Local => Some(service.selector.clone()),
    };
    a.sharing_key.is_some()
        && a.sharing_key == b.sharing_key
        && a.ports.is_disjoint(&b.ports)
        && backend(a) == backend(b)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn a_restart_plans_nothing(pools in pools(), services in services()) {
        let (services, _) = settle(&services, &mut book(&pools));
        let mut restarted = book(&pools);
        for (key, decision) in plan(&services, &mut restarted) {
            let service = services.iter().find(|service| service.key == key).unwrap();
            prop_assert!(!matches!(decision, Decision::Assign { .. } | Decision::Release { .. }), "{key}: {decision:?}");
            prop_assert_eq!(&written(service, &decision), service);
        }
    }

    #[test]
    fn the_same_objects_give_the_same_plan_in_any_order(pools in pools(), services in services(), seed: u64) {
        let expected = plan(&services, &mut book(&pools));
        let mut shuffled = services.clone();
        let length = shuffled.len().max(1);
        for index in 0..shuffled.len() {
            shuffled.swap(index, (seed as usize).wrapping_mul(index + 7) % length);
        }
        prop_assert_eq!(plan(&shuffled, &mut book(&pools)), expected);
    }

    #[test]
    fn two_services_hold_one_address_only_if_they_may_share_it(pools in pools(), services in services()) {
        let mut book = book(&pools);
        plan(&services, &mut book);
        for (ip, holders) in holders(&book, &services) {
            for (index, a) in holders.iter().enumerate() {
                for b in &holders[index + 1..] {
                    prop_assert!(may_share(a, b), "{ip}: {} and {}", a.key, b.key);
                }
            }
        }
    }

    #[test]
    fn every_claim_is_satisfied_or_refused_with_a_reason(pools in pools(), services in services()) {
        let mut book = book(&pools);
        for (key, decision) in plan(&services, &mut book) {
            let service = services.iter().find(|service| service.key == key).unwrap();
            let holds = decision.holds().map(|assignment| assignment.ips.clone()).unwrap_or_default();
            if let Some(assignment) = decision.holds() {
                for ip in &holds {
                    let pool = book.pool_of(*ip).expect("an address of a pool");
                    prop_assert!(pool.contains(*ip));
                    prop_assert_eq!(&pool.name, &assignment.pool);
                    prop_assert!(pool.admits(&key.namespace, &service.labels));
                }
            }
            let families: BTreeSet<Family> = holds.iter().map(|ip| Family::of(*ip)).collect();
            prop_assert_eq!(families.len(), holds.len());
            if service.kind == ServiceKind::Other {
                prop_assert!(holds.is_empty());
            } else if let Some(refusal) = decision.refusal() {
                prop_assert!(!refusal.to_string().is_empty());
            } else if !service.deleting {
                prop_assert!(!holds.is_empty());
                let asked = service.requested_ips.clone().unwrap();
                if asked.is_empty() && service.family_policy == FamilyPolicy::PreferDualStack {
                    prop_assert!(families.is_subset(&service.families()));
                } else if asked.is_empty() {
                    prop_assert_eq!(families, service.families());
                } else {
                    prop_assert_eq!(asked.into_iter().collect::<BTreeSet<_>>(), holds.into_iter().collect());
                }
            }
        }
    }

    #[test]
    fn what_others_do_moves_nobody(
        all in pools(), few in subsequence(vec![0usize, 1, 2, 3], 0..=4), services in services(), newcomers in services(), gone in 0usize..10, restart: bool,
    ) {
        let before: Vec<Pool> = all.iter().enumerate().filter(|(index, _)| few.contains(index)).map(|(_, pool)| pool.clone()).collect();
        let mut old = book(&before);
        let (mut services, decisions) = settle(&services, &mut old);
        // Pools appear, Services come and go, and the controller may restart in the middle of it.
        let mut now = if restart { book(&all) } else { old };
        now.set_pools(&by_name(&all), false);
        if gone < services.len() {
            let service = services.remove(gone);
            let _ = now.forget(&service.key);
        }
        let mut everybody = services.clone();
        everybody.extend(newcomers.into_iter().map(|mut service| {
            service.key.namespace = "three".into();
            service.assigned.clear();
            service
        }));
        let after: BTreeMap<_, _> = plan(&everybody, &mut now).into_iter().collect();
        for service in services.iter().filter(|service| !service.assigned.is_empty()) {
            let decision = &after[&service.key];
            let kept = decision.holds().map(|assignment| assignment.ips.clone()).unwrap_or_default();
            match decision {
                // It asked for something else all along, and now that is to be had.
                Decision::Assign { cause: Cause::Requested | Cause::Moved(_), .. } => prop_assert!(decisions[&service.key].refusal().is_some()),
                _ => prop_assert!(service.assigned.iter().all(|ip| kept.contains(ip)), "{}: {decision:?}", service.key),
            }
        }
    }

    #[test]
    fn a_configuration_error_takes_nothing_from_anybody(pools in pools(), services in services(), lost in 0usize..4, restart: bool) {
        let mut old = book(&pools);
        let (services, _) = settle(&services, &mut old);
        let mut now = if restart { Book::new() } else { old };
        let left: Vec<Pool> = pools.iter().enumerate().filter(|(index, _)| *index != lost).map(|(_, pool)| pool.clone()).collect();
        now.set_pools(&by_name(&left), true);
        let (after, _) = settle(&services, &mut now);
        for (before, after) in services.iter().zip(&after) {
            prop_assert!(before.assigned.iter().all(|ip| after.assigned.contains(ip)) || before.requested_pool.is_some() || before.requested_ips != Ok(vec![]), "{before:?} {after:?}");
        }
    }

    #[test]
    fn planning_one_by_one_never_gives_an_address_that_a_status_still_shows(pools in pools(), services in services(), order in proptest::collection::vec(0usize..10, 0..40)) {
        let mut book = book(&pools);
        let mut shown = services.clone();
        for service in &services {
            book.adopt(service);
        }
        for index in order.into_iter().filter(|index| *index < services.len()) {
            let decision = plan_one(&shown[index], &book);
            let _ = book.apply(&shown[index], &decision);
            if let Decision::Assign { assignment, .. } = &decision {
                for other in shown.iter().filter(|other| other.key != shown[index].key && book.allocation(&other.key).is_some()) {
                    let both = other.assigned.iter().any(|ip| assignment.ips.contains(ip) && book.holders(*ip).any(|key| *key == other.key));
                    prop_assert!(!both || may_share(other, &shown[index]));
                }
            }
            // The write may come late: only every other one is confirmed at once.
            if index % 2 == 0 {
                shown[index] = written(&shown[index], &decision);
                let _ = book.settle(&shown[index].key);
            }
        }
    }

    #[test]
    fn the_first_address_that_fits_is_taken(taken in subsequence((0..8u8).collect::<Vec<_>>(), 0..=8), avoid: bool, share: bool) {
        let entries = ["10.0.1.254-10.0.2.1", "10.0.0.0/30"];
        let listed = ["10.0.1.254", "10.0.1.255", "10.0.2.0", "10.0.2.1", "10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3"];
        let mut book = book(&[Pool { avoid_buggy_ips: avoid, ..pool("p", &entries) }]);
        for index in &taken {
            // Even ones agree to share and have another port; odd ones are private.
            let holder = requesting(&[listed[usize::from(*index)]], service(&format!("h{index}")));
            let holder = if index % 2 == 0 { sharing("k", &[81], holder) } else { holder };
            let decision = plan_one(&holder, &book);
            let _ = book.apply(&holder, &decision);
        }
        let it = if share { sharing("k", &[80], service("it")) } else { service("it") };
        let expected = listed.iter().enumerate().find(|(index, text)| {
            let buggy = text.ends_with(".0") || text.ends_with(".255");
            let free = !taken.contains(&(*index as u8));
            !(avoid && buggy) && (free || share && index % 2 == 0)
        });
        let decision = plan_one(&it, &book);
        prop_assert_eq!(decision.holds().map(|assignment| assignment.ips.clone()), expected.map(|(_, text)| ips(&[text])));
    }
}
