//! In which order the candidates of an address come: rendezvous hashing, which every node computes alike.
//!
//! The score of a node for an address is the first eight bytes, big-endian, of `SHA-256(node (8 bytes, big-endian) || address (16 bytes))`; the
//! highest comes first. When a node dies its addresses spread over all others, and no other address changes its order. All weights are one; a weight
//! would turn the score `u` (as a fraction) into `-w / ln(u)`, which keeps this order where weights are equal.

use std::cmp::Reverse;
use std::net::IpAddr;

use crate::node::{NodeId, short_hash};
use crate::wire::Vip;

/// How much this node is meant for this address.
pub(crate) fn score(node: NodeId, ip: IpAddr) -> u64 {
    short_hash(&[&node.0.to_be_bytes(), &Vip::from(ip).0.to_be_bytes()])
}

/// The candidates, best first.
pub(crate) fn ranking(candidates: impl IntoIterator<Item = NodeId>, order_by: IpAddr) -> Vec<NodeId> {
    let mut nodes: Vec<_> = candidates.into_iter().map(|node| (score(node, order_by), node)).collect();
    nodes.sort_unstable_by_key(|scored| Reverse(*scored));
    nodes.into_iter().map(|(_, node)| node).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::Ipv4Addr;

    use super::*;

    fn nodes(count: u64) -> Vec<NodeId> {
        (1..=count).map(|number| NodeId::of(&format!("node-{number}"))).collect()
    }

    #[test]
    fn the_death_of_a_node_moves_only_its_own_addresses_and_spreads_them() {
        let all = nodes(5);
        let mut heirs = BTreeMap::<NodeId, u32>::new();
        for number in 0..1_000_u32 {
            let ip = IpAddr::V4(Ipv4Addr::from_bits(0xC000_0200 + number));
            let before = ranking(all.clone(), ip);
            let after = ranking(all.iter().copied().filter(|node| *node != all[0]), ip);
            let expected: Vec<_> = before.iter().copied().filter(|node| *node != all[0]).collect();
            assert_eq!(after, expected);
            if before[0] == all[0] {
                *heirs.entry(after[0]).or_default() += 1;
            }
        }
        assert_eq!(heirs.len(), 4);
        let (least, most) = (heirs.values().min().copied().unwrap(), heirs.values().max().copied().unwrap());
        assert!(most < 2 * least, "{heirs:?}");
    }

    #[test]
    fn the_order_is_the_same_in_every_version() {
        // printf '\0\0\0\0\0\0\0\1' + 10 zero bytes, ff ff, c0 00 02 01 | sha256sum
        assert_eq!(score(NodeId(1), "192.0.2.1".parse().unwrap()), SCORE);
    }

    const SCORE: u64 = 0xe648d7ca52ad90d2;
}
