//! Virtual nodes on a virtual switch.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use herald_election::{
    Action, Address, Election, Event, Fitness, Foresight, GainReason, Key, Link, LoseReason, NodeId, Observed,
    Settings, Testament, Timing, Wanted, Witness,
};

pub(crate) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) const fn us(us: u64) -> Duration {
    Duration::from_micros(us)
}

/// SplitMix64: small, seeded, good enough for dice.
#[derive(Clone, Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    pub(crate) fn below(&mut self, most: u64) -> u64 {
        self.draw() % most.max(1)
    }

    pub(crate) fn chance(&mut self, p: f64) -> bool {
        p > 0.0 && (self.draw() >> 11) as f64 / (1_u64 << 53) as f64 <= p
    }
}

/// One direction between two nodes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wire {
    pub(crate) cut: bool,
    pub(crate) loss: f64,
    /// Gilbert-Elliott: into the bad state, out of it (per packet); in it everything is lost.
    pub(crate) burst: (f64, f64),
    bad: bool,
    pub(crate) delay: Duration,
    pub(crate) jitter: Duration,
    pub(crate) duplicate: f64,
}

const WIRE: Wire =
    Wire { cut: false, loss: 0.0, burst: (0.0, 1.0), bad: false, delay: us(100), jitter: us(200), duplicate: 0.0 };

pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) address: SocketAddr,
    pub(crate) election: Option<Election>,
    incarnation: u64,
    pub(crate) frozen: bool,
    /// Without a process, its kernel refuses heartbeats.
    pub(crate) refuses: bool,
    waiting: Vec<(SocketAddr, Vec<u8>)>,
    wake: Option<Duration>,
    pub(crate) carrier: bool,
    /// Something that is no speaker answers on this node's side.
    pub(crate) neighbour: bool,
    pub(crate) owned: BTreeMap<IpAddr, u64>,
    /// What its shell was asked to prepare, until it was gained or called off.
    pub(crate) prepared: BTreeMap<IpAddr, (NodeId, Foresight)>,
    /// How long its shell takes at most to make ready; `None` = it never says so.
    pub(crate) shell: Option<Duration>,
    pub(crate) suspended: bool,
    /// Until when an earlier process of it still answers, and for what.
    pub(crate) legacy: (Duration, BTreeSet<IpAddr>),
    pub(crate) members: BTreeSet<usize>,
}

/// What happened to an address, or was reported.
#[derive(Clone, Debug)]
pub(crate) enum News {
    Prepare { ip: IpAddr, why: Foresight },
    Withdraw { ip: IpAddr },
    Gain { ip: IpAddr, reason: GainReason, from: Option<NodeId>, silent_for: Option<Duration> },
    Lose { ip: IpAddr, reason: LoseReason, to: Option<NodeId> },
    Keep,
    Reassert { ip: IpAddr },
    Suspend,
    Resume,
    Left,
    Saw(Observed),
}

pub(crate) type Log = Vec<(Duration, usize, News)>;

enum Happening {
    Arrive { to: usize, from: SocketAddr, bytes: Vec<u8> },
    Wake(usize, Duration),
    Neighbour(usize),
    Prepared(usize, IpAddr),
    Refused { to: usize, by: SocketAddr },
    Script(Box<dyn FnOnce(&mut World)>),
}

struct Due(Duration, u64, Happening);

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.0, other.1).cmp(&(self.0, self.1))
    }
}

pub(crate) struct World {
    base: Instant,
    pub(crate) now: Duration,
    heap: BinaryHeap<Due>,
    count: u64,
    pub(crate) dice: Dice,
    /// Dice of their own, so that what shells do changes no recorded seed.
    pub(crate) shells: Dice,
    pub(crate) nodes: Vec<Node>,
    pub(crate) wires: BTreeMap<(usize, usize), Wire>,
    pub(crate) timing: Timing,
    pub(crate) witness: Witness,
    pub(crate) addresses: BTreeMap<IpAddr, Address>,
    pub(crate) log: Log,
    /// Per address: since when so many nodes answer for it.
    pub(crate) answering: BTreeMap<IpAddr, Vec<(Duration, usize)>>,
    claims: BTreeMap<(IpAddr, u64), usize>,
    /// How many inputs all nodes together have got.
    pub(crate) inputs: u64,
    /// How late a process wakes at most.
    pub(crate) lateness: Duration,
    /// Every datagram sent, if recording.
    pub(crate) record: Option<Vec<(usize, SocketAddr, Vec<u8>)>>,
    pub(crate) seed: u64,
}

impl World {
    /// So many nodes with a wire between each two, all candidates for so many addresses, none started.
    pub(crate) fn new(seed: u64, nodes: usize, addresses: usize) -> Self {
        #[expect(clippy::disallowed_methods, reason = "the one instant from which virtual time is counted")]
        let base = Instant::now();
        let node = |index: usize| Node {
            id: NodeId::of(&format!("node-{index}")),
            address: SocketAddr::new(Ipv4Addr::new(192, 0, 2, index as u8 + 1).into(), 7790),
            election: None,
            incarnation: 1_700_000_000_000,
            frozen: false,
            refuses: false,
            waiting: Vec::new(),
            wake: None,
            carrier: true,
            neighbour: true,
            owned: BTreeMap::new(),
            prepared: BTreeMap::new(),
            shell: Some(ms(1)),
            suspended: false,
            legacy: (Duration::ZERO, BTreeSet::new()),
            members: (0..nodes).collect(),
        };
        let nodes: Vec<_> = (0..nodes).map(node).collect();
        let pairs = (0..nodes.len()).flat_map(|a| (0..nodes.len()).map(move |b| (a, b)));
        let wires = pairs.map(|pair| (pair, WIRE)).collect();
        let candidates: BTreeSet<_> = nodes.iter().map(|node| node.id).collect();
        let addresses = (0..addresses).map(|index| {
            let ip = vip(index);
            (ip, Address { candidates: candidates.clone(), preference: BTreeMap::new(), order_by: ip })
        });
        let addresses: BTreeMap<_, _> = addresses.collect();
        let answering = addresses.keys().map(|ip| (*ip, vec![(Duration::ZERO, 0)])).collect();
        Self {
            base,
            now: Duration::ZERO,
            heap: BinaryHeap::new(),
            count: 0,
            dice: Dice(seed),
            shells: Dice(!seed),
            nodes,
            wires,
            timing: Timing::DEFAULT,
            witness: Witness::Neighbour,
            addresses,
            log: Vec::new(),
            answering,
            claims: BTreeMap::new(),
            inputs: 0,
            lateness: ms(1),
            record: None,
            seed,
        }
    }

    /// All nodes started within 100 ms and settled.
    pub(crate) fn settled(seed: u64, nodes: usize, addresses: usize) -> Self {
        let mut world = Self::new(seed, nodes, addresses);
        world.start_all();
        world.run(ms(2_000));
        world.check_one_owner();
        world
    }

    pub(crate) fn start_all(&mut self) {
        for index in 0..self.nodes.len() {
            let after = ms(self.dice.below(100));
            self.after(after, move |world| world.start(index));
        }
    }

    // Faults.

    pub(crate) fn start(&mut self, index: usize) {
        self.start_as(index, None);
    }

    fn start_as(&mut self, index: usize, heir_of: Option<&Testament>) {
        let seed = self.dice.draw();
        let node = &mut self.nodes[index];
        node.incarnation += 1 + self.now.as_millis() as u64;
        node.refuses = false;
        let settings = Settings {
            node: node.id,
            incarnation: node.incarnation,
            timing: self.timing,
            key: key(),
            seed,
            witness: self.witness,
        };
        node.election = Some(Election::new(settings, self.base + self.now));
        if let Some(testament) = heir_of {
            self.feed(index, Event::Inherit(testament));
        }
        let node = &mut self.nodes[index];
        let carrier = node.carrier;
        self.set(index);
        if !carrier {
            self.feed(index, Event::Link(Link::Down));
        }
    }

    /// A new process takes the place of the running one, which hands it its testament; what it answers for in the meantime ends with the new one's first
    /// answer, or in time. A process that stands still hands over nothing.
    pub(crate) fn succeed(&mut self, index: usize, takes: Duration) {
        let now = self.base + self.now;
        let node = &mut self.nodes[index];
        if node.frozen {
            return;
        }
        let Some(testament) = node.election.as_mut().and_then(|election| election.bequeath(now)) else { return };
        let was_silent = node.suspended;
        let owned = std::mem::take(&mut node.owned);
        assert_eq!(owned.keys().collect::<Vec<_>>(), testament.claims.keys().collect::<Vec<_>>(), "seed {}", self.seed);
        assert!(!was_silent || testament.answers.is_zero());
        (node.election, node.suspended, node.wake) = (None, false, None);
        node.prepared.clear();
        node.waiting.clear();
        node.legacy = (self.now + testament.answers, owned.into_keys().collect());
        self.observe();
        self.after(testament.answers, Self::observe);
        self.after(takes, move |world| {
            if world.nodes[index].election.is_none() {
                world.start_as(index, Some(&testament));
            }
        });
    }

    pub(crate) fn crash(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        (node.election, node.frozen, node.suspended, node.wake) = (None, false, false, None);
        node.refuses = false;
        node.owned.clear();
        node.legacy.1.clear();
        node.prepared.clear();
        node.waiting.clear();
        self.observe();
    }

    /// The process ends at once, its kernel goes on.
    pub(crate) fn kill(&mut self, index: usize) {
        self.crash(index);
        self.nodes[index].refuses = true;
    }

    /// Somebody tells a node that nobody listens at another one.
    pub(crate) fn forge_refusal(&mut self, to: usize, of: usize) {
        let by = self.nodes[of].address;
        if !self.nodes[to].frozen {
            self.feed(to, Event::Refused { by });
        }
    }

    /// The process stands still; what arrives waits.
    pub(crate) fn freeze(&mut self, index: usize, time: Duration) {
        if self.nodes[index].frozen || self.nodes[index].election.is_none() {
            return;
        }
        self.nodes[index].frozen = true;
        self.observe();
        self.after(time, move |world| {
            let node = &mut world.nodes[index];
            node.frozen = false;
            let waiting = std::mem::take(&mut node.waiting);
            let link = if node.carrier { Link::Up } else { Link::Down };
            // The socket keeps what came first.
            for (from, bytes) in waiting.into_iter().take(100) {
                world.feed(index, Event::Datagram { from, bytes: &bytes });
            }
            world.feed(index, Event::Link(link));
        });
    }

    pub(crate) fn carrier(&mut self, index: usize, up: bool) {
        if self.nodes[index].carrier == up {
            return;
        }
        self.nodes[index].carrier = up;
        if !self.nodes[index].frozen {
            self.feed(index, Event::Link(if up { Link::Up } else { Link::Down }));
        }
    }

    /// Cuts or heals every wire of a node, carriers staying up.
    pub(crate) fn isolate(&mut self, index: usize, cut: bool) {
        for (_, wire) in self.wires.iter_mut().filter(|((a, b), _)| *a == index || *b == index) {
            wire.cut = cut;
        }
    }

    /// Cuts or heals one direction.
    pub(crate) fn cut(&mut self, from: usize, to: usize, cut: bool) {
        if let Some(wire) = self.wires.get_mut(&(from, to)) {
            wire.cut = cut;
        }
    }

    /// Cuts what lies between the two sides, and heals what lies within.
    pub(crate) fn partition(&mut self, side: &[usize]) {
        for ((a, b), wire) in &mut self.wires {
            wire.cut = side.contains(a) != side.contains(b);
        }
    }

    pub(crate) fn heal(&mut self) {
        for wire in self.wires.values_mut() {
            *wire = WIRE;
        }
    }

    pub(crate) fn every_wire(&mut self, change: impl Fn(&mut Wire)) {
        self.wires.values_mut().for_each(change);
    }

    /// Gives every node what is wanted now.
    pub(crate) fn set_all(&mut self) {
        for index in 0..self.nodes.len() {
            self.set(index);
        }
    }

    pub(crate) fn set(&mut self, index: usize) {
        let members =
            self.nodes[index].members.iter().filter(|other| **other != index).map(|other| &self.nodes[*other]);
        let members = members.map(|node| (node.id, node.address)).collect();
        let wanted = Wanted { members, addresses: self.addresses.clone() };
        let now = self.base + self.now;
        if let Some(election) = &mut self.nodes[index].election {
            election.set(now, wanted);
        }
        self.drain(index);
    }

    pub(crate) fn fitness(&mut self, index: usize, fitness: Fitness) {
        self.feed(index, Event::Fitness(fitness));
    }

    pub(crate) fn leave(&mut self, index: usize) {
        self.feed(index, Event::Leave);
    }

    pub(crate) fn deliver(&mut self, to: usize, from: SocketAddr, bytes: &[u8]) {
        self.feed(to, Event::Datagram { from, bytes });
    }

    // Time.

    pub(crate) fn after(&mut self, delay: Duration, script: impl FnOnce(&mut Self) + 'static) {
        self.push(self.now + delay, Happening::Script(Box::new(script)));
    }

    pub(crate) fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(due) = self.heap.peek().filter(|due| due.0 <= until).map(|due| due.0) {
            self.now = self.now.max(due);
            let Some(Due(_, _, happening)) = self.heap.pop() else { break };
            match happening {
                Happening::Script(script) => script(self),
                Happening::Arrive { to, from, bytes } => {
                    let node = &mut self.nodes[to];
                    if !node.carrier {
                    } else if node.refuses {
                        self.refuse(to, from);
                    } else if node.frozen {
                        node.waiting.push((from, bytes));
                    } else {
                        self.feed(to, Event::Datagram { from, bytes: &bytes });
                    }
                }
                Happening::Neighbour(index) if !self.nodes[index].frozen => self.feed(index, Event::Neighbour),
                Happening::Neighbour(_) => {}
                Happening::Prepared(index, ip) if self.nodes[index].frozen => {
                    self.push(self.now + ms(1), Happening::Prepared(index, ip));
                }
                // Its socket keeps it for later.
                Happening::Refused { to, by } if self.nodes[to].frozen => {
                    self.push(self.now + ms(1), Happening::Refused { to, by });
                }
                Happening::Refused { to, by } => self.feed(to, Event::Refused { by }),
                Happening::Prepared(index, ip) => self.feed(index, Event::Prepared(&[ip])),
                // Planned anew meanwhile.
                Happening::Wake(index, at) if self.nodes[index].wake != Some(at) => {}
                Happening::Wake(index, _) => {
                    let node = &mut self.nodes[index];
                    let due = node
                        .election
                        .as_ref()
                        .and_then(Election::deadline)
                        .is_some_and(|at| at <= self.base + self.now);
                    node.wake = None;
                    if due && !node.frozen {
                        self.feed(index, Event::Tick);
                    } else if !node.frozen {
                        self.plan(index);
                    }
                }
            }
        }
        self.now = until;
    }

    fn push(&mut self, at: Duration, happening: Happening) {
        self.count += 1;
        self.heap.push(Due(at, self.count, happening));
    }

    fn feed(&mut self, index: usize, event: Event<'_>) {
        let now = self.base + self.now;
        self.inputs += 1;
        if let Some(election) = &mut self.nodes[index].election {
            election.handle(now, event);
        }
        self.drain(index);
    }

    fn drain(&mut self, index: usize) {
        while let Some(action) = self.nodes[index].election.as_mut().and_then(Election::poll) {
            self.act(index, action);
        }
        self.observe();
        self.plan(index);
    }

    fn plan(&mut self, index: usize) {
        let Some(at) = self.nodes[index].election.as_ref().and_then(Election::deadline) else { return };
        let at = at.saturating_duration_since(self.base).max(self.now);
        if self.nodes[index].wake.is_none_or(|wake| at < wake) {
            let late = us(self.dice.below(self.lateness.as_micros() as u64));
            self.nodes[index].wake = Some(at + late);
            self.push(at + late, Happening::Wake(index, at + late));
        }
    }

    fn act(&mut self, index: usize, action: Action) {
        let now = self.now;
        let seed = self.seed;
        let node = &mut self.nodes[index];
        let news = match action {
            Action::Send { to, datagram } => return self.transmit(index, to, datagram),
            Action::AskNeighbours => {
                if node.neighbour && node.carrier {
                    self.push(now + ms(1), Happening::Neighbour(index));
                }
                return;
            }
            Action::Prepare { ip, from, why } => {
                assert!(!node.owned.contains_key(&ip), "seed {seed}: {now:?} {index} prepares for {ip} that it owns");
                // An offer may overtake a suspicion.
                let known = node.prepared.insert(ip, (from, why));
                assert_ne!(known, Some((from, why)), "seed {seed}: {now:?} {index} prepares for {ip} twice");
                if let Some(most) = node.shell {
                    let delay = us(self.shells.below(most.as_micros() as u64));
                    self.push(now + delay, Happening::Prepared(index, ip));
                }
                News::Prepare { ip, why }
            }
            Action::Withdraw { ip } => {
                assert!(
                    node.prepared.remove(&ip).is_some(),
                    "seed {seed}: {now:?} {index} calls {ip} off that it had not"
                );
                News::Withdraw { ip }
            }
            Action::Gain { ip, epoch, reason, from, silent_for } => {
                assert!(node.carrier && !node.suspended, "seed {seed}: {now:?} gain of {ip} at {index} while silent");
                assert!(node.owned.insert(ip, epoch).is_none(), "seed {seed}: {now:?} {index} gained {ip} twice");
                node.prepared.remove(&ip);
                let claimant = *self.claims.entry((ip, epoch)).or_insert(index);
                assert_eq!(claimant, index, "seed {seed}: I1, epoch {epoch} of {ip} claimed twice");
                News::Gain { ip, reason, from, silent_for }
            }
            Action::Lose { ip, reason, to } => {
                assert!(node.owned.remove(&ip).is_some(), "seed {seed}: {now:?} {index} lost {ip} that it had not");
                News::Lose { ip, reason, to }
            }
            Action::Reassert { ip, .. } => {
                assert!(node.owned.contains_key(&ip), "seed {seed}: {now:?} {index} reasserts {ip} that it has not");
                News::Reassert { ip }
            }
            Action::Keep { ip, epoch } => {
                assert!(node.owned.insert(ip, epoch).is_none(), "seed {seed}: {now:?} {index} kept {ip} that it has");
                let claimant = *self.claims.entry((ip, epoch)).or_insert(index);
                assert_eq!(claimant, index, "seed {seed}: I1, epoch {epoch} of {ip} claimed twice");
                News::Keep
            }
            Action::Suspend => {
                node.suspended = true;
                News::Suspend
            }
            Action::Resume => {
                node.suspended = false;
                node.legacy.1.clear();
                News::Resume
            }
            Action::Left => {
                assert!(node.owned.is_empty(), "seed {seed}: {now:?} {index} left while owning");
                News::Left
            }
            Action::Report(observed) => News::Saw(observed),
        };
        self.log.push((now, index, news));
    }

    /// The kernel of a node answers for the process that is not there.
    fn refuse(&mut self, index: usize, sender: SocketAddr) {
        let Some(to) = self.nodes.iter().position(|node| node.address == sender) else { return };
        let by = self.nodes[index].address;
        if let Some(delay) = self.crosses(index, to) {
            self.push(self.now + delay, Happening::Refused { to, by });
        }
    }

    /// How long one packet takes, if it arrives.
    fn crosses(&mut self, from: usize, to: usize) -> Option<Duration> {
        let wire = self.wires.get_mut(&(from, to))?;
        let (into, out) = wire.burst;
        wire.bad = if wire.bad { !self.dice.chance(out) } else { self.dice.chance(into) };
        let lost = wire.cut || wire.bad || self.dice.chance(wire.loss);
        (!lost).then(|| wire.delay + us(self.dice.below(wire.jitter.as_micros() as u64)))
    }

    fn transmit(&mut self, from: usize, to: SocketAddr, datagram: Vec<u8>) {
        assert!(datagram.len() <= 1_200);
        if let Some(record) = &mut self.record {
            record.push((from, to, datagram.clone()));
        }
        let Some(index) = self.nodes.iter().position(|node| node.address == to) else { return };
        if !self.nodes[from].carrier {
            return;
        }
        let Some(wire) = self.wires.get_mut(&(from, index)) else { return };
        let (into, out) = wire.burst;
        wire.bad = if wire.bad { !self.dice.chance(out) } else { self.dice.chance(into) };
        if wire.cut || wire.bad || self.dice.chance(wire.loss) {
            return;
        }
        let (delay, jitter, duplicate) = (wire.delay, wire.jitter.as_micros() as u64, wire.duplicate);
        let source = self.nodes[from].address;
        if self.dice.chance(duplicate) {
            let at = self.now + delay + us(self.dice.below(jitter));
            self.push(at, Happening::Arrive { to: index, from: source, bytes: datagram.clone() });
        }
        let at = self.now + delay + us(self.dice.below(jitter));
        self.push(at, Happening::Arrive { to: index, from: source, bytes: datagram });
    }
}

/// Addresses of both families in turn.
pub(crate) fn vip(index: usize) -> IpAddr {
    let text = if index.is_multiple_of(2) {
        format!("198.51.{}.{}", 100 + index / 200, index % 200 + 1)
    } else {
        format!("2001:db8::{}", index + 1)
    };
    text.parse().expect("an address")
}

pub(crate) fn key() -> Key {
    Key::from_secret(b"a secret of the whole cluster").expect("long enough")
}
