//! Claims: who says it owns what, and which of two claims is the better one.
//!
//! A claim carries an epoch, a hybrid logical counter: `max(highest seen + 1, milliseconds)` in the upper 48 bits, and in the lower 16 bits a mark of
//! the claimant, so that two nodes never make the same one. Of two claims the better is the larger of (quorate, epoch, score, node): a side that had a
//! majority beats one that had not, however new; then the newer one wins; the rest only makes the order total.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::node::NodeId;
use crate::order::score;
use crate::wire::Vip;

/// What a node says about an address it owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) epoch: u64,
    pub(crate) quorate: bool,
    pub(crate) reason: u8,
}

/// The place of a claim in the total order.
pub(crate) fn standing(claim: &Claim, node: NodeId, ip: IpAddr) -> (bool, u64, u64, NodeId) {
    (claim.quorate, claim.epoch, score(node, ip), node)
}

/// An epoch above everything seen.
pub(crate) fn next_epoch(node: NodeId, seen: u64, clock_ms: u64) -> u64 {
    const MOST: u64 = (1 << 48) - 1;
    let count = (seen >> 16).saturating_add(1).max(clock_ms).min(MOST);
    count << 16 | node.0 & 0xFFFF
}

/// All claims of one node, with a digest that two nodes compare instead of the claims.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClaimSet {
    claims: BTreeMap<Vip, Claim>,
    digest: u64,
}

impl ClaimSet {
    pub(crate) fn get(&self, vip: Vip) -> Option<&Claim> {
        self.claims.get(&vip)
    }

    pub(crate) fn insert(&mut self, vip: Vip, claim: Claim) {
        self.remove(vip);
        self.digest ^= fingerprint(vip, &claim);
        self.claims.insert(vip, claim);
    }

    pub(crate) fn remove(&mut self, vip: Vip) -> Option<Claim> {
        let claim = self.claims.remove(&vip)?;
        self.digest ^= fingerprint(vip, &claim);
        Some(claim)
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    pub(crate) fn len(&self) -> usize {
        self.claims.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Vip, &Claim)> {
        self.claims.iter().map(|(vip, claim)| (*vip, claim))
    }

    pub(crate) fn between(&self, first: Vip, last: Vip) -> impl Iterator<Item = (Vip, &Claim)> {
        self.claims.range(first..=last).map(|(vip, claim)| (*vip, claim))
    }
}

/// The mark of one claim: what decides (not the reason), mixed by the finaliser of SplitMix64. Not a secret and not collision-proof against
/// an attacker; it travels sealed between nodes that trust each other.
fn fingerprint(vip: Vip, claim: &Claim) -> u64 {
    let mut sum = 0x9E37_79B9_7F4A_7C15_u64 ^ u64::from(claim.quorate);
    for part in [(vip.0 >> 64) as u64, vip.0 as u64, claim.epoch] {
        sum = (sum ^ part).wrapping_add(0x9E37_79B9_7F4A_7C15);
        sum = (sum ^ sum >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        sum = (sum ^ sum >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        sum ^= sum >> 31;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(quorate: bool, epoch: u64) -> Claim {
        Claim { epoch, quorate, reason: 0 }
    }

    #[test]
    fn a_majority_beats_a_newer_minority_and_then_the_newer_wins() {
        let ip = "192.0.2.1".parse().unwrap();
        let (a, b) = (NodeId(1), NodeId(2));
        assert!(standing(&claim(true, 5), a, ip) > standing(&claim(false, 9), b, ip));
        assert!(standing(&claim(true, 6), b, ip) > standing(&claim(true, 5), a, ip));
        assert_ne!(standing(&claim(true, 5), a, ip), standing(&claim(true, 5), b, ip));
    }

    #[test]
    fn an_epoch_is_above_what_was_seen_and_marks_its_claimant() {
        let (a, b) = (NodeId(0x1_0001), NodeId(0x2_0002));
        assert!(next_epoch(a, 77 << 16 | 0xFFFF, 5) > (77 << 16 | 0xFFFF));
        assert!(next_epoch(a, 0, 1_700_000_000_000) > next_epoch(a, 0, 5));
        assert_ne!(next_epoch(a, 77, 5), next_epoch(b, 77, 5));
        assert_eq!(next_epoch(a, u64::MAX, u64::MAX) >> 16, (1 << 48) - 1, "a poisoned counter stays at its end");
    }

    #[test]
    fn the_digest_tells_sets_apart_and_forgets_history() {
        let mut set = ClaimSet::default();
        set.insert(Vip(1), claim(true, 5));
        let one = set.digest();
        set.insert(Vip(2), claim(true, 6));
        assert_ne!(set.digest(), one);
        set.insert(Vip(2), claim(false, 6));
        set.remove(Vip(2));
        set.remove(Vip(3));
        assert_eq!((set.digest(), set.len()), (one, 1));
        set.remove(Vip(1));
        assert_eq!(set.digest(), 0);
    }
}
