//! In which order the candidates of an address come: rendezvous hashing, which every node computes alike.
//!
//! The score of a node for an address is the first eight bytes, big-endian, of `SHA-256(node (8 bytes, big-endian) || address (16 bytes))`; the
//! highest comes first. When a node dies its addresses spread over all others, and no other address changes its order. All weights are one; a weight
//! would turn the score `u` (as a fraction) into `-w / ln(u)`, which keeps this order where weights are equal.

use std::cmp::Reverse;
use std::net::IpAddr;

use crate::node::{NodeId, short_hash};
use crate::vocabulary::Address;
use crate::wire::Vip;

/// How much this node is meant for this address.
pub(crate) fn score(node: NodeId, ip: IpAddr) -> u64 {
    short_hash(&[&node.0.to_be_bytes(), &Vip::from(ip).0.to_be_bytes()])
}

/// The candidates, best first: by preference, and by score among those equally preferred.
pub(crate) fn ranking(address: &Address) -> Vec<NodeId> {
    let mut nodes: Vec<_> = address.candidates.iter().copied().collect();
    nodes.sort_by_cached_key(|node| {
        Reverse((address.preference.get(node).copied().unwrap_or_default(), score(*node, address.order_by), *node))
    });
    nodes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::Ipv4Addr;

    use super::*;

    fn address(candidates: impl IntoIterator<Item = NodeId>, order_by: IpAddr) -> Address {
        Address { candidates: candidates.into_iter().collect(), preference: BTreeMap::new(), order_by }
    }

    fn nodes(count: u64) -> Vec<NodeId> {
        (1..=count).map(|number| NodeId::of(&format!("node-{number}"))).collect()
    }

    #[test]
    fn the_death_of_a_node_moves_only_its_own_addresses_and_spreads_them() {
        let all = nodes(5);
        let mut heirs = BTreeMap::<NodeId, u32>::new();
        for number in 0..1_000_u32 {
            let ip = IpAddr::V4(Ipv4Addr::from_bits(0xC000_0200 + number));
            let before = ranking(&address(all.iter().copied(), ip));
            let after = ranking(&address(all.iter().copied().filter(|node| *node != all[0]), ip));
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
    fn a_preferred_node_comes_first_and_score_decides_among_equals() {
        let all = nodes(5);
        let ip = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        let plain = ranking(&address(all.iter().copied(), ip));
        let preference = [(plain[3], 10), (plain[4], 10), (plain[2], 5)].into();
        let preferred = ranking(&Address { preference, ..address(all.iter().copied(), ip) });
        assert_eq!(preferred, [plain[3], plain[4], plain[2], plain[0], plain[1]]);
    }

    #[test]
    fn the_order_is_the_same_in_every_version() {
        // printf '\0\0\0\0\0\0\0\1' + 10 zero bytes, ff ff, c0 00 02 01 | sha256sum
        assert_eq!(score(NodeId(1), "192.0.2.1".parse().unwrap()), SCORE);
    }

    const SCORE: u64 = 0xe648d7ca52ad90d2;
}
