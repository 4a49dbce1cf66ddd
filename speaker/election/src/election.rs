//! The machine.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::node::NodeId;
use crate::vocabulary::{Action, Event, Phase, Settings, Wanted};

/// One node's part in one segment's election.
#[derive(Debug)]
pub struct Election {
    settings: Settings,
    phase: Phase,
    wanted: Wanted,
    outbox: VecDeque<Action>,
    deadline: Option<Instant>,
}

/// A member as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberView {
    /// How it is.
    pub health: Health,
    /// Since when nothing valid came from it, where anything ever came.
    pub silent_for: Option<Duration>,
    /// The start that is heard.
    pub incarnation: Option<u64>,
    /// How many addresses it claims.
    pub claims: usize,
}

crate::vocabulary::words! {
    /// What is known of a member's life.
    Health {
        /// Never heard.
        Unknown => "unknown",
        /// Heard.
        Up => "up",
        /// Silent, not confirmed dead.
        Suspect => "suspect",
        /// Confirmed dead.
        Down => "down",
        /// Has said goodbye.
        Left => "left",
    }
}

/// The owner of an address as this node sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnerView {
    /// Who.
    pub node: NodeId,
    /// The number of its claim.
    pub epoch: u64,
    /// Whether its side had a majority when it last said so.
    pub quorate: bool,
}

impl Election {
    /// A machine that has just started: it listens first.
    #[must_use]
    pub fn new(settings: Settings, now: Instant) -> Self {
        Self {
            settings,
            phase: Phase::Learning,
            wanted: Wanted::default(),
            outbox: VecDeque::new(),
            deadline: Some(now),
        }
    }

    /// Takes the whole of what is wanted; any time, and as often as it pleases.
    pub fn set(&mut self, _now: Instant, wanted: Wanted) {
        self.wanted = wanted;
    }

    /// Takes what the world did.
    pub fn handle(&mut self, _now: Instant, _event: Event<'_>) {}

    /// What the shell must do next; to be drained until `None` after each `set` and `handle`.
    pub fn poll(&mut self) -> Option<Action> {
        self.outbox.pop_front()
    }

    /// When to call `handle` with [`Event::Tick`]; `None` once it has left.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// This node.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.settings.node
    }

    /// What the machine is doing.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether this node owns the address and may answer for it now.
    #[must_use]
    pub fn answers_for(&self, _ip: IpAddr) -> bool {
        false
    }

    /// Every wanted member, as seen at `now`.
    #[must_use]
    pub fn members(&self, _now: Instant) -> BTreeMap<NodeId, MemberView> {
        BTreeMap::new()
    }

    /// Every wanted address and who owns it, as far as this node knows.
    #[must_use]
    pub fn owners(&self) -> BTreeMap<IpAddr, Option<OwnerView>> {
        BTreeMap::new()
    }
}
