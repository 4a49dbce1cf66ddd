//! Tells people what happened: logs, metrics and events. Nothing reads them back.

mod bfd;
pub(crate) mod bgp;
pub(crate) mod events;
pub(crate) mod service_status;
pub(crate) mod state;

use crate::{
    bgp::{Standings, orders::Unusable},
    metrics::{Metrics, Protocol},
    net::flows::{Fate, Off},
    pulse::{Address, Course, News, OnConflict, Orders},
    source::Picture,
};
use events::Events;
use herald_crds::model::{Interfaces, ServiceKey};
use herald_desire::Tree;
use herald_election::{Evidence, GainReason, NodeId, Observed as Election};
use herald_l2::{Claimant, InterfaceIndex, Observed as Layer2};
use service_status::{Announced, Board, Peers};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

/// Turns news of the pulse thread into log lines, metrics and events.
pub(crate) struct Reporter {
    node: String,
    metrics: Arc<Metrics>,
    events: Events,
    names: BTreeMap<NodeId, String>,
    /// What was learned last.
    picture: Picture,
    addresses: Tree<IpAddr, Address>,
    owned: BTreeMap<IpAddr, BTreeSet<ServiceKey>>,
    /// How the addresses were gained that are not announced yet.
    moves: BTreeMap<IpAddr, Move>,
    board: Board<Announced>,
    bgp_board: Board<Peers>,
    /// What was shown of each Service that is announced.
    shown: BTreeMap<ServiceKey, Announced>,
    /// What was said at the last failure of each kind, so that a lasting one is said once.
    failures: BTreeMap<&'static str, String>,
    interface_names: BTreeMap<InterfaceIndex, String>,
    on_conflict: OnConflict,
    bgp: bgp::Teller,
}

/// How an address was gained.
struct Move {
    reason: GainReason,
    from: Option<NodeId>,
    silent_for: Option<Duration>,
    decided: Option<Duration>,
}

impl Reporter {
    pub(crate) fn new(
        node: String,
        metrics: Arc<Metrics>,
        events: Events,
        board: Board<Announced>,
        bgp_board: Board<Peers>,
        on_conflict: OnConflict,
    ) -> Self {
        Self {
            node,
            metrics,
            events,
            names: BTreeMap::new(),
            picture: Picture::default(),
            addresses: Tree::new(),
            owned: BTreeMap::new(),
            moves: BTreeMap::new(),
            board,
            bgp_board,
            shown: BTreeMap::new(),
            failures: BTreeMap::new(),
            interface_names: BTreeMap::new(),
            on_conflict,
            bgp: bgp::Teller::default(),
        }
    }

    /// Learns what news refer to. Of Services and addresses it looks only at those that changed.
    pub(crate) fn learn(&mut self, picture: &Picture, orders: &Orders) {
        if !Arc::ptr_eq(&self.picture.nodes, &picture.nodes) {
            self.names = picture.nodes.keys().map(|name| (NodeId::of(name), name.clone())).collect();
        }
        let names = orders.interfaces.iter().map(|(index, interface)| (*index, interface.name.clone())).collect();
        let renamed = std::mem::replace(&mut self.interface_names, names) != self.interface_names;
        let mut services: BTreeSet<_> = match renamed {
            true => self.shown.keys().cloned().collect(),
            false => BTreeSet::new(),
        };
        let (owned, shown) = (&self.owned, &self.shown);
        picture.wishes.since(&self.picture.wishes, |service, _, _| {
            if shown.contains_key(service) {
                services.insert(service.clone());
            }
        });
        orders.addresses.since(&self.addresses, |ip, _, _| {
            services.extend(owned.get(ip).into_iter().flatten().cloned());
        });
        let mut ips = Vec::new();
        picture.desired.addresses.since(&self.picture.desired.addresses, |ip, _, _| {
            if owned.contains_key(ip) {
                ips.push(*ip);
            }
        });
        (self.picture, self.addresses) = (picture.clone(), orders.addresses.clone());
        for ip in ips {
            self.announce(ip, self.services(ip));
        }
        services.iter().for_each(|service| self.show(service));
    }

    /// Learns what is to be announced by BGP, and to whom.
    pub(crate) fn learn_bgp(&mut self, picture: &Picture, unusable: BTreeMap<String, Unusable>) {
        let (begun, over) = self.bgp.learn(picture, unusable, &self.bgp_board);
        self.announce_by_bgp(begun, over);
    }

    /// Learns which BGP sessions stand. A Service counts as announced by BGP while one that it goes to does.
    pub(crate) fn learn_standings(&mut self, standings: &Standings) {
        let (begun, over) = self.bgp.learn_standings(standings);
        self.announce_by_bgp(begun, over);
    }

    fn announce_by_bgp(&self, begun: bgp::Announced, over: bgp::Announced) {
        for (service, ip) in over {
            self.metrics.announces_no_more(&service, ip, Protocol::Bgp);
        }
        for (service, ip) in &begun {
            self.metrics.announces(service, *ip, Protocol::Bgp);
        }
        for service in begun.into_iter().map(|(service, _)| service).collect::<BTreeSet<_>>() {
            self.events.node_assigned(&service, &self.node, Protocol::Bgp);
        }
    }

    pub(crate) fn tell_bgp(&mut self, news: crate::bgp::News) {
        self.bgp.tell(news);
    }

    pub(crate) fn tell(&mut self, news: News) {
        match news {
            News::Gained { ip, epoch, reason, from, silent_for, decided, connections } => {
                let (services, interfaces) = (self.services(ip), self.interfaces(ip));
                self.metrics.gained(ip, reason.as_str(), silent_for, decided);
                self.moves.insert(ip, Move { reason, from, silent_for, decided });
                tracing::info!(
                    %ip,
                    service = list(&services),
                    node = self.node,
                    interface = interfaces.join(","),
                    reason = reason.as_str(),
                    from = from.map(|node| self.name(node)),
                    silent_ms = silent_for.map(millis),
                    connections = connections.map(Course::as_str),
                    epoch,
                    "address gained"
                );
                for service in &services {
                    if interfaces.is_empty() {
                        self.events.announce_failed(service, &self.node);
                    } else {
                        self.events.node_assigned(service, &self.node, Protocol::Layer2);
                    }
                }
                if interfaces.is_empty() {
                    tracing::warn!(%ip, service = list(&services), "no interface of this node may announce the address");
                }
                if reason == GainReason::TookOver {
                    self.board.take_over();
                }
                self.owned.entry(ip).or_default();
                self.announce(ip, services);
            }
            News::Announced { ip, took } => {
                self.metrics.announced_first(took);
                let Some(moved) = self.moves.remove(&ip) else { return };
                tracing::info!(
                    %ip,
                    service = list(&self.services(ip)),
                    node = self.node,
                    reason = moved.reason.as_str(),
                    from = moved.from.map(|node| self.name(node)),
                    detect_ms = moved.silent_for.map(millis),
                    decide_ms = moved.decided.map(millis),
                    announce_ms = millis(took),
                    "address announced"
                );
            }
            News::Lost { ip, reason, to } => {
                self.moves.remove(&ip);
                let services = self.owned.get(&ip).cloned().unwrap_or_default();
                self.metrics.lost(ip, reason.as_str());
                tracing::info!(
                    %ip,
                    service = list(&services),
                    node = self.node,
                    interface = self.interfaces(ip).join(","),
                    reason = reason.as_str(),
                    to = to.map(|node| self.name(node)),
                    "address lost"
                );
                self.announce(ip, BTreeSet::new());
                self.owned.remove(&ip);
            }
            News::Kept { ip, epoch } => {
                let services = self.services(ip);
                tracing::info!(%ip, service = list(&services), node = self.node, epoch, "address kept");
                self.owned.entry(ip).or_default();
                self.announce(ip, services);
            }
            News::Taken { ip, interface, mac } => {
                self.metrics.conflict(ip);
                let interface = self.interface(interface);
                tracing::warn!(%ip, interface, %mac, service = list(&self.services(ip)), "another host has the address, it is not announced");
                for service in self.services(ip) {
                    self.events.conflict(
                        &service,
                        ip,
                        mac,
                        "it is not announced until nobody has answered for it, asked every 10 seconds",
                    );
                }
            }
            News::Free { ip } => tracing::info!(%ip, "nobody else has the address"),
            News::Took => tracing::info!(node = self.node, "took the place of the earlier speaker"),
            News::Election(observed) => self.election(observed),
            News::Layer2(observed) => self.layer2(observed),
            News::Bfd(observed) => bfd::tell(observed),
            News::Late(late) => {
                self.metrics.late(late);
                tracing::debug!(late_ms = millis(late), "pulse thread woke up late");
            }
            News::Failed { what, error } => {
                let error = error.to_string();
                if self.failures.get(what) != Some(&error) {
                    tracing::warn!(action = what, error, "system call failed");
                    self.failures.insert(what, error);
                }
            }
            News::Missed(count) => {
                self.metrics.missed(count);
                tracing::warn!(count, "the reporter fell behind, logs and metrics miss news of the pulse thread");
            }
            News::Decided { fates, took } => {
                self.metrics.decided(fates.values(), took);
                let took_ms = millis(took);
                for (ip, fate) in fates {
                    let to = if let Fate::Chain { to, .. } = fate { Some(to.to_string()) } else { None };
                    tracing::debug!(%ip, state = fate.as_str(), to, took_ms, "connections of the earlier owner");
                }
            }
            News::Flows(off) => {
                self.metrics.flows(off);
                match off {
                    None => tracing::info!("moves keep connections"),
                    Some(Off::Disabled) => tracing::info!(reason = "disabled", "moves do not keep connections"),
                    Some(off) => tracing::warn!(reason = off.as_str(), "moves do not keep connections"),
                }
            }
            News::Left => tracing::info!(node = self.node, "every address is handed over"),
        }
    }

    fn election(&self, observed: Election) {
        match observed {
            Election::Phase(phase) => tracing::debug!(state = phase.as_str(), "election phase"),
            Election::MemberUp { node, .. } => {
                self.metrics.member_up();
                self.board.hear(self.name(node), true);
                tracing::info!(peer = self.name(node), "speaker heard");
            }
            Election::MemberResumed { node, .. } => tracing::info!(peer = self.name(node), "speaker replaced"),
            Election::MemberSuspected { node, silent_for } => {
                tracing::debug!(peer = self.name(node), silent_ms = millis(silent_for), "speaker silent");
            }
            Election::MemberDown { node, silent_for, evidence } => {
                self.metrics.member_down();
                self.board.hear(self.name(node), false);
                let (reason, observers) = match &evidence {
                    Evidence::Observers(others) => ("observers", others.keys().map(|node| self.name(*node)).collect()),
                    Evidence::Refused(others) => ("refused", others.iter().map(|node| self.name(*node)).collect()),
                    Evidence::Alone => ("alone", Vec::new()),
                    Evidence::Left => ("left", Vec::new()),
                    Evidence::Restarted => ("restarted", Vec::new()),
                };
                tracing::info!(
                    peer = self.name(node),
                    reason,
                    silent_ms = millis(silent_for),
                    observers = observers.join(","),
                    "speaker gone"
                );
            }
            Election::MemberCleared { node, silent_for } => {
                tracing::debug!(peer = self.name(node), silent_ms = millis(silent_for), "speaker heard again");
            }
            Election::Unprepared { ip, from } => {
                self.metrics.unprepared();
                tracing::warn!(%ip, from = self.name(from), "address taken before its connections were seen to, the kernel was too slow");
            }
            Election::Vetoed { node, by, silent_for } => tracing::warn!(
                peer = self.name(node),
                by = self.name(by),
                silent_ms = millis(silent_for),
                "speaker not heard here but by another, the path between is broken"
            ),
            Election::Rejected(drop) => {
                self.metrics.rejected(drop.as_str());
                tracing::trace!(reason = drop.as_str(), "datagram refused");
            }
            Election::Isolated => tracing::warn!("no other speaker and no neighbour is heard, nothing is claimed"),
            Election::Unheard => tracing::warn!("other speakers are heard and none hears this one, nothing is claimed"),
            Election::Stalled { late } => tracing::warn!(late_ms = millis(late), "this process stood still"),
            Election::Rival { ip, node } => {
                tracing::warn!(%ip, peer = self.name(node), "another speaker claims an owned address");
            }
            Election::HandingOver { ip, to } => tracing::debug!(%ip, to = self.name(to), "handing over"),
            Election::TooManyClaims { node } => {
                tracing::warn!(peer = self.name(node), "speaker claims more addresses than are kept");
            }
        }
    }

    fn layer2(&self, observed: Layer2) {
        match observed {
            Layer2::Request { ip, role, .. } => {
                if role == herald_l2::Role::Owner {
                    self.metrics.requested(ip);
                }
            }
            Layer2::Answered { ip, interface, client } => {
                self.metrics.answered(ip);
                tracing::trace!(%ip, interface = self.interface(interface), client = %client.ip, "answered");
            }
            Layer2::Confirmed { ip, interface, client } => {
                tracing::trace!(%ip, interface = self.interface(interface), client = %client.ip, "client follows");
            }
            Layer2::Announced { ip, interface, cause, round, frames } => {
                self.metrics.announced(ip, frames);
                tracing::debug!(
                    %ip,
                    interface = self.interface(interface),
                    reason = cause.as_str(),
                    round,
                    frames,
                    "announced"
                );
            }
            Layer2::Conflict { ip, interface, mac, claimant } => {
                self.metrics.conflict(ip);
                let (interface, claimant_word) = (self.interface(interface), claimant.as_str());
                if claimant == Claimant::Foreign {
                    tracing::warn!(%ip, interface, %mac, claimant = claimant_word, "another host claims an owned address");
                    for service in self.services(ip) {
                        self.events.conflict(&service, ip, mac, self.on_conflict.course());
                    }
                } else {
                    tracing::debug!(%ip, interface, %mac, claimant = claimant_word, "a peer announces an owned address");
                }
            }
            Layer2::Ignored(drop) => self.metrics.ignored(drop.as_str()),
        }
    }

    /// Keeps the announced Services of an address in the metrics equal to what is owned.
    fn announce(&mut self, ip: IpAddr, services: BTreeSet<ServiceKey>) {
        let Some(known) = self.owned.get_mut(&ip) else { return };
        for service in known.difference(&services) {
            self.metrics.announces_no_more(service, ip, Protocol::Layer2);
        }
        for service in services.difference(known) {
            self.metrics.announces(service, ip, Protocol::Layer2);
        }
        let touched: Vec<_> = known.union(&services).cloned().collect();
        *known = services;
        touched.iter().for_each(|service| self.show(service));
    }

    /// Shows how a Service is announced, if that differs from what was shown.
    fn show(&mut self, service: &ServiceKey) {
        let announced = self.announced(service);
        if self.shown.get(service) == announced.as_ref() {
            return;
        }
        match &announced {
            Some(announced) => drop(self.shown.insert(service.clone(), announced.clone())),
            None => drop(self.shown.remove(service)),
        }
        self.board.show(service, announced);
    }

    /// How this node announces a Service; nothing where it does not, or on no interface.
    fn announced(&self, service: &ServiceKey) -> Option<Announced> {
        let wish = self.picture.wishes.get(service)?.as_ref().ok()?;
        let has = |ip: &&IpAddr| self.owned.get(ip).is_some_and(|services| services.contains(service));
        let owned: Vec<IpAddr> = wish.ips.iter().filter(has).copied().collect();
        let wanted = owned.iter().filter_map(|ip| self.picture.desired.addresses.get(ip));
        let everywhere = wanted.into_iter().any(|address| address.interfaces == Interfaces::All);
        let interfaces: BTreeSet<String> = owned.iter().flat_map(|ip| self.interfaces(*ip)).collect();
        if owned.is_empty() || interfaces.is_empty() {
            return None;
        }
        let whole = owned.len() == wish.ips.len();
        Some(Announced { interfaces: if everywhere { BTreeSet::new() } else { interfaces }, whole })
    }

    /// The Services that an address is for.
    fn services(&self, ip: IpAddr) -> BTreeSet<ServiceKey> {
        self.picture.desired.addresses.get(&ip).map(|address| address.services.clone()).unwrap_or_default()
    }

    /// The names of this node's interfaces that an address is answered on.
    fn interfaces(&self, ip: IpAddr) -> Vec<String> {
        let indices = self.addresses.get(&ip).into_iter().flat_map(|address| &address.interfaces);
        indices.filter_map(|index| self.interface_names.get(index)).cloned().collect()
    }

    fn name(&self, node: NodeId) -> String {
        self.names.get(&node).cloned().unwrap_or_else(|| node.to_string())
    }

    fn interface(&self, index: InterfaceIndex) -> String {
        self.interface_names.get(&index).cloned().unwrap_or_else(|| index.to_string())
    }
}

fn list(services: &BTreeSet<ServiceKey>) -> String {
    services.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Milliseconds with one decimal, for people.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}
