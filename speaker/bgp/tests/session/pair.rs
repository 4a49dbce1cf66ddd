//! Two sessions that speak with each other over a network that delays, cuts and loses, all from one seed.
//!
//! ```text
//!   session 0 -- Connect --> attempt: lost | refused | delayed --> Connected here, Accepted there
//!             -- Send -----> pieces of any size, delayed, in order --> Received there; Written here, later
//!             -- Close ----> after what was sent --> Closed there
//! ```

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use herald_bgp::{Action, ConnectionId, Ended, Event, Observed, Session, State, Wanted};

use crate::reader::{KEEPALIVE, NOTIFICATION, OPEN, Table, UPDATE, messages};

/// How bad the network is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Network {
    /// One way, in milliseconds, at most.
    pub(crate) delay_ms: u64,
    /// Of a hundred dials, how many get no answer.
    pub(crate) lost_dials: u64,
    /// Of a hundred dials, how many are refused.
    pub(crate) refused_dials: u64,
}

pub(crate) struct Pair {
    pub(crate) ends: [End; 2],
    pub(crate) now: Instant,
    pub(crate) network: Network,
    queue: BinaryHeap<Reverse<(Instant, u64, usize)>>,
    todo: BTreeMap<usize, Todo>,
    wires: BTreeMap<ConnectionId, Wire>,
    random: u64,
    serial: u64,
}

pub(crate) struct End {
    pub(crate) session: Session,
    pub(crate) wanted: Wanted,
    pub(crate) observed: Vec<Observed>,
    /// A dial that is out.
    dial: Option<u64>,
    address: IpAddr,
}

/// One end's half of a connection.
struct Wire {
    end: usize,
    other: ConnectionId,
    /// Nothing arrives before this: TCP keeps the order.
    arrives: Instant,
    open: bool,
    /// What the network swallowed: nothing arrives any more, and nobody is told.
    cut: bool,
    /// Types of what was sent and of what came.
    sent: Vec<u8>,
    came: Vec<u8>,
    incoming: Vec<u8>,
    /// What came over it.
    table: Table,
}

enum Todo {
    Dialled { end: usize, dial: u64 },
    Refused { end: usize, dial: u64 },
    Arrives { at: ConnectionId, bytes: Vec<u8> },
    Written { at: ConnectionId, octets: usize },
    Closed { at: ConnectionId },
}

impl Pair {
    pub(crate) fn new(seed: u64, network: Network, wanted: [Wanted; 2]) -> Self {
        let addresses = [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2))];
        let mut ends = wanted.into_iter().zip(addresses).enumerate().map(|(n, (wanted, address))| End {
            session: Session::new(seed.wrapping_mul(2).wrapping_add(n as u64)),
            wanted,
            observed: Vec::new(),
            dial: None,
            address,
        });
        let ends = [ends.next().unwrap(), ends.next().unwrap()];
        Self {
            ends,
            now: Instant::now(),
            network,
            queue: BinaryHeap::new(),
            todo: BTreeMap::new(),
            wires: BTreeMap::new(),
            random: seed,
            serial: 0,
        }
    }

    pub(crate) fn random(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }

    fn delay(&mut self) -> Duration {
        Duration::from_millis(self.random(self.network.delay_ms + 1))
    }

    fn later(&mut self, at: Instant, todo: Todo) {
        self.serial += 1;
        let slot = usize::try_from(self.serial).unwrap();
        self.queue.push(Reverse((at, self.serial, slot)));
        self.todo.insert(slot, todo);
    }

    pub(crate) fn set(&mut self, end: usize) {
        let wanted = self.ends[end].wanted.clone();
        self.ends[end].session.set(self.now, wanted);
        self.drain(end);
    }

    pub(crate) fn handle(&mut self, end: usize, event: Event<'_>) {
        self.ends[end].session.handle(self.now, event);
        self.drain(end);
    }

    pub(crate) fn both_established(&self) -> bool {
        self.ends.iter().all(|end| end.session.state() == State::Established)
    }

    /// Runs until the time is over.
    pub(crate) fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while self.turn(until) {}
        self.now = until;
    }

    /// Does what comes next, if it comes before that.
    fn turn(&mut self, until: Instant) -> bool {
        let arrival = self.queue.peek().map(|Reverse((at, ..))| *at);
        let ticks = [0, 1].map(|end| self.ends[end].session.deadline());
        let Some(next) = arrival.into_iter().chain(ticks.into_iter().flatten()).min().filter(|at| *at <= until) else {
            return false;
        };
        self.now = self.now.max(next);
        if arrival.is_some_and(|at| at <= self.now) {
            let Reverse((.., slot)) = self.queue.pop().unwrap();
            if let Some(todo) = self.todo.remove(&slot) {
                self.act(todo);
            }
            return true;
        }
        for end in [0, 1] {
            if ticks[end].is_some_and(|at| at <= self.now) {
                self.handle(end, Event::Tick);
            }
        }
        true
    }

    fn act(&mut self, todo: Todo) {
        match todo {
            Todo::Refused { end, dial } => {
                if self.ends[end].dial == Some(dial) {
                    self.ends[end].dial = None;
                    self.handle(end, Event::ConnectFailed { why: "connection refused".into() });
                }
            }
            Todo::Dialled { end, dial } => self.dialled(end, dial),
            Todo::Arrives { at, bytes } => self.arrives(at, &bytes),
            Todo::Written { at, octets } => {
                if let Some(end) = self.wires.get(&at).filter(|wire| wire.open).map(|wire| wire.end) {
                    self.handle(end, Event::Written { connection: at, octets });
                }
            }
            Todo::Closed { at } => {
                let Some(wire) = self.wires.get_mut(&at).filter(|wire| wire.open && !wire.cut) else { return };
                wire.open = false;
                let end = wire.end;
                self.handle(end, Event::Closed { connection: at, why: "closed by the peer".into() });
            }
        }
    }

    fn dialled(&mut self, end: usize, dial: u64) {
        let here = ConnectionId(self.serial * 2);
        let there = ConnectionId(self.serial * 2 + 1);
        let wire = |end, other, open| Wire {
            end,
            other,
            arrives: self.now,
            open,
            cut: false,
            sent: Vec::new(),
            came: Vec::new(),
            incoming: Vec::new(),
            table: Table::default(),
        };
        let stands = self.ends[end].dial == Some(dial);
        let (mine, theirs) = (wire(end, there, stands), wire(1 - end, here, true));
        self.wires.insert(here, mine);
        self.wires.insert(there, theirs);
        let local = self.ends[1 - end].address;
        self.handle(1 - end, Event::Accepted { connection: there, local });
        if stands {
            self.ends[end].dial = None;
            let local = self.ends[end].address;
            self.handle(end, Event::Connected { connection: here, local });
        } else {
            let at = self.now + self.delay();
            self.later(at, Todo::Closed { at: there });
        }
    }

    fn arrives(&mut self, at: ConnectionId, bytes: &[u8]) {
        let Some(wire) = self.wires.get_mut(&at).filter(|wire| wire.open && !wire.cut) else { return };
        wire.incoming.extend_from_slice(bytes);
        let read = messages(&mut wire.incoming);
        wire.came.extend(read.iter().map(|(kind, _)| *kind));
        for (_, body) in read.iter().filter(|(kind, _)| *kind == UPDATE) {
            wire.table.take(body);
        }
        let end = wire.end;
        self.handle(end, Event::Received { connection: at, bytes });
    }

    fn drain(&mut self, end: usize) {
        while let Some(action) = self.ends[end].session.poll() {
            match action {
                Action::Connect => self.dial(end),
                Action::Abandon => self.ends[end].dial = None,
                Action::Report(observed) => self.ends[end].observed.push(observed),
                Action::Send { connection, bytes } => self.send(connection, &bytes),
                Action::Close { connection } => self.close(end, connection),
            }
        }
    }

    fn dial(&mut self, end: usize) {
        self.serial += 1;
        let dial = self.serial;
        assert!(self.ends[end].dial.replace(dial).is_none(), "one dial at a time");
        let at = self.now + self.delay();
        let luck = self.random(100);
        if luck < self.network.lost_dials {
            return;
        }
        let refused = luck < self.network.lost_dials + self.network.refused_dials;
        self.later(at, if refused { Todo::Refused { end, dial } } else { Todo::Dialled { end, dial } });
    }

    fn send(&mut self, connection: ConnectionId, bytes: &[u8]) {
        let wire = self.wires.get_mut(&connection).expect("the connection is known");
        let (other, end) = (wire.other, wire.end);
        for (kind, _) in messages(&mut bytes.to_vec()) {
            let open = wire.came.contains(&OPEN) && wire.came.contains(&KEEPALIVE);
            assert!(kind != UPDATE || open, "an UPDATE before Established");
            assert!(kind != UPDATE || self.ends[end].session.state() == State::Established);
            assert!(!wire.sent.contains(&NOTIFICATION), "nothing follows a NOTIFICATION");
            wire.sent.push(kind);
        }
        let octets = bytes.len();
        let mut rest = bytes;
        while !rest.is_empty() {
            let size = 1 + usize::try_from(self.random(4_000)).unwrap();
            let (piece, after) = rest.split_at(size.min(rest.len()));
            rest = after;
            let delay = self.delay();
            let arrives = self.arrival(other, delay);
            self.later(arrives, Todo::Arrives { at: other, bytes: piece.to_vec() });
        }
        let delay = self.delay();
        let at = self.now + delay;
        self.later(at, Todo::Written { at: connection, octets });
    }

    fn arrival(&mut self, at: ConnectionId, delay: Duration) -> Instant {
        let now = self.now;
        let wire = self.wires.get_mut(&at).expect("both halves are known");
        wire.arrives = wire.arrives.max(now + delay);
        wire.arrives
    }

    fn close(&mut self, end: usize, connection: ConnectionId) {
        let wire = self.wires.get_mut(&connection).expect("the connection is known");
        wire.open = false;
        let (other, told) = (wire.other, wire.sent.last() == Some(&NOTIFICATION));
        let heard = wire.came.contains(&NOTIFICATION);
        let planned = self.ends[end]
            .observed
            .iter()
            .any(|observed| matches!(observed, Observed::Ended { why: Ended::Restarting | Ended::Replaced, .. }));
        assert!(told || heard || planned || wire.sent.is_empty(), "a close without a reason on the wire");
        let delay = self.delay();
        let at = self.arrival(other, delay);
        self.later(at, Todo::Closed { at: other });
    }

    /// The path swallows everything of the connections there are, and nobody is told.
    pub(crate) fn cut(&mut self) {
        for wire in self.wires.values_mut() {
            wire.cut = true;
        }
    }

    /// Both kernels reset the connections there are.
    pub(crate) fn reset(&mut self) {
        let open: Vec<ConnectionId> =
            self.wires.iter().filter(|(_, wire)| wire.open && !wire.cut).map(|(id, _)| *id).collect();
        for id in open {
            self.act(Todo::Closed { at: id });
        }
    }

    /// The process of one end dies and another begins; the kernel closes its connections.
    pub(crate) fn crash(&mut self, end: usize, seed: u64) {
        let of_end: Vec<ConnectionId> =
            self.wires.iter().filter(|(_, wire)| wire.open && wire.end == end).map(|(id, _)| *id).collect();
        for id in of_end {
            let wire = self.wires.get_mut(&id).expect("it was just found");
            wire.open = false;
            let other = wire.other;
            let delay = self.delay();
            let at = self.arrival(other, delay);
            self.later(at, Todo::Closed { at: other });
        }
        self.ends[end].session = Session::new(seed);
        self.ends[end].dial = None;
        self.set(end);
    }

    /// What one end should hold of the other.
    pub(crate) fn expected(&self, end: usize) -> BTreeMap<ipnet::IpNet, Option<u32>> {
        let other = &self.ends[1 - end];
        other.wanted.routes.iter().map(|(prefix, route)| (prefix.net(), route.med)).collect()
    }

    /// The table of an end: a table belongs to the session that it came over.
    pub(crate) fn table(&self, end: usize) -> Table {
        let wires = self.wires.values().rev();
        let mut up = wires.filter(|wire| wire.end == end && wire.open && !wire.cut && wire.came.contains(&KEEPALIVE));
        up.next().map(|wire| wire.table.clone()).unwrap_or_default()
    }

    /// What one end holds: prefix and MED.
    pub(crate) fn held(&self, end: usize) -> BTreeMap<ipnet::IpNet, Option<u32>> {
        let med = |value: &Vec<u8>| u32::from_be_bytes(value.as_slice().try_into().unwrap());
        let routes = self.table(end).routes;
        routes.iter().map(|(net, held)| (*net, held.attributes.get(&4).map(med))).collect()
    }
}

/// An IPv6 address of each end, so that IPv6 routes can go over the IPv4 session.
pub(crate) fn own_v6(end: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, end + 1)
}
