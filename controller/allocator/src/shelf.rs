//! One pool as the book sees it: its lines in listed order, what is free on each, and how much of it is in use.

use crate::{book::Usage, free::Free, line::Line};
use herald_crds::model::{Family, Pool, Range, saturate};
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
    avoid_buggy_ips: bool,
    pub(crate) services: u64,
}

/// Where an address stands in the order in which its pool hands out: the line, then the number on it.
pub(crate) type Position = (usize, u128);

impl Shelf {
    pub(crate) fn of(pool: &Pool) -> Self {
        let mut shelf = Self { avoid_buggy_ips: pool.avoid_buggy_ips, ..Self::default() };
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

    /// Whether addresses ending in .0 and .255 are left out.
    pub(crate) fn avoids_buggy(&self) -> bool {
        self.avoid_buggy_ips
    }

    /// Somebody uses an address that nobody used.
    pub(crate) fn take(&mut self, position: Position) {
        *self.taken(position.0) += 1;
        self.hide(position);
    }

    /// Nobody uses an address any more. One that is reserved is not free for all the same.
    pub(crate) fn give(&mut self, (at, number): Position, reserved: bool) {
        let taken = self.taken(at);
        *taken = taken.saturating_sub(1);
        if !reserved {
            self.lines[at].1.give(number);
            self.opened(at);
        }
    }

    /// Takes an address from the free ones, used or not.
    pub(crate) fn hide(&mut self, (at, number): Position) {
        self.lines[at].1.take(number);
        self.opened(at);
    }

    /// Takes the addresses of a range from the free ones.
    pub(crate) fn withhold(&mut self, range: &Range) {
        let spans: Vec<_> = self.spans(range).collect();
        for (at, (first, last)) in spans {
            self.lines[at].1.take_all(first, last);
            self.opened(at);
        }
    }

    /// Puts all addresses of a range among the free ones.
    pub(crate) fn reopen(&mut self, range: &Range) {
        let spans: Vec<_> = self.spans(range).collect();
        for (at, (first, last)) in spans {
            self.lines[at].1.give_all(first, last);
            self.opened(at);
        }
    }

    fn taken(&mut self, at: usize) -> &mut u64 {
        match self.lines[at].0.family() {
            Family::V4 => &mut self.taken_v4,
            Family::V6 => &mut self.taken_v6,
        }
    }

    /// Notes whether a line has something free.
    fn opened(&mut self, at: usize) {
        let (line, free) = &self.lines[at];
        let open = match line.family() {
            Family::V4 => &mut self.open_v4,
            Family::V6 => &mut self.open_v6,
        };
        if free.first().is_some() {
            open.insert(at);
        } else {
            open.remove(&at);
        }
    }
}
