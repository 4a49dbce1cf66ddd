//! A pool whose entries have been read and whose selectors have been looked up.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::range::{Family, Range, is_buggy};
use super::select::{Labels, Selector};

/// The addresses of one `IPAddressPool` and who may use them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// The name of the object.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
    /// Its entries, in the order they are listed. No two overlap.
    pub ranges: Vec<Range>,
    /// Whether addresses are taken from it without being asked for it.
    pub auto_assign: bool,
    /// Whether IPv4 addresses ending in .0 and .255 are left out.
    pub avoid_buggy_ips: bool,
    /// Restricts the pool to some Services; nothing means it is for all and serves as a default.
    pub allocation: Option<Allocation>,
}

impl Pool {
    /// Whether the address may be used from this pool.
    pub fn contains(&self, ip: IpAddr) -> bool {
        !(self.avoid_buggy_ips && is_buggy(ip)) && self.ranges.iter().any(|range| range.contains(ip))
    }

    /// Whether a Service of this namespace and with these labels may use the pool.
    pub fn admits(&self, namespace: &str, labels: &Labels) -> bool {
        self.allocation.as_ref().is_none_or(|allocation| allocation.admits(namespace, labels))
    }

    /// Whether the pool is set apart for this Service and so comes before the pools that are for everybody.
    pub fn is_pinned_to(&self, namespace: &str, labels: &Labels) -> bool {
        self.allocation.as_ref().is_some_and(|a| a.pinned && a.admits(namespace, labels))
    }

    /// Whether it holds addresses of the family.
    pub fn has_family(&self, family: Family) -> bool {
        self.usable(family) > 0
    }

    /// How many addresses of the family may be used, taken or not; saturates at the largest number.
    pub fn usable(&self, family: Family) -> u128 {
        let ranges = self.ranges.iter().filter(|range| range.family() == family);
        ranges.fold(0, |sum: u128, range| {
            let size = if self.avoid_buggy_ips { range.size().saturating_sub(range.buggy()) } else { range.size() };
            sum.saturating_add(size)
        })
    }
}

/// Which Services a pool is for, and how it ranks for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// As the user wrote it: smaller is preferred, 0 comes last. Compare [`Allocation::rank`].
    pub priority: i64,
    /// The namespaces that may use the pool; nothing means no restriction.
    pub namespaces: Option<BTreeSet<String>>,
    /// The Services that may use the pool, by their labels; empty means no restriction.
    pub service_selectors: Vec<Selector>,
    /// Whether the pool is chosen automatically for the Services it admits. A pool whose namespace selectors match no namespace, and that
    /// selects no Services, is not: it can only be asked for.
    pub pinned: bool,
}

impl Allocation {
    /// Whether a Service of this namespace and with these labels may use the pool.
    pub fn admits(&self, namespace: &str, labels: &Labels) -> bool {
        self.namespaces.as_ref().is_none_or(|names| names.contains(namespace))
            && (self.service_selectors.is_empty() || self.service_selectors.iter().any(|s| s.matches(labels)))
    }

    /// The order among pinned pools: the smallest is tried first.
    pub fn rank(&self) -> i64 {
        if self.priority == 0 { i64::MAX } else { self.priority }
    }
}

/// A count of addresses as statuses show it: from 2^62 on it is the largest int64, as for any prefix with 62 or more host bits.
pub fn saturate(count: u128) -> i64 {
    i64::try_from(count).ok().filter(|&n| n < 1 << 62).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
