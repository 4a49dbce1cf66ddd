//! A pool whose entries have been read and whose selectors have been looked up.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::problem::{Kind, Mistakes, Problem, ProblemReason};
use super::quota::Quotas;
use super::range::{Family, Range, is_buggy};
use super::select::{Labels, Selector, compile_all, unique};
use crate::api::{IPAddressPool, ServiceAllocation};
use crate::keys::QUOTAS_ANNOTATION;

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
    /// How many addresses a namespace may hold at once.
    pub quotas: Quotas,
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

    /// Whether a Service that holds an address of the pool may keep it: if the pool admits it, and also if its selectors match no namespace at all
    /// any more. That takes a slip, a label lost or misspelt, and an address in use is not taken away for a slip.
    pub fn lets_keep(&self, namespace: &str, labels: &Labels) -> bool {
        self.allocation.as_ref().is_none_or(|allocation| {
            let nobody = allocation.namespaces.as_ref().is_some_and(BTreeSet::is_empty);
            allocation.admits(namespace, labels) || nobody && allocation.selects(labels)
        })
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

impl Pool {
    /// Reads a pool by itself, without a look at the others.
    pub(super) fn read(
        name: &str,
        object: &IPAddressPool,
        namespaces: &BTreeMap<String, Labels>,
    ) -> Result<Pool, Vec<Problem>> {
        let mut mistakes = Mistakes::of(Kind::IPAddressPool, name);
        let ranges = read_ranges(&object.spec.addresses, &mut mistakes);
        let allocation = object.spec.service_allocation.as_ref();
        let allocation = allocation.map(|written| Allocation::read(written, namespaces, &mut mistakes));
        let annotations = object.metadata.annotations.as_ref();
        let quotas = annotations.and_then(|all| all.get(QUOTAS_ANNOTATION));
        let quotas = Quotas::read(quotas, &mut mistakes);
        mistakes.or(Pool {
            name: name.to_owned(),
            labels: object.metadata.labels.clone().unwrap_or_default(),
            ranges,
            auto_assign: object.spec.auto_assign,
            avoid_buggy_ips: object.spec.avoid_buggy_ips,
            allocation,
            quotas,
        })
    }
}

fn read_ranges(entries: &[String], mistakes: &mut Mistakes) -> Vec<Range> {
    if entries.is_empty() {
        let message = "spec.addresses is empty: list at least one CIDR or range";
        mistakes.add(ProblemReason::NoAddresses, message);
    }
    let mut taken = Intervals::default();
    let mut ranges = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        match Range::parse(entry) {
            Err(why) => mistakes.add(ProblemReason::BadAddresses, format!("spec.addresses[{at}]: {why}")),
            Ok(range) => match taken.overlapping(&range) {
                Some(other) => mistakes.add(
                    ProblemReason::OverlapInPool,
                    format!("spec.addresses[{at}] \"{entry}\" and \"{other}\" hold the same addresses: write each address once"),
                ),
                None => {
                    taken.insert(range, entry);
                    ranges.push(range);
                }
            },
        }
    }
    ranges
}

/// Ranges that do not overlap, each with its owner.
#[derive(Default)]
pub(super) struct Intervals<'a> {
    by_first: BTreeMap<IpAddr, (Range, &'a str)>,
}

impl<'a> Intervals<'a> {
    /// The owner of some range that shares an address with this one.
    pub(super) fn overlapping(&self, range: &Range) -> Option<&'a str> {
        // Of the ranges that start no later than this one ends, the last one reaches furthest, as they do not overlap.
        let (_, (other, owner)) = self.by_first.range(..=range.last).next_back()?;
        other.overlaps(range).then_some(*owner)
    }

    pub(super) fn insert(&mut self, range: Range, owner: &'a str) {
        self.by_first.insert(range.first, (range, owner));
    }
}

/// Which Services a pool is for, and how it ranks for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// As the user wrote it: smaller is preferred, 0 comes last. Compare [`Allocation::rank`].
    pub priority: i64,
    /// The namespaces that may use the pool, none at all where the set is empty; nothing means no restriction.
    pub namespaces: Option<BTreeSet<String>>,
    /// The Services that may use the pool, by their labels; empty means no restriction.
    pub service_selectors: Vec<Selector>,
    /// Whether the pool is chosen automatically for the Services it admits, before the pools that are for everybody.
    pub pinned: bool,
}

impl Allocation {
    /// Whether a Service of this namespace and with these labels may use the pool.
    pub fn admits(&self, namespace: &str, labels: &Labels) -> bool {
        self.namespaces.as_ref().is_none_or(|names| names.contains(namespace)) && self.selects(labels)
    }

    fn selects(&self, labels: &Labels) -> bool {
        self.service_selectors.is_empty() || self.service_selectors.iter().any(|s| s.matches(labels))
    }

    fn read(written: &ServiceAllocation, namespaces: &BTreeMap<String, Labels>, mistakes: &mut Mistakes) -> Self {
        let by_name = "spec.serviceAllocation.namespaces";
        let mut names = unique(by_name, &written.namespaces, mistakes);
        let by_label = "spec.serviceAllocation.namespaceSelectors";
        let selectors = compile_all(by_label, &written.namespace_selectors, mistakes);
        let selected = namespaces.iter().filter(|(_, labels)| selectors.iter().any(|s| s.matches(labels)));
        names.extend(selected.map(|(name, _)| name.clone()));

        let by_service = "spec.serviceAllocation.serviceSelectors";
        let mut service_selectors = compile_all(by_service, &written.service_selectors, mistakes);
        let open = written.namespaces.is_empty() && written.namespace_selectors.is_empty();
        let conditions = [written.namespaces.len(), written.namespace_selectors.len(), written.service_selectors.len()];
        if conditions == [0; 3] {
            service_selectors.push(Selector::everything()); // a bare rank: the pool is for all, and comes before the defaults
        }
        Self {
            priority: written.priority,
            pinned: true,
            // Selectors that match no namespace are a restriction all the same.
            namespaces: (!open).then_some(names),
            service_selectors,
        }
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
