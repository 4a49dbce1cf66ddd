use super::*;
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::BTreeMap;

/// A value that counts how often it is compared.
#[derive(Debug)]
struct Counted<'a>(u32, &'a Cell<usize>);

impl PartialEq for Counted<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.1.set(self.1.get() + 1);
        self.0 == other.0
    }
}

fn depth<K, V>(link: &Link<K, V>) -> usize {
    link.as_ref().map_or(0, |node| 1 + depth(&node.left).max(depth(&node.right)))
}

fn is_balanced<K, V>(link: &Link<K, V>) -> bool {
    let Some(node) = link else { return true };
    let (left, right) = (weight(&node.left), weight(&node.right));
    left * DELTA >= right && right * DELTA >= left && is_balanced(&node.left) && is_balanced(&node.right)
}

/// Nodes of `link` that are not among those of `other`.
fn own<K: Ord, V>(link: &Link<K, V>, other: &Tree<K, V>) -> usize {
    let Some(node) = link else { return 0 };
    let mut at = &other.0;
    while let Some(there) = at {
        if Arc::ptr_eq(there, node) {
            return 0;
        }
        at = match node.entry.0.cmp(&there.entry.0) {
            Ordering::Less => &there.left,
            Ordering::Greater => &there.right,
            Ordering::Equal => break,
        };
    }
    1 + own(&node.left, other) + own(&node.right, other)
}

#[test]
fn a_change_touches_a_path_and_the_rest_stays_shared() {
    let compared = Cell::new(0);
    let many: Tree<u32, Counted<'_>> = (0..50_000).map(|key| (key, Counted(0, &compared))).collect();
    assert!(depth(&many.0) <= 30 && is_balanced(&many.0));
    for change in [0, 1, 24_999, 31_313, 49_999, 50_000] {
        let mut changed = many.clone();
        changed.insert(change, Counted(1, &compared));
        assert!(own(&changed.0, &many) <= 40, "{change}: {} nodes are new", own(&changed.0, &many));
        compared.set(0);
        let mut seen = Vec::new();
        changed.since(&many, |key, old, new| seen.push((*key, old.map(|it| it.0), new.map(|it| it.0))));
        assert_eq!(seen, [(change, many.get(&change).map(|_| 0), Some(1))]);
        assert!(compared.get() <= 2, "{change}: {} values were compared", compared.get());
        assert_ne!(changed, many);

        changed.remove(&change);
        let mut gone = Vec::new();
        changed.since(&many, |key, _, new| gone.push((*key, new.is_some())));
        let expected = if many.contains_key(&change) { vec![(change, false)] } else { vec![] };
        assert_eq!(gone, expected);
    }
}

proptest! {
    #[test]
    fn it_is_the_same_map_as_the_standard_one(edits in prop::collection::vec((0_u8..60, prop::option::of(0_u8..4)), 0..200)) {
        let (mut tree, mut map) = (Tree::new(), BTreeMap::new());
        let mut copies = Vec::new();
        for (key, value) in edits {
            match value {
                Some(value) => {
                    tree.insert(key, value);
                    map.insert(key, value);
                }
                None => prop_assert_eq!(tree.remove(&key), map.remove(&key).is_some()),
            }
            prop_assert!(is_balanced(&tree.0));
            prop_assert_eq!(tree.len(), map.len());
            prop_assert_eq!(tree.get(&key), map.get(&key));
            copies.push((tree.clone(), map.clone()));
        }
        for (copy, before) in &copies {
            prop_assert!(copy.iter().eq(before.iter()), "a copy stays as it was");
            let mut seen = BTreeMap::new();
            tree.since(copy, |key, old, new| {
                seen.insert(*key, (old.copied(), new.copied()));
            });
            let keys = before.keys().chain(map.keys());
            let expected: BTreeMap<_, _> = keys
                .map(|key| (*key, (before.get(key).copied(), map.get(key).copied())))
                .filter(|(_, (old, new))| old != new)
                .collect();
            prop_assert_eq!(&seen, &expected);
            prop_assert_eq!(*copy == tree, *before == map);
        }
    }
}
