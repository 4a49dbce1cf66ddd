//! What this node says: claims first, then offers, then heartbeats.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::election::Election;
use crate::member::{Health, Stamp};
use crate::node::NodeId;
use crate::owner::entry;
use crate::timing::FORGET;
use crate::vocabulary::{Action, Link};
use crate::wire::{Claims, Flags, Handover, Heard, Heartbeat, Message, Vip};

/// How many messages of claims one member is sent in a row; then a pace of rest, so that a full set does not fill its socket.
const BURST: usize = 4;

/// How often a goodbye is said: it is not acknowledged, and costs the others only a detection time if all are lost.
const GOODBYES: usize = 3;

impl Election {
    pub(crate) fn send(&mut self, now: Instant) {
        self.send_news(now);
        self.outbox.extend(std::mem::take(&mut self.gains));
        self.send_offers(now);
        if self.left || self.link == Link::Down {
            return;
        }
        self.send_again(now);
        self.send_heartbeats(now);
    }

    /// Says goodbye to everybody.
    pub(crate) fn say_goodbye(&mut self, now: Instant) {
        self.send_news(now);
        let rumours = self.rumours(now);
        for node in self.close(now) {
            let message = Message::Heartbeat(self.heartbeat(now, node, &rumours));
            for _ in 0..GOODBYES {
                self.post(now, node, Flags::GONE, &message);
            }
        }
    }

    fn close(&self, now: Instant) -> Vec<NodeId> {
        self.members.iter().filter(|(_, member)| member.is_close(now)).map(|(node, _)| *node).collect()
    }

    /// Tells everybody what has changed in this round.
    fn send_news(&mut self, now: Instant) {
        let news = std::mem::take(&mut self.news);
        if self.link == Link::Down {
            return;
        }
        for entries in news.chunks(Claims::MOST) {
            let message = Message::Claims(Claims { whole: None, entries: entries.to_vec() });
            for node in self.close(now) {
                self.post(now, node, Flags::default(), &message);
                if let Some(member) = self.members.get_mut(&node) {
                    member.resent = Some(now);
                }
            }
        }
    }

    fn send_offers(&mut self, now: Instant) {
        for (node, offers) in std::mem::take(&mut self.offers) {
            for offers in offers.chunks(Handover::MOST) {
                let message = Message::Handover(Handover { offers: offers.to_vec() });
                self.post(now, node, Flags::default(), &message);
            }
        }
    }

    /// Sends the whole set, stretch by stretch, to those whose digest says that they lack something.
    fn send_again(&mut self, now: Instant) {
        let due = |at: Instant| at <= now;
        let lacking: Vec<_> = self
            .members
            .iter()
            .filter_map(|(node, member)| member.resend.filter(|(_, at)| due(*at)).map(|(from, _)| (*node, from)))
            .collect();
        for (node, mut from) in lacking {
            let mut rest = None;
            for _ in 0..BURST {
                let entries: Vec<_> = self
                    .mine
                    .between(from, Vip::LAST)
                    .take(Claims::MOST)
                    .map(|(vip, claim)| entry(vip.ip(), claim))
                    .collect();
                let last =
                    entries.last().filter(|_| entries.len() == Claims::MOST).map_or(Vip::LAST, |entry| entry.vip);
                self.post(now, node, Flags::default(), &Message::Claims(Claims { whole: Some((from, last)), entries }));
                rest = last.0.checked_add(1).map(Vip);
                match rest {
                    Some(next) => from = next,
                    None => break,
                }
            }
            let pace = self.timing().pace();
            if let Some(member) = self.members.get_mut(&node) {
                member.resend = rest.map(|from| (from, now + pace));
                member.resent = Some(now);
            }
        }
    }

    fn send_heartbeats(&mut self, now: Instant) {
        let timing = self.timing();
        let learning = self.learn_until.is_some();
        let due: Vec<_> = self
            .members
            .iter_mut()
            .filter_map(|(node, member)| member.due(now, &timing, learning).map(|flags| (*node, flags)))
            .collect();
        if due.is_empty() {
            return;
        }
        let rumours = self.rumours(now);
        for (node, flags) in due {
            let message = Message::Heartbeat(self.heartbeat(now, node, &rumours));
            self.post(now, node, flags, &message);
        }
    }

    /// Members that this node has never heard, but somebody else has: this node's silence about them would be taken for deafness.
    fn rumours(&self, now: Instant) -> BTreeSet<NodeId> {
        const LATELY: Duration = Duration::from_secs(10);
        let mut rumours = BTreeSet::new();
        if !self.members.values().any(|member| member.health == Health::Unknown) {
            return rumours;
        }
        for report in self.members.values().filter_map(|member| member.fresh_report(now)) {
            rumours.extend(report.heard.iter().filter(|(_, age)| **age < LATELY).map(|(node, _)| *node));
        }
        rumours
    }

    fn heartbeat(&mut self, now: Instant, receiver: NodeId, rumours: &BTreeSet<NodeId>) -> Heartbeat {
        self.beats += 1;
        let listens_to = |node: &NodeId, age: Duration| match self.members.get(node).map(|member| member.health) {
            None | Some(Health::Left) => false,
            Some(Health::Unknown) => rumours.contains(node),
            Some(Health::Up | Health::Suspect | Health::Down) => age < FORGET,
        };
        let mut heard: Vec<_> = self
            .members
            .iter()
            .filter(|(node, _)| **node != receiver)
            .filter_map(|(node, member)| Some((*node, member, member.measured_age(now)?)))
            .filter(|(node, _, age)| listens_to(node, *age))
            .collect();
        if heard.len() > Heartbeat::MOST_HEARD {
            // Those that a verdict may be about are always in; the others take turns.
            let turn = usize::try_from(self.beats).unwrap_or(0) % heard.len();
            heard.rotate_left(turn);
            heard.sort_by_key(|(_, member, _)| (!member.suspected, member.claims.len() == 0));
            heard.truncate(Heartbeat::MOST_HEARD);
        }
        let heard = heard
            .into_iter()
            .map(|(node, member, age)| Heard { node, age, refused: member.refusals.convince(now) })
            .collect();
        let timing = self.timing();
        let member = self.members.get(&receiver);
        Heartbeat {
            heartbeat: timing.heartbeat(),
            dead: timing.dead(),
            claims: self.mine.digest(),
            your_claims: member.map_or(0, |member| member.claims.digest()),
            your_age: member.and_then(|member| member.heard).map(|heard| now.saturating_duration_since(heard)),
            your_seq: member.map_or(0, |member| member.highest_seq()),
            heard,
        }
    }

    fn post(&mut self, now: Instant, node: NodeId, flags: Flags, message: &Message) {
        let mut all = flags;
        if self.learn_until.is_some() {
            all = all.with(Flags::LEARNING);
        }
        if self.leaving_until.is_some() {
            all = all.with(Flags::LEAVING);
        }
        if self.resumes {
            all = all.with(Flags::RESUMES);
        }
        let tx_us = now.saturating_duration_since(self.started).as_micros();
        let stamp = Stamp {
            key_id: self.settings.key.id(),
            flags: all,
            node: self.settings.node,
            incarnation: self.settings.incarnation,
            salt: self.salt,
            tx_us: u64::try_from(tx_us).unwrap_or(u64::MAX),
        };
        if let Some(member) = self.members.get_mut(&node) {
            let datagram = member.seal(stamp, message);
            self.outbox.push_back(Action::Send { to: member.address, datagram });
        }
    }
}
