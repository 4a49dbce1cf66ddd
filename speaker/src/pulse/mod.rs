//! The real-time thread: heartbeats, ARP, NDP and BFD, and the machines that decide about them.
//!
//! One thread owns the heartbeat socket, the packet sockets, the election, the announcer and BFD, under SCHED_FIFO where that is
//! allowed, so that nothing else in the process can delay them. The rest of the speaker talks to it in whole values:
//!
//! ```text
//!   tokio  -- Orders (what is wanted, whole) | Leave -->  pulse  -- News (what happened) -->  tokio
//!
//!   each wake-up:  orders -> heartbeats -> election -> who owns what -> fate of connections -> bfd -> frames -> announcer -> transmit
//! ```
//!
//! Heartbeats come before frames: a node that was frozen first learns that it lost its addresses and only then looks at
//! the requests that queued up meanwhile.
//!
//! The fate of an address's connections is in force in the kernel before the address is claimed, and so before anybody learns the new owner: a segment that came
//! first would be bound to some endpoint, which resets it. The election says early what is likely to come, the flows' thread when it is ready.

pub(crate) mod bfd;
mod moves;
mod stopwatch;
pub(crate) mod thread;

use crate::net::flows::{Done, Fate, Flows, Off};
use clap::ValueEnum;
use herald_desire::Tree;
use herald_election::{Election, GainReason, LoseReason, NodeId, Testament};
use herald_l2::{Client, InterfaceIndex};
pub(crate) use moves::{Course, Following};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::{Arc, mpsc},
    thread::Builder,
    time::Duration,
};
pub(crate) use thread::Doubts;
use tokio::sync::{mpsc as news, oneshot};

/// News that may wait for the reporter: a second of the busiest minute. What does not fit is counted and said with the next news
/// that fits.
const NEWS_QUEUE: usize = 4096;

/// What the pulse thread is to do, whole.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Orders {
    /// Where this node's own heartbeats come from, and where its peers send theirs.
    pub(crate) heartbeat: SocketAddr,
    /// The interface with that address.
    pub(crate) heartbeat_interface: InterfaceIndex,
    /// Whether that interface has carrier.
    pub(crate) link: herald_election::Link,
    /// Whether what is sent to this node is served.
    pub(crate) fitness: herald_election::Fitness,
    /// Every other node, and where it hears heartbeats.
    pub(crate) members: BTreeMap<NodeId, SocketAddr>,
    /// Every other node's addresses, of both families.
    pub(crate) nodes: BTreeMap<NodeId, Vec<IpAddr>>,
    /// Every address that some node should announce by layer 2.
    pub(crate) addresses: Tree<IpAddr, Address>,
    /// The interfaces that this node may announce on.
    pub(crate) interfaces: BTreeMap<InterfaceIndex, herald_l2::Interface>,
    /// Hosts on the heartbeats' segment that are no nodes of ours: their answers tell a dead segment from dead peers.
    pub(crate) witnesses: BTreeSet<IpAddr>,
    /// Ethernet addresses of the other nodes.
    pub(crate) peers: BTreeSet<herald_l2::MacAddr>,
    /// The BFD sessions that BGP peers ask for.
    pub(crate) bfd: BTreeMap<herald_bfd::Path, herald_bfd::Settings>,
}

/// One address: who may own it, and on which of this node's interfaces it would be answered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Address {
    pub(crate) election: herald_election::Address,
    pub(crate) interfaces: BTreeSet<InterfaceIndex>,
}

/// What a node does when a stranger claims an address that it announces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnConflict {
    /// Announces it again, at most once a second.
    #[default]
    Defend,
    /// Is silent until nobody else has it.
    Yield,
}

impl OnConflict {
    /// What it does, for people.
    pub(crate) const fn course(self) -> &'static str {
        match self {
            Self::Defend => "this node goes on announcing it",
            Self::Yield => "this node is silent until nobody else has it",
        }
    }
}

/// What happened on the pulse thread.
#[derive(Debug)]
pub(crate) enum News {
    /// This node owns an address from here on.
    Gained {
        ip: IpAddr,
        epoch: u64,
        reason: GainReason,
        from: Option<NodeId>,
        silent_for: Option<Duration>,
        /// How long ago its owner was known dead, or offered it.
        decided: Option<Duration>,
        connections: Option<Course>,
    },
    /// The first round of announcements of a gained address is out, so long after it was gained.
    Announced { ip: IpAddr, took: Duration },
    /// This node still owns an address, by another process than before.
    Kept { ip: IpAddr, epoch: u64 },
    /// A host that is no node of ours has an address that this node was about to announce; it stays silent.
    Taken { ip: IpAddr, interface: InterfaceIndex, mac: herald_l2::MacAddr },
    /// An address that this node owns is announced from here on: nobody has it.
    Free { ip: IpAddr },
    /// This process has taken the place of the earlier one, which may fall silent.
    Took,
    /// This node no longer owns an address.
    Lost { ip: IpAddr, reason: LoseReason, to: Option<NodeId> },
    /// The election saw something.
    Election(herald_election::Observed),
    /// The announcer saw or did something.
    Layer2(herald_l2::Observed),
    /// A BFD session changed.
    Bfd(herald_bfd::Observed),
    /// The thread woke up this long after it wanted to.
    Late(Duration),
    /// A system call failed; the thread goes on.
    Failed { what: &'static str, error: io::Error },
    /// This much news did not fit: logs and metrics miss it, ownership does not.
    Missed(u64),
    /// What becomes of connections that were made through an earlier owner, in force so long after it was decided.
    Decided { fates: BTreeMap<IpAddr, Fate>, took: Duration },
    /// Whether moves keep connections, and why not.
    Flows(Option<Off>),
    /// Everything is handed over: the process may end.
    Left,
}

/// What one process leaves to the next on the same node.
#[derive(Debug)]
pub(crate) struct Bequeathed {
    pub(crate) testament: Testament,
    pub(crate) following: Vec<Following>,
    /// What is owned and not announced.
    pub(crate) doubtful: BTreeSet<IpAddr>,
    pub(crate) clients: Vec<(IpAddr, InterfaceIndex, Client)>,
}

/// What a process takes over from the earlier one.
#[derive(Debug)]
pub(crate) struct Inheritance {
    pub(crate) testament: Testament,
    pub(crate) following: Vec<Following>,
    /// What is owned and not announced.
    pub(crate) doubtful: BTreeSet<IpAddr>,
    /// Bound before the earlier process closed its own.
    pub(crate) heartbeat: UdpSocket,
}

enum Command {
    Orders(Arc<Orders>),
    Prepare(Arc<Orders>),
    Inherit(Arc<Orders>, Inheritance),
    Learn(Vec<(IpAddr, InterfaceIndex, Client)>),
    Bequeath(oneshot::Sender<Option<Bequeathed>>),
    Leave,
}

/// The way to talk to the thread. The thread ends when this is dropped.
pub(crate) struct Pulse {
    commands: mpsc::Sender<Command>,
    wake: Arc<EventFd>,
}

impl Pulse {
    /// Starts the thread, and the one that decides about connections; those follow to an earlier owner for as long as `drain`.
    ///
    /// # Errors
    /// The process is out of threads or descriptors.
    pub(crate) fn start(
        election: Election,
        announcer: herald_l2::Announcer,
        bfd: bfd::Bfd,
        doubts: Doubts,
        drain: Duration,
    ) -> io::Result<(Self, Flows, news::Receiver<News>)> {
        let wake = Arc::new(EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?);
        let (commands, inbox) = mpsc::channel();
        let (outbox, news) = news::channel(NEWS_QUEUE);
        let (addresses, ready) = mpsc::channel();
        let flows = Flows::start(drain, Done { addresses, wake: Arc::clone(&wake) }, outbox.clone())?;
        let moves = moves::Moves::new(drain);
        let machines = thread::Machines { election, announcer, bfd, moves, doubts };
        let inboxes = thread::Inboxes { commands: inbox, ready, wake: Arc::clone(&wake) };
        let thread = thread::Thread::new(machines, flows.clone(), inboxes, outbox);
        Builder::new().name("pulse".to_owned()).spawn(move || thread.run())?;
        Ok((Self { commands, wake }, flows, news))
    }

    /// Replaces what is wanted.
    pub(crate) fn order(&self, orders: Arc<Orders>) {
        self.send(Command::Orders(orders));
    }

    /// Opens the sockets that these orders need, and does nothing else.
    pub(crate) fn prepare(&self, orders: Arc<Orders>) {
        self.send(Command::Prepare(orders));
    }

    /// Takes over from the earlier process; instead of the first [`order`](Self::order). [`News::Took`] follows.
    pub(crate) fn inherit(&self, orders: Arc<Orders>, inheritance: Inheritance) {
        self.send(Command::Inherit(orders, inheritance));
    }

    /// Learns who asked an earlier process.
    pub(crate) fn learn(&self, clients: Vec<(IpAddr, InterfaceIndex, Client)>) {
        self.send(Command::Learn(clients));
    }

    /// Ends the election and says what another process should go on with. Questions are answered for a moment longer. `None` where there is nothing to go on with.
    pub(crate) async fn bequeath(&self) -> Option<Bequeathed> {
        let (reply, bequeathed) = oneshot::channel();
        self.send(Command::Bequeath(reply));
        bequeathed.await.ok().flatten()
    }

    /// Asks to hand everything over; [`News::Left`] follows.
    pub(crate) fn leave(&self) {
        self.send(Command::Leave);
    }

    fn send(&self, command: Command) {
        // The thread only ends after this handle is gone, so neither can fail in a way that matters.
        let _ = self.commands.send(command);
        let _ = self.wake.write(1);
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        let _ = self.wake.write(1);
    }
}
