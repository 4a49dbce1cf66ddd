//! What BGP counts, under the names that MetalLB exports for its own speaker and for FRR.

use crate::net::tcp::Link;
use herald_bgp::{Observed, Session, State};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Peer {
    peer: String,
    vrf: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct End {
    peer: String,
    vrf: String,
    reason: &'static str,
}

/// Everything that BGP counts.
#[derive(Clone, Default)]
pub(crate) struct Metrics {
    up: Family<Peer, Gauge>,
    updates: Family<Peer, Counter>,
    // MetalLB's names for numbers that go up and down end in `_total`, and those of counters do not: both are gauges here.
    announced: Family<Peer, Gauge>,
    pending: Family<Peer, Gauge>,
    gauges: [Family<Peer, Gauge>; COUNTED.len()],
    ends: Family<End, Counter>,
    missed: Counter,
}

type Count = fn(&herald_bgp::Counters) -> u64;

/// Counters of a session: name, help, value.
const COUNTED: [(&str, &str, Count); 9] = [
    ("metallb_bgp_opens_sent", "OPENs sent", |c| c.sent.open),
    ("metallb_bgp_opens_received", "OPENs received", |c| c.received.open),
    ("metallb_bgp_notifications_sent", "NOTIFICATIONs sent", |c| c.sent.notification),
    ("metallb_bgp_updates_total_received", "UPDATEs received", |c| c.received.update),
    ("metallb_bgp_keepalives_sent", "KEEPALIVEs sent", |c| c.sent.keepalive),
    ("metallb_bgp_keepalives_received", "KEEPALIVEs received", |c| c.received.keepalive),
    ("metallb_bgp_route_refresh_sent", "ROUTE-REFRESHs sent", |c| c.sent.route_refresh),
    ("metallb_bgp_total_sent", "Messages sent", |c| c.sent.total()),
    ("metallb_bgp_total_received", "Messages received", |c| c.received.total()),
];

/// The numbers of one peer: looked up once.
pub(crate) struct Numbers {
    peer: Peer,
    metrics: Metrics,
    up: Gauge,
    updates: Counter,
    announced: Gauge,
    pending: Gauge,
    gauges: [Gauge; COUNTED.len()],
}

impl Metrics {
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let m = &metrics;
        registry.register("metallb_bgp_session_up", "1 while the BGP session is established", m.up.clone());
        registry.register("metallb_bgp_updates", "UPDATEs sent", m.updates.clone());
        registry.register("metallb_bgp_announced_prefixes_total", "Prefixes that the peer holds", m.announced.clone());
        registry.register(
            "metallb_bgp_pending_prefixes_total",
            "Prefixes that the peer is still to be told of",
            m.pending.clone(),
        );
        for ((name, help, _), family) in COUNTED.iter().zip(&m.gauges) {
            registry.register(*name, *help, family.clone());
        }
        registry.register("herald_bgp_session_ends", "Connections with a peer that ended", m.ends.clone());
        registry.register("herald_bgp_news_missed", "News of BGP sessions that did not fit", m.missed.clone());
        metrics
    }

    /// The numbers of one peer, from zero on if it is new.
    pub(crate) fn peer(&self, link: &Link) -> Numbers {
        let vrf = link.vrf.clone().unwrap_or_else(|| "default".to_owned());
        let peer = Peer { peer: link.peer.to_string(), vrf };
        Numbers {
            up: self.up.get_or_create_owned(&peer),
            updates: self.updates.get_or_create_owned(&peer),
            announced: self.announced.get_or_create_owned(&peer),
            pending: self.pending.get_or_create_owned(&peer),
            gauges: self.gauges.each_ref().map(|family| family.get_or_create_owned(&peer)),
            metrics: self.clone(),
            peer,
        }
    }

    pub(crate) fn missed(&self) {
        self.missed.inc();
    }
}

impl Numbers {
    /// Shows the session as it stands.
    pub(crate) fn show(&self, session: &Session) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.up.set(i64::from(session.state() == State::Established));
        self.announced.set(number(session.rib().held()));
        self.pending.set(number(session.rib().pending()));
        for ((.., count), gauge) in COUNTED.iter().zip(&self.gauges) {
            gauge.set(i64::try_from(count(session.counters())).unwrap_or(i64::MAX));
        }
    }

    pub(crate) fn count(&self, observed: &Observed) {
        match observed {
            Observed::UpdatesSent(updates) => drop(self.updates.inc_by(u64::try_from(*updates).unwrap_or(u64::MAX))),
            Observed::Ended { why, .. } => {
                let Peer { peer, vrf } = self.peer.clone();
                self.metrics.ends.get_or_create(&End { peer, vrf, reason: why.label() }).inc();
            }
            _ => {}
        }
    }

    /// Takes the numbers of a peer away that is no more: an alert on them would never end.
    pub(crate) fn forget(&self) {
        let Metrics { up, announced, pending, gauges, updates, .. } = &self.metrics;
        updates.remove(&self.peer);
        for family in [up, announced, pending].into_iter().chain(gauges) {
            family.remove(&self.peer);
        }
    }
}
