//! What the book makes of reservations: their addresses are not among the free ones, and those they are kept for find them first.

use super::Book;
use crate::{
    book::Effect,
    line::Line,
    reservation::Reservation,
    share::Terms,
    shelf::{Position, Shelf},
};
use herald_crds::model::{Family, Pool, Range, Service};
use std::{collections::BTreeMap, net::IpAddr};

impl Book {
    /// Replaces the reservations. Nobody loses an address by this.
    pub fn set_reservations(&mut self, reservations: &BTreeMap<String, Reservation>) -> Effect {
        let old = std::mem::replace(&mut self.reservations, reservations.clone());
        let gone: Vec<Range> = old
            .iter()
            .filter(|(name, old)| reservations.get(*name).is_none_or(|new| new.ranges != old.ranges))
            .flat_map(|(_, old)| old.ranges.clone())
            .collect();
        let new: Vec<Range> = reservations
            .iter()
            .filter(|(name, new)| old.get(*name).is_none_or(|old| new.ranges != old.ranges))
            .flat_map(|(_, new)| new.ranges.clone())
            .collect();
        for range in &gone {
            self.reopen(range);
        }
        for range in &new {
            self.withhold(range, None);
        }
        // Somebody else may be named now, or nobody.
        if old == self.reservations { Effect::None } else { Effect::Freed }
    }

    /// The name of a reservation that keeps an address from a Service. Nothing when it is not reserved, or for this Service too.
    pub(crate) fn kept_from(&self, ip: IpAddr, service: &Service) -> Option<&str> {
        let mut kept = None;
        for (name, reservation) in self.covering(ip) {
            if reservation.keeper.includes(service) {
                return None;
            }
            kept = kept.or(Some(name.as_str()));
        }
        kept
    }

    /// The first address of a pool that is kept for a Service, free or shared on its terms.
    pub(crate) fn first_reserved(
        &self,
        pool: &str,
        family: Family,
        terms: Option<&Terms>,
        service: &Service,
    ) -> Option<IpAddr> {
        self.first_of(pool, family, terms, service, |reservation| reservation.keeper.includes(service))
    }

    /// The first address of a pool that all its reservations yield, and that nobody holds.
    pub(crate) fn first_yielded(
        &self,
        pool: &str,
        family: Family,
        terms: Option<&Terms>,
        service: &Service,
    ) -> Option<IpAddr> {
        self.first_of(pool, family, terms, service, |reservation| reservation.yields)
    }

    /// The pools in force that hold something that is kept for a Service.
    pub(crate) fn pools_reserved_for(&self, service: &Service) -> impl Iterator<Item = &Pool> {
        let mine: Vec<&Range> = self
            .reservations
            .values()
            .filter(|reservation| reservation.keeper.includes(service))
            .flat_map(|reservation| &reservation.ranges)
            .collect();
        self.pools
            .values()
            .filter(move |pool| pool.ranges.iter().any(|range| mine.iter().any(|reserved| reserved.overlaps(range))))
    }

    fn first_of(
        &self,
        pool: &str,
        family: Family,
        terms: Option<&Terms>,
        service: &Service,
        wanted: impl Fn(&Reservation) -> bool,
    ) -> Option<IpAddr> {
        let shelf = self.shelves.get(pool)?;
        let mut best: Option<Position> = None;
        for (_, reservation) in self.reservations.iter().filter(|(_, reservation)| wanted(reservation)) {
            for (line, (first, last)) in
                reservation.ranges.iter().filter(|range| range.family() == family).flat_map(|range| shelf.spans(range))
            {
                // As many steps as addresses in use, and one.
                let fits = |number: &u128| {
                    let ip = shelf.address((line, *number));
                    let given = reservation.keeper.includes(service)
                        || self.covering(ip).all(|(_, other)| other.yields || other.keeper.includes(service));
                    given && self.clash(ip, terms, &service.key).is_none()
                };
                if let Some(number) = (first..=last).find(fits) {
                    best = Some(best.map_or((line, number), |best| best.min((line, number))));
                }
            }
        }
        best.map(|position| shelf.address(position))
    }

    /// The reservations on an address, by name.
    pub(super) fn covering(&self, ip: IpAddr) -> impl Iterator<Item = (&String, &Reservation)> {
        self.reservations
            .iter()
            .filter(move |(_, reservation)| reservation.ranges.iter().any(|range| range.contains(ip)))
    }

    /// Takes the addresses of a range from the free ones: of one pool, or of all.
    pub(super) fn withhold(&mut self, range: &Range, only: Option<&str>) {
        for (name, shelf) in &mut self.shelves {
            if only.is_none_or(|only| only == name) {
                shelf.withhold(range);
            }
        }
    }

    /// Puts the addresses of a range that nobody uses or reserves any more among the free ones.
    fn reopen(&mut self, range: &Range) {
        for shelf in self.shelves.values_mut() {
            shelf.reopen(range);
        }
        let used: Vec<IpAddr> = self.users.range(range.first..=range.last).map(|(ip, _)| *ip).collect();
        for ip in used {
            self.mark(ip, Shelf::hide);
        }
        let overlapping = self.reservations.values().flat_map(|other| other.ranges.iter());
        let overlapping: Vec<Range> = overlapping.filter(|other| other.overlaps(range)).copied().collect();
        for other in overlapping {
            self.withhold(&other, None);
        }
    }
}

impl Shelf {
    /// Where the addresses of a range lie: lines, and the first and the last number on each.
    pub(crate) fn spans(&self, range: &Range) -> impl Iterator<Item = (usize, (u128, u128))> {
        (0..self.len()).filter_map(move |at| {
            let (first, last) = self.ends(at);
            if first.is_ipv4() != range.first.is_ipv4() {
                return None;
            }
            let both = Range { first: first.max(range.first), last: last.min(range.last) };
            let part = Line::new(&both, self.avoids_buggy())?;
            Some((at, part.bounds()))
        })
    }
}
