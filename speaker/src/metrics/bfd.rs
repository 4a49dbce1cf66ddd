//! What BFD counts, under the names that MetalLB exports for FRR.

use herald_bfd::{Drop, InterfaceIndex, Path};
use nix::net::if_::if_indextoname;
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
struct Reason {
    reason: &'static str,
}

/// Everything that BFD counts.
#[derive(Clone, Default)]
pub(crate) struct Metrics {
    // The counters of MetalLB have no `_total`, which a counter of OpenMetrics must have: they are gauges here.
    up: Family<Peer, Gauge>,
    input: Family<Peer, Gauge>,
    output: Family<Peer, Gauge>,
    up_events: Family<Peer, Gauge>,
    down_events: Family<Peer, Gauge>,
    ignored: Family<Reason, Counter>,
}

/// The numbers of one session: looked up once, then counted without a lock.
#[derive(Clone)]
pub(crate) struct Session {
    peer: Peer,
    up: Gauge,
    input: Gauge,
    output: Gauge,
    up_events: Gauge,
    down_events: Gauge,
}

impl Session {
    pub(crate) fn received(&self) {
        self.input.inc();
    }

    pub(crate) fn sent(&self) {
        self.output.inc();
    }

    pub(crate) fn came_up(&self) {
        self.up.set(1);
        self.up_events.inc();
    }

    pub(crate) fn failed(&self) {
        self.up.set(0);
        self.down_events.inc();
    }

    /// Not up any more, and nothing has failed.
    pub(crate) fn stopped(&self) {
        self.up.set(0);
    }
}

impl Metrics {
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let m = &metrics;
        registry.register("metallb_bfd_session_up", "1 while the BFD session is up", m.up.clone());
        registry.register("metallb_bfd_control_packet_input", "BFD control packets taken", m.input.clone());
        registry.register("metallb_bfd_control_packet_output", "BFD control packets sent", m.output.clone());
        registry.register("metallb_bfd_session_up_events", "Times a BFD session came up", m.up_events.clone());
        registry.register("metallb_bfd_session_down_events", "Times a BFD session failed", m.down_events.clone());
        registry.register("herald_bfd_packets_ignored", "BFD packets not acted on", m.ignored.clone());
        metrics
    }

    /// The numbers of one session, from zero on if it is new.
    pub(crate) fn session(&self, path: &Path) -> Session {
        let peer = Peer { peer: path.peer.to_string(), vrf: vrf(path.vrf) };
        Session {
            up: self.up.get_or_create_owned(&peer),
            input: self.input.get_or_create_owned(&peer),
            output: self.output.get_or_create_owned(&peer),
            up_events: self.up_events.get_or_create_owned(&peer),
            down_events: self.down_events.get_or_create_owned(&peer),
            peer,
        }
    }

    /// Takes the numbers of a session away that is over: an alert on them would never end.
    pub(crate) fn forget(&self, session: &Session) {
        for family in [&self.up, &self.input, &self.output, &self.up_events, &self.down_events] {
            family.remove(&session.peer);
        }
    }

    pub(crate) fn ignored(&self, reason: Drop) {
        self.ignored.get_or_create(&Reason { reason: reason.as_str() }).inc();
    }
}

/// The name that MetalLB's dashboards expect.
fn vrf(index: Option<InterfaceIndex>) -> String {
    let Some(InterfaceIndex(index)) = index else { return "default".to_owned() };
    match if_indextoname(index).ok().and_then(|name| name.into_string().ok()) {
        Some(name) => name,
        None => index.to_string(),
    }
}
