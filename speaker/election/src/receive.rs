//! From a datagram to what it changes.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::claim::Claim;
use crate::election::Election;
use crate::member::{Health, Report, Urge};
use crate::node::NodeId;
use crate::owner::Lost;
use crate::refusal::Refusals;
use crate::vocabulary::{Drop, Evidence, Observed};
use crate::wire::{Claims, Flags, Header, Heartbeat, Message, Vip};

/// More than any node of a real cluster owns; a member that claims more is cut off here, not by memory.
const MOST_CLAIMS: usize = 16_384;

impl Election {
    pub(crate) fn receive(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        if let Err(why) = self.accept(now, from, bytes) {
            self.report(Observed::Rejected(why));
        }
    }

    fn accept(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) -> Result<(), Drop> {
        let header = Header::decode(bytes)?;
        let (me, node) = (self.settings.node, header.node);
        if header.key_id != self.settings.key.id() {
            return Err(Drop::OtherKey);
        }
        if node == me {
            return Err(Drop::OwnName);
        }
        let member = self.members.get_mut(&node).ok_or(Drop::NotAMember)?;
        if from.ip().to_canonical() != member.address.ip().to_canonical() {
            return Err(Drop::WrongSource);
        }
        let opened = member.open(&self.settings.key, me, &header, bytes)?;
        if opened.restarted {
            self.earlier_life_ended(now, node, &header);
        }
        self.hear(now, node, &header);
        match opened.message {
            Message::Heartbeat(heartbeat) => self.take_heartbeat(now, node, header.seq, heartbeat),
            Message::Claims(claims) => self.take_claims(node, header.seq, &claims),
            Message::Handover(handover) => self.take_offers(now, node, &handover.offers),
        }
        if header.flags.has(Flags::GONE) {
            self.goodbye_from(now, node);
        }
        Ok(())
    }

    fn earlier_life_ended(&mut self, now: Instant, node: NodeId, header: &Header) {
        let Some(member) = self.members.get_mut(&node) else { return };
        if header.flags.has(Flags::RESUMES) && member.counts() {
            member.report = None;
            self.report(Observed::MemberResumed { node, incarnation: header.incarnation });
            return;
        }
        let (silent_for, alive) = (member.age(now), member.counts());
        (member.health, member.report, member.digest) = (Health::Down, None, 0);
        // It was right to say that nobody listened.
        member.refusals = Refusals::default();
        if alive {
            self.report(Observed::MemberDown { node, silent_for, evidence: Evidence::Restarted });
        }
        let since = now.checked_sub(silent_for).unwrap_or(now);
        self.forget_claims(node, Lost::Silent { since });
    }

    fn hear(&mut self, now: Instant, node: NodeId, header: &Header) {
        if !self.members.values().any(|member| member.is_heard(now)) {
            // This node had heard nobody at all: its own reception was broken, and likely that of its observers. What they measured
            // in that time convicts nobody; silence counts anew.
            for member in self.members.values_mut() {
                let whole = member.dead();
                member.forgive(now, Duration::ZERO, whole);
            }
        }
        let Some(member) = self.members.get_mut(&node) else { return };
        let was_up = member.counts();
        let newest = header.seq >= member.highest_seq();
        let flags = if newest { header.flags.without(Flags::PROBE) } else { member.flags };
        let changed = member.flags != flags;
        let (cleared, silent_for) = (was_up && member.suspected, member.age(now));
        member.hear(now, flags);
        if header.flags.has(Flags::PROBE) {
            member.urge = member.urge.max(Urge::Answer);
        }
        if !was_up {
            self.member_is_up(now, node);
        } else if cleared {
            self.report(Observed::MemberCleared { node, silent_for });
        }
        if changed {
            self.dirty.extend(self.vacant.iter().copied());
        }
    }

    fn take_heartbeat(&mut self, now: Instant, node: NodeId, seq: u64, heartbeat: Heartbeat) {
        let digest = self.mine.digest();
        let timing = self.timing();
        let Some(member) = self.members.get_mut(&node) else { return };
        if seq < member.report_seq {
            // Overtaken: what it says is older than what is known.
            return;
        }
        member.report_seq = seq;
        member.learn_timing(&timing, heartbeat.heartbeat, heartbeat.dead);
        member.digest = heartbeat.claims;
        if heartbeat.your_claims != digest
            && member.resend.is_none()
            && member.resent.is_none_or(|at| now.saturating_duration_since(at) >= timing.pace())
        {
            member.resend = Some((Vip(0), now));
        }
        if !member.is_synced() && !member.overflowed {
            // It sees in the answer that its claims have not come, and sends them again.
            member.urge = member.urge.max(Urge::Answer);
        }
        let refused: BTreeSet<_> =
            heartbeat.heard.iter().filter(|heard| heard.refused).map(|heard| heard.node).collect();
        let heard = heartbeat.heard.into_iter().map(|heard| (heard.node, heard.age)).collect();
        let (your_age, your_seq) = (heartbeat.your_age, heartbeat.your_seq);
        member.report = Some(Report { at: now, your_age, your_seq, heard, refused: refused.clone() });
        for node in refused {
            self.ask_whether_refused(now, node);
        }
    }

    /// Applies part of a member's claims, in whatever order the parts come: of each address the newest message decides.
    fn take_claims(&mut self, node: NodeId, seq: u64, claims: &Claims) {
        let Some(member) = self.members.get_mut(&node) else { return };
        member.forget_order();
        let listed: BTreeSet<_> =
            claims.entries.iter().filter(|entry| !entry.resigned).map(|entry| entry.vip).collect();
        if let Some((first, last)) = claims.whole {
            let gone: Vec<_> =
                member.claims.between(first, last).map(|(vip, _)| vip).filter(|vip| !listed.contains(vip)).collect();
            for vip in gone {
                self.note(node, seq, vip, None, u8::MAX);
            }
        }
        for entry in &claims.entries {
            let claim = Claim { epoch: entry.epoch, quorate: entry.quorate, reason: entry.reason };
            self.note(node, seq, entry.vip, Some(claim).filter(|_| !entry.resigned), entry.reason);
        }
    }

    fn note(&mut self, node: NodeId, seq: u64, vip: Vip, claim: Option<Claim>, reason: u8) {
        let Some(member) = self.members.get_mut(&node) else { return };
        if claim.is_some() && member.claims.len() >= MOST_CLAIMS && member.claims.get(vip).is_none() {
            if !std::mem::replace(&mut member.overflowed, true) {
                self.report(Observed::TooManyClaims { node });
            }
        } else if member.is_told_by(vip, seq) {
            self.note_claim(node, vip, claim, reason);
        }
    }

    fn goodbye_from(&mut self, now: Instant, node: NodeId) {
        let Some(member) = self.members.get_mut(&node) else { return };
        member.health = Health::Left;
        member.report = None;
        self.roster.remove(node);
        self.report(Observed::MemberDown { node, silent_for: Duration::ZERO, evidence: Evidence::Left });
        self.forget_claims(node, Lost::Left);
        if let Some(member) = self.members.get_mut(&node) {
            member.hurry(now, &self.settings.timing);
        }
        self.dirty.extend(self.vacant.iter().copied());
    }
}
