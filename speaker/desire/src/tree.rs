//! An ordered map whose copies share what they have in common.
//!
//! A speaker hands its whole picture on whenever something changes, and whoever gets it looks for what differs from the last one. With fifty
//! thousand Services neither may cost fifty thousand steps: here a copy costs nothing, a change O(log n), and the differences between two copies
//! cost O(log n) for each, since what both share is skipped unseen.
//!
//! A weight-balanced tree (Adams; balance parameters 3 and 2 after Hirai and Yamamoto) of shared nodes that never change. No order of
//! insertions makes it deep, so that nobody who chooses names can.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// An ordered map; see the module.
pub struct Tree<K, V>(Link<K, V>);

type Link<K, V> = Option<Arc<Node<K, V>>>;

struct Node<K, V> {
    entry: Arc<(K, V)>,
    left: Link<K, V>,
    right: Link<K, V>,
    size: usize,
}

/// A side may be at most so many times as heavy as the other one.
const DELTA: usize = 3;
/// From this proportion on within the heavy side, one rotation is not enough.
const RATIO: usize = 2;

impl<K: Ord, V> Tree<K, V> {
    /// An empty map.
    pub fn new() -> Self {
        Self(None)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        size(&self.0)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        let mut link = &self.0;
        while let Some(node) = link {
            link = match key.cmp(&node.entry.0) {
                Ordering::Less => &node.left,
                Ordering::Greater => &node.right,
                Ordering::Equal => return Some(&node.entry.1),
            };
        }
        None
    }

    /// Whether there is a value for a key.
    pub fn contains_key(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// Gives a key a value.
    pub fn insert(&mut self, key: K, value: V) {
        self.0 = insert(&self.0, Arc::new((key, value)));
    }

    /// Takes a key out; returns whether it was there.
    pub fn remove(&mut self, key: &K) -> bool {
        let there = self.contains_key(key);
        if there {
            let (left, _, right) = split(&self.0, key);
            self.0 = merge(left, right);
        }
        there
    }

    /// The entries in the order of the keys.
    pub fn iter(&self) -> Iter<'_, K, V> {
        let mut iter = Iter(Vec::new());
        iter.descend(&self.0);
        iter
    }

    /// The keys in order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    /// The values in the order of the keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }
}

impl<K: Ord, V: PartialEq> Tree<K, V> {
    /// Hands everything in which `self` differs from `before` to `each`, in the order of the keys: the key, its value before, and its value
    /// here.
    pub fn since<'a>(&'a self, before: &'a Self, mut each: impl FnMut(&K, Option<&V>, Option<&V>)) {
        compare(&before.0, &self.0, &mut |key, old, new| {
            each(key, old, new);
            true
        });
    }
}

/// Walks through two trees where they are not the same in memory, until `each` says that it has seen enough.
fn compare<K: Ord, V: PartialEq>(
    old: &Link<K, V>,
    new: &Link<K, V>,
    each: &mut impl FnMut(&K, Option<&V>, Option<&V>) -> bool,
) -> bool {
    match (old, new) {
        (None, None) => true,
        (Some(a), Some(b)) if Arc::ptr_eq(a, b) => true,
        (Some(a), None) => {
            compare(&a.left, &None, each) && each(&a.entry.0, Some(&a.entry.1), None) && compare(&a.right, &None, each)
        }
        (None, Some(b)) => {
            compare(&None, &b.left, each) && each(&b.entry.0, None, Some(&b.entry.1)) && compare(&None, &b.right, each)
        }
        (Some(a), Some(_)) => {
            let (left, middle, right) = split(new, &a.entry.0);
            let (key, value) = &*a.entry;
            let same = middle.as_ref().is_some_and(|entry| Arc::ptr_eq(entry, &a.entry) || entry.1 == *value);
            compare(&a.left, &left, each)
                && (same || each(key, Some(value), middle.as_ref().map(|entry| &entry.1)))
                && compare(&a.right, &right, each)
        }
    }
}

fn size<K, V>(link: &Link<K, V>) -> usize {
    link.as_ref().map_or(0, |node| node.size)
}

fn weight<K, V>(link: &Link<K, V>) -> usize {
    size(link) + 1
}

fn node<K, V>(left: Link<K, V>, entry: Arc<(K, V)>, right: Link<K, V>) -> Link<K, V> {
    let size = size(&left) + size(&right) + 1;
    Some(Arc::new(Node { entry, left, right, size }))
}

/// A node over two sides of which one may have become too heavy by one change.
fn balance<K, V>(left: Link<K, V>, entry: Arc<(K, V)>, right: Link<K, V>) -> Link<K, V> {
    if let Some(heavy) = &right
        && weight(&left) * DELTA < weight(&right)
    {
        let (inner, outer) = (&heavy.left, heavy.right.clone());
        return match inner {
            Some(pivot) if weight(inner) >= RATIO * weight(&outer) => node(
                node(left, entry, pivot.left.clone()),
                Arc::clone(&pivot.entry),
                node(pivot.right.clone(), Arc::clone(&heavy.entry), outer),
            ),
            _ => node(node(left, entry, inner.clone()), Arc::clone(&heavy.entry), outer),
        };
    }
    if let Some(heavy) = &left
        && weight(&right) * DELTA < weight(&left)
    {
        let (outer, inner) = (heavy.left.clone(), &heavy.right);
        return match inner {
            Some(pivot) if weight(inner) >= RATIO * weight(&outer) => node(
                node(outer, Arc::clone(&heavy.entry), pivot.left.clone()),
                Arc::clone(&pivot.entry),
                node(pivot.right.clone(), entry, right),
            ),
            _ => node(outer, Arc::clone(&heavy.entry), node(inner.clone(), entry, right)),
        };
    }
    node(left, entry, right)
}

/// A node over two sides of any weights, all keys of the left one smaller and all of the right one larger.
fn join<K, V>(left: Link<K, V>, entry: Arc<(K, V)>, right: Link<K, V>) -> Link<K, V> {
    match (&left, &right) {
        (_, Some(heavy)) if weight(&left) * DELTA < weight(&right) => {
            balance(join(left, entry, heavy.left.clone()), Arc::clone(&heavy.entry), heavy.right.clone())
        }
        (Some(heavy), _) if weight(&right) * DELTA < weight(&left) => {
            balance(heavy.left.clone(), Arc::clone(&heavy.entry), join(heavy.right.clone(), entry, right))
        }
        _ => node(left, entry, right),
    }
}

fn merge<K, V>(left: Link<K, V>, right: Link<K, V>) -> Link<K, V> {
    match take_first(&right) {
        Some((first, rest)) => join(left, first, rest),
        None => left,
    }
}

type First<K, V> = (Arc<(K, V)>, Link<K, V>);

fn take_first<K, V>(link: &Link<K, V>) -> Option<First<K, V>> {
    let here = link.as_ref()?;
    Some(match take_first(&here.left) {
        Some((first, rest)) => (first, balance(rest, Arc::clone(&here.entry), here.right.clone())),
        None => (Arc::clone(&here.entry), here.right.clone()),
    })
}

fn insert<K: Ord, V>(link: &Link<K, V>, entry: Arc<(K, V)>) -> Link<K, V> {
    let Some(here) = link else { return node(None, entry, None) };
    match entry.0.cmp(&here.entry.0) {
        Ordering::Less => balance(insert(&here.left, entry), Arc::clone(&here.entry), here.right.clone()),
        Ordering::Greater => balance(here.left.clone(), Arc::clone(&here.entry), insert(&here.right, entry)),
        Ordering::Equal => node(here.left.clone(), entry, here.right.clone()),
    }
}

type Halves<K, V> = (Link<K, V>, Option<Arc<(K, V)>>, Link<K, V>);

/// What is smaller than a key, what has it, and what is larger.
fn split<K: Ord, V>(link: &Link<K, V>, key: &K) -> Halves<K, V> {
    let Some(here) = link else { return (None, None, None) };
    match key.cmp(&here.entry.0) {
        Ordering::Equal => (here.left.clone(), Some(Arc::clone(&here.entry)), here.right.clone()),
        Ordering::Less => {
            let (smaller, found, larger) = split(&here.left, key);
            (smaller, found, join(larger, Arc::clone(&here.entry), here.right.clone()))
        }
        Ordering::Greater => {
            let (smaller, found, larger) = split(&here.right, key);
            (join(here.left.clone(), Arc::clone(&here.entry), smaller), found, larger)
        }
    }
}

/// The entries of a [`Tree`] in order.
pub struct Iter<'a, K, V>(Vec<&'a Node<K, V>>);

impl<'a, K, V> Iter<'a, K, V> {
    fn descend(&mut self, mut link: &'a Link<K, V>) {
        while let Some(node) = link {
            self.0.push(node);
            link = &node.left;
        }
    }
}

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        let node = self.0.pop()?;
        self.descend(&node.right);
        Some((&node.entry.0, &node.entry.1))
    }
}

impl<'a, K: Ord, V> IntoIterator for &'a Tree<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for Tree<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut tree = Self::new();
        entries.into_iter().for_each(|(key, value)| tree.insert(key, value));
        tree
    }
}

impl<K: Ord, V, const N: usize> From<[(K, V); N]> for Tree<K, V> {
    fn from(entries: [(K, V); N]) -> Self {
        entries.into_iter().collect()
    }
}

impl<K, V> Clone for Tree<K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, V> Default for Tree<K, V> {
    fn default() -> Self {
        Self(None)
    }
}

impl<K: Ord, V: PartialEq> PartialEq for Tree<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && compare(&self.0, &other.0, &mut |_, _, _| false)
    }
}

impl<K: Ord, V: Eq> Eq for Tree<K, V> {}

impl<K: Ord + fmt::Debug, V: fmt::Debug> fmt::Debug for Tree<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests;
