//! What the speaker counts. The names of MetalLB where it has the same thing; `herald_` for the rest.

pub(crate) mod bfd;
pub(crate) mod bgp;

use crate::net::flows::{Fate, Off};
use herald_crds::model::ServiceKey;
use herald_runtime::error::WriteError;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use std::{
    net::IpAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Announced {
    service: String,
    protocol: &'static str,
    node: String,
    ip: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ip {
    ip: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Write {
    kind: &'static str,
    result: &'static str,
}

/// By which an address is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Layer2,
    Bgp,
}

impl Protocol {
    /// The word of metrics and Events.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Layer2 => "layer2",
            Self::Bgp => "bgp",
        }
    }
}

/// Bounds of a step that should take a millisecond and takes more where many addresses move at once.
const STEP: [f64; 12] = [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0];

/// Everything counted. One per process.
pub(crate) struct Metrics {
    node: String,
    announced: Family<Announced, Gauge>,
    // MetalLB names these three counters without `_total`, which a counter of OpenMetrics must have: they are gauges here.
    requests: Family<Ip, Gauge>,
    responses: Family<Ip, Gauge>,
    gratuitous: Family<Ip, Gauge>,
    config_updates: Counter,
    writes: Family<Write, Counter>,
    update_errors: Counter,
    config_loaded: Gauge,
    config_stale: Gauge,
    problems: Gauge,
    members: Gauge,
    fit: Gauge,
    gained: Family<Reason, Counter>,
    lost: Family<Reason, Counter>,
    rejected: Family<Reason, Counter>,
    ignored: Family<Reason, Counter>,
    detection: Histogram,
    decision: Histogram,
    announcement: Histogram,
    owned_since: Family<Ip, Gauge>,
    late: Histogram,
    missed: Counter,
    conflicts: Family<Ip, Counter>,
    flows: Family<Reason, Counter>,
    flows_off: Family<Reason, Gauge>,
    flows_wait: Histogram,
    flows_late: Counter,
}

impl Metrics {
    /// Makes the metrics and registers them.
    pub(crate) fn new(node: &str, registry: &mut Registry) -> Self {
        let metrics = Self {
            node: node.to_owned(),
            announced: Family::default(),
            requests: Family::default(),
            responses: Family::default(),
            gratuitous: Family::default(),
            config_updates: Counter::default(),
            writes: Family::default(),
            update_errors: Counter::default(),
            config_loaded: Gauge::default(),
            config_stale: Gauge::default(),
            problems: Gauge::default(),
            members: Gauge::default(),
            fit: Gauge::default(),
            gained: Family::default(),
            lost: Family::default(),
            rejected: Family::default(),
            ignored: Family::default(),
            detection: Histogram::new([0.01, 0.03, 0.06, 0.08, 0.09, 0.1, 0.12, 0.15, 0.2, 0.3, 0.5, 1.0]),
            decision: Histogram::new(STEP),
            announcement: Histogram::new(STEP),
            owned_since: Family::default(),
            late: Histogram::new([0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 1.0]),
            missed: Counter::default(),
            conflicts: Family::default(),
            flows: Family::default(),
            flows_off: Family::default(),
            flows_wait: Histogram::new([0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1]),
            flows_late: Counter::default(),
        };
        let m = &metrics;
        registry.register("metallb_speaker_announced", "Services announced from this node", m.announced.clone());
        registry.register(
            "metallb_layer2_requests_received",
            "ARP and NDP requests for owned addresses",
            m.requests.clone(),
        );
        registry.register("metallb_layer2_responses_sent", "ARP and NDP answers", m.responses.clone());
        registry.register("metallb_layer2_gratuitous_sent", "Unasked ARP and NDP announcements", m.gratuitous.clone());
        registry.register("metallb_k8s_client_updates", "Configurations resolved", m.config_updates.clone());
        registry.register(
            "metallb_k8s_client_config_loaded_bool",
            "1 once a configuration is in force",
            m.config_loaded.clone(),
        );
        registry.register(
            "metallb_k8s_client_config_stale_bool",
            "1 while an object is set aside",
            m.config_stale.clone(),
        );
        registry.register("metallb_k8s_client_update_errors", "Writes that failed", m.update_errors.clone());
        registry.register("herald_speaker_writes", "Writes to the API server by kind and result", m.writes.clone());
        registry.register("herald_config_problems", "Objects set aside", m.problems.clone());
        registry.register("herald_node_fit", "0 while kube-proxy does not serve here", m.fit.clone());
        m.fit.set(1);
        registry.register("herald_election_members", "Other speakers heard", m.members.clone());
        registry.register("herald_election_gains", "Addresses gained", m.gained.clone());
        registry.register("herald_election_losses", "Addresses lost", m.lost.clone());
        registry.register("herald_election_heartbeats_rejected", "Datagrams refused", m.rejected.clone());
        registry.register("herald_election_detection_seconds", "Silence of an owner at take-over", m.detection.clone());
        registry.register(
            "herald_election_decision_seconds",
            "From the death or the offer of an owner to the gain of its address",
            m.decision.clone(),
        );
        registry.register(
            "herald_layer2_announcement_seconds",
            "From the gain of an address to the end of its first round of announcements",
            m.announcement.clone(),
        );
        registry.register(
            "herald_address_owned_since_seconds",
            "When this node gained the address, in seconds since 1970",
            m.owned_since.clone(),
        );
        registry.register("herald_layer2_frames_ignored", "Frames not acted on", m.ignored.clone());
        registry.register("herald_layer2_conflicts", "Claims of others for owned addresses", m.conflicts.clone());
        registry.register("herald_pulse_late_seconds", "Wake-ups 5 ms and more too late", m.late.clone());
        registry.register("herald_pulse_news_missed", "News of the pulse thread that did not fit", m.missed.clone());
        registry.register("herald_flows_moves", "Decisions about connections of earlier owners", m.flows.clone());
        registry.register("herald_flows_off", "1 while moves do not keep connections", m.flows_off.clone());
        registry.register("herald_flows_late", "Offered addresses taken before that", m.flows_late.clone());
        registry.register(
            "herald_flows_wait_seconds",
            "From such decisions until they are in force",
            m.flows_wait.clone(),
        );
        metrics
    }

    pub(crate) fn flows(&self, off: Option<Off>) {
        for reason in Off::ALL {
            self.flows_off.get_or_create(&Reason { reason: reason.as_str() }).set(i64::from(off == Some(reason)));
        }
    }

    pub(crate) fn decided<'a>(&self, words: impl Iterator<Item = &'a Fate>, took: Duration) {
        for fate in words {
            self.flows.get_or_create(&Reason { reason: fate.as_str() }).inc();
        }
        self.flows_wait.observe(took.as_secs_f64());
    }

    pub(crate) fn unprepared(&self) {
        self.flows_late.inc();
    }

    pub(crate) fn config_resolved(&self, problems: usize) {
        self.config_updates.inc();
        self.config_loaded.set(1);
        self.config_stale.set(i64::from(problems > 0));
        self.problems.set(i64::try_from(problems).unwrap_or(i64::MAX));
    }

    /// Counts a write of a status.
    pub(crate) fn wrote(&self, kind: &'static str, result: Result<(), &WriteError>) {
        let word = result.map_or_else(WriteError::label, |()| "ok");
        self.writes.get_or_create(&Write { kind, result: word }).inc();
        // A conflict is a race that the next look settles, not a failure.
        if matches!(result, Err(WriteError::Refused(_) | WriteError::Unreachable(_) | WriteError::NotActing)) {
            self.update_errors.inc();
        }
    }

    pub(crate) fn announces(&self, service: &ServiceKey, ip: IpAddr, by: Protocol) {
        self.announced.get_or_create(&self.announced_labels(service, ip, by)).set(1);
        if by == Protocol::Layer2 {
            // There from the start, so that the first conflict is an increase.
            let _ = self.conflicts.get_or_create(&label(ip));
        }
    }

    pub(crate) fn announces_no_more(&self, service: &ServiceKey, ip: IpAddr, by: Protocol) {
        self.announced.remove(&self.announced_labels(service, ip, by));
    }

    fn announced_labels(&self, service: &ServiceKey, ip: IpAddr, by: Protocol) -> Announced {
        let protocol = by.as_str();
        Announced { service: service.to_string(), protocol, node: self.node.clone(), ip: ip.to_string() }
    }

    pub(crate) fn gained(
        &self,
        ip: IpAddr,
        reason: &'static str,
        silent_for: Option<Duration>,
        decided: Option<Duration>,
    ) {
        self.gained.get_or_create(&Reason { reason }).inc();
        if let Some(silent_for) = silent_for {
            self.detection.observe(silent_for.as_secs_f64());
        }
        if let Some(decided) = decided {
            self.decision.observe(decided.as_secs_f64());
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.owned_since.get_or_create(&label(ip)).set(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    }

    pub(crate) fn announced_first(&self, took: Duration) {
        self.announcement.observe(took.as_secs_f64());
    }

    pub(crate) fn lost(&self, ip: IpAddr, reason: &'static str) {
        self.lost.get_or_create(&Reason { reason }).inc();
        self.owned_since.remove(&label(ip));
    }

    pub(crate) fn requested(&self, ip: IpAddr) {
        self.requests.get_or_create(&label(ip)).inc();
    }

    pub(crate) fn answered(&self, ip: IpAddr) {
        self.responses.get_or_create(&label(ip)).inc();
    }

    pub(crate) fn announced(&self, ip: IpAddr, frames: u32) {
        self.gratuitous.get_or_create(&label(ip)).inc_by(i64::from(frames));
    }

    pub(crate) fn conflict(&self, ip: IpAddr) {
        self.conflicts.get_or_create(&label(ip)).inc();
    }

    pub(crate) fn rejected(&self, reason: &'static str) {
        self.rejected.get_or_create(&Reason { reason }).inc();
    }

    pub(crate) fn ignored(&self, reason: &'static str) {
        self.ignored.get_or_create(&Reason { reason }).inc();
    }

    pub(crate) fn fit(&self, fit: bool) {
        self.fit.set(i64::from(fit));
    }

    pub(crate) fn member_up(&self) {
        self.members.inc();
    }

    pub(crate) fn member_down(&self) {
        self.members.dec();
    }

    pub(crate) fn missed(&self, count: u64) {
        self.missed.inc_by(count);
    }

    pub(crate) fn late(&self, late: Duration) {
        self.late.observe(late.as_secs_f64());
    }
}

fn label(ip: IpAddr) -> Ip {
    Ip { ip: ip.to_string() }
}
