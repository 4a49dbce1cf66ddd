//! What a peer should hold, what it holds, and the messages that make the two the same.
//!
//! Promises, each with a property test:
//! - what the peer holds after all messages were taken is the wanted set, as far as it can be said to this peer; what
//!   cannot is listed with its reason;
//! - a difference costs one entry in one message: prefixes with equal attributes share messages, no message is longer than
//!   agreed, nothing is said twice without being asked for;
//! - a change costs O(log n), and messages are made one at a time as the connection takes them: a hundred thousand routes
//!   wait as prefixes, not as bytes.
//!
//! ```text
//!   set, change --> wanted -- differs from --> held        open, close, refresh
//!                        \                     ^                |
//!                         +--> announce, withdraw  next_message-+--> UPDATE, ROUTE-REFRESH marks, end-of-RIB
//! ```
//!
//! Of one family, what is new is announced before what is old is withdrawn: where an aggregate gives way to its parts,
//! there is always a route. Then, the first time, comes the end-of-RIB (RFC 4724 §2), which is useful to peers without
//! graceful restart too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::route::{NotSent, Route, Routes, Terms};
use crate::wire::{AfiSafi, Family, Message, Prefix, RefreshSubtype, RouteRefresh, Update};

mod pack;

/// The routes towards one peer.
#[derive(Debug, Default)]
pub struct RibOut {
    wanted: Routes,
    open: Option<Towards>,
}

/// What is known while a session is established.
#[derive(Debug)]
struct Towards {
    terms: Terms,
    /// What the peer holds once it has read everything that left [`RibOut::next_message`].
    ///
    /// Nothing stands for what has to be said again, if it is wanted at all, whatever was said: it was said in other
    /// terms, or the peer drops what it does not hear again before the end of a refresh (RFC 7313 §4).
    held: BTreeMap<Prefix, Option<Arc<Route>>>,
    not_sent: BTreeMap<Prefix, NotSent>,
    /// One for every family of the session.
    lanes: BTreeMap<Family, Lane>,
}

/// What is to be said about one family.
#[derive(Debug)]
struct Lane {
    phase: Phase,
    announce: BTreeMap<Arc<Route>, BTreeSet<Prefix>>,
    withdraw: BTreeSet<Prefix>,
}

/// How far the announcement of a family is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The end-of-RIB is to follow.
    First {
        /// A refresh was asked for meanwhile. It has to wait for the end-of-RIB (RFC 7313 §4).
        again: bool,
    },
    /// The begin mark of a refresh is to be sent.
    Begin,
    /// The end mark is to follow.
    Refresh {
        /// Another refresh was asked for meanwhile.
        again: bool,
    },
    /// Nothing but changes.
    Steady,
}

impl RibOut {
    /// Makes a table that wants nothing and talks to nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the whole wanted set. Costs a walk over both sets, and messages for the differences only.
    pub fn set(&mut self, wanted: Routes) {
        let before = std::mem::replace(&mut self.wanted, wanted);
        let Some(open) = &mut self.open else { return };
        for (prefix, old, new) in differences(&before, &self.wanted) {
            open.unqueue(prefix, old);
            open.queue(prefix, new);
        }
    }

    /// Takes one change of the wanted set: O(log n). Nothing removes the prefix.
    pub fn change(&mut self, prefix: Prefix, route: Option<Arc<Route>>) {
        let before = match &route {
            Some(route) => self.wanted.insert(prefix, Arc::clone(route)),
            None => self.wanted.remove(&prefix),
        };
        if before == route {
            return;
        }
        if let Some(open) = &mut self.open {
            open.unqueue(prefix, before.as_ref());
            open.queue(prefix, route.as_ref());
        }
    }

    /// A session is established: the peer holds nothing and is to be sent everything.
    pub fn open(&mut self, terms: Terms) {
        let mut open = Towards {
            terms,
            held: BTreeMap::new(),
            not_sent: BTreeMap::new(),
            lanes: terms.families.iter().map(|family| (family, Lane::new())).collect(),
        };
        for (prefix, route) in &self.wanted {
            open.queue(*prefix, Some(route));
        }
        self.open = Some(open);
    }

    /// The session is gone, and with it what the peer held of it.
    pub fn close(&mut self) {
        self.open = None;
    }

    /// Takes new terms in flight, such as another own address. What would be said otherwise in them is said again, and nothing
    /// else: an IPv6 address that comes and goes costs no IPv4 route.
    pub fn renew(&mut self, terms: Terms) {
        let Some(open) = &mut self.open else { return };
        let before = std::mem::replace(&mut open.terms, terms);
        if before == terms {
            return;
        }
        for (prefix, held) in &mut open.held {
            held.take_if(|route| !before.says_as(&terms, prefix.family(), route));
        }
        for (prefix, route) in &self.wanted {
            open.unqueue(*prefix, Some(route));
            open.queue(*prefix, Some(route));
        }
    }

    /// The peer asks for everything of a family again (RFC 2918 §4). While one answer is under way, any number of further
    /// questions are answered together by one more. Returns whether this one leads to an answer of its own.
    pub fn refresh(&mut self, family: Family) -> bool {
        let lane = self.open.as_mut().and_then(|open| open.lanes.get_mut(&family));
        match lane.map(|lane| &mut lane.phase) {
            Some(Phase::First { again } | Phase::Refresh { again }) => !std::mem::replace(again, true),
            Some(phase @ Phase::Steady) => {
                *phase = Phase::Begin;
                true
            }
            Some(Phase::Begin) | None => false,
        }
    }

    /// Returns the next message, nothing if the peer holds what it should.
    pub fn next_message(&mut self) -> Option<Vec<u8>> {
        let open = self.open.as_mut()?;
        for family in open.terms.families.iter() {
            while open.lanes.get(&family).is_some_and(Lane::is_pending) {
                let mut said = None;
                if open.begins_refresh(family) {
                    let held = open.held.iter_mut().filter(|(prefix, _)| prefix.family() == family);
                    held.for_each(|(_, held)| *held = None);
                    for (prefix, route) in self.wanted.iter().filter(|(prefix, _)| prefix.family() == family) {
                        open.queue_again(*prefix, route);
                    }
                    said = open.mark(family, RefreshSubtype::Begin);
                }
                let said = said
                    .or_else(|| open.announcement(family))
                    .or_else(|| open.withdrawal(family))
                    .or_else(|| open.finish(family));
                if said.is_some() {
                    return said;
                }
            }
        }
        None
    }

    /// Says whether [`RibOut::next_message`] has something to say.
    pub fn is_pending(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.lanes.values().any(Lane::is_pending))
    }

    /// Returns how many prefixes are to be announced or withdrawn.
    pub fn pending(&self) -> usize {
        self.open.iter().flat_map(|open| open.lanes.values()).map(Lane::pending).sum()
    }

    /// Returns how many prefixes the peer holds once it has read what was sent.
    pub fn held(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.held.len())
    }

    /// Says whether the peer holds a prefix as wanted, once it has read what was sent.
    pub fn holds(&self, prefix: Prefix) -> bool {
        let held = self.open.as_ref().and_then(|open| open.held.get(&prefix)?.as_ref());
        held.is_some() && held == self.wanted.get(&prefix)
    }

    /// Returns the whole wanted set.
    pub fn wanted(&self) -> &Routes {
        &self.wanted
    }

    /// Returns the wanted prefixes that are not sent to this peer, and why. Empty without a session.
    pub fn not_sent(&self) -> impl Iterator<Item = (Prefix, NotSent)> {
        self.open.iter().flat_map(|open| open.not_sent.iter().map(|(prefix, why)| (*prefix, *why)))
    }

    /// Returns how many wanted prefixes are not sent to this peer.
    pub fn not_sent_count(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.not_sent.len())
    }
}

impl Lane {
    fn new() -> Self {
        Self { phase: Phase::First { again: false }, announce: BTreeMap::new(), withdraw: BTreeSet::new() }
    }

    fn is_pending(&self) -> bool {
        !self.announce.is_empty() || !self.withdraw.is_empty() || self.phase != Phase::Steady
    }

    fn pending(&self) -> usize {
        self.announce.values().map(BTreeSet::len).sum::<usize>() + self.withdraw.len()
    }

    fn unqueue(&mut self, prefix: Prefix, wanted: Option<&Arc<Route>>) {
        self.withdraw.remove(&prefix);
        if let Some(route) = wanted
            && let Some(group) = self.announce.get_mut(route)
        {
            group.remove(&prefix);
            if group.is_empty() {
                self.announce.remove(route);
            }
        }
    }
}

impl Towards {
    /// Forgets what was to be said about a prefix that was wanted like this.
    fn unqueue(&mut self, prefix: Prefix, wanted: Option<&Arc<Route>>) {
        self.not_sent.remove(&prefix);
        if let Some(lane) = self.lanes.get_mut(&prefix.family()) {
            lane.unqueue(prefix, wanted);
        }
    }

    /// Compares what is wanted with what the peer holds.
    fn queue(&mut self, prefix: Prefix, wanted: Option<&Arc<Route>>) {
        match wanted {
            Some(route) if self.held.get(&prefix).and_then(Option::as_ref) == Some(route) => {}
            Some(route) => self.queue_again(prefix, route),
            None => self.queue_withdrawal(prefix),
        }
    }

    /// Says it whether the peer holds it or not.
    fn queue_again(&mut self, prefix: Prefix, route: &Arc<Route>) {
        if let Err(why) = self.terms.next_hop(prefix.family(), route.next_hop) {
            self.give_up(prefix, why);
        } else if let Some(lane) = self.lanes.get_mut(&prefix.family()) {
            match lane.announce.get_mut(route) {
                Some(group) => group.insert(prefix),
                None => lane.announce.entry(Arc::clone(route)).or_default().insert(prefix),
            };
        }
    }

    /// What cannot be said must not stay as it was.
    fn give_up(&mut self, prefix: Prefix, why: NotSent) {
        self.not_sent.insert(prefix, why);
        self.queue_withdrawal(prefix);
    }

    fn queue_withdrawal(&mut self, prefix: Prefix) {
        if self.held.contains_key(&prefix)
            && let Some(lane) = self.lanes.get_mut(&prefix.family())
        {
            lane.withdraw.insert(prefix);
        }
    }

    fn begins_refresh(&mut self, family: Family) -> bool {
        let lane = self.lanes.get_mut(&family).filter(|lane| lane.phase == Phase::Begin);
        lane.map(|lane| lane.phase = Phase::Refresh { again: false }).is_some()
    }

    fn announcement(&mut self, family: Family) -> Option<Vec<u8>> {
        loop {
            let mut group = self.lanes.get_mut(&family)?.announce.first_entry()?;
            let route = Arc::clone(group.key());
            let packed = self.terms.next_hop(family, route.next_hop).and_then(|next_hop| {
                let attributes = self.terms.attributes(&route);
                pack::announce(&self.terms.encoding, family, attributes, next_hop, group.get_mut())
            });
            match packed {
                Ok((bytes, said)) => {
                    if group.get().is_empty() {
                        group.remove();
                    }
                    self.held.extend(said.into_iter().map(|prefix| (prefix, Some(Arc::clone(&route)))));
                    return Some(bytes);
                }
                Err(why) => {
                    for prefix in group.remove() {
                        self.give_up(prefix, why);
                    }
                }
            }
        }
    }

    fn withdrawal(&mut self, family: Family) -> Option<Vec<u8>> {
        let lane = self.lanes.get_mut(&family)?;
        let (bytes, said) = pack::withdraw(&self.terms.encoding, family, &mut lane.withdraw)?;
        for prefix in said {
            self.held.remove(&prefix);
        }
        Some(bytes)
    }

    /// All of a family is said.
    fn finish(&mut self, family: Family) -> Option<Vec<u8>> {
        let lane = self.lanes.get_mut(&family)?;
        let before = lane.phase;
        lane.phase = match before {
            Phase::First { again: true } | Phase::Refresh { again: true } => Phase::Begin,
            _ => Phase::Steady,
        };
        match before {
            Phase::First { .. } => pack::encode(&self.terms.encoding, &Message::Update(Update::end_of_rib(family))),
            Phase::Refresh { .. } => self.mark(family, RefreshSubtype::End),
            Phase::Begin | Phase::Steady => None,
        }
    }

    /// Only peers that know the marks get them.
    fn mark(&self, family: Family, subtype: RefreshSubtype) -> Option<Vec<u8>> {
        let message = Message::RouteRefresh(RouteRefresh { family: AfiSafi::from(family), subtype });
        self.terms.marks_refresh.then(|| pack::encode(&self.terms.encoding, &message)).flatten()
    }
}

/// A prefix, what was wanted of it, and what is.
type Difference<'a> = (Prefix, Option<&'a Arc<Route>>, Option<&'a Arc<Route>>);

/// Walks two sets in order and returns where they differ.
fn differences<'a>(old: &'a Routes, new: &'a Routes) -> Vec<Difference<'a>> {
    let mut found = Vec::new();
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return found,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some((left, _)), Some((right, _))) => left.cmp(right),
        };
        let before = if order.is_le() { old.next() } else { None };
        let after = if order.is_ge() { new.next() } else { None };
        let (left, right) = (before.map(|(_, route)| route), after.map(|(_, route)| route));
        if let Some((prefix, _)) = before.or(after)
            && !same(left, right)
        {
            found.push((*prefix, left, right));
        }
    }
}

/// Most are the very same value, which is cheap to see.
fn same(left: Option<&Arc<Route>>, right: Option<&Arc<Route>>) -> bool {
    match (left, right) {
        (Some(left), Some(right)) => Arc::ptr_eq(left, right) || left == right,
        (None, None) => true,
        _ => false,
    }
}
