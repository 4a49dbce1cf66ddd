//! The thread's loop.

use super::{Command, News, Orders};
use crate::net::{
    group::Groups,
    heartbeat,
    packet::{Neighbour, PacketSocket},
    realtime,
};
use herald_election::{Action as ElectionAction, Election, Event as ElectionEvent};
use herald_l2::{Action as L2Action, Address, Announcer, Event as L2Event, InterfaceIndex, MacAddr, Role, Wanted};
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

pub(super) struct Thread {
    election: Election,
    announcer: Announcer,
    commands: mpsc::Receiver<Command>,
    wake: Arc<EventFd>,
    news: tokio::sync::mpsc::Sender<News>,
    /// News that did not fit since the last that did.
    missed: Cell<u64>,
    orders: Option<Arc<Orders>>,
    owned: BTreeSet<IpAddr>,
    suspended: bool,
    changed: bool,
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
        election: Election,
        announcer: Announcer,
        commands: mpsc::Receiver<Command>,
        wake: Arc<EventFd>,
        news: tokio::sync::mpsc::Sender<News>,
    ) -> Self {
        Self {
            election,
            announcer,
            commands,
            wake,
            news,
            missed: Cell::new(0),
            orders: None,
            owned: BTreeSet::new(),
            suspended: false,
            changed: false,
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
            self.sleep();
            let now = Instant::now();
            if self.take_commands(now) == Flow::End {
                return;
            }
            self.take_heartbeats(now, &mut buffer);
            self.election.handle(now, ElectionEvent::Tick);
            self.settle(now);
            self.take_frames(now, &mut buffer);
            self.announcer.handle(now, L2Event::Tick);
            self.transmit();
        }
    }

    /// Waits for a message, a command or the next deadline.
    fn sleep(&mut self) {
        let before = Instant::now();
        let deadline = [self.election.deadline(), self.announcer.deadline()].into_iter().flatten().min();
        let timeout = deadline.map_or(IDLE, |deadline| deadline.saturating_duration_since(before)).min(IDLE);
        let descriptors = std::iter::once(self.wake.as_fd())
            .chain(self.heartbeat.iter().map(|(_, socket)| socket.as_fd()))
            .chain(self.sockets.values().map(AsFd::as_fd));
        let mut polled: Vec<_> = descriptors.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        // An interrupted or failed wait only means an early look.
        let ready = ppoll(&mut polled, Some(TimeSpec::from_duration(timeout)), None).unwrap_or(0);
        if ready == 0
            && let Some(deadline) = deadline
        {
            let late = Instant::now().saturating_duration_since(deadline);
            if late >= NOTABLE {
                self.tell(News::Late(late));
            }
        }
    }

    fn take_commands(&mut self, now: Instant) -> Flow {
        let _ = self.wake.read();
        let mut newest = None;
        loop {
            match self.commands.try_recv() {
                Ok(Command::Orders(orders)) => newest = Some(orders),
                Ok(Command::Leave) => self.election.handle(now, ElectionEvent::Leave),
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
                // ICMP errors of earlier sends come back here: a peer that is down. Its silence says so already.
                Err(_) => {}
            }
        }
    }

    /// Does what the election decided. However many addresses move, the announcer hears of them once.
    fn settle(&mut self, now: Instant) {
        let mut moved = std::mem::take(&mut self.changed);
        let mut reasserted = Vec::new();
        while let Some(action) = self.election.poll() {
            match action {
                ElectionAction::Send { to, datagram } => {
                    if let Some((_, socket)) = &self.heartbeat {
                        // A heartbeat that cannot be sent is one that is lost.
                        let _ = socket.send_to(&datagram, to);
                    }
                }
                ElectionAction::Gain { ip, epoch, reason, from, silent_for } => {
                    moved |= self.owned.insert(ip);
                    self.tell(News::Gained { ip, epoch, reason, from, silent_for });
                }
                ElectionAction::Lose { ip, reason, to } => {
                    moved |= self.owned.remove(&ip);
                    self.tell(News::Lost { ip, reason, to });
                }
                ElectionAction::Reassert { ip, .. } => reasserted.push(ip),
                ElectionAction::Suspend => {
                    self.suspended = true;
                    moved = true;
                }
                ElectionAction::Resume => {
                    self.suspended = false;
                    moved = true;
                }
                ElectionAction::AskNeighbours => self.ask(),
                ElectionAction::Report(observed) => self.tell(News::Election(observed)),
                ElectionAction::Left => self.tell(News::Left),
            }
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
            role: if !self.suspended && self.owned.contains(ip) { Role::Owner } else { Role::Standby },
            interfaces: interfaces.clone(),
        };
        let wanted = Wanted {
            interfaces: orders.interfaces.clone(),
            addresses: orders.addresses.iter().map(|(ip, wish)| (*ip, address(ip, &wish.interfaces))).collect(),
            peers: orders.peers.clone(),
        };
        self.announcer.set(now, wanted);
        self.transmit();
    }

    fn take_frames(&mut self, now: Instant, buffer: &mut [u8]) {
        for ((interface, _), socket) in &self.sockets {
            for _ in 0..TURN {
                match socket.receive(buffer) {
                    Ok((bytes, received)) => {
                        if self.orders.as_ref().is_some_and(|orders| is_neighbour(orders, *interface, bytes)) {
                            self.election.handle(now, ElectionEvent::Neighbour);
                        }
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

/// Whether a frame shows that the segment of the heartbeats is alive: it comes from a host there that is no node of ours.
fn is_neighbour(orders: &Orders, interface: InterfaceIndex, frame: &[u8]) -> bool {
    let source = frame.get(6..12).and_then(|bytes| <[u8; 6]>::try_from(bytes).ok()).map(MacAddr);
    interface == orders.heartbeat_interface && source.is_some_and(|source| !orders.peers.contains(&source))
}
