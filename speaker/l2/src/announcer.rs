//! The machine that answers and announces.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Instant;

use crate::{Client, InterfaceIndex, Observed, Settings, Wanted};

/// What the world did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// Time passed.
    Tick,
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
    #[expect(dead_code, reason = "read by the code that comes next")]
    settings: Settings,
    out: VecDeque<Action>,
}

impl Announcer {
    /// Makes a machine that knows nothing and says nothing.
    pub fn new(settings: Settings) -> Self {
        Self { settings, out: VecDeque::new() }
    }

    /// Takes the whole set of interfaces and addresses.
    pub fn set(&mut self, _now: Instant, _wanted: Wanted) {}

    /// Takes what happened.
    pub fn handle(&mut self, _now: Instant, _event: Event<'_>) {}

    /// Returns what must be done next; call until `None` after each `set` and `handle`.
    pub fn poll(&mut self) -> Option<Action> {
        self.out.pop_front()
    }

    /// Returns when to call `handle(now, Event::Tick)`.
    pub fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Returns the clients known for an address, latest first.
    pub fn clients(&self, _ip: IpAddr) -> impl Iterator<Item = (InterfaceIndex, Client)> {
        std::iter::empty()
    }
}
