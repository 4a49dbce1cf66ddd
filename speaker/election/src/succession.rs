//! A new process takes the place of an old one on the same node, under the same claims: what an update of the speaker does.
//!
//! ```text
//! old process                         new process                            the others
//!   | -- Testament (bequeath) ---------> | Inherit: claims as they are         |
//! at rest; its shell answers on         | suspended -- RESUMES, PROBE -------> | the earlier life ends, its claims stay
//! for `answers`, with the same MAC      | <-------------------- heartbeats --- |
//!                                       | proven (phase.rs): Resume            |
//! ```
//!
//! To the others it is a member that was silent for a millisecond. **Why it is safe:** the new process starts like an owner that stood still. It owns on paper,
//! answers nothing, and resumes only when every member that it hears, and for one `T_dead` every one that its predecessor heard, has acknowledged a message of *this*
//! life and said what it claims, so a better claim that was made meanwhile wins. If it never speaks, its node is silent and the addresses go the way of every silent owner's. The old process is at rest from the moment that
//! it bequeaths: no two processes speak for one node. Its shell stops answering before anybody may be owner after it, as a stalled process does.
//!
//! A node that starts without a testament has lost what it had, whatever it says: the others orphan what its earlier life claimed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::claim::Claim;
use crate::election::Election;
use crate::member::Urge;
use crate::node::NodeId;
use crate::owner::Hold;
use crate::vocabulary::Action;

/// What a process leaves to the one that takes its place on the same node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Testament {
    /// Its start; its successor's is later.
    pub incarnation: u64,
    /// What it owned.
    pub claims: BTreeMap<IpAddr, Bequest>,
    /// The last agreed membership, itself not counted.
    pub roster: BTreeSet<NodeId>,
    /// Whom it heard.
    pub heard: BTreeSet<NodeId>,
    /// For how long its shell may go on answering for what it owned.
    pub answers: Duration,
}

/// An owned address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bequest {
    /// The number of the claim.
    pub epoch: u64,
    /// Whether its side had a majority.
    pub quorate: bool,
    /// Why it was claimed, as a place in the list of reasons.
    pub reason: u8,
}

impl Election {
    /// Ends this machine without a word to anybody: it is at rest and sends nothing again. What it owned is its successor's, with [`Event::Inherit`].
    /// `None` if it has left or is about to.
    ///
    /// [`Event::Inherit`]: crate::Event::Inherit
    pub fn bequeath(&mut self, now: Instant) -> Option<Testament> {
        if self.left || self.leaving_until.is_some() {
            return None;
        }
        self.left = true;
        let timing = self.timing();
        let heard: BTreeSet<_> =
            self.members.iter().filter(|(_, member)| member.is_heard(now)).map(|(node, _)| *node).collect();
        let claims = self.holds.iter().map(|(ip, Hold { claim, .. })| {
            (*ip, Bequest { epoch: claim.epoch, quorate: claim.quorate, reason: claim.reason })
        });
        let answers = if self.suspended.is_some() {
            Duration::ZERO
        } else if heard.is_empty() {
            timing.alone()
        } else {
            timing.stall()
        };
        Some(Testament {
            incarnation: self.settings.incarnation,
            claims: claims.collect(),
            roster: self.roster.nodes().clone(),
            heard,
            answers,
        })
    }

    /// Takes the place of an earlier process; before anything else, or it is ignored. What is in it counts from the next `set` on.
    pub(crate) fn inherit(&mut self, testament: &Testament) {
        if !self.members.is_empty() || !self.slots.is_empty() {
            return;
        }
        self.settings.incarnation = self.settings.incarnation.max(testament.incarnation.saturating_add(1));
        self.resumes = true;
        self.inheritance = Some(testament.clone());
    }

    /// Owns on paper what was bequeathed and is still wanted.
    pub(crate) fn accept_inheritance(&mut self, now: Instant) {
        let Some(testament) = self.inheritance.take() else { return };
        for (ip, Bequest { epoch, quorate, reason }) in testament.claims {
            let Some(slot) = self.slots.get_mut(&ip) else { continue };
            let claim = Claim { epoch, quorate, reason };
            slot.see(epoch);
            self.mine.insert(ip.into(), claim);
            self.holds.insert(ip, Hold { claim, handing: None });
            self.dirty.insert(ip);
            self.outbox.push_back(Action::Keep { ip, epoch });
        }
        for node in testament.roster {
            if let Some(member) = self.members.get_mut(&node) {
                member.urge = Urge::Probe;
                self.roster.add(node);
            }
        }
        // Nobody is heard yet, which says nothing about the majority.
        self.settled_at = now + self.timing().dead();
        self.suspend(now, testament.heard.is_empty() || self.members.is_empty());
        self.expected = testament.heard;
    }
}
