//! Who asked for which address: the neighbours that must be told when it moves.
//!
//! Entries live in one arena, linked from the longest unheard to the latest, so that both bounds (per address and in
//! all) cost O(clients of one address). A flood of made-up clients pushes out real ones, never memory: those are still
//! told by broadcast, and gateways always in person.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::{Client, InterfaceIndex, Settings};

/// Number of one round of announcing, unique in the life of the machine.
pub(crate) type RoundId = u64;

/// What is known about clients.
#[derive(Debug)]
pub(crate) struct Clients {
    per_address: usize,
    total: usize,
    expiry: Duration,
    entries: Vec<Entry>,
    free: Vec<Slot>,
    of: BTreeMap<IpAddr, Vec<Slot>>,
    oldest: Option<Slot>,
    latest: Option<Slot>,
    learned: u64,
}

type Slot = u32;

#[derive(Debug)]
struct Entry {
    ip: IpAddr,
    interface: InterfaceIndex,
    client: Client,
    seen: Instant,
    /// Grows with each frame heard: the order of the list, even among frames of one instant.
    order: u64,
    /// When it last sent something to our own MAC address.
    heard: Option<Instant>,
    told: RoundId,
    older: Option<Slot>,
    later: Option<Slot>,
}

/// How a client was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It asked everybody.
    Asking,
    /// It wrote to our MAC address about the address: it knows who owns it.
    KnowingUs,
}

impl Clients {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            per_address: settings.clients_per_address.min(settings.clients_total),
            // A slot is 32 bits.
            total: settings.clients_total.min(u32::MAX as usize),
            expiry: settings.client_expiry,
            entries: Vec::new(),
            free: Vec::new(),
            of: BTreeMap::new(),
            oldest: None,
            latest: None,
            learned: 0,
        }
    }

    /// Notes that a client holds, or is about to hold, an entry for `ip`.
    pub(crate) fn learn(&mut self, now: Instant, ip: IpAddr, interface: InterfaceIndex, client: Client, heard: Heard) {
        if self.per_address == 0 {
            return;
        }
        let heard = (heard == Heard::KnowingUs).then_some(now);
        self.learned += 1;
        let slot = match self.find(ip, interface, client.ip) {
            Some(slot) => {
                self.unlink(slot);
                let entry = &mut self.entries[slot as usize];
                if entry.client.mac != client.mac {
                    entry.heard = None;
                }
                entry.client = client;
                entry.seen = now;
                entry.order = self.learned;
                entry.heard = heard.or(entry.heard);
                slot
            }
            None => {
                self.make_room(ip);
                let entry = Entry {
                    ip,
                    interface,
                    client,
                    seen: now,
                    order: self.learned,
                    heard,
                    told: 0,
                    older: None,
                    later: None,
                };
                let slot = match self.free.pop() {
                    Some(slot) => {
                        self.entries[slot as usize] = entry;
                        slot
                    }
                    None => {
                        self.entries.push(entry);
                        (self.entries.len() - 1) as Slot
                    }
                };
                self.of.entry(ip).or_default().push(slot);
                slot
            }
        };
        self.link_latest(slot);
    }

    /// Returns a client that is still to be told in this round, and counts it as told. Those heard since `since` to
    /// know us are left out.
    pub(crate) fn next_to_tell(
        &mut self,
        now: Instant,
        ip: IpAddr,
        interface: InterfaceIndex,
        since: Instant,
        round: RoundId,
    ) -> Option<Client> {
        let expiry = self.expiry;
        let waits = |entry: &Entry| {
            entry.interface == interface
                && entry.told < round
                && entry.heard.is_none_or(|heard| heard < since)
                && now.saturating_duration_since(entry.seen) <= expiry
        };
        let slot = *self.of.get(&ip)?.iter().find(|slot| waits(&self.entries[**slot as usize]))?;
        let entry = &mut self.entries[slot as usize];
        entry.told = round;
        Some(entry.client)
    }

    /// Says whether this client is known for `ip` on this interface.
    pub(crate) fn knows(&self, now: Instant, ip: IpAddr, interface: InterfaceIndex, client: IpAddr) -> bool {
        self.find(ip, interface, client)
            .is_some_and(|slot| now.saturating_duration_since(self.entries[slot as usize].seen) <= self.expiry)
    }

    /// Says whether any client is known for `ip` on this interface.
    pub(crate) fn any(&self, now: Instant, ip: IpAddr, interface: InterfaceIndex) -> bool {
        self.iter(now, ip).any(|(at, _)| at == interface)
    }

    /// Returns the clients of an address, in no order.
    pub(crate) fn iter(&self, now: Instant, ip: IpAddr) -> impl Iterator<Item = (InterfaceIndex, Client)> {
        self.of
            .get(&ip)
            .into_iter()
            .flatten()
            .map(|slot| &self.entries[*slot as usize])
            .filter(move |entry| now.saturating_duration_since(entry.seen) <= self.expiry)
            .map(|entry| (entry.interface, entry.client))
    }

    /// Forgets all clients for which `keep` says no.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(IpAddr, InterfaceIndex) -> bool) {
        let mut next = self.oldest;
        while let Some(slot) = next {
            let entry = &self.entries[slot as usize];
            next = entry.later;
            if !keep(entry.ip, entry.interface) {
                self.remove(slot);
            }
        }
    }

    fn find(&self, ip: IpAddr, interface: InterfaceIndex, client: IpAddr) -> Option<Slot> {
        self.of.get(&ip)?.iter().copied().find(|slot| {
            let entry = &self.entries[*slot as usize];
            entry.client.ip == client && entry.interface == interface
        })
    }

    fn make_room(&mut self, ip: IpAddr) {
        if let Some(slots) = self.of.get(&ip)
            && slots.len() >= self.per_address
            && let Some(slot) = slots.iter().copied().min_by_key(|slot| self.entries[*slot as usize].order)
        {
            self.remove(slot);
        }
        if self.entries.len() - self.free.len() >= self.total
            && let Some(slot) = self.oldest
        {
            self.remove(slot);
        }
    }

    fn remove(&mut self, slot: Slot) {
        self.unlink(slot);
        let ip = self.entries[slot as usize].ip;
        if let Some(slots) = self.of.get_mut(&ip) {
            slots.retain(|other| *other != slot);
            if slots.is_empty() {
                self.of.remove(&ip);
            }
        }
        self.free.push(slot);
    }

    fn unlink(&mut self, slot: Slot) {
        let Entry { older, later, .. } = self.entries[slot as usize];
        match older {
            Some(older) => self.entries[older as usize].later = later,
            None => self.oldest = later,
        }
        match later {
            Some(later) => self.entries[later as usize].older = older,
            None => self.latest = older,
        }
    }

    fn link_latest(&mut self, slot: Slot) {
        let older = self.latest.replace(slot);
        match older {
            Some(older) => self.entries[older as usize].later = Some(slot),
            None => self.oldest = Some(slot),
        }
        let entry = &mut self.entries[slot as usize];
        entry.older = older;
        entry.later = None;
    }
}

#[cfg(test)]
mod tests;
