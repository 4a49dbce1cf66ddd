//! Quotas as users write them on a pool.

#![allow(clippy::unwrap_used, reason = "a test whose input cannot be built has failed")]

use herald_crds::api::IPAddressPool;
use herald_crds::keys::QUOTAS_ANNOTATION;
use herald_crds::model::{Config, Problem, ProblemReason, Quotas, Resolved, resolve};
use serde_json::{from_value, json};

#[test]
fn who_is_named_has_its_own_limit_and_the_star_is_for_the_others() {
    let quotas = Quotas::parse("team-a=5, team-b=0 ,*=10").unwrap();
    assert_eq!(["team-a", "team-b", "else"].map(|name| quotas.of(name)), [Some(5), Some(0), Some(10)]);
    assert_eq!(["a", "b"].map(|name| Quotas::parse("a=1").unwrap().of(name)), [Some(1), None]);
    assert!(Quotas::default().is_empty() && !quotas.is_empty());
}

#[test]
fn what_is_no_quota_sets_the_pool_aside_and_says_what_to_write() {
    for (text, why) in [
        ("", "\"\" is no limit: write NAMESPACE=NUMBER, and *=NUMBER for all others"),
        ("10", "\"10\" is no limit: write NAMESPACE=NUMBER, and *=NUMBER for all others"),
        ("a=1,", "\"\" is no limit: write NAMESPACE=NUMBER, and *=NUMBER for all others"),
        ("a=", "\"a=\" ends in no number: write how many addresses a may hold"),
        ("a=-1", "\"a=-1\" ends in no number: write how many addresses a may hold"),
        ("a=4294967296", "\"a=4294967296\" ends in no number: write how many addresses a may hold"),
        ("a=1=2", "\"a=1=2\" ends in no number: write how many addresses a may hold"),
        ("Team=1", "\"Team\" is no name of a namespace"),
        ("=1", "\"\" is no name of a namespace"),
        ("ü=1", "\"ü\" is no name of a namespace"),
        ("a=1,a=1", "\"a\" is listed twice: remove one of the two limits"),
        ("*=1,*=2", "\"*\" is listed twice: remove one of the two limits"),
    ] {
        let (resolved, problems) = read(text);
        assert!(resolved.pools.is_empty() && resolved.set_aside.contains("p"), "{text}");
        let [problem] = problems.as_slice() else { panic!("{text}: {problems:?}") };
        assert_eq!(problem.reason, ProblemReason::BadQuota);
        assert_eq!(problem.message, format!("annotation heraldlb.io/namespace-quotas: {why}"));
    }
    let (resolved, problems) = read("a=1,*=2");
    assert!(problems.is_empty());
    assert_eq!(resolved.pools["p"].quotas.of("b"), Some(2));
}

fn read(annotation: &str) -> (Resolved, Vec<Problem>) {
    let pool: IPAddressPool = from_value(json!({
        "metadata": {"name": "p", "annotations": {QUOTAS_ANNOTATION: annotation}},
        "spec": {"addresses": ["192.0.2.0/24"]},
    }))
    .unwrap();
    resolve(&Config { pools: [("p".to_owned(), pool)].into(), ..Config::default() })
}
