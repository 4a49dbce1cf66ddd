//! The shell of BGP: one task a peer, commanded in whole values.
//!
//! ```text
//!   Picture + NodeView --orders [pure]--> Order by peer --> [ Bgp ] --Command--> one task a peer --> TCP
//!                                                              ^                       |
//!   BFD (pulse thread) --PeerStates----------------------------+                       +--> News: logs
//!                                                                                      +--> Standings: who is up, and why not
//! ```
//!
//! A peer that does not answer costs its own task a socket and nobody anything else.

mod connection;
pub(crate) mod orders;
mod peer;
mod routes;

use crate::{metrics::bgp::Metrics, net::tcp::Link, pulse::bfd::PeerStates};
use herald_bgp::{NotSent, Observed, Settings, State, Stop, wire::Prefix};
use herald_desire::bgp::Routes;
use peer::{Command, Peer, Wires};
use std::{
    collections::BTreeMap,
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};

/// News that may wait for the reporter: a hundred peers that come up at once.
const NEWS_QUEUE: usize = 1024;
/// How long peers may take to hear that it is over.
const LEAVE: Duration = Duration::from_millis(1500);

/// How to talk to one peer, and what it is to hold.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Order {
    pub(crate) link: Link,
    pub(crate) settings: Settings,
    /// In the words of users; copies share what they have in common, so that one changed route costs one.
    pub(crate) routes: Routes,
    /// Whether BFD watches it, and how.
    pub(crate) bfd: Option<(herald_bfd::Path, herald_bfd::Settings)>,
}

/// What happened with a peer.
#[derive(Debug)]
pub(crate) struct News {
    /// The name of the BGPPeer.
    pub(crate) peer: String,
    pub(crate) said: Said,
}

/// What there is to tell.
#[derive(Debug)]
pub(crate) enum Said {
    /// The session saw or did something.
    Observed(Observed),
    /// Routes that the peer cannot be told; one of them, and why.
    NotSent { prefix: Prefix, why: NotSent, count: usize },
}

/// Where the session with each peer stands, by the name of the BGPPeer.
pub(crate) type Standings = BTreeMap<String, Standing>;

/// Where a session stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) state: State,
    /// What ended the last one, or kept it from coming up.
    pub(crate) why: Option<String>,
}

/// The sessions of this node.
pub(crate) struct Bgp {
    tasks: BTreeMap<String, Task>,
    /// Sessions with peers that are no more, until they are over.
    ending: Vec<JoinHandle<()>>,
    bfd: watch::Receiver<PeerStates>,
    news: mpsc::Sender<News>,
    standings: watch::Sender<Standings>,
    metrics: Metrics,
    seeds: RandomState,
}

struct Task {
    order: Arc<Order>,
    commands: watch::Sender<Command>,
    handle: JoinHandle<()>,
}

impl Bgp {
    /// Without peers.
    pub(crate) fn new(
        metrics: Metrics,
        bfd: watch::Receiver<PeerStates>,
    ) -> (Self, mpsc::Receiver<News>, watch::Receiver<Standings>) {
        let (news, inbox) = mpsc::channel(NEWS_QUEUE);
        let (standings, watched) = watch::channel(Standings::new());
        let seeds = RandomState::new();
        (Self { tasks: BTreeMap::new(), ending: Vec::new(), bfd, news, standings, metrics, seeds }, inbox, watched)
    }

    /// Takes the whole set of peers. Needs a runtime.
    pub(crate) fn order(&mut self, orders: BTreeMap<String, Order>) {
        let gone: Vec<String> = self.tasks.keys().filter(|name| !orders.contains_key(*name)).cloned().collect();
        for name in gone {
            self.end(&name, Stop::Deconfigured);
        }
        self.ending.retain(|handle| !handle.is_finished());
        for (name, order) in orders {
            match self.tasks.get_mut(&name) {
                Some(task) if *task.order == order => {}
                Some(task) => {
                    task.order = Arc::new(order);
                    task.commands.send_replace(Command::Run(Arc::clone(&task.order)));
                }
                None => self.start(name, order),
            }
        }
    }

    fn start(&mut self, name: String, order: Order) {
        let order = Arc::new(order);
        let (commands, inbox) = watch::channel(Command::Wait);
        let mut seed = self.seeds.build_hasher();
        seed.write(name.as_bytes());
        let wires = Wires {
            commands: inbox,
            bfd: self.bfd.clone(),
            news: self.news.clone(),
            standings: self.standings.clone(),
            metrics: self.metrics.clone(),
        };
        let peer = Peer::new(name.clone(), seed.finish(), wires);
        commands.send_replace(Command::Run(Arc::clone(&order)));
        let handle = tokio::spawn(peer.run());
        self.tasks.insert(name, Task { order, commands, handle });
    }

    fn end(&mut self, name: &str, stop: Stop) {
        if let Some(task) = self.tasks.remove(name) {
            task.commands.send_replace(Command::Stop(stop));
            self.ending.push(task.handle);
        }
    }

    /// Ends every session, and returns when the peers know or take too long. Peers that agreed to keep the routes over a restart keep them.
    pub(crate) async fn leave(mut self, text: String) {
        let names: Vec<String> = self.tasks.keys().cloned().collect();
        for name in names {
            self.end(&name, Stop::KeepRoutes { text: text.clone() });
        }
        let all = async {
            for handle in self.ending.drain(..) {
                // A task that panicked has closed its sockets.
                let _ = handle.await;
            }
        };
        if timeout(LEAVE, all).await.is_err() {
            tracing::warn!(protocol = "bgp", "not every peer took the end of its session in time");
        }
    }
}
