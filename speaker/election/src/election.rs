//! The machine: its state, its four verbs, and in which order it thinks.
//!
//! Each `set` and `handle` takes one input and then runs the same round, whatever the input was:
//!
//! ```text
//! notice a stall -> take the input -> phase (phase.rs) -> who lives (watch.rs) -> who owns (prepare.rs, owner.rs, handover.rs) -> send (send.rs)
//! ```
//!
//! Within a round the shell gets: losses, claims on the wire, gains, the rest. So an address is silent before anybody is told that it is free,
//! and a claim is on its way before the first answer is given.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::claim::ClaimSet;
use crate::member::{Health, Member, Urge};
use crate::node::{NodeId, short_hash};
use crate::owner::{Hold, Slot};
use crate::phase::Suspension;
use crate::prepare::Preparation;
use crate::succession::Testament;
use crate::timing::Timing;
use crate::vocabulary::{Action, Event, Fitness, Link, LoseReason, Observed, Phase, Settings, Wanted};
use crate::watch::{Roster, Sighting};
use crate::wire::{Entry, Offer, Vip};

/// One node's part in one segment's election.
#[derive(Debug)]
pub struct Election {
    pub(crate) settings: Settings,
    pub(crate) salt: u32,
    pub(crate) started: Instant,
    latest: Instant,

    // Phase.
    pub(crate) link: Link,
    pub(crate) learn_until: Option<Instant>,
    pub(crate) suspended: Option<Suspension>,
    pub(crate) fitness: Fitness,
    pub(crate) leaving_until: Option<Instant>,
    pub(crate) left: bool,
    pub(crate) phase: Phase,
    /// After a stall: claim nothing before this.
    pub(crate) grace_until: Instant,
    /// What an earlier process left, until it is known what is wanted.
    pub(crate) inheritance: Option<Testament>,
    /// This process goes on where an earlier one ended.
    pub(crate) resumes: bool,
    /// Until then a majority that is not heard yet is not one that is gone.
    pub(crate) settled_at: Instant,
    /// Whom the earlier process heard: this one should, too, before that.
    pub(crate) expected: BTreeSet<NodeId>,

    // Who lives.
    pub(crate) members: BTreeMap<NodeId, Member>,
    added: u64,
    pub(crate) roster: Roster,
    pub(crate) neighbour: Option<Sighting>,
    pub(crate) asked: Option<Instant>,
    pub(crate) unheard_since: Option<Instant>,
    pub(crate) isolated: bool,
    pub(crate) may_claim: bool,

    // Who owns.
    pub(crate) slots: BTreeMap<IpAddr, Slot>,
    pub(crate) holds: BTreeMap<IpAddr, Hold>,
    pub(crate) mine: ClaimSet,
    pub(crate) claimants: BTreeMap<Vip, BTreeSet<NodeId>>,
    pub(crate) vacant: BTreeSet<IpAddr>,
    pub(crate) dirty: BTreeSet<IpAddr>,
    pub(crate) agenda: BTreeSet<(Instant, IpAddr)>,
    pub(crate) preparing: BTreeMap<IpAddr, Preparation>,

    // What goes out.
    pub(crate) news: Vec<Entry>,
    pub(crate) offers: BTreeMap<NodeId, Vec<Offer>>,
    pub(crate) gains: Vec<Action>,
    pub(crate) beats: u64,
    pub(crate) outbox: VecDeque<Action>,
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
        let learn_until = Some(now + settings.timing.learn());
        let salt = short_hash(&[b"salt", &settings.seed.to_be_bytes(), &settings.node.0.to_be_bytes()]) as u32;
        Self {
            settings,
            salt,
            started: now,
            latest: now,
            link: Link::Up,
            learn_until,
            suspended: None,
            fitness: Fitness::Fit,
            leaving_until: None,
            left: false,
            phase: Phase::Learning,
            grace_until: now,
            inheritance: None,
            resumes: false,
            settled_at: now,
            expected: BTreeSet::new(),
            members: BTreeMap::new(),
            added: 0,
            roster: Roster::default(),
            neighbour: None,
            asked: None,
            unheard_since: None,
            isolated: false,
            may_claim: false,
            slots: BTreeMap::new(),
            holds: BTreeMap::new(),
            mine: ClaimSet::default(),
            claimants: BTreeMap::new(),
            vacant: BTreeSet::new(),
            dirty: BTreeSet::new(),
            agenda: BTreeSet::new(),
            preparing: BTreeMap::new(),
            news: Vec::new(),
            offers: BTreeMap::new(),
            gains: Vec::new(),
            beats: 0,
            outbox: VecDeque::new(),
            deadline: learn_until,
        }
    }

    /// Takes the whole of what is wanted; any time, and as often as it pleases.
    pub fn set(&mut self, now: Instant, wanted: Wanted) {
        let Some(now) = self.wake(now) else { return };
        self.set_members(now, &wanted);
        self.set_addresses(wanted);
        self.accept_inheritance(now);
        self.think(now);
    }

    /// Takes what the world did.
    pub fn handle(&mut self, now: Instant, event: Event<'_>) {
        let Some(now) = self.wake(now) else { return };
        match event {
            Event::Tick => {}
            Event::Datagram { from, bytes } => self.receive(now, from, bytes),
            Event::Link(link) => self.set_link(now, link),
            Event::Neighbour => self.neighbour = Some(Sighting::next(self.neighbour, now, self.timing().alone())),
            Event::Refused { by } => self.refused(now, by),
            Event::Inherit(testament) => self.inherit(testament),
            Event::Prepared(ips) => self.prepared(ips),
            Event::Fitness(fitness) => self.set_fitness(fitness),
            Event::Leave => self.leave(now),
        }
        self.think(now);
    }

    /// What the shell must do next; to be drained until `None` after each `set` and `handle`.
    pub fn poll(&mut self) -> Option<Action> {
        self.outbox.pop_front()
    }

    /// When to call `handle` with [`Event::Tick`]; `None` once it has left.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline.filter(|_| !self.left)
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
    pub fn answers_for(&self, ip: IpAddr) -> bool {
        self.suspended.is_none() && self.holds.contains_key(&ip)
    }

    /// Every wanted member, as seen at `now`.
    #[must_use]
    pub fn members(&self, now: Instant) -> BTreeMap<NodeId, MemberView> {
        let view = |member: &Member| MemberView {
            health: member.health,
            silent_for: member.heard.map(|heard| now.saturating_duration_since(heard)),
            incarnation: member.incarnation(),
            claims: member.claims.len(),
        };
        self.members.iter().map(|(node, member)| (*node, view(member))).collect()
    }

    /// Every wanted address and who owns it, as far as this node knows.
    #[must_use]
    pub fn owners(&self) -> BTreeMap<IpAddr, Option<OwnerView>> {
        let view = |(node, claim): (NodeId, crate::claim::Claim)| OwnerView {
            node,
            epoch: claim.epoch,
            quorate: claim.quorate,
        };
        self.slots.keys().map(|ip| (*ip, self.owner(*ip).map(view))).collect()
    }

    pub(crate) fn timing(&self) -> Timing {
        self.settings.timing
    }

    pub(crate) fn report(&mut self, observed: Observed) {
        self.outbox.push_back(Action::Report(observed));
    }

    /// Keeps time from running backwards, and notices when it has run away. `None` when there is nothing more to do, ever.
    fn wake(&mut self, now: Instant) -> Option<Instant> {
        if self.left {
            return None;
        }
        let now = now.max(self.latest);
        self.latest = now;
        if let Some(late) = self.deadline.map(|deadline| now.saturating_duration_since(deadline))
            && late > self.timing().stall()
        {
            self.stalled(now, late);
        }
        Some(now)
    }

    fn think(&mut self, now: Instant) {
        self.turn_phase(now);
        self.watch(now);
        self.follow_preparations(now);
        self.judge_claims(now);
        self.finish_leaving(now);
        self.send(now);
        self.tell_phase();
        self.deadline = self.next_deadline(now);
    }

    fn set_members(&mut self, now: Instant, wanted: &Wanted) {
        let gone: Vec<_> = self.members.keys().filter(|node| !wanted.members.contains_key(node)).copied().collect();
        for node in gone {
            self.forget_claims(node, crate::owner::Lost::Left);
            self.members.remove(&node);
            self.roster.remove(node);
        }
        let first = self.members.is_empty() && self.holds.is_empty();
        let mut met = false;
        for (node, address) in wanted.members.iter().filter(|(node, _)| **node != self.settings.node) {
            if let Some(member) = self.members.get_mut(node) {
                member.address = *address;
                continue;
            }
            self.added += 1;
            met = true;
            self.members.insert(*node, Member::new(&self.settings, *node, *address, self.added, now));
        }
        if first && met && self.link == Link::Up {
            // Whoever is there has only now become known: listen to them before claiming anything.
            self.learn_until = Some(now + self.timing().learn());
        }
    }

    fn set_addresses(&mut self, wanted: Wanted) {
        let gone: Vec<_> = self.slots.keys().filter(|ip| !wanted.addresses.contains_key(ip)).copied().collect();
        for ip in gone {
            self.lose(ip, LoseReason::Unwanted, None);
            self.slots.remove(&ip);
            self.vacant.remove(&ip);
        }
        for (ip, address) in wanted.addresses {
            match self.slots.get_mut(&ip) {
                Some(slot) if slot.address == address => {}
                Some(slot) => {
                    slot.set(address);
                    self.dirty.insert(ip);
                }
                None => {
                    let mut slot = Slot::new(address);
                    for claim in self.claims_on(ip).map(|(_, claim)| claim) {
                        slot.see(claim.epoch);
                    }
                    self.slots.insert(ip, slot);
                    self.dirty.insert(ip);
                }
            }
        }
    }

    /// The next instant at which something changes by time alone.
    fn next_deadline(&self, now: Instant) -> Option<Instant> {
        if self.left {
            return None;
        }
        let timing = self.timing();
        let soon = now + timing.heartbeat() / 2;
        let unsettled = self.suspended.is_some()
            || self.unheard_since.is_some()
            || self.roster.is_unsettled()
            || (!self.may_claim && self.vacant.iter().any(|ip| self.is_candidate(*ip)));
        let mut at = now + crate::timing::HELLO;
        let mut not_after = |instant: Instant| at = at.min(instant);
        for instant in [self.learn_until, self.leaving_until].into_iter().flatten() {
            not_after(instant);
        }
        if unsettled {
            not_after(soon);
        }
        if let Some((instant, _)) = self.agenda.first() {
            not_after(*instant);
        }
        if let Some(instant) = self.preparing.values().map(|preparation| preparation.until).min() {
            not_after(instant);
        }
        if self.link == Link::Up {
            const BEYOND: Duration = Duration::from_micros(1);
            for member in self.members.values() {
                not_after(member.next_due(now, &timing));
                match member.health {
                    Health::Up => not_after(member.silent_since + member.suspect_after() + BEYOND),
                    Health::Suspect if member.age(now) <= member.dead() => {
                        not_after(member.silent_since + member.dead() + BEYOND);
                    }
                    Health::Suspect => not_after(soon),
                    Health::Unknown | Health::Down | Health::Left => {}
                }
                if let Some(instant) = member.refusals.due(now, &timing) {
                    not_after(instant + BEYOND);
                }
                if let Some((_, instant)) = member.resend {
                    not_after(instant);
                }
            }
        }
        Some(at.max(now))
    }

    /// Asks members for an answer at once.
    pub(crate) fn probe_everybody(&mut self, now: Instant) {
        for member in self.members.values_mut().filter(|member| member.is_close(now)) {
            member.urge = Urge::Probe;
        }
    }
}
