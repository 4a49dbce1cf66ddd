use super::*;
use crate::model::Quotas;

#[test]
fn buggy_addresses_are_not_in_a_pool_that_avoids_them() {
    let mut pool = pool(&["192.0.2.0/24", "2001:db8::/120"]);
    let contains = |pool: &Pool, ip: &str| pool.contains(ip.parse().unwrap());
    assert!(contains(&pool, "192.0.2.0") && contains(&pool, "192.0.2.255"));
    assert_eq!((pool.usable(Family::V4), pool.usable(Family::V6)), (256, 256));

    pool.avoid_buggy_ips = true;
    assert!(!contains(&pool, "192.0.2.0") && !contains(&pool, "192.0.2.255") && contains(&pool, "192.0.2.1"));
    assert!(contains(&pool, "2001:db8::") && contains(&pool, "2001:db8::ff"));
    assert_eq!((pool.usable(Family::V4), pool.usable(Family::V6)), (254, 256));
}

#[test]
fn a_pool_of_buggy_addresses_only_has_no_family() {
    let mut pool = pool(&["192.0.2.255-192.0.3.0"]);
    assert!(pool.has_family(Family::V4) && !pool.has_family(Family::V6));
    pool.avoid_buggy_ips = true;
    assert!(!pool.has_family(Family::V4));
}

#[test]
fn counts_in_a_status_saturate_from_62_host_bits_on() {
    assert_eq!(saturate(0), 0);
    assert_eq!(saturate((1 << 62) - 1), (1 << 62) - 1);
    assert_eq!(saturate(1 << 62), i64::MAX);
    assert_eq!(saturate(u128::MAX), i64::MAX);
    assert_eq!(pool(&["::/1", "8000::/1"]).usable(Family::V6), u128::MAX);
}

#[test]
fn zero_ranks_last_and_less_ranks_first() {
    let rank = |priority| Allocation { priority, namespaces: None, service_selectors: vec![], pinned: true }.rank();
    let mut written = [0, 20, 1, -5];
    written.sort_by_key(|&priority| rank(priority));
    assert_eq!(written, [-5, 1, 20, 0]);
}

fn pool(entries: &[&str]) -> Pool {
    Pool {
        name: "p".to_owned(),
        labels: Labels::new(),
        ranges: entries.iter().map(|entry| Range::parse(entry).unwrap()).collect(),
        auto_assign: true,
        avoid_buggy_ips: false,
        allocation: None,
        quotas: Quotas::default(),
    }
}
