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
    health,
    metrics::{self, Metrics},
    net::{
        flows::{Flows, Picked},
        guard::{self, Guarded},
        heartbeat, netlink,
    },
    node::NodeView,
    orders::{Me, Missing, Orderer},
    ports::Ports,
    pulse::{Doubts, Inheritance, News, Orders, Pulse, bfd::Bfd},
    report::{
        self, Reporter,
        events::Events,
        service_status::{self, Board},
    },
    source::{self, Picture, key::Place, uids::Uids},
    succession::{self, Door, Peer},
};
use anyhow::Context;
use herald_crds::keys;
use herald_desire::{Tree, bgp::Desired as Routes};
use herald_election::{Election, Fitness, NodeId, Settings, Witness};
use herald_l2::Announcer;
use herald_runtime::{
    admin::Readiness,
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
    future, io,
    net::IpAddr,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::{
    sync::{mpsc, watch},
    task::{JoinHandle, JoinSet},
    time::{sleep_until, timeout},
};

/// How long a hand-over may take before the process ends anyway: peers that do not answer by then are gone.
const HAND_OVER: Duration = Duration::from_secs(2);
/// How long BGP goes first: BIRD takes an end of BFD for a failure while the BGP session stands, however it is said, and then refuses the
/// next session for a minute. A peer that is dead must not keep the layer-2 addresses waiting.
const BGP_FIRST: Duration = Duration::from_millis(200);
/// How long a speaker that is told to end waits for a successor that is already there.
const SUCCESSOR: Duration = Duration::from_secs(3);
/// The interface on which kube-proxy's IPVS mode puts every address.
const IPVS: &str = "kube-ipvs0";
/// How long `nft` may take to end.
const GUARD_END: Duration = Duration::from_millis(500);

/// Runs until SIGTERM, and hands over before it returns: to the speaker that takes its place on this node, or else to other nodes.
///
/// # Errors
/// Something without which there is no speaker is missing.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let args = Arc::new(args);
    args.unused.given().iter().for_each(Ignored::warn);
    let namespace = client::own_namespace(args.namespace.clone(), keys::DEFAULT_NAMESPACE);
    let mut registry = Registry::default();
    let metrics = Arc::new(Metrics::new(&args.node_name, &mut registry));
    let bfd_metrics = metrics::bfd::Metrics::new(&mut registry);
    let bgp_metrics = metrics::bgp::Metrics::new(&mut registry);
    let readiness = Readiness::new(&["configuration", "heartbeat key", "node address", "earlier speaker"]);
    let mut ports = Ports::new(Arc::clone(&args), readiness.clone(), registry);
    let name = succession::name(&args.node_name, args.ml_bindport);
    let predecessor = tokio::select! {
        predecessor = Peer::predecessor(&name) => predecessor,
        result = signal::shutdown() => {
            tracing::info!(reason = result?, "ending before the start was complete");
            return Ok(());
        }
    };
    readiness.set("earlier speaker", predecessor.is_none());
    ports.open();

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
    let uids = Uids::default();
    tokio::spawn(source::kube::follow(client.clone(), settings, Arc::clone(&metrics), uids.clone(), pictures, found));
    let pod = args.pod_name.as_deref().and_then(|pod| state::owner(pod, args.pod_uid.as_deref()));
    let author = report::state::Speaker::new(&args.node_name, picture.clone(), Arc::clone(&metrics));
    let mut writers = JoinSet::new();
    writers.spawn({
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
    let doubts = Doubts::new(seed()?, args.on_conflict);
    let (pulse, flows, news) =
        Pulse::start(election, Announcer::new(herald_l2::Settings::default()), bfd, doubts, drain)?;
    let (verdicts, fitness) = watch::channel(args.kube_proxy_healthz.is_none().then_some(Fitness::Fit));
    if let Some(address) = args.kube_proxy_healthz {
        tokio::spawn(health::follow(address, Arc::clone(&metrics), verdicts));
    }
    let (board, bgp_board) = (Board::default(), Board::default());
    writers.spawn({
        let (client, namespace, node, pod) = (client.clone(), namespace.clone(), args.node_name.clone(), pod.clone());
        let (board, metrics) = (board.clone(), Arc::clone(&metrics));
        async move { service_status::keep(client, &namespace, node, pod, board, metrics).await }
    });
    writers.spawn({
        let (client, node, board, metrics) =
            (client.clone(), args.node_name.clone(), bgp_board.clone(), Arc::clone(&metrics));
        async move { service_status::keep(client, &namespace, node, pod, board, metrics).await }
    });
    let events = Events::start(client, args.pod_name.clone(), uids);
    let (guarded, wanted) = watch::channel(Guarded::default());
    let guard = tokio::spawn(guard::keep(wanted));
    let me = Me { node: args.node_name.clone(), address: args.ml_bindaddr, port: args.ml_bindport };
    let worker = Worker {
        orderer: Orderer::new(me),
        view,
        picture,
        fitness,
        pulse,
        flows: flows.clone(),
        addresses: Tree::new(),
        picked: Picked::default(),
        guarded,
        bgp: Some(bgp),
        standings,
        readiness,
        reporter: Reporter::new(args.node_name.clone(), metrics, events, board, bgp_board, args.on_conflict),
        said: None,
        orders: None,
        ports,
        predecessor,
        elder: None,
        door: Door::new(name),
        successor: None,
    };
    let _door = match worker.run(news, bgp_news).await? {
        End::Left(door) => door,
        End::Replaced { by, told } => {
            // Statuses, the guard's table and what is carried over are the successor's, too.
            writers.shutdown().await;
            let _ = timeout(GUARD_END, guard).await;
            return if told { Ok(()) } else { wait_to_end(by).await };
        }
    };
    // What was carried over is now the heirs' to carry. What nobody took over ends with this speaker.
    tokio::task::spawn_blocking(move || flows.end()).await?;
    // The worker's end closed the guard's channel; its table goes with it.
    let _ = timeout(GUARD_END, guard).await;
    Ok(())
}

/// With another speaker in this one's place there is nothing to do but to wait for the signal. To end by itself would be to be started again.
async fn wait_to_end(mut by: Peer) -> anyhow::Result<()> {
    tokio::select! {
        result = signal::shutdown() => {
            tracing::info!(reason = result?, "ending, another speaker has this one's place");
            Ok(())
        }
        () = by.ended() => anyhow::bail!("the speaker that took this one's place has ended, starting again"),
    }
}

/// How a speaker ends.
enum End {
    /// Other nodes have what it owned.
    /// Nobody starts here before this one has ended.
    Left(Door),
    /// Another process on this node has; whether this one was told to end.
    Replaced { by: Peer, told: bool },
}

/// Turns views into orders and news into reports, until the signal to end.
struct Worker {
    orderer: Orderer,
    view: watch::Receiver<Option<NodeView>>,
    picture: watch::Receiver<Option<Picture>>,
    fitness: watch::Receiver<Option<Fitness>>,
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
    ports: Ports,
    /// The running speaker whose place this one is to take.
    predecessor: Option<Peer>,
    /// The one whose place it took: as long as this is open, that one knows that this one runs.
    elder: Option<Peer>,
    door: Door,
    /// Who wants to take this one's place.
    successor: Option<Peer>,
}

impl Worker {
    async fn run(
        mut self,
        mut news: mpsc::Receiver<News>,
        mut bgp_news: mpsc::Receiver<bgp::News>,
    ) -> anyhow::Result<End> {
        let mut shutdown = pin!(signal::shutdown());
        let mut told = false;
        let mut waiting: Option<tokio::time::Instant> = None;
        let mut leaving: Option<tokio::time::Instant> = None;
        let mut leaving_bgp = None;
        let mut replaced = None;
        loop {
            let settled = self.predecessor.is_none() && leaving.is_none();
            tokio::select! {
                result = self.picture.changed() => {
                    result.context("the watches ended")?;
                    if let Some(orders) = self.renew() {
                        self.order(orders).await;
                    }
                }
                result = self.view.changed() => {
                    result.context("netlink ended")?;
                    if let Some(orders) = self.renew() {
                        self.order(orders).await;
                    }
                }
                Ok(()) = self.fitness.changed() => if let Some(orders) = self.renew() {
                    self.order(orders).await;
                },
                item = news.recv() => {
                    let item = item.context("the pulse thread ended")?;
                    let (left, took) = (matches!(item, News::Left), matches!(item, News::Took));
                    self.reporter.tell(item);
                    if left {
                        break;
                    }
                    if took {
                        self.took().await;
                    }
                }
                Some(item) = bgp_news.recv() => self.reporter.tell_bgp(item),
                Ok(()) = self.standings.changed() => self.reporter.learn_standings(&self.standings.borrow_and_update()),
                successor = self.door.successor(), if settled && self.successor.is_none() => {
                    self.welcome(successor).await;
                }
                asked = asks(&mut self.successor), if settled => match (asked, self.successor.take()) {
                    (Ok(()), Some(successor)) => {
                        if let Some(by) = self.make_way(successor, &mut leaving_bgp).await? {
                            replaced = Some(by);
                            break;
                        }
                    }
                    (Err(error), _) => {
                        tracing::warn!(%error, "the speaker that was to take this one's place has gone");
                        self.ports.open();
                        waiting = waiting.map(|_| tokio::time::Instant::now());
                    }
                    (Ok(()), None) => {}
                },
                result = &mut shutdown, if !told => {
                    let reason = result?;
                    told = true;
                    let patience = if self.successor.is_some() { SUCCESSOR } else { Duration::ZERO };
                    tracing::info!(reason, successor = self.successor.is_some(), "told to end");
                    waiting = Some(tokio::time::Instant::now() + patience);
                }
                () = sleep_until(waiting.unwrap_or_else(tokio::time::Instant::now)), if waiting.is_some() => {
                    tracing::info!("handing over");
                    waiting = None;
                    leaving = Some(tokio::time::Instant::now() + HAND_OVER);
                    leaving_bgp = self.leave_bgp().await;
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
        Ok(match replaced {
            Some(by) => End::Replaced { by, told },
            None => End::Left(self.door),
        })
    }

    /// Ends the BGP sessions; what is still under way when the rest must go on, is returned.
    async fn leave_bgp(&mut self) -> Option<JoinHandle<()>> {
        let text = format!("herald-speaker of node {} stops", self.orderer.node());
        let mut leave = tokio::spawn(self.bgp.take()?.leave(text));
        timeout(BGP_FIRST, &mut leave).await.is_err().then_some(leave)
    }

    /// Gives a successor the ports, so that it is judged by its own health.
    async fn welcome(&mut self, mut successor: Peer) {
        self.ports.close().await;
        match successor.welcome().await {
            Ok(()) => self.successor = Some(successor),
            Err(_) => self.ports.open(),
        }
    }

    /// Leaves everything to the successor; whom to, or `None` if there is nothing that one could go on with.
    async fn make_way(
        &mut self,
        mut successor: Peer,
        leaving_bgp: &mut Option<JoinHandle<()>>,
    ) -> anyhow::Result<Option<Peer>> {
        *leaving_bgp = self.leave_bgp().await;
        let Some(bequeathed) = self.pulse.bequeath().await else {
            self.ports.open();
            return Ok(None);
        };
        tracing::info!(addresses = bequeathed.testament.claims.len(), "another speaker takes this one's place");
        successor.leave_to(bequeathed).await.context("the speaker that was to take this one's place did not")?;
        Ok(Some(successor))
    }

    /// Passes orders on: the first ones, where there is a predecessor, by taking its place.
    async fn order(&mut self, orders: Arc<Orders>) {
        let Some(mut predecessor) = self.predecessor.take() else {
            self.pulse.order(orders);
            return;
        };
        self.pulse.prepare(Arc::clone(&orders));
        let succeeded = self.succeed(&mut predecessor, &orders).await;
        // BGP begins now that the earlier speaker has ended its sessions.
        let renewed = self.renew();
        let orders = renewed.unwrap_or(orders);
        match succeeded {
            Ok(()) => {
                self.elder = Some(predecessor);
                self.pulse.order(orders);
            }
            Err(error) => {
                tracing::warn!(%error, "cannot take the place of the running speaker, starting anew");
                self.readiness.set("earlier speaker", true);
                self.pulse.order(orders);
            }
        }
    }

    async fn succeed(&mut self, predecessor: &mut Peer, orders: &Arc<Orders>) -> io::Result<()> {
        let heartbeat = heartbeat::bind(orders.heartbeat)?;
        let (testament, following, doubtful) = predecessor.take().await?;
        self.pulse.inherit(Arc::clone(orders), Inheritance { testament, following, doubtful, heartbeat });
        match predecessor.clients().await {
            Ok(clients) => self.pulse.learn(clients),
            Err(error) => tracing::debug!(%error, "the earlier speaker's clients are not known"),
        }
        Ok(())
    }

    /// This speaker answers now: the earlier one may end.
    async fn took(&mut self) {
        if let Some(elder) = &mut self.elder
            && let Err(error) = elder.took().await
        {
            tracing::debug!(%error, "the earlier speaker has ended already");
        }
        self.readiness.set("earlier speaker", true);
    }

    /// Makes new orders from the newest views; `None` if they are as before.
    fn renew(&mut self) -> Option<Arc<Orders>> {
        let picture = self.picture.borrow_and_update().clone();
        let view = self.view.borrow_and_update().clone();
        let fitness = *self.fitness.borrow_and_update();
        let (Some(picture), Some(view), Some(fitness)) = (&picture, &view, fitness) else { return None };
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
                Arc::new(Orders { bfd, fitness, ..orders })
            }
            Err(missing) => {
                // What was ordered last stays in force: a Node object that vanishes for a moment moves nothing.
                if self.said.as_ref() != Some(&missing) {
                    tracing::error!(node = self.orderer.node(), error = %missing, "cannot take part");
                    self.said = Some(missing);
                }
                return None;
            }
        };
        self.said = None;
        self.readiness.set("node address", true);
        self.reporter.learn(picture, &orders);
        self.reporter.learn_bgp(picture, unusable);
        if let (Some(bgp), Some(_), None) = (&mut self.bgp, &picture.resolved, &self.predecessor) {
            bgp.order(peers);
        }
        self.protect(&orders, &picture.bgp, view);
        if self.orders.as_ref() == Some(&orders) {
            return None;
        }
        tracing::debug!(
            addresses = orders.addresses.len(),
            members = orders.members.len(),
            interfaces = orders.interfaces.len(),
            "new orders"
        );
        self.orders = Some(Arc::clone(&orders));
        Some(orders)
    }

    /// Has the kernel protect what may be announced here: the loop guard, and what keeps connections.
    fn protect(&mut self, orders: &Orders, routes: &Routes, view: &NodeView) {
        let ipvs = view.interfaces.values().any(|interface| interface.name == IPVS);
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
        let uplinks = view.announcing().map(|(_, interface, _)| interface.name.clone()).collect();
        let wanted = Guarded { addresses: self.addresses.clone(), interfaces, routes: routes.clone(), uplinks };
        self.guarded.send_if_modified(|guarded| {
            let changed = *guarded != wanted;
            *guarded = wanted;
            changed
        });
    }
}

/// Waits until a successor, where there is one, wants to take over.
async fn asks(successor: &mut Option<Peer>) -> io::Result<()> {
    match successor {
        Some(successor) => successor.asks().await,
        None => future::pending().await,
    }
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
