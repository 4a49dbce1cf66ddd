//! The machine that answers and announces.
//!
//! ```text
//!   set ----> roles, ports, groups          what is wanted is compared with what is; differences become actions
//!   handle -> receive: who is answered, who is learned, who claims what is ours
//!   poll ---> 1. answers, joins, reports    2. announcements, as far as each interface's pace allows
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Instant;

use crate::clients::{Clients, Heard, RoundId};
use crate::wire::ndp::solicited_node;
use crate::{Address, Client, Drop, InterfaceIndex, MacAddr, Observed, Role, Settings, Wanted};

mod port;
mod receive;

use port::Port;

/// What the world did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// Time passed.
    Tick,
    /// Somebody else saw this client ask for the address.
    Known {
        /// The address.
        ip: IpAddr,
        /// Where.
        interface: InterfaceIndex,
        /// The client.
        client: Client,
    },
    /// A frame came in. The shell's filter should let ARP (requests and replies) and ICMPv6 types 135 and 136 pass.
    Frame {
        /// Where.
        interface: InterfaceIndex,
        /// When the kernel took it from the wire, which may be long before it is read.
        received: Instant,
        /// From the Ethernet header on.
        bytes: &'a [u8],
    },
}

/// What the shell must do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Put this frame, Ethernet header included, on the wire.
    Send {
        /// Where.
        interface: InterfaceIndex,
        /// From the Ethernet header on.
        frame: Vec<u8>,
    },
    /// Join this solicited-node group, so that switches and the NIC let requests pass.
    Join {
        /// Where.
        interface: InterfaceIndex,
        /// The group.
        group: Ipv6Addr,
    },
    /// Leave this solicited-node group. The interface may be gone already.
    Leave {
        /// Where.
        interface: InterfaceIndex,
        /// The group.
        group: Ipv6Addr,
    },
    /// Count, log or publish this.
    Report(Observed),
}

/// Answers and announces the addresses this node owns.
#[derive(Debug)]
pub struct Announcer {
    settings: Settings,
    now: Option<Instant>,
    addresses: BTreeMap<IpAddr, Address>,
    peers: BTreeSet<MacAddr>,
    /// MAC addresses of all our interfaces: what comes from one of them is our own.
    own: BTreeSet<MacAddr>,
    ports: BTreeMap<InterfaceIndex, Port>,
    groups: BTreeSet<(InterfaceIndex, Ipv6Addr)>,
    clients: Clients,
    rounds: RoundId,
    out: VecDeque<Out>,
}

/// An action that waits for `poll`.
#[derive(Debug)]
struct Out {
    action: Action,
    /// What it answers. It is thrown away if the answer is not true or not fresh any more when its turn comes.
    answers: Option<Question>,
}

#[derive(Clone, Copy, Debug)]
struct Question {
    ip: IpAddr,
    interface: InterfaceIndex,
    mac: MacAddr,
    received: Instant,
}

impl Announcer {
    /// Makes a machine that knows nothing and says nothing.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            now: None,
            addresses: BTreeMap::new(),
            peers: BTreeSet::new(),
            own: BTreeSet::new(),
            ports: BTreeMap::new(),
            groups: BTreeSet::new(),
            clients: Clients::new(&settings),
            rounds: 0,
            out: VecDeque::new(),
        }
    }

    /// Takes the whole set of interfaces and addresses. An address that is owned no longer is silent from here on:
    /// its frames that were not polled yet are gone. One that is owned newly is announced by the polls that follow.
    ///
    /// An interface without a unicast MAC address can say nothing and is passed over.
    pub fn set(&mut self, now: Instant, wanted: Wanted) {
        self.advance(now);
        let Wanted { interfaces, addresses, peers } = wanted;
        self.peers = peers;
        self.addresses = addresses;
        self.set_ports(interfaces);
        let (ports, addresses) = (&mut self.ports, &self.addresses);
        for (index, port) in ports.iter_mut() {
            port.keep_only(|ip| role_on(addresses, ip, *index) == Some(Role::Owner));
        }
        for (ip, address) in addresses.iter().filter(|(_, address)| address.role == Role::Owner) {
            for index in &address.interfaces {
                if let Some(port) = ports.get_mut(index) {
                    port.gain(now, *ip);
                }
            }
        }
        self.clients.retain(|ip, index| ports.contains_key(&index) && role_on(addresses, ip, index).is_some());
        self.out.retain(|out| {
            out.answers.is_none_or(|question| {
                ports.get(&question.interface).is_some_and(|port| port.owns(question.ip) && port.mac() == question.mac)
            })
        });
        self.set_groups();
    }

    /// Takes what happened.
    ///
    /// After a pause the shell must let the election speak first (`set`), then tick the announcer: an address lost
    /// meanwhile is then not announced once more.
    pub fn handle(&mut self, now: Instant, event: Event<'_>) {
        self.advance(now);
        match event {
            Event::Tick => {}
            Event::Known { ip, interface, client } => {
                if role_on(&self.addresses, ip, interface).is_some() && client.mac.is_unicast() {
                    self.clients.learn(now, ip, interface, client, Heard::Asking);
                }
            }
            Event::Frame { interface, received, bytes } => self.receive(now, interface, received, bytes),
        }
    }

    /// Returns what must be done next; call until `None` after each `set` and `handle`.
    pub fn poll(&mut self) -> Option<Action> {
        let now = self.now?;
        while let Some(out) = self.out.pop_front() {
            match out.answers {
                Some(question) if self.stale(now, question.received) => {
                    if let Action::Send { .. } = out.action {
                        return Some(Action::Report(Observed::Ignored(Drop::Stale)));
                    }
                }
                _ => return Some(out.action),
            }
        }
        for (index, port) in &mut self.ports {
            if let Some((frame, report)) = port.next(now, &self.settings, &mut self.clients, &mut self.rounds) {
                self.out.extend(report.map(|report| Out { action: Action::Report(report), answers: None }));
                return Some(Action::Send { interface: *index, frame });
            }
        }
        None
    }

    /// Returns when to call `handle(now, Event::Tick)`.
    pub fn deadline(&self) -> Option<Instant> {
        let now = self.now?;
        if !self.out.is_empty() {
            return Some(now);
        }
        self.ports.values().filter_map(|port| port.deadline(now)).min()
    }

    /// Returns the clients known for an address and where they are, in no order.
    pub fn clients(&self, ip: IpAddr) -> impl Iterator<Item = (InterfaceIndex, Client)> {
        self.now.into_iter().flat_map(move |now| self.clients.iter(now, ip))
    }

    /// Time never runs backwards here, whatever the caller's instants do.
    fn advance(&mut self, now: Instant) {
        self.now = Some(self.now.map_or(now, |before| before.max(now)));
    }

    fn stale(&self, now: Instant, received: Instant) -> bool {
        now.saturating_duration_since(received) > self.settings.stale_after
    }

    fn set_ports(&mut self, interfaces: BTreeMap<InterfaceIndex, crate::Interface>) {
        self.ports.retain(|index, _| interfaces.get(index).is_some_and(|interface| interface.mac.is_unicast()));
        self.own = interfaces.values().map(|interface| interface.mac).collect();
        for (index, interface) in interfaces {
            if !interface.mac.is_unicast() {
                continue;
            }
            match self.ports.get_mut(&index) {
                Some(port) => port.update(interface),
                None => {
                    self.ports.insert(index, Port::new(index, interface, &self.settings));
                }
            }
        }
    }

    /// Owners and standbys are in the group of their address: an heir is reached without waiting for MLD. Addresses
    /// that share their last 24 bits share the group, and the group is left with the last of them.
    fn set_groups(&mut self) {
        let mut groups = BTreeSet::new();
        for (ip, address) in &self.addresses {
            if let IpAddr::V6(ip) = ip {
                let known = address.interfaces.iter().filter(|index| self.ports.contains_key(index));
                groups.extend(known.map(|index| (*index, solicited_node(*ip))));
            }
        }
        let report = |action| Out { action, answers: None };
        self.out.extend(
            groups
                .difference(&self.groups)
                .map(|(interface, group)| report(Action::Join { interface: *interface, group: *group })),
        );
        self.out.extend(
            self.groups
                .difference(&groups)
                .map(|(interface, group)| report(Action::Leave { interface: *interface, group: *group })),
        );
        self.groups = groups;
    }
}

/// What we are for an address on an interface, if it may be announced there.
fn role_on(addresses: &BTreeMap<IpAddr, Address>, ip: IpAddr, interface: InterfaceIndex) -> Option<Role> {
    let address = addresses.get(&ip)?;
    address.interfaces.contains(&interface).then_some(address.role)
}
