//! Wires the parts together and keeps them going.
//!
//! ```text
//!   source (API server) --Picture--+
//!                                  +--> orders [pure] --> pulse thread --News--> reporter --> logs, metrics, events
//!   netlink ------------NodeView---+          |               | BFD
//!                                             +--> bgp -------+--News--> reporter
//!                                             +--> loop guard, and what keeps connections
//! ```

use crate::{
    args::Args,
    bgp::{self, Bgp, Standings},
    metrics::{self, Metrics},
    net::{
        flows::{Flows, Picked},
        guard::{self, Guarded},
        netlink,
    },
    node::NodeView,
    orders::{Me, Missing, Orderer},
    pulse::{News, Orders, Pulse, bfd::Bfd},
    report::{
        self, Reporter,
        events::Events,
        l2_status::{self, Board},
    },
    source::{self, Picture, key::Place},
};
use anyhow::Context;
use herald_crds::keys;
use herald_desire::Tree;
use herald_election::{Election, NodeId, Settings, Witness};
use herald_l2::Announcer;
use herald_runtime::{
    admin::{self, Readiness},
    client,
    flags::Ignored,
    signal,
    state::{self, Component},
};
use kube::Api;
use prometheus_client::registry::Registry;
use ring::rand::{SecureRandom, SystemRandom};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::{
    sync::{mpsc, watch},
    time::{sleep_until, timeout},
};

/// How long a hand-over may take before the process ends anyway: peers that do not answer by then are gone.
const HAND_OVER: Duration = Duration::from_secs(2);
/// How long BGP goes first: BIRD takes an end of BFD for a failure while the BGP session stands, however it is said, and then refuses the
/// next session for a minute. A peer that is dead must not keep the layer-2 addresses waiting.
const BGP_FIRST: Duration = Duration::from_millis(200);
/// The interface on which kube-proxy's IPVS mode puts every address.
const IPVS: &str = "kube-ipvs0";
/// How long `nft` may take to end.
const GUARD_END: Duration = Duration::from_millis(500);

/// Runs until SIGTERM and hands over before it returns.
///
/// # Errors
/// Something without which there is no speaker is missing.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    args.unused.given().iter().for_each(Ignored::warn);
    let namespace = client::own_namespace(args.namespace.clone(), keys::DEFAULT_NAMESPACE);
    let mut registry = Registry::default();
    let metrics = Arc::new(Metrics::new(&args.node_name, &mut registry));
    let bfd_metrics = metrics::bfd::Metrics::new(&mut registry);
    let bgp_metrics = metrics::bgp::Metrics::new(&mut registry);
    let readiness = Readiness::new(&["configuration", "heartbeat key", "node address"]);
    serve(&args, readiness.clone(), registry);

    let client = client::connect().await.context("cannot find the API server")?;
    let (views, view) = watch::channel(None);
    tokio::spawn(netlink::follow(views));
    let (pictures, picture) = watch::channel(None);
    let settings = source::kube::Settings {
        node: args.node_name.clone(),
        namespace: namespace.clone(),
        class: args.lb_class.clone(),
        ignore_exclude_label: args.ignore_exclude_lb,
    };
    let (found, is_found) = watch::channel(None);
    tokio::spawn(source::kube::follow(client.clone(), settings, Arc::clone(&metrics), pictures, found));
    let pod = args.pod_name.as_deref().and_then(|pod| state::owner(pod, args.pod_uid.as_deref()));
    let author = report::state::Speaker::new(&args.node_name, picture.clone(), Arc::clone(&metrics));
    tokio::spawn({
        let (client, namespace) = (client.clone(), namespace.clone());
        let this = Component::speaker(&args.node_name, pod.clone());
        async move { state::keep(client, &namespace, this, is_found, author).await }
    });

    let place = match &args.ml_secret_key_path {
        Some(directory) => Place::Directory(directory.clone()),
        None => Place::Secret {
            api: Box::new(Api::namespaced(client.clone(), &namespace)),
            name: args.ml_secret_name.clone(),
        },
    };
    let key = tokio::select! {
        key = source::key::wait(&place) => key,
        result = signal::shutdown() => {
            tracing::info!(reason = result?, "ending before the start was complete");
            return Ok(());
        }
    };
    readiness.set("heartbeat key", true);

    let settings = Settings {
        node: NodeId::of(&args.node_name),
        incarnation: incarnation(),
        timing: args.failover_profile.timing(),
        key,
        seed: seed()?,
        witness: Witness::Neighbour,
    };
    let election = Election::new(settings, Instant::now());
    let drain = Duration::from_secs(args.drain.into());
    let (bfd, peer_states) = Bfd::new(seed()?, bfd_metrics);
    let (bgp, bgp_news, standings) = Bgp::new(bgp_metrics, peer_states);
    let (pulse, flows, news) = Pulse::start(election, Announcer::new(herald_l2::Settings::default()), bfd, drain)?;
    let board = Board::default();
    tokio::spawn({
        let (client, node, board, metrics) =
            (client.clone(), args.node_name.clone(), board.clone(), Arc::clone(&metrics));
        async move { l2_status::keep(client, &namespace, node, pod, board, metrics).await }
    });
    let events = Events::start(client, args.pod_name.clone());
    let (guarded, wanted) = watch::channel(Guarded::default());
    let guard = tokio::spawn(guard::keep(wanted));
    let me = Me { node: args.node_name.clone(), address: args.ml_bindaddr, port: args.ml_bindport };
    let worker = Worker {
        orderer: Orderer::new(me),
        view,
        picture,
        pulse,
        flows: flows.clone(),
        addresses: Tree::new(),
        picked: Picked::default(),
        guarded,
        bgp: Some(bgp),
        standings,
        readiness,
        reporter: Reporter::new(args.node_name, metrics, events, board),
        said: None,
        orders: None,
    };
    worker.run(news, bgp_news).await?;
    // What was carried over is now the heirs' to carry. What nobody took over ends with this speaker.
    tokio::task::spawn_blocking(move || flows.end()).await?;
    // The worker's end closed the guard's channel; its table goes with it.
    let _ = timeout(GUARD_END, guard).await;
    Ok(())
}

/// Turns views into orders and news into reports, until the signal to end.
struct Worker {
    orderer: Orderer,
    view: watch::Receiver<Option<NodeView>>,
    picture: watch::Receiver<Option<Picture>>,
    pulse: Pulse,
    flows: Flows,
    /// Every address that some node should announce.
    addresses: Tree<IpAddr, ()>,
    picked: Picked,
    guarded: watch::Sender<Guarded>,
    /// Until the signal to end.
    bgp: Option<Bgp>,
    standings: watch::Receiver<Standings>,
    readiness: Readiness,
    reporter: Reporter,
    said: Option<Missing>,
    orders: Option<Arc<Orders>>,
}

impl Worker {
    async fn run(
        mut self,
        mut news: mpsc::Receiver<News>,
        mut bgp_news: mpsc::Receiver<bgp::News>,
    ) -> anyhow::Result<()> {
        let mut shutdown = pin!(signal::shutdown());
        let mut leaving: Option<tokio::time::Instant> = None;
        let mut leaving_bgp = None;
        loop {
            tokio::select! {
                result = self.picture.changed() => {
                    result.context("the watches ended")?;
                    self.renew();
                }
                result = self.view.changed() => {
                    result.context("netlink ended")?;
                    self.renew();
                }
                item = news.recv() => {
                    let item = item.context("the pulse thread ended")?;
                    let left = matches!(item, News::Left);
                    self.reporter.tell(item);
                    if left {
                        break;
                    }
                }
                Some(item) = bgp_news.recv() => self.reporter.tell_bgp(item),
                Ok(()) = self.standings.changed() => self.reporter.learn_standings(&self.standings.borrow_and_update()),
                result = &mut shutdown, if leaving.is_none() => {
                    tracing::info!(reason = result?, "handing over");
                    leaving = Some(tokio::time::Instant::now() + HAND_OVER);
                    let text = format!("herald-speaker of node {} stops", self.orderer.node());
                    if let Some(bgp) = self.bgp.take() {
                        let mut leave = tokio::spawn(bgp.leave(text));
                        if timeout(BGP_FIRST, &mut leave).await.is_err() {
                            leaving_bgp = Some(leave);
                        }
                    }
                    self.pulse.leave();
                }
                () = sleep_until(leaving.unwrap_or_else(tokio::time::Instant::now)), if leaving.is_some() => {
                    tracing::warn!("not everything could be handed over in time");
                    break;
                }
            }
        }
        if let Some(leave) = leaving_bgp {
            leave.await?;
        }
        while let Ok(item) = bgp_news.try_recv() {
            self.reporter.tell_bgp(item);
        }
        Ok(())
    }

    /// Makes new orders from the newest views and passes them on if they differ.
    fn renew(&mut self) {
        let picture = self.picture.borrow_and_update().clone();
        let view = self.view.borrow_and_update().clone();
        let (Some(picture), Some(view)) = (&picture, &view) else { return };
        self.readiness.set("configuration", true);
        let (peers, unusable) = match &picture.resolved {
            Some(resolved) => bgp::orders::orders(&bgp::orders::World {
                node: self.orderer.node(),
                facts: picture.nodes.get(self.orderer.node()),
                view,
                resolved,
                desired: &picture.bgp,
            }),
            None => Default::default(),
        };
        let orders = match self.orderer.orders(picture, view) {
            Ok(orders) => {
                let bfd = peers.values().filter_map(|peer| peer.bfd).collect();
                Arc::new(Orders { bfd, ..orders })
            }
            Err(missing) => {
                // What was ordered last stays in force: a Node object that vanishes for a moment moves nothing.
                if self.said.as_ref() != Some(&missing) {
                    tracing::error!(node = self.orderer.node(), error = %missing, "cannot take part");
                    self.said = Some(missing);
                }
                return;
            }
        };
        self.said = None;
        self.readiness.set("node address", true);
        self.reporter.learn(picture, &orders);
        self.reporter.learn_bgp(picture, unusable, &self.standings.borrow());
        if let (Some(bgp), Some(_)) = (&mut self.bgp, &picture.resolved) {
            bgp.order(peers);
        }
        self.protect(&orders, view.interfaces.values().any(|interface| interface.name == IPVS));
        if self.orders.as_ref() != Some(&orders) {
            tracing::debug!(
                addresses = orders.addresses.len(),
                members = orders.members.len(),
                interfaces = orders.interfaces.len(),
                "new orders"
            );
            self.pulse.order(Arc::clone(&orders));
            self.orders = Some(orders);
        }
    }

    /// Has the kernel protect what may be announced here: the loop guard, and what keeps connections.
    fn protect(&mut self, orders: &Orders, ipvs: bool) {
        let before = self.orders.as_ref().map(|orders| orders.addresses.clone()).unwrap_or_default();
        orders.addresses.since(&before, |ip, old, new| match (old, new) {
            (None, Some(_)) => self.addresses.insert(*ip, ()),
            (Some(_), None) => drop(self.addresses.remove(ip)),
            _ => {}
        });
        let interfaces: BTreeSet<_> = orders.interfaces.values().map(|interface| interface.name.clone()).collect();
        let mut peers: BTreeSet<_> = orders.peers.iter().map(|mac| mac.0).collect();
        peers.extend(&self.picked.peers);
        let picked = Picked { addresses: self.addresses.clone(), interfaces: interfaces.clone(), peers, ipvs };
        if self.picked != picked {
            self.flows.pick(picked.clone());
            self.picked = picked;
        }
        let wanted = Guarded { addresses: self.addresses.clone(), interfaces };
        self.guarded.send_if_modified(|guarded| {
            let changed = *guarded != wanted;
            *guarded = wanted;
            changed
        });
    }
}

/// Serves health and metrics beside everything else. A port that is taken is said and costs only that endpoint.
fn serve(args: &Args, readiness: Readiness, registry: Registry) {
    let health = SocketAddr::from((Ipv4Addr::LOCALHOST, args.health_probe_port));
    tokio::spawn(async move {
        if let Err(error) = admin::serve_health(health, readiness).await {
            tracing::error!(%error, address = %health, "cannot serve health; choose another --health-probe-port");
        }
    });
    if args.port == 0 {
        return;
    }
    let metrics = SocketAddr::from((Ipv6Addr::UNSPECIFIED, args.port));
    let certificates = args.metrics.certificates(args.tls_min_version);
    tokio::spawn(async move {
        if let Err(error) = admin::serve_metrics(metrics, certificates, registry).await {
            tracing::error!(error = format!("{error:#}"), address = %metrics, "cannot serve metrics; choose another --port");
        }
    });
}

/// Larger at every start: milliseconds since 1970.
fn incarnation() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn seed() -> anyhow::Result<u64> {
    let mut bytes = [0; 8];
    SystemRandom::new().fill(&mut bytes).map_err(|_| anyhow::anyhow!("the system has no randomness"))?;
    Ok(u64::from_le_bytes(bytes))
}
