//! What the controller counts. The names of MetalLB where it has the same thing; `herald_` for the rest.

use herald_allocator::Usage;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use std::{collections::BTreeMap, time::Duration};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Pool {
    pool: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Write {
    kind: &'static str,
    result: &'static str,
}

/// Everything counted. One per process.
pub(crate) struct Metrics {
    total: Family<Pool, Gauge>,
    total_v4: Family<Pool, Gauge>,
    total_v6: Family<Pool, Gauge>,
    in_use: Family<Pool, Gauge>,
    in_use_v4: Family<Pool, Gauge>,
    in_use_v6: Family<Pool, Gauge>,
    services: Family<Pool, Gauge>,
    updates: Counter,
    update_errors: Counter,
    config_loaded: Gauge,
    config_stale: Gauge,
    leader: Gauge,
    waiting: Gauge,
    known: Gauge,
    writes: Family<Write, Counter>,
    plan: Histogram,
    write: Histogram,
    events_dropped: Counter,
    pools: std::sync::Mutex<BTreeMap<String, Usage>>,
}

impl Metrics {
    /// Makes the metrics and registers them.
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            total: Family::default(),
            total_v4: Family::default(),
            total_v6: Family::default(),
            in_use: Family::default(),
            in_use_v4: Family::default(),
            in_use_v6: Family::default(),
            services: Family::default(),
            updates: Counter::default(),
            update_errors: Counter::default(),
            config_loaded: Gauge::default(),
            config_stale: Gauge::default(),
            leader: Gauge::default(),
            waiting: Gauge::default(),
            known: Gauge::default(),
            writes: Family::default(),
            // From 2 microseconds for one Service among few to a tenth of a second for all after a change of pools.
            plan: Histogram::new(exponential_buckets(2e-6, 2.0, 18)),
            // From 1 millisecond to 8 seconds, more than a lease lasts.
            write: Histogram::new(exponential_buckets(1e-3, 2.0, 14)),
            events_dropped: Counter::default(),
            pools: std::sync::Mutex::default(),
        };
        let allocator = registry.sub_registry_with_prefix("metallb_allocator");
        allocator.register("addresses_total", "Usable addresses of the pool", metrics.total.clone());
        allocator.register("ipv4_addresses_total", "Usable IPv4 addresses of the pool", metrics.total_v4.clone());
        allocator.register("ipv6_addresses_total", "Usable IPv6 addresses of the pool", metrics.total_v6.clone());
        allocator.register("addresses_in_use_total", "Addresses of the pool in use", metrics.in_use.clone());
        allocator.register(
            "ipv4_addresses_in_use_total",
            "IPv4 addresses of the pool in use",
            metrics.in_use_v4.clone(),
        );
        allocator.register(
            "ipv6_addresses_in_use_total",
            "IPv6 addresses of the pool in use",
            metrics.in_use_v6.clone(),
        );
        allocator.register(
            "services_allocated_total",
            "Services that hold an address of the pool",
            metrics.services.clone(),
        );
        let client = registry.sub_registry_with_prefix("metallb_k8s_client");
        client.register("updates", "Changes of objects that were acted upon", metrics.updates.clone());
        client.register("update_errors", "Writes that failed", metrics.update_errors.clone());
        client.register("config_loaded_bool", "1 once a configuration is in force", metrics.config_loaded.clone());
        client.register(
            "config_stale_bool",
            "1 while an object of the configuration is set aside because of an error in it",
            metrics.config_stale.clone(),
        );
        let herald = registry.sub_registry_with_prefix("herald_controller");
        herald.register("leader", "1 on the replica that acts", metrics.leader.clone());
        herald.register("services", "Services followed", metrics.known.clone());
        herald.register("services_waiting", "Services that do not get all they ask for", metrics.waiting.clone());
        herald.register("writes", "Writes to the API server by kind and result", metrics.writes.clone());
        herald.register("plan_seconds", "Time to go through what changed at once", metrics.plan.clone());
        herald.register("write_seconds", "Time of one status write", metrics.write.clone());
        herald.register("events_dropped", "Events that found the queue full", metrics.events_dropped.clone());
        metrics
    }

    /// Shows the usage of every pool; those that are gone disappear.
    pub(crate) fn pools(&self, usages: BTreeMap<String, Usage>) {
        let mut shown = self.pools.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let families = [
            &self.total,
            &self.total_v4,
            &self.total_v6,
            &self.in_use,
            &self.in_use_v4,
            &self.in_use_v6,
            &self.services,
        ];
        for gone in shown.keys().filter(|name| !usages.contains_key(*name)) {
            for family in families {
                family.remove(&Pool { pool: gone.clone() });
            }
        }
        for (name, usage) in usages.iter().filter(|(name, usage)| shown.get(*name) != Some(usage)) {
            let total_v4 = usage.assigned_v4.saturating_add(usage.available_v4);
            let total_v6 = usage.assigned_v6.saturating_add(usage.available_v6);
            let values = [
                total_v4.saturating_add(total_v6),
                total_v4,
                total_v6,
                usage.assigned_v4.saturating_add(usage.assigned_v6),
                usage.assigned_v4,
                usage.assigned_v6,
                usage.services,
            ];
            for (family, value) in families.into_iter().zip(values) {
                family.get_or_create(&Pool { pool: name.clone() }).set(value);
            }
        }
        *shown = usages;
    }

    pub(crate) fn planned(&self, changes: usize, took: Duration) {
        self.updates.inc_by(changes as u64);
        self.plan.observe(took.as_secs_f64());
    }

    pub(crate) fn wrote(&self, kind: &'static str, result: &'static str, took: Duration) {
        self.writes.get_or_create(&Write { kind, result }).inc();
        if kind == "service" {
            self.write.observe(took.as_secs_f64());
        }
        // A conflict is a race that the next decision settles, not a failure.
        if matches!(result, "refused" | "unreachable") {
            self.update_errors.inc();
        }
    }

    pub(crate) fn config(&self, some_set_aside: bool) {
        self.config_loaded.set(1);
        self.config_stale.set(i64::from(some_set_aside));
    }

    pub(crate) fn leader(&self, acts: bool) {
        self.leader.set(i64::from(acts));
    }

    pub(crate) fn services(&self, known: usize, waiting: usize) {
        self.known.set(i64::try_from(known).unwrap_or(i64::MAX));
        self.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    pub(crate) fn event_dropped(&self) {
        self.events_dropped.inc();
    }
}
