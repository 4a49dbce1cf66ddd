//! Is an address free? Asked before its first use, and of one that was given up to a stranger.
//!
//! ```text
//!   set: new --> three probes, 100 ms apart --> 100 ms of silence --> Free
//!                        |                            |
//!                        '------- somebody has it, or probes too -----> Taken --10 s--> again from the start
//! ```
//!
//! RFC 5227 §2.1 and RFC 4862 §5.4, with shorter times: one to two seconds between probes are meant for hosts that start once, and a Service would wait for its address
//! as long. A probe claims nothing: its sender is 0.0.0.0 or ::. Solicitations carry a nonce (RFC 7527), so that a host which hears one twice knows it for the same.
//!
//! Not an address that moves: its owner was one of us, and the election knows it. What other nodes of ours say is theirs to settle, too.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::frames::Voice;
use crate::wire::arp::{Arp, Operation};
use crate::wire::ethernet::{Ethernet, Protocol};
use crate::wire::ndp::{Message, Ndp};
use crate::{InterfaceIndex, MacAddr};

/// So many probes: two may be lost.
const PROBES: u32 = 3;
/// Between two probes, and from the last one to the verdict: a hundred round trips of a busy segment.
const APART: Duration = Duration::from_millis(100);
/// How long a taken address is left alone (`DEFEND_INTERVAL` of RFC 5227 §1.1).
const AGAIN: Duration = Duration::from_secs(10);

/// What is asked about, whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doubtful {
    /// The addresses, each with the interfaces to ask on.
    pub addresses: BTreeMap<IpAddr, BTreeSet<InterfaceIndex>>,
    /// The Ethernet addresses of this node's interfaces.
    pub own: BTreeMap<InterfaceIndex, MacAddr>,
    /// Those of the other nodes.
    pub peers: BTreeSet<MacAddr>,
}

/// What the shell must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Put this frame on the wire.
    Send {
        /// Where.
        interface: InterfaceIndex,
        /// From the Ethernet header on.
        frame: Vec<u8>,
    },
    /// Nobody has it. It stays so until it is set anew.
    Free {
        /// The address.
        ip: IpAddr,
    },
    /// A stranger has it, or wants it. It is asked about again later.
    Taken {
        /// The address.
        ip: IpAddr,
        /// Where that was seen.
        interface: InterfaceIndex,
        /// Who.
        mac: MacAddr,
    },
}

/// Asks.
#[derive(Debug)]
pub struct Prober {
    seed: u64,
    wanted: Doubtful,
    asked: BTreeMap<IpAddr, State>,
    out: VecDeque<Finding>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Asking { sent: u32, next: Instant },
    Taken { until: Instant },
    Free,
}

impl State {
    const fn due(self) -> Option<Instant> {
        match self {
            Self::Asking { next, .. } => Some(next),
            Self::Taken { until } => Some(until),
            Self::Free => None,
        }
    }
}

impl Prober {
    /// Asks about nothing. The seed is new at every start: nonces come from it.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, wanted: Doubtful::default(), asked: BTreeMap::new(), out: VecDeque::new() }
    }

    /// Takes the whole of what is asked about. An address that was asked about already goes on where it is.
    pub fn set(&mut self, now: Instant, wanted: Doubtful) {
        self.asked.retain(|ip, _| wanted.addresses.contains_key(ip));
        for ip in wanted.addresses.keys() {
            self.asked.entry(*ip).or_insert(State::Asking { sent: 0, next: now });
        }
        self.wanted = wanted;
        self.tick(now);
    }

    /// Takes a frame that somebody sent.
    pub fn frame(&mut self, now: Instant, interface: InterfaceIndex, bytes: &[u8]) {
        if self.asked.is_empty() {
            return;
        }
        let Some((ip, mac)) = claim(bytes, |ip| self.asked.contains_key(&ip)) else { return };
        if self.wanted.peers.contains(&mac) || self.wanted.own.values().any(|own| *own == mac) {
            return;
        }
        let Some(state) = self.asked.get_mut(&ip) else { return };
        if let State::Asking { .. } = state {
            *state = State::Taken { until: now + AGAIN };
            self.out.push_back(Finding::Taken { ip, interface, mac });
        }
    }

    /// Does what time asks for.
    pub fn tick(&mut self, now: Instant) {
        for (ip, state) in &mut self.asked {
            if state.due().is_none_or(|due| now < due) {
                continue;
            }
            let sent = match *state {
                State::Asking { sent, .. } => sent,
                State::Taken { .. } | State::Free => 0,
            };
            if sent == PROBES {
                *state = State::Free;
                self.out.push_back(Finding::Free { ip: *ip });
                continue;
            }
            *state = State::Asking { sent: sent + 1, next: now + APART };
            for interface in self.wanted.addresses.get(ip).into_iter().flatten() {
                let Some(mac) = self.wanted.own.get(interface) else { continue };
                self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let [_, _, nonce @ ..] = self.seed.to_be_bytes();
                let frame = Voice { mac: *mac, link_local: None }.probe(*ip, nonce);
                self.out.push_back(Finding::Send { interface: *interface, frame });
            }
        }
    }

    /// What to do next; to be drained after each call of the others.
    pub fn poll(&mut self) -> Option<Finding> {
        self.out.pop_front()
    }

    /// When to call [`tick`](Self::tick).
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.asked.values().filter_map(|state| state.due()).min()
    }
}

/// Which of the addresses that are asked about a frame claims or probes, and for whom.
fn claim(bytes: &[u8], asked: impl Fn(IpAddr) -> bool) -> Option<(IpAddr, MacAddr)> {
    let (ethernet, payload) = Ethernet::parse(bytes).ok()?;
    let (ip, mac) = match ethernet.protocol {
        Protocol::Arp => {
            let arp = Arp::parse(payload).ok()?;
            let probed = arp.operation == Operation::Request && arp.sender_ip.is_unspecified();
            (if probed { arp.target_ip } else { arp.sender_ip }.into(), arp.sender_mac)
        }
        Protocol::Ipv6 => {
            let ndp = Ndp::parse(payload).ok()?;
            let own = matches!(ndp.message, Message::Advertisement { .. }) || ndp.source.is_unspecified();
            (if own { ndp.target } else { ndp.source }.into(), ethernet.source)
        }
    };
    asked(ip).then_some((ip, mac))
}
