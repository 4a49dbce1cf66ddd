//! The rules of allocation one by one, in the order in which a user would read them.

mod build;

use build::*;
use herald_allocator::{Assignment, Book, Cause, Decision, Effect, Refusal, ReleaseReason, plan, plan_one};
use herald_crds::{
    api::reason::ControllerReason,
    model::{FamilyPolicy, Pool, RequestError, Service, ServiceKind, TrafficPolicy},
};

/// Plans one Service and notes the decision down as if its write had been confirmed.
fn step(book: &mut Book, service: &Service) -> Decision {
    let decision = plan_one(service, book);
    let _ = book.apply(service, &decision);
    let _ = book.settle(&service.key);
    decision
}

fn holds(decision: &Decision) -> Vec<String> {
    decision.holds().into_iter().flat_map(|assignment| &assignment.ips).map(ToString::to_string).collect()
}

fn refusal(decision: &Decision) -> String {
    decision.refusal().map(ToString::to_string).unwrap_or_else(|| format!("not refused: {decision:?}"))
}

#[test]
fn addresses_come_in_ascending_order_and_a_freed_one_is_taken_first() {
    let mut book = book(&[pool("p", &["10.0.0.0/30"])]);
    assert_eq!(holds(&step(&mut book, &service("a"))), ["10.0.0.0"]);
    assert_eq!(holds(&step(&mut book, &service("b"))), ["10.0.0.1"]);
    assert_eq!(book.forget(&service("a").key), Effect::Freed);
    assert_eq!(holds(&step(&mut book, &service("c"))), ["10.0.0.0"]);
}

#[test]
fn pinned_pools_come_first_by_priority_with_0_last_and_equals_by_name() {
    let pools = [
        pool("a-default", &["10.0.0.0/32"]),
        pinned("zero", &["10.0.1.0/32"], 0, &[]),
        pinned("two", &["10.0.2.0/32"], 2, &["default"]),
        pinned("one-b", &["10.0.3.0/32"], 1, &[]),
        pinned("one-a", &["10.0.4.0/32"], 1, &[]),
        pinned("elsewhere", &["10.0.5.0/32"], 1, &["other"]),
    ];
    let mut book = book(&pools);
    let mut order = Vec::new();
    for name in ["s1", "s2", "s3", "s4", "s5"] {
        order.extend(step(&mut book, &service(name)).holds().map(|assignment| assignment.pool.clone()));
    }
    assert_eq!(order, ["one-a", "one-b", "two", "zero", "a-default"]);
    assert_eq!(
        refusal(&step(&mut book, &service("s6"))),
        "no available IPs: one-a (no free IPv4 address), one-b (no free IPv4 address), two (no free IPv4 address), \
         zero (no free IPv4 address), a-default (no free IPv4 address) and 1 more pools"
    );
}

#[test]
fn dual_stack_takes_both_families_from_one_pool() {
    let mut book = book(&[
        pool("a4", &["10.0.0.0/30"]),
        pool("b6", &["fd00::/126"]),
        pool("c46", &["10.0.1.0/32", "fd00:1::/128"]),
    ]);
    let first = step(&mut book, &dual(FamilyPolicy::RequireDualStack, service("s1")));
    assert_eq!(holds(&first), ["10.0.1.0", "fd00:1::"]);
    let second = step(&mut book, &dual(FamilyPolicy::RequireDualStack, service("s2")));
    assert_eq!(
        refusal(&second),
        "no available IPs: a4 (no IPv6 addresses), b6 (no IPv4 addresses), c46 (no free IPv4 address)"
    );
}

#[test]
fn prefer_dual_stack_settles_for_the_primary_family_and_takes_the_other_when_it_comes() {
    let mut book = book(&[pool("p", &["10.0.0.0/30", "fd00::/128"])]);
    step(&mut book, &requesting(&["fd00::"], Service { cluster_ips: ips(&["fd96::1"]), ..service("holder") }));
    let it = dual(FamilyPolicy::PreferDualStack, service("it"));
    let decision = step(&mut book, &it);
    assert_eq!(holds(&decision), ["10.0.0.0"]);
    let it = written(&it, &decision);
    let decision = step(&mut book, &it);
    assert_eq!(holds(&decision), ["10.0.0.0"]);
    assert_eq!(refusal(&decision), "no additional IPv6 address in pool p: no free IPv6 address");
    assert_eq!(decision.refusal().map(|r| r.event_reason(true)), Some(ControllerReason::AdditionalAssignFailed));
    let _ = book.forget(&service("holder").key);
    assert_eq!(
        step(&mut book, &it),
        Decision::Assign {
            assignment: Assignment { pool: "p".into(), ips: ips(&["10.0.0.0", "fd00::"]) },
            cause: Cause::Additional(ip("fd00::")),
        }
    );
}

#[test]
fn prefer_dual_stack_on_a_single_stack_cluster_wants_one_address_and_does_not_flap() {
    let mut book = book(&[pool("p", &["10.0.0.0/30", "fd00::/126"])]);
    let it = Service { family_policy: FamilyPolicy::PreferDualStack, ..service("it") };
    let decision = step(&mut book, &it);
    assert_eq!(holds(&decision), ["10.0.0.0"]);
    let it = written(&it, &decision);
    assert!(matches!(step(&mut book, &it), Decision::Keep(_)));
    assert!(matches!(step(&mut book, &it), Decision::Keep(_)));
}

#[test]
fn from_two_families_to_one_the_address_of_that_one_stays() {
    let mut book = book(&[pool("p", &["10.0.0.0/30", "fd00::/126"])]);
    step(&mut book, &service("before"));
    let it = holding(&["10.0.0.2", "fd00::2"], "p", service("it"));
    let decision = step(&mut book, &it);
    assert_eq!(holds(&decision), ["10.0.0.2"]);
    assert!(matches!(decision, Decision::Assign { cause: Cause::Reduced(ReleaseReason::FamilyChanged), .. }));
}

#[test]
fn require_dual_stack_adds_the_missing_family_before_it_moves() {
    let mut book = book(&[pool("p", &["10.0.0.0/30", "fd00::/128"]), pool("q", &["10.1.0.0/30", "fd01::/126"])]);
    let a = dual(FamilyPolicy::RequireDualStack, holding(&["10.0.0.3"], "p", service("a")));
    assert_eq!(holds(&step(&mut book, &a)), ["10.0.0.3", "fd00::"]);
    let b = dual(FamilyPolicy::RequireDualStack, holding(&["10.0.0.2"], "p", service("b")));
    assert_eq!(holds(&step(&mut book, &b)), ["10.1.0.0", "fd01::"]);
}

#[test]
fn a_requested_address_may_come_from_a_pool_that_does_not_give_unasked() {
    let mut book = book(&[Pool { auto_assign: false, ..pool("p", &["10.0.0.0/30"]) }]);
    assert_eq!(refusal(&step(&mut book, &service("a"))), "no available IPs: p (autoAssign is off)");
    assert_eq!(holds(&step(&mut book, &requesting(&["10.0.0.2"], service("b")))), ["10.0.0.2"]);
    assert_eq!(holds(&step(&mut book, &from_pool("p", service("c")))), ["10.0.0.0"]);
}

#[test]
fn a_request_that_cannot_be_satisfied_says_why() {
    let mut book = book(&[
        pool("p", &["10.0.0.0/30", "fd00::/126"]),
        pool("q", &["10.1.0.0/30"]),
        pinned("r", &["10.2.0.0/30"], 1, &["other"]),
        Pool { avoid_buggy_ips: true, ..pool("s", &["10.3.0.0/30"]) },
    ]);
    step(&mut book, &requesting(&["10.0.0.1"], service("holder")));
    let mut ask = |it: Service| refusal(&step(&mut book, &it));
    let a = |texts: &[&str]| requesting(texts, service("a"));
    assert_eq!(ask(a(&["10.9.0.1"])), r#"["10.9.0.1"] is not allowed in config: no pool holds 10.9.0.1"#);
    assert_eq!(ask(a(&["10.3.0.0"])), r#"["10.3.0.0"] is not allowed in config: no pool holds 10.3.0.0"#);
    assert_eq!(
        ask(a(&["fd00::1"])),
        r#"requested loadBalancer IP(s) ["fd00::1"] does not match the ipFamily of the service: expected one IPv4 address"#
    );
    assert_eq!(
        ask(dual(FamilyPolicy::PreferDualStack, a(&["10.0.0.2"]))),
        r#"requested loadBalancer IP(s) ["10.0.0.2"] does not match the ipFamily of the service: expected one IPv4 and one IPv6 address"#
    );
    assert_eq!(
        ask(dual(FamilyPolicy::PreferDualStack, a(&["fd00::1", "10.1.0.2"]))),
        r#"["fd00::1" "10.1.0.2"] is not allowed in config: pools q and p would both be needed"#
    );
    assert_eq!(
        ask(from_pool("q", a(&["10.0.0.2"]))),
        r#"["10.0.0.2"] is not allowed in config: it lies in pool p, but pool q is requested"#
    );
    assert_eq!(
        ask(a(&["10.2.0.1"])),
        "pool r not compatible for ip assignment: its serviceAllocation does not match the namespace and labels of the service"
    );
    assert_eq!(ask(from_pool("nowhere", service("a"))), r#"unknown pool "nowhere""#);
    assert_eq!(
        ask(a(&["10.0.0.1"])),
        r#"can't change sharing key for "default/a", address 10.0.0.1 also in use by default/holder: this service has no sharing key"#
    );
    let mut no_ip = service("a");
    no_ip.cluster_ips.clear();
    assert_eq!(ask(no_ip), "the service has no cluster IP");
    let mut alone = service("a");
    alone.family_policy = FamilyPolicy::RequireDualStack;
    assert!(ask(alone).starts_with("ipFamilyPolicy RequireDualStack needs two cluster IPs"));
    assert_eq!(refusal(&plan_one(&service("a"), &Book::new())), "no available IPs: there is no IPAddressPool");
}

#[test]
fn a_new_request_moves_the_service_when_it_can_be_satisfied_and_takes_nothing_when_not() {
    let mut book = book(&[pool("p", &["10.0.0.0/30"]), pool("q", &["10.1.0.0/31"])]);
    let it = holding(&["10.0.0.0"], "p", service("it"));
    step(&mut book, &it);
    step(&mut book, &service("other"));
    for impossible in [
        requesting(&["10.0.0.1"], it.clone()),
        requesting(&["10.9.0.1"], it.clone()),
        from_pool("nowhere", it.clone()),
        Service { requested_ips: Err(RequestError::NotAnAddress { place: "here", text: "x".into() }), ..it.clone() },
    ] {
        let decision = step(&mut book, &impossible);
        assert!(decision.refusal().is_some());
        assert_eq!(holds(&decision), ["10.0.0.0"]);
    }
    let decision = step(&mut book, &from_pool("q", it.clone()));
    assert_eq!(holds(&decision), ["10.1.0.0"]);
    assert!(matches!(decision, Decision::Assign { cause: Cause::Requested, .. }));
    assert_eq!(holds(&step(&mut book, &requesting(&["10.0.0.3"], it))), ["10.0.0.3"]);
}

#[test]
fn an_unreadable_request_has_its_own_reason_where_an_address_is_kept() {
    let refusal = Refusal::InvalidRequest(RequestError::NotAnAddress { place: "here", text: "x".into() });
    assert_eq!(refusal.event_reason(true), ControllerReason::LoadBalancerFailed);
    assert_eq!(refusal.event_reason(false), ControllerReason::AllocationFailed);
}

#[test]
fn services_share_with_one_key_different_ports_and_the_same_backends() {
    let fresh = || book(&[pool("p", &["10.0.0.0/31"])]);
    let local = |selector: &str, it: Service| Service {
        traffic_policy: TrafficPolicy::Local,
        selector: [("app".to_owned(), selector.to_owned())].into(),
        ..it
    };
    let a = sharing("k", &[80], service("a"));
    let table = [
        (a.clone(), sharing("k", &[81], service("two/b")), true),
        (a.clone(), sharing("k", &[80], service("b")), false),
        (a.clone(), sharing("l", &[81], service("b")), false),
        (a.clone(), service("b"), false),
        (a.clone(), local("x", sharing("k", &[81], service("b"))), false),
        (local("x", a.clone()), local("x", sharing("k", &[81], service("b"))), true),
        (local("x", a.clone()), local("y", sharing("k", &[81], service("b"))), false),
    ];
    for (a, b, together) in table {
        let mut book = fresh();
        assert_eq!(holds(&step(&mut book, &a)), ["10.0.0.0"]);
        assert_eq!(holds(&step(&mut book, &b)), [if together { "10.0.0.0" } else { "10.0.0.1" }], "{b:?}");
        assert_eq!(book.usage("p").assigned_v4, if together { 1 } else { 2 });
        assert_eq!(book.usage("p").services, 2);
    }
}

#[test]
fn a_port_change_of_the_holder_wakes_those_who_wait_for_it() {
    let mut book = book(&[pool("p", &["10.0.0.0/32"])]);
    let a = sharing("k", &[80], service("a"));
    let b = sharing("k", &[80], service("b"));
    step(&mut book, &a);
    assert_eq!(
        refusal(&step(&mut book, &requesting(&["10.0.0.0"], b.clone()))),
        r#"port tcp/80 is already in use on "10.0.0.0" by default/a"#
    );
    assert_eq!(refusal(&step(&mut book, &b)), "no available IPs: p (no free IPv4 address)");
    let a = sharing("k", &[8080], a);
    let decision = plan_one(&a, &book);
    assert!(matches!(decision, Decision::Keep(_)));
    assert_eq!(book.apply(&a, &decision), Effect::Freed);
    assert_eq!(holds(&step(&mut book, &b)), ["10.0.0.0"]);
}

#[test]
fn only_the_sole_user_changes_its_sharing_key_in_place() {
    let mut book = book(&[pool("p", &["10.0.0.0/31"])]);
    let a = sharing("k", &[80], service("a"));
    step(&mut book, &a);
    assert_eq!(holds(&step(&mut book, &sharing("m", &[80], a.clone()))), ["10.0.0.0"]);
    step(&mut book, &sharing("m", &[81], service("b")));
    let decision = step(&mut book, &sharing("n", &[80], a));
    assert_eq!(holds(&decision), ["10.0.0.1"]);
    assert!(matches!(decision, Decision::Assign { cause: Cause::Moved(ReleaseReason::Clash(_)), .. }));
}

#[test]
fn a_pool_that_is_renamed_or_split_keeps_its_services() {
    let mut book = book(&[pool("p", &["10.0.0.0/30"])]);
    let it = holding(&["10.0.0.2"], "p", service("it"));
    step(&mut book, &it);
    book.set_pools(&by_name(&[pool("low", &["10.0.0.0/31"]), pool("high", &["10.0.0.2/31"])]), false);
    assert_eq!(step(&mut book, &it), Decision::Keep(Assignment { pool: "high".into(), ips: ips(&["10.0.0.2"]) }));
    assert_eq!((book.usage("high").services, book.usage("high").assigned_v4), (1, 1));
}

#[test]
fn a_pool_that_is_gone_moves_its_services_and_one_that_is_set_aside_does_not() {
    let pools = [pool("p", &["10.0.0.0/30"]), pool("q", &["10.1.0.0/32"])];
    let mut book = book(&pools);
    let a = holding(&["10.0.0.2"], "p", service("a"));
    let b = holding(&["10.0.0.3"], "p", service("b"));
    step(&mut book, &a);
    step(&mut book, &b);

    book.set_pools(&by_name(&pools[1..]), true);
    assert!(matches!(step(&mut book, &a), Decision::Keep(_)));
    assert!(matches!(step(&mut book, &from_pool("p", b.clone())), Decision::Keep(_)));
    assert!(refusal(&step(&mut book, &from_pool("p", service("c")))).contains("it is set aside"));

    book.set_pools(&by_name(&pools[1..]), false);
    let decision = step(&mut book, &a);
    assert_eq!(holds(&decision), ["10.1.0.0"]);
    assert!(matches!(decision, Decision::Assign { cause: Cause::Moved(ReleaseReason::OutsidePools), .. }));
    let decision = step(&mut book, &b);
    assert!(matches!(decision, Decision::Release { because: ReleaseReason::OutsidePools, refusal: Some(_) }));
}

#[test]
fn what_is_no_load_balancer_any_more_is_released_and_what_never_was_is_left_alone() {
    let mut book = book(&[pool("p", &["10.0.0.0/30"])]);
    let it = holding(&["10.0.0.0"], "p", service("it"));
    step(&mut book, &it);
    let mut other = it;
    other.kind = ServiceKind::Other;
    other.assigned.clear();
    assert_eq!(step(&mut book, &other), Decision::Release { because: ReleaseReason::NotLoadBalancer, refusal: None });
    other.allocated_from = None;
    assert_eq!(step(&mut book, &other), Decision::Ignore);
    assert_eq!(book.usage("p").assigned_v4, 0);
}

#[test]
fn what_a_service_lost_is_free_only_when_its_status_says_so() {
    let mut book = book(&[pool("p", &["10.0.0.0/32"])]);
    let a = holding(&["10.0.0.0"], "p", service("a"));
    step(&mut book, &a);
    let gone = Service { kind: ServiceKind::Other, ..a.clone() };
    let decision = plan_one(&gone, &book);
    assert_eq!(book.apply(&gone, &decision), Effect::None);
    assert!(plan_one(&service("b"), &book).refusal().is_some());
    assert_eq!(book.settle(&a.key), Effect::Freed);
    assert_eq!(holds(&plan_one(&service("b"), &book)), ["10.0.0.0"]);
}

#[test]
fn after_a_restart_a_service_that_must_move_takes_nothing_that_another_one_shows() {
    let mut book = book(&[pool("p", &["10.0.0.0/31"])]);
    let a = holding(&["10.9.9.9"], "gone", service("a"));
    let b = holding(&["10.0.0.0"], "p", service("b"));
    let decisions = plan([&a, &b], &mut book);
    assert_eq!(decisions.iter().map(|(_, decision)| holds(decision)).collect::<Vec<_>>(), [["10.0.0.1"], ["10.0.0.0"]]);
}

#[test]
fn a_huge_pool_counts_and_gives_like_a_small_one() {
    let mut book =
        book(&[Pool { avoid_buggy_ips: true, ..pool("p", &["10.0.0.0/8", "fd00::/64"]) }, pool("all", &["::/8"])]);
    assert_eq!(holds(&step(&mut book, &from_pool("p", service("a")))), ["10.0.0.1"]);
    let usage = book.usage("p");
    assert_eq!((usage.assigned_v4, usage.available_v4), (1, 65536 * 254 - 1));
    assert_eq!((usage.assigned_v6, usage.available_v6), (0, i64::MAX));
}
