//! Log lines about BGP sessions.

use super::service_status::{Board, Peers};
use crate::{
    bgp::{News, Said, Standings, orders::Unusable},
    source::Picture,
};
use herald_bgp::{Ended, Observed, Side, State};
use herald_crds::model::ServiceKey;
use herald_desire::{Tree, bgp::Wish};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

/// Addresses of Services.
pub(super) type Announced = BTreeSet<(ServiceKey, IpAddr)>;

/// Tells what happens with peers; what goes on and on is said once.
#[derive(Default)]
pub(super) struct Teller {
    /// What was said last about a peer that does not come up.
    said: BTreeMap<String, String>,
    unusable: BTreeMap<String, Unusable>,
    wishes: Tree<ServiceKey, Wish>,
    /// The peers whose sessions stand.
    up: BTreeSet<String>,
    announced: BTreeMap<ServiceKey, BTreeSet<IpAddr>>,
}

impl Teller {
    /// Learns what is wanted, and which peers cannot be talked to. What is to be shown of Services is put on the board. Returns the addresses
    /// that are announced from here on, and those that are not any more.
    pub(super) fn learn(
        &mut self,
        picture: &Picture,
        unusable: BTreeMap<String, Unusable>,
        board: &Board<Peers>,
    ) -> (Announced, Announced) {
        let mut changed = Vec::new();
        picture.bgp_wishes.since(&self.wishes, |service, before, now| {
            let peers = |wish: Option<&Wish>| wish.map(|wish| Peers(wish.peers.clone()));
            let (before, now) = (peers(before), peers(now));
            if before != now {
                board.show(service, now);
            }
            changed.push(service.clone());
        });
        self.wishes = picture.bgp_wishes.clone();
        for (peer, why) in unusable.iter().filter(|(peer, why)| self.unusable.get(*peer) != Some(why)) {
            tracing::error!(peer, protocol = "bgp", error = %why, "cannot talk to the peer");
        }
        self.unusable = unusable;
        self.look(changed)
    }

    /// Learns which sessions stand. Returns as [`Teller::learn`] does.
    pub(super) fn learn_standings(&mut self, standings: &Standings) -> (Announced, Announced) {
        let up = standings.iter().filter(|(_, standing)| standing.state == State::Established);
        let up: BTreeSet<String> = up.map(|(peer, _)| peer.clone()).collect();
        if self.up == up {
            return Default::default();
        }
        self.up = up;
        self.look(self.wishes.keys().cloned().collect())
    }

    /// Looks again at what of these Services is announced.
    fn look(&mut self, services: Vec<ServiceKey>) -> (Announced, Announced) {
        let (mut begun, mut over) = (Announced::new(), Announced::new());
        for service in services {
            let wish = self.wishes.get(&service).filter(|wish| !wish.peers.is_disjoint(&self.up));
            let now: BTreeSet<IpAddr> = wish.into_iter().flat_map(|wish| &wish.ips).copied().collect();
            let before = self.announced.remove(&service).unwrap_or_default();
            begun.extend(now.difference(&before).map(|ip| (service.clone(), *ip)));
            over.extend(before.difference(&now).map(|ip| (service.clone(), *ip)));
            if !now.is_empty() {
                self.announced.insert(service, now);
            }
        }
        (begun, over)
    }

    pub(super) fn tell(&mut self, News { peer, said }: News) {
        match said {
            Said::Observed(observed) => self.observed(&peer, observed),
            Said::NotSent { prefix, why, count } => {
                tracing::warn!(peer, protocol = "bgp", count, %prefix, reason = %why, "the peer cannot be told of routes");
            }
        }
    }

    fn observed(&mut self, peer: &str, observed: Observed) {
        match observed {
            Observed::StateChanged { from, to } => {
                tracing::debug!(peer, protocol = "bgp", %from, state = %to, "session state");
            }
            Observed::Up(agreed) => {
                self.said.remove(peer);
                let hold_s = agreed.hold_time.map(|time| time.as_secs());
                let families: Vec<String> = agreed.families.iter().map(|family| family.to_string()).collect();
                let missing: Vec<String> = agreed.families_missing.iter().map(|family| family.to_string()).collect();
                tracing::info!(
                    peer,
                    protocol = "bgp",
                    asn = %agreed.peer_as,
                    router_id = %agreed.peer_id,
                    hold_s,
                    families = families.join(","),
                    "session up"
                );
                if !missing.is_empty() {
                    tracing::warn!(
                        peer,
                        protocol = "bgp",
                        families = missing.join(","),
                        "the peer does not take routes of these families; activate them there"
                    );
                }
            }
            Observed::Ended { was: State::Established, why } => {
                let reason = why.label();
                if why.by() == Side::Us && matches!(why, Ended::Ceased(_) | Ended::Restarting) {
                    tracing::info!(peer, protocol = "bgp", reason, error = %why, "session down");
                } else {
                    tracing::warn!(peer, protocol = "bgp", reason, error = %why, "session down");
                }
            }
            Observed::Ended { why, .. } => self.failed(peer, why.label(), why.to_string(), None),
            Observed::ConnectFailed { why, retry_in } => {
                self.failed(peer, "connect_failed", why, retry_in.map(super::millis));
            }
            Observed::Synchronized { held, not_sent } => {
                tracing::debug!(peer, protocol = "bgp", held, not_sent, "the peer holds every route");
            }
            Observed::NotificationSent(notification) => {
                tracing::debug!(peer, protocol = "bgp", error = %notification, "notification sent");
            }
            Observed::NotificationReceived(notification) => {
                tracing::debug!(peer, protocol = "bgp", error = %notification, "notification received");
            }
            Observed::MalformedUpdate(error) => {
                tracing::debug!(
                    peer,
                    protocol = "bgp",
                    error,
                    "the peer sent a malformed UPDATE, its routes are ignored"
                );
            }
            Observed::RefreshRequested(family) => {
                tracing::debug!(peer, protocol = "bgp", %family, "the peer asks for every route again");
            }
            Observed::Rejected => tracing::debug!(peer, protocol = "bgp", "a connection of the peer was turned away"),
            Observed::UpdatesSent(count) => tracing::trace!(peer, protocol = "bgp", count, "updates sent"),
        }
    }

    fn failed(&mut self, peer: &str, reason: &'static str, error: String, retry_ms: Option<f64>) {
        if self.said.get(peer) == Some(&error) {
            tracing::debug!(peer, protocol = "bgp", reason, error, retry_ms, "session not up");
        } else {
            tracing::warn!(peer, protocol = "bgp", reason, error, retry_ms, "session not up");
            self.said.insert(peer.to_owned(), error);
        }
    }
}
