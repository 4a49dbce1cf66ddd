//! Which numbers of a line are free: disjoint intervals that never touch.
//!
//! A /8 and a /64 cost what their fragments cost, not what they hold: first-free, take and give are O(log fragments).

use std::collections::BTreeMap;

/// The free numbers, as inclusive intervals by their first number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Free {
    intervals: BTreeMap<u128, u128>,
}

impl Free {
    /// Everything from `first` to `last` is free.
    pub(crate) fn all(first: u128, last: u128) -> Self {
        Self { intervals: BTreeMap::from([(first, last)]) }
    }

    /// The smallest free number.
    pub(crate) fn first(&self) -> Option<u128> {
        self.intervals.first_key_value().map(|(first, _)| *first)
    }

    /// Takes a number; false when it was not free.
    pub(crate) fn take(&mut self, number: u128) -> bool {
        let Some((&first, &last)) = self.intervals.range(..=number).next_back() else { return false };
        if number > last {
            return false;
        }
        if first < number {
            self.intervals.insert(first, number - 1);
        } else {
            self.intervals.remove(&first);
        }
        if number < last {
            self.intervals.insert(number + 1, last);
        }
        true
    }

    /// Gives a number back; false when it was free already.
    pub(crate) fn give(&mut self, number: u128) -> bool {
        let before = self.intervals.range(..=number).next_back().map(|(first, last)| (*first, *last));
        if before.is_some_and(|(_, last)| number <= last) {
            return false;
        }
        let first = match before {
            Some((first, last)) if last + 1 == number => first,
            _ => number,
        };
        let last = match number.checked_add(1).and_then(|next| self.intervals.remove(&next)) {
            Some(last) => last,
            None => number,
        };
        self.intervals.insert(first, last);
        true
    }
}

impl Free {
    /// Takes all numbers from `first` to `last`, as far as they are free.
    pub(crate) fn take_all(&mut self, first: u128, last: u128) {
        let mut parts: Vec<(u128, u128)> = self.intervals.range(first..=last).map(|(a, b)| (*a, *b)).collect();
        parts.extend(self.intervals.range(..first).next_back().map(|(a, b)| (*a, *b)).filter(|(_, b)| *b >= first));
        for (a, b) in parts {
            self.intervals.remove(&a);
            if a < first {
                self.intervals.insert(a, first - 1);
            }
            if b > last {
                self.intervals.insert(last + 1, b);
            }
        }
    }

    /// Makes all numbers from `first` to `last` free.
    pub(crate) fn give_all(&mut self, first: u128, last: u128) {
        self.take_all(first, last);
        let before = self.intervals.range(..first).next_back().map(|(a, b)| (*a, *b));
        let first = match before {
            Some((a, b)) if b + 1 == first => a,
            _ => first,
        };
        let last = last.checked_add(1).and_then(|next| self.intervals.remove(&next)).unwrap_or(last);
        self.intervals.insert(first, last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_edges_of_the_number_space_can_be_taken_and_given() {
        let mut free = Free::all(0, u128::MAX);
        assert!(free.take(0) && free.take(u128::MAX) && !free.take(0));
        assert_eq!(free.first(), Some(1));
        assert!(free.give(u128::MAX) && free.give(0) && !free.give(0));
        assert_eq!(free, Free::all(0, u128::MAX));
    }

    proptest! {
        #[test]
        fn ranges_are_taken_and_given_like_their_numbers(steps in proptest::collection::vec((any::<bool>(), 5u128..=35, 0u128..9), 0..60)) {
            let mut free = Free::all(5, 35);
            let mut set: BTreeSet<u128> = (5..=35).collect();
            for (take, first, more) in steps {
                let last = (first + more).min(35);
                if take {
                    free.take_all(first, last);
                    set.retain(|number| !(first..=last).contains(number));
                } else {
                    free.give_all(first, last);
                    set.extend(first..=last);
                }
                let numbers: BTreeSet<u128> = free.intervals.iter().flat_map(|(first, last)| *first..=*last).collect();
                prop_assert_eq!(&numbers, &set);
                let touching = free.intervals.iter().zip(free.intervals.iter().skip(1)).any(|((_, last), (first, _))| last + 1 >= *first);
                prop_assert!(!touching);
            }
        }

        #[test]
        fn behaves_like_a_set_of_numbers(steps in proptest::collection::vec((any::<bool>(), 0u128..40), 0..200)) {
            let mut free = Free::all(5, 35);
            let mut set: BTreeSet<u128> = (5..=35).collect();
            for (take, number) in steps {
                if take {
                    prop_assert_eq!(free.take(number), set.remove(&number));
                } else if (5..=35).contains(&number) {
                    prop_assert_eq!(free.give(number), set.insert(number));
                }
                prop_assert_eq!(free.first(), set.first().copied());
                let touching = free.intervals.iter().zip(free.intervals.iter().skip(1)).any(|((_, last), (first, _))| last + 1 >= *first);
                prop_assert!(!touching);
            }
        }
    }
}
