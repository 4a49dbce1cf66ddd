//! The thread's loop.

mod doubts;
mod succession;

pub(crate) use doubts::Doubts;

use super::{
    Command, News, Orders,
    bfd::{Bfd, Said},
    moves::Moves,
    stopwatch::Stopwatch,
};
use crate::net::{
    flows::{Fate, Flows},
    group::Groups,
    heartbeat,
    packet::{Neighbour, PacketSocket},
    realtime,
};
use herald_election::{
    Action as ElectionAction, Election, Event as ElectionEvent, GainReason, LoseReason, NodeId, Observed,
};
use herald_l2::{
    Action as L2Action, Address, Announcer, Claimant, Event as L2Event, InterfaceIndex, MacAddr, Observed as Layer2,
    Role, Wanted,
};
use nix::{
    poll::{PollFd, PollFlags, ppoll},
    sys::{eventfd::EventFd, time::TimeSpec},
};
use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    os::fd::AsFd,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

/// Messages taken from one socket before the others get their turn: bounds how long a flood on one delays the rest.
const TURN: usize = 256;
/// The longest sleep: without any deadline the thread still looks whether it should end.
const IDLE: Duration = Duration::from_secs(1);
/// A wake-up this late is news. Shorter is what a busy machine does all the time.
const NOTABLE: Duration = Duration::from_millis(5);

/// The machines that the thread drives.
pub(super) struct Machines {
    pub(super) election: Election,
    pub(super) announcer: Announcer,
    pub(super) bfd: Bfd,
    pub(super) moves: Moves,
    pub(super) doubts: Doubts,
}

/// Where others leave word for the thread, and how they wake it.
pub(super) struct Inboxes {
    pub(super) commands: mpsc::Receiver<Command>,
    /// Addresses whose connections' fate is in force.
    pub(super) ready: mpsc::Receiver<Vec<IpAddr>>,
    pub(super) wake: Arc<EventFd>,
}

pub(super) struct Thread {
    election: Election,
    announcer: Announcer,
    bfd: Bfd,
    /// Whether the election has handed everything over.
    left: bool,
    moves: Moves,
    doubts: Doubts,
    stopwatch: Stopwatch,
    flows: Flows,
    inboxes: Inboxes,
    news: tokio::sync::mpsc::Sender<News>,
    /// News that did not fit since the last that did.
    missed: Cell<u64>,
    orders: Option<Arc<Orders>>,
    /// Since when the earlier process is yet to be told that it may end.
    inheriting: Option<Instant>,
    /// Another process has this one's place: until when this one still answers.
    replaced: Option<Instant>,
    owned: BTreeSet<IpAddr>,
    suspended: bool,
    changed: bool,
    /// What was decided about connections and not yet passed on.
    fates: BTreeMap<IpAddr, Fate>,
    /// Addresses that were to be prepared for and need nothing.
    unneeded: Vec<IpAddr>,
    /// Hosts whose kernel has just given a sign of life.
    living: BTreeSet<IpAddr>,
    heartbeat: Option<(SocketAddr, UdpSocket)>,
    sockets: BTreeMap<(InterfaceIndex, Neighbour), PacketSocket>,
    groups: Groups,
}

/// Whether the loop goes on.
#[derive(PartialEq, Eq)]
enum Flow {
    On,
    End,
}

impl Thread {
    pub(super) fn new(
        machines: Machines,
        flows: Flows,
        inboxes: Inboxes,
        news: tokio::sync::mpsc::Sender<News>,
    ) -> Self {
        let Machines { election, announcer, bfd, moves, doubts } = machines;
        Self {
            doubts,
            election,
            announcer,
            bfd,
            left: false,
            moves,
            stopwatch: Stopwatch::default(),
            flows,
            inboxes,
            news,
            missed: Cell::new(0),
            orders: None,
            inheriting: None,
            replaced: None,
            owned: BTreeSet::new(),
            suspended: false,
            changed: false,
            fates: BTreeMap::new(),
            unneeded: Vec::new(),
            living: BTreeSet::new(),
            heartbeat: None,
            sockets: BTreeMap::new(),
            groups: Groups::default(),
        }
    }

    pub(super) fn run(mut self) {
        for result in [realtime::schedule_fifo(), realtime::lock_memory()] {
            if let Err(error) = result {
                self.tell(News::Failed { what: "real-time", error: io::Error::other(error) });
            }
        }
        let mut buffer = [0; 2048];
        loop {
            let complaints = self.sleep();
            let now = Instant::now();
            if self.take_commands(now) == Flow::End {
                return;
            }
            self.take_heartbeats(now, &mut buffer);
            if complaints {
                self.take_refusals(now);
            }
            self.fall_silent(now);
            self.take_ready(now);
            self.election.handle(now, ElectionEvent::Tick);
            self.settle(now);
            self.watch_peers(now, &mut buffer);
            self.take_frames(now, &mut buffer);
            self.resolve_doubts(now);
            self.follow(now);
            self.announcer.handle(now, L2Event::Tick);
            self.transmit();
        }
    }

    /// Waits for a message, a command or the next deadline. Says whether the heartbeat socket has errors to tell of.
    fn sleep(&mut self) -> bool {
        let before = Instant::now();
        let deadlines = [
            self.election.deadline(),
            self.announcer.deadline(),
            self.bfd.deadline(),
            self.moves.deadline(),
            self.doubts.prober.deadline(),
            self.replaced,
        ];
        let deadline = deadlines.into_iter().flatten().min();
        let timeout = deadline.map_or(IDLE, |deadline| deadline.saturating_duration_since(before)).min(IDLE);
        let descriptors = std::iter::once(self.inboxes.wake.as_fd())
            .chain(self.heartbeat.iter().map(|(_, socket)| socket.as_fd()))
            .chain(self.sockets.values().map(AsFd::as_fd))
            .chain(self.bfd.descriptors());
        let mut polled: Vec<_> = descriptors.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        // An interrupted or failed wait only means an early look.
        let ready = ppoll(&mut polled, Some(TimeSpec::from_duration(timeout)), None).unwrap_or(0);
        let heartbeats = polled.get(1).filter(|_| self.heartbeat.is_some()).and_then(PollFd::revents);
        let complaints = heartbeats.is_some_and(|events| events.contains(PollFlags::POLLERR));
        if ready == 0
            && let Some(deadline) = deadline
        {
            let late = Instant::now().saturating_duration_since(deadline);
            if late >= NOTABLE {
                self.tell(News::Late(late));
            }
        }
        complaints
    }

    fn take_commands(&mut self, now: Instant) -> Flow {
        let _ = self.inboxes.wake.read();
        let mut newest = None;
        loop {
            match self.inboxes.commands.try_recv() {
                Ok(Command::Orders(orders)) => newest = Some(orders),
                Ok(Command::Prepare(orders)) => self.open(&orders),
                Ok(Command::Inherit(orders, inheritance)) => self.inherit(now, orders, inheritance),
                Ok(Command::Learn(clients)) => {
                    for (ip, interface, client) in clients {
                        self.announcer.handle(now, L2Event::Known { ip, interface, client });
                    }
                }
                Ok(Command::Bequeath(reply)) => {
                    // Whoever asked and is gone again finds the addresses with other nodes.
                    let _ = reply.send(self.bequeath(now));
                }
                Ok(Command::Leave) => {
                    self.election.handle(now, ElectionEvent::Leave);
                    self.bfd.leave(now);
                }
                Err(mpsc::TryRecvError::Empty) => break,
                Err(mpsc::TryRecvError::Disconnected) => return Flow::End,
            }
        }
        if let Some(orders) = newest {
            self.obey(now, orders);
        }
        Flow::On
    }

    fn obey(&mut self, now: Instant, orders: Arc<Orders>) {
        self.bind(orders.heartbeat);
        self.open(&orders);
        self.election.set(
            now,
            herald_election::Wanted {
                members: orders.members.clone(),
                addresses: orders.addresses.iter().map(|(ip, address)| (*ip, address.election.clone())).collect(),
            },
        );
        self.election.handle(now, ElectionEvent::Link(orders.link));
        self.election.handle(now, ElectionEvent::Fitness(orders.fitness));
        self.bfd.order(now, &orders.bfd);
        self.orders = Some(orders);
        // The announcer hears of it in `settle`, when the election has said what this node still owns.
        self.changed = true;
    }

    fn bind(&mut self, address: SocketAddr) {
        if self.heartbeat.as_ref().is_some_and(|(bound, _)| *bound == address) {
            return;
        }
        self.heartbeat = match heartbeat::bind(address) {
            Ok(socket) => Some((address, socket)),
            Err(error) => {
                self.tell(News::Failed { what: "bind the heartbeat address", error });
                None
            }
        };
    }

    /// Makes the packet sockets those of the interfaces in the orders.
    fn open(&mut self, orders: &Orders) {
        self.sockets.retain(|(index, _), _| orders.interfaces.contains_key(index));
        for (index, interface) in &orders.interfaces {
            for protocol in [Neighbour::Arp, Neighbour::Ndp] {
                if self.sockets.contains_key(&(*index, protocol)) {
                    continue;
                }
                match PacketSocket::open(&interface.name, index.0, protocol) {
                    Ok(socket) => drop(self.sockets.insert((*index, protocol), socket)),
                    Err(error) => self.tell(News::Failed { what: "open a packet socket", error }),
                }
            }
        }
    }

    fn take_heartbeats(&mut self, now: Instant, buffer: &mut [u8]) {
        let Some((_, socket)) = &self.heartbeat else { return };
        for _ in 0..TURN {
            match socket.recv_from(buffer) {
                Ok((length, from)) => {
                    self.election.handle(now, ElectionEvent::Datagram { from, bytes: &buffer[..length] });
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // ICMP errors of earlier sends come back here too; which, is asked below.
                Err(_) => {}
            }
        }
    }

    /// Hears whose kernel says that nobody listens there: after the datagrams, since one of those may prove the contrary.
    fn take_refusals(&mut self, now: Instant) {
        let Some((_, socket)) = &self.heartbeat else { return };
        for by in heartbeat::refusals(socket, TURN) {
            self.election.handle(now, ElectionEvent::Refused { by });
            self.living.insert(by.ip());
        }
    }

    fn take_ready(&mut self, now: Instant) {
        while let Ok(ips) = self.inboxes.ready.try_recv() {
            self.election.handle(now, ElectionEvent::Prepared(&ips));
        }
    }

    /// Does what the election decided. However many addresses move, the announcer hears of them once.
    fn settle(&mut self, now: Instant) {
        let mut moved = std::mem::take(&mut self.changed);
        let mut reasserted = Vec::new();
        loop {
            // All of them first: connections are seen to before anything is said.
            let actions: Vec<_> = std::iter::from_fn(|| self.election.poll()).collect();
            for action in &actions {
                self.see_to_connections(now, action);
            }
            self.decide(now);
            if actions.iter().any(hands_over) {
                // Who asked before the heir had it would have no answer from either.
                self.take_frames(now, &mut [0; 2048]);
                self.transmit();
            }
            for action in actions {
                moved |= self.act(action, &mut reasserted);
            }
            if self.unneeded.is_empty() {
                break;
            }
            let unneeded = std::mem::take(&mut self.unneeded);
            self.election.handle(now, ElectionEvent::Prepared(&unneeded));
        }
        if !reasserted.is_empty() {
            // The announcer starts its schedule when it learns of an ownership: what it is told to forget first is news.
            let owned = self.owned.clone();
            self.owned.retain(|ip| !reasserted.contains(ip));
            self.announce(now);
            self.owned = owned;
            moved = true;
        }
        if moved {
            self.announce(now);
        }
        self.confirm_succession(now);
    }

    /// Carries out one of the election's decisions; says whether the announcer must hear of it.
    fn act(&mut self, action: ElectionAction, reasserted: &mut Vec<IpAddr>) -> bool {
        let decided = self.stopwatch.see(Instant::now(), &action);
        match action {
            ElectionAction::Send { to, datagram } => {
                if let Some((_, socket)) = &self.heartbeat {
                    heartbeat::send(socket, &datagram, to);
                }
            }
            ElectionAction::Gain { ip, epoch, reason, from, silent_for } => {
                if reason == GainReason::FirstOwner {
                    self.doubts.about.insert(ip);
                }
                let connections = self.moves.course(ip);
                self.tell(News::Gained { ip, epoch, reason, from, silent_for, decided, connections });
                return self.owned.insert(ip);
            }
            ElectionAction::Keep { ip, epoch } => {
                self.tell(News::Kept { ip, epoch });
                return self.owned.insert(ip);
            }
            ElectionAction::Lose { ip, reason, to } => {
                self.tell(News::Lost { ip, reason, to });
                return self.owned.remove(&ip);
            }
            ElectionAction::Reassert { ip, .. } => reasserted.push(ip),
            ElectionAction::Suspend => {
                self.suspended = true;
                return true;
            }
            ElectionAction::Resume => {
                self.suspended = false;
                return true;
            }
            ElectionAction::AskNeighbours => self.ask(),
            ElectionAction::Report(observed) => self.tell(News::Election(observed)),
            ElectionAction::Left => self.left = true,
            // Seen to already: only connections need them.
            ElectionAction::Prepare { .. } | ElectionAction::Withdraw { .. } => {}
        }
        false
    }

    /// What one of the election's decisions means for connections.
    fn see_to_connections(&mut self, now: Instant, action: &ElectionAction) {
        let fate = match action {
            ElectionAction::Report(Observed::MemberSuspected { node, .. } | Observed::MemberDown { node, .. }) => {
                self.moves.silent(now, *node);
                return;
            }
            ElectionAction::Report(Observed::MemberUp { node, .. } | Observed::MemberCleared { node, .. }) => {
                self.moves.heard(*node);
                return;
            }
            ElectionAction::Prepare { ip, from, why } => {
                let fate = self
                    .home(*from, *ip)
                    .and_then(|node| self.moves.foreseen(now, *ip, *why, *from, node).map(|fate| (*ip, fate)));
                if fate.is_none() {
                    // Nothing to wait for.
                    self.unneeded.push(*ip);
                }
                fate
            }
            ElectionAction::Withdraw { ip } => self.moves.withdrawn(*ip).map(|fate| (*ip, fate)),
            ElectionAction::Gain { ip, reason, from: Some(from), .. } => self
                .home(*from, *ip)
                .and_then(|node| self.moves.gained(now, *ip, *reason, *from, node))
                .map(|fate| (*ip, fate)),
            ElectionAction::Lose { ip, .. } => self.moves.lost(*ip).map(|fate| (*ip, fate)),
            _ => return,
        };
        self.fates.extend(fate);
    }

    /// The kernel at a node's address gave a sign of life.
    fn kernel_answered(&mut self, host: IpAddr) {
        let Some(orders) = &self.orders else { return };
        if let Some((node, _)) = orders.members.iter().find(|(_, member)| member.ip() == host) {
            self.moves.answered(*node);
        }
    }

    /// A node's address of the same family.
    fn home(&self, node: NodeId, ip: IpAddr) -> Option<IpAddr> {
        let nodes = self.orders.as_ref()?.nodes.get(&node)?;
        nodes.iter().copied().find(|node| node.is_ipv4() == ip.is_ipv4())
    }

    /// Has what was decided about connections carried out, all of it in one transaction.
    fn decide(&mut self, now: Instant) {
        if !self.fates.is_empty() {
            self.flows.decide(now, std::mem::take(&mut self.fates));
        }
    }

    /// Asks the kernels of earlier owners whether they live, and does what follows from it.
    fn follow(&mut self, now: Instant) {
        for host in std::mem::take(&mut self.living) {
            self.kernel_answered(host);
        }
        let fates = self.moves.tick(now);
        self.fates.extend(fates);
        self.decide(now);
        let asked = self.moves.questions(now);
        let Some(orders) = &self.orders else { return };
        let Some(interface) = orders.interfaces.get(&orders.heartbeat_interface) else { return };
        let hosts = asked.iter().filter_map(|node| orders.members.get(node));
        for frame in hosts.filter_map(|host| herald_l2::question(interface, host.ip())) {
            // A question that cannot be sent is one that is not answered.
            let _ = self.send(orders.heartbeat_interface, &frame);
        }
    }

    /// Asks for a sign of life from hosts that are no nodes. An answer comes in as a frame.
    fn ask(&self) {
        let Some(orders) = &self.orders else { return };
        let Some(interface) = orders.interfaces.get(&orders.heartbeat_interface) else { return };
        for frame in orders.witnesses.iter().filter_map(|host| herald_l2::question(interface, *host)) {
            // A question that cannot be sent is one that is not answered.
            let _ = self.send(orders.heartbeat_interface, &frame);
        }
    }

    /// Tells the announcer, whole, which addresses this node owns and which it only watches.
    fn announce(&mut self, now: Instant) {
        let Some(orders) = &self.orders else { return };
        let address = |ip: &IpAddr, interfaces: &BTreeSet<InterfaceIndex>| Address {
            role: if !self.suspended && self.owned.contains(ip) && !self.doubts.about.contains(ip) {
                Role::Owner
            } else {
                Role::Standby
            },
            interfaces: interfaces.clone(),
        };
        let wanted = Wanted {
            interfaces: orders.interfaces.clone(),
            addresses: orders.addresses.iter().map(|(ip, wish)| (*ip, address(ip, &wish.interfaces))).collect(),
            peers: orders.peers.clone(),
        };
        self.announcer.set(now, wanted);
        self.doubt(now);
        self.transmit();
    }

    /// Runs BFD. Once the peers know that it ends, and everything else is handed over, the process may end.
    fn watch_peers(&mut self, now: Instant, buffer: &mut [u8]) {
        self.bfd.run(now, buffer);
        for said in self.bfd.said() {
            self.tell(match said {
                Said::Observed(observed) => News::Bfd(observed),
                Said::Failed { what, error } => News::Failed { what, error },
            });
        }
        if self.left && self.bfd.idle() {
            self.left = false;
            self.tell(News::Left);
        }
    }

    fn take_frames(&mut self, now: Instant, buffer: &mut [u8]) {
        for ((interface, _), socket) in &self.sockets {
            for _ in 0..TURN {
                match socket.receive(buffer) {
                    Ok((bytes, received)) => {
                        if self.orders.as_ref().is_some_and(|orders| is_neighbour(orders, *interface, bytes)) {
                            self.election.handle(now, ElectionEvent::Neighbour);
                        } else if let Some(host) = answering(bytes) {
                            self.living.insert(host);
                        }
                        self.doubts.prober.frame(now, *interface, bytes);
                        self.announcer.handle(now, L2Event::Frame { interface: *interface, received, bytes });
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // The interface went down; netlink says so, and new orders follow.
                    Err(_) => break,
                }
            }
        }
    }

    fn transmit(&mut self) {
        while let Some(action) = self.announcer.poll() {
            let failure = match action {
                L2Action::Send { interface, frame } => {
                    self.send(interface, &frame).map_err(|error| ("send a frame", error))
                }
                L2Action::Join { interface, group } => {
                    self.groups.join(interface.0, group).map_err(|error| ("join a multicast group", error))
                }
                L2Action::Leave { interface, group } => {
                    self.groups.leave(interface.0, group);
                    Ok(())
                }
                L2Action::Report(observed) => {
                    self.tell(News::Layer2(observed));
                    if let Layer2::Conflict { ip, claimant: Claimant::Foreign, .. } = observed {
                        self.changed |= self.doubts.claimed(ip);
                    }
                    if let Layer2::Announced { ip, .. } = observed
                        && let Some(took) = self.stopwatch.announced(Instant::now(), ip)
                    {
                        self.tell(News::Announced { ip, took });
                    }
                    Ok(())
                }
            };
            if let Err((what, error)) = failure {
                self.tell(News::Failed { what, error });
            }
        }
    }

    fn send(&self, interface: InterfaceIndex, frame: &[u8]) -> io::Result<()> {
        // EtherType at offset 12 (IEEE 802.3): the socket of that protocol.
        let protocol = if frame.get(12..14) == Some(&[0x08, 0x06]) { Neighbour::Arp } else { Neighbour::Ndp };
        match self.sockets.get(&(interface, protocol)) {
            Some(socket) => socket.send(frame),
            None => Ok(()),
        }
    }

    fn tell(&self, news: News) {
        // Full: the reporter is starved. Ownership does not wait for it.
        let missed = self.missed.get();
        if missed > 0 && self.news.try_send(News::Missed(missed)).is_ok() {
            self.missed.set(0);
        }
        if self.news.try_send(news).is_err() {
            self.missed.set(self.missed.get() + 1);
        }
    }
}

/// Whether another node has just taken what this one offered.
const fn hands_over(action: &ElectionAction) -> bool {
    matches!(action, ElectionAction::Lose { reason: LoseReason::HandedOver, .. })
}

/// Whether a frame shows that the segment of the heartbeats is alive: it comes from a host there that is no node of ours.
fn is_neighbour(orders: &Orders, interface: InterfaceIndex, frame: &[u8]) -> bool {
    let source = frame.get(6..12).and_then(|bytes| <[u8; 6]>::try_from(bytes).ok()).map(MacAddr);
    interface == orders.heartbeat_interface && source.is_some_and(|source| !orders.peers.contains(&source))
}

/// The host that answers an ARP request (RFC 826) or a neighbour solicitation (RFC 4861 §4.4) for its own address. Only kernels do so for nodes.
fn answering(frame: &[u8]) -> Option<IpAddr> {
    match frame.get(12..14)? {
        [0x08, 0x06] if frame.get(20..22)? == [0, 2] => {
            Some(IpAddr::from(<[u8; 4]>::try_from(frame.get(28..32)?).ok()?))
        }
        [0x86, 0xdd] if frame.get(20)? == &58 && frame.get(54)? == &136 => {
            Some(IpAddr::from(<[u8; 16]>::try_from(frame.get(62..78)?).ok()?))
        }
        _ => None,
    }
}
