//! What is known of one kind: which of its objects cannot be read, and whether it was ever listed.

use herald_runtime::watch::{Change, Key};
use std::collections::{BTreeMap, BTreeSet};

/// Keeps an index of one kind equal to what the API server says.
pub(super) struct Kind {
    name: &'static str,
    listed: bool,
    unreadable: BTreeMap<Key, String>,
}

impl Kind {
    /// A kind that nothing is known of yet; `name` is for logs.
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, listed: false, unreadable: BTreeMap::new() }
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Whether the whole kind was seen once.
    pub(super) fn is_listed(&self) -> bool {
        self.listed
    }

    /// The objects that cannot be read, and why.
    pub(super) fn unreadable(&self) -> impl Iterator<Item = (&Key, &str)> {
        self.unreadable.iter().map(|(key, error)| (key, error.as_str()))
    }

    /// Applies a change to an index whose keys `name` makes, and hands every object that is different now to `touched`: what it was and what
    /// it is. An object that cannot be read stays as it was last known. Returns whether there is any news at all.
    pub(super) fn apply<N: Ord + Clone, T: PartialEq>(
        &mut self,
        index: &mut BTreeMap<N, T>,
        name: impl Fn(&Key) -> N,
        change: Change<T>,
        mut touched: impl FnMut(&N, Option<&T>, Option<&T>),
    ) -> bool {
        let mut news = false;
        let mut put = |index: &mut BTreeMap<N, T>, name: N, object: T| {
            let old = index.get(&name);
            if old == Some(&object) {
                return false;
            }
            touched(&name, old, Some(&object));
            index.insert(name, object);
            true
        };
        match change {
            Change::Reset { objects, invalid } => {
                news |= !std::mem::replace(&mut self.listed, true);
                let unreadable: BTreeMap<_, _> = invalid.into_iter().collect();
                let there: BTreeSet<N> = objects.keys().chain(unreadable.keys()).map(&name).collect();
                for (key, object) in objects {
                    news |= put(index, name(&key), object);
                }
                let gone: Vec<N> = index.keys().filter(|name| !there.contains(name)).cloned().collect();
                for name in gone {
                    touched(&name, index.remove(&name).as_ref(), None);
                    news = true;
                }
                for (key, error) in &unreadable {
                    self.complain(key, error);
                }
                news |= self.unreadable != unreadable;
                self.unreadable = unreadable;
            }
            Change::Apply(key, object) => {
                news |= self.unreadable.remove(&key).is_some();
                news |= put(index, name(&key), object);
            }
            Change::Delete(key) => {
                news |= self.unreadable.remove(&key).is_some();
                if let Some(old) = index.remove(&name(&key)) {
                    touched(&name(&key), Some(&old), None);
                    news = true;
                }
            }
            Change::Invalid(key, error) => {
                self.complain(&key, &error);
                news |= self.unreadable.insert(key, error.clone()) != Some(error);
            }
        }
        news
    }

    fn complain(&self, key: &Key, error: &str) {
        if self.unreadable.get(key).is_none_or(|known| known != error) {
            tracing::warn!(kind = self.name, object = %key, error, "object cannot be read, what was known of it stays in force");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Touched = Vec<(String, Option<u8>, Option<u8>)>;

    struct Numbers(Kind, BTreeMap<String, u8>);

    impl Numbers {
        fn new() -> Self {
            Self(Kind::new("Number"), BTreeMap::new())
        }

        /// What was touched, and whether there was news.
        fn apply(&mut self, change: Change<u8>) -> (Touched, bool) {
            let mut touched = Vec::new();
            let note = |name: &String, old: Option<&u8>, new: Option<&u8>| {
                touched.push((name.clone(), old.copied(), new.copied()));
            };
            let news = self.0.apply(&mut self.1, |key| key.name.clone(), change, note);
            (touched, news)
        }
    }

    fn key(name: &str) -> Key {
        Key { namespace: "default".to_owned(), name: name.to_owned() }
    }

    fn list(objects: &[(&str, u8)], invalid: &[&str]) -> Change<u8> {
        Change::Reset {
            objects: objects.iter().map(|(name, number)| (key(name), *number)).collect(),
            invalid: invalid.iter().map(|name| (key(name), "not a number".to_owned())).collect(),
        }
    }

    #[test]
    fn a_list_touches_only_what_differs() {
        let mut numbers = Numbers::new();
        assert!(numbers.apply(list(&[], &[])).1, "that there is nothing is news once");
        assert!(!numbers.apply(list(&[], &[])).1);
        numbers.apply(list(&[("a", 1), ("b", 2), ("c", 3)], &[]));
        let again = numbers.apply(list(&[("a", 1), ("b", 4)], &[]));
        let expected = vec![("b".to_owned(), Some(2), Some(4)), ("c".to_owned(), Some(3), None)];
        assert_eq!(again, (expected, true), "a is as it was");
        assert_eq!(numbers.apply(list(&[("a", 1), ("b", 4)], &[])), (vec![], false));
    }

    #[test]
    fn an_object_that_cannot_be_read_stays_as_it_was_known() {
        let mut numbers = Numbers::new();
        numbers.apply(Change::Apply(key("a"), 1));
        let invalid = || Change::Invalid(key("a"), "not a number".to_owned());
        assert_eq!(numbers.apply(invalid()), (vec![], true), "it is a problem now");
        assert_eq!(numbers.apply(invalid()), (vec![], false), "still the same");
        numbers.apply(list(&[], &["a"]));
        assert_eq!(numbers.1, [("a".to_owned(), 1)].into());
        assert_eq!(numbers.0.unreadable().collect::<Vec<_>>(), [(&key("a"), "not a number")]);

        assert_eq!(numbers.apply(Change::Apply(key("a"), 1)), (vec![], true), "mended, as it was");
        assert_eq!(numbers.0.unreadable().count(), 0);
        numbers.apply(invalid());
        let gone = vec![("a".to_owned(), Some(1), None)];
        assert_eq!(numbers.apply(Change::Delete(key("a"))), (gone, true), "a delete acts by key");
        assert_eq!(numbers.0.unreadable().count(), 0);
    }
}
