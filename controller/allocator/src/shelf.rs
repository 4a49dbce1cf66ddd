//! One pool as the book sees it: its lines in listed order, what is free on each, and how much of it is in use.

use crate::{book::Usage, free::Free, line::Line};
use herald_crds::model::{Family, Pool, saturate};
use std::{collections::BTreeSet, net::IpAddr};

/// The lines of one pool in listed order, and how much of them is in use.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shelf {
    lines: Vec<(Line, Free)>,
    open_v4: BTreeSet<usize>,
    open_v6: BTreeSet<usize>,
    size_v4: u128,
    size_v6: u128,
    taken_v4: u64,
    taken_v6: u64,
    pub(crate) services: u64,
}

/// Where an address stands in the order in which its pool hands out: the line, then the number on it.
pub(crate) type Position = (usize, u128);

impl Shelf {
    pub(crate) fn of(pool: &Pool) -> Self {
        let mut shelf = Self::default();
        for line in pool.ranges.iter().filter_map(|range| Line::new(range, pool.avoid_buggy_ips)) {
            let (first, last) = line.bounds();
            let size = (last - first).saturating_add(1);
            let at = shelf.lines.len();
            match line.family() {
                Family::V4 => {
                    shelf.size_v4 = shelf.size_v4.saturating_add(size);
                    shelf.open_v4.insert(at);
                }
                Family::V6 => {
                    shelf.size_v6 = shelf.size_v6.saturating_add(size);
                    shelf.open_v6.insert(at);
                }
            }
            shelf.lines.push((line, Free::all(first, last)));
        }
        shelf
    }

    /// How many lines there are.
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// The number of an address on a line.
    pub(crate) fn number(&self, line: usize, ip: IpAddr) -> Option<u128> {
        self.lines.get(line)?.0.number(ip)
    }

    pub(crate) fn usage(&self) -> Usage {
        // A pool too large to count stays so whatever is taken from it.
        let left = |size: u128, taken: u64| match saturate(size) {
            i64::MAX => i64::MAX,
            _ => saturate(size.saturating_sub(u128::from(taken))),
        };
        Usage {
            assigned_v4: saturate(self.taken_v4.into()),
            assigned_v6: saturate(self.taken_v6.into()),
            available_v4: left(self.size_v4, self.taken_v4),
            available_v6: left(self.size_v6, self.taken_v6),
            services: saturate(self.services.into()),
        }
    }

    /// The first and the last usable address of a line.
    pub(crate) fn ends(&self, line: usize) -> (IpAddr, IpAddr) {
        let (line, _) = &self.lines[line];
        let (first, last) = line.bounds();
        (line.address(first), line.address(last))
    }

    pub(crate) fn address(&self, (line, number): Position) -> IpAddr {
        self.lines[line].0.address(number)
    }

    pub(crate) fn first_free(&self, family: Family) -> Option<Position> {
        let open = match family {
            Family::V4 => &self.open_v4,
            Family::V6 => &self.open_v6,
        };
        let line = *open.first()?;
        Some((line, self.lines[line].1.first()?))
    }

    pub(crate) fn take(&mut self, (at, number): Position) {
        let (line, free) = &mut self.lines[at];
        if !free.take(number) {
            return;
        }
        let full = free.first().is_none();
        let (open, taken) = match line.family() {
            Family::V4 => (&mut self.open_v4, &mut self.taken_v4),
            Family::V6 => (&mut self.open_v6, &mut self.taken_v6),
        };
        *taken += 1;
        if full {
            open.remove(&at);
        }
    }

    pub(crate) fn give(&mut self, (at, number): Position) {
        let (line, free) = &mut self.lines[at];
        if !free.give(number) {
            return;
        }
        let (open, taken) = match line.family() {
            Family::V4 => (&mut self.open_v4, &mut self.taken_v4),
            Family::V6 => (&mut self.open_v6, &mut self.taken_v6),
        };
        *taken = taken.saturating_sub(1);
        open.insert(at);
    }
}
