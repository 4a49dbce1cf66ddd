//! What reservations promise.

mod build;

use build::*;
use herald_allocator::{Book, Decision, Keeper, Reservation, plan, plan_one};
use herald_crds::model::{Range, Selector, Service};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn kept(entries: &[&str], keeper: Keeper, yields: bool) -> Reservation {
    let ranges = entries.iter().map(|entry| Range::parse(entry).expect("a range")).collect();
    Reservation { ranges, keeper, yields }
}

fn only(key: &str) -> Keeper {
    let key = service(key).key;
    Keeper::Services { namespace: Some(key.namespace), name: Some(key.name), selector: Selector::everything() }
}

fn reserve(book: &mut Book, reservations: &[(&str, Reservation)]) {
    let map: BTreeMap<String, Reservation> = reservations.iter().map(|(n, r)| ((*n).to_owned(), r.clone())).collect();
    let _ = book.set_reservations(&map);
}

fn given(book: &mut Book, service: &Service) -> Vec<String> {
    let decision = plan_one(service, book);
    let _ = book.apply(service, &decision);
    let _ = book.settle(&service.key);
    decision.holds().map(|held| held.ips.iter().map(ToString::to_string).collect()).unwrap_or_default()
}

#[test]
fn a_reserved_address_is_passed_over_and_found_by_whom_it_is_kept_for() {
    let mut book = book(&[pool("a", &["10.0.0.0/30", "fd00::/126"]), pool("b", &["10.0.1.0/30"])]);
    reserve(
        &mut book,
        &[
            ("one", kept(&["10.0.0.0/31"], Keeper::Nobody, false)),
            ("two", kept(&["10.0.1.2/32"], only("shop/web"), false)),
        ],
    );
    assert_eq!(given(&mut book, &service("other")), ["10.0.0.2"]);
    assert_eq!(
        given(&mut book, &service("shop/web")),
        ["10.0.1.2"],
        "in another pool than the first, because it is kept there"
    );
    assert_eq!(given(&mut book, &from_pool("a", service("more"))), ["10.0.0.3"]);
    assert_eq!(given(&mut book, &from_pool("a", service("late"))), Vec::<String>::new());
    let refused = plan_one(&requesting(&["10.0.0.1"], service("asks")), &book);
    assert_eq!(
        refused.refusal().map(ToString::to_string).as_deref(),
        Some("[\"10.0.0.1\"] is not allowed in config: AddressReservation one keeps it for others")
    );
    reserve(&mut book, &[]);
    assert_eq!(
        given(&mut book, &from_pool("a", service("late"))),
        ["10.0.0.0"],
        "free again when the reservation goes"
    );
}

#[test]
fn what_a_deleted_service_left_goes_to_others_only_when_nothing_else_is_left() {
    let mut book = book(&[pool("a", &["10.0.0.0/31"])]);
    reserve(&mut book, &[("left", kept(&["10.0.0.0/32"], only("shop/web"), true))]);
    assert_eq!(given(&mut book, &service("x")), ["10.0.0.1"]);
    let mut back = book.clone();
    assert_eq!(given(&mut back, &service("shop/web")), ["10.0.0.0"]);
    assert_eq!(given(&mut book, &service("y")), ["10.0.0.0"]);
    assert_eq!(given(&mut book, &service("shop/web")), Vec::<String>::new());
}

#[test]
fn an_address_in_use_stays_whoever_reserves_it() {
    let mut book = book(&[pool("a", &["10.0.0.0/30"])]);
    assert_eq!(given(&mut book, &service("x")), ["10.0.0.0"]);
    reserve(&mut book, &[("r", kept(&["10.0.0.0/30"], Keeper::Nobody, false))]);
    assert!(matches!(plan_one(&service("x"), &book), Decision::Keep(_)));
    assert_eq!(book.usage("a").assigned_v4, 1);
    let _ = book.forget(&service("x").key);
    assert_eq!(book.usage("a").assigned_v4, 0);
    assert_eq!(given(&mut book, &service("x")), Vec::<String>::new());
}

fn reservations() -> impl Strategy<Value = BTreeMap<String, Reservation>> {
    let range = (0u8..8, 0u8..4).prop_map(|(from, more)| format!("10.0.0.{from}-10.0.0.{}", (from + more).min(7)));
    let one = (range, proptest::option::of(0usize..8), any::<bool>()).prop_map(|(range, whom, yields)| {
        kept(&[&range], whom.map_or(Keeper::Nobody, |n| only(&format!("one/s{n}"))), yields)
    });
    proptest::collection::btree_map("[a-d]", one, 0..4)
}

proptest! {
    #[test]
    fn what_is_kept_goes_to_nobody_else_and_a_restart_plans_nothing(
        first in reservations(), second in reservations(), before in 0usize..4, after in 0usize..8,
    ) {
        let pools = [pool("a", &["10.0.0.0/30"]), pool("b", &["10.0.0.4/30"])];
        let mut book = book(&pools);
        let _ = book.set_reservations(&first);
        let services: Vec<Service> = (0..8).map(|n| service(&format!("one/s{n}"))).collect();
        let old: Vec<Service> = plan(&services[..before], &mut book).into_iter().zip(&services).map(|((_, decision), service)| written(service, &decision)).collect();
        let _ = book.set_reservations(&second);
        let mut all = old.clone();
        all.extend(services[before..].iter().take(after).cloned());
        let decisions = plan(&all, &mut book);
        let mut held = 0;
        for ((_, decision), service) in decisions.iter().zip(&all) {
            let Some(assignment) = decision.holds() else { continue };
            held += assignment.ips.len();
            if !service.assigned.is_empty() {
                prop_assert_eq!(&assignment.ips, &service.assigned, "in use, so not moved");
                continue;
            }
            for ip in &assignment.ips {
                let on: Vec<&Reservation> = second.values().filter(|r| r.ranges.iter().any(|range| range.contains(*ip))).collect();
                let mine = on.iter().any(|r| r.keeper.includes(service));
                prop_assert!(on.is_empty() || mine || on.iter().all(|r| r.yields), "{} got {}", service.key, ip);
            }
        }
        prop_assert_eq!(book.usage("a").assigned_v4 + book.usage("b").assigned_v4, held as i64);
        // The free set that grew by steps is the one that is built at once.
        let now: Vec<Service> = decisions.iter().zip(&all).map(|((_, decision), service)| written(service, decision)).collect();
        let mut again = build::book(&pools);
        let _ = again.set_reservations(&second);
        for ((key, decision), service) in plan(&now, &mut again).iter().zip(&now) {
            let same = matches!(decision, Decision::Keep(_)) || service.assigned.is_empty() && decision.holds().is_none();
            prop_assert!(same, "{}: {:?}", key, decision);
        }
        let _ = book.set_reservations(&BTreeMap::new());
        let _ = again.set_reservations(&BTreeMap::new());
        prop_assert_eq!(plan_one(&service("two/new"), &book), plan_one(&service("two/new"), &again));
    }
}
