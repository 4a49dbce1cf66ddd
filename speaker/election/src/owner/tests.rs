//! The question of ownership, asked of one machine that two members talk to.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use super::*;
use crate::vocabulary::{Event, Settings, Wanted, Witness};
use crate::wire::Key;
use crate::{Timing, vocabulary::Action};

const ME: NodeId = NodeId(1);
const A: NodeId = NodeId(2);
const B: NodeId = NodeId(3);

fn ip() -> IpAddr {
    "2001:db8::1".parse().unwrap()
}

/// A machine that has listened, hears `A` and `B`, and may or may not own the address itself.
fn machine(candidates: &[NodeId]) -> (Election, Instant) {
    #[expect(clippy::disallowed_methods, reason = "the one instant from which the test's time is counted")]
    let start = Instant::now();
    let key = Key::from_secret(&[7; 32]).unwrap();
    let settings =
        Settings { node: ME, incarnation: 1, timing: Timing::DEFAULT, key, seed: 1, witness: Witness::Neighbour };
    let mut election = Election::new(settings, start);
    let member = |node: NodeId| (node, SocketAddr::new("192.0.2.9".parse().unwrap(), node.0 as u16));
    let address =
        Address { candidates: candidates.iter().copied().collect(), preference: BTreeMap::new(), order_by: ip() };
    let wanted = Wanted { members: [member(A), member(B)].into(), addresses: BTreeMap::from([(ip(), address)]) };
    election.set(start, wanted);
    let now = start + Timing::DEFAULT.learn() - Duration::from_millis(1);
    pass(&mut election, start, now);
    hear(&mut election, now, &[A, B]);
    (election, now + Duration::from_millis(1))
}

/// Lets time pass without a stall, both members being heard.
fn pass(election: &mut Election, from: Instant, to: Instant) {
    let mut now = from;
    while now < to {
        now = to.min(now + Timing::DEFAULT.heartbeat());
        hear(election, now, &[A, B]);
        election.handle(now, Event::Tick);
    }
}

fn hear(election: &mut Election, now: Instant, nodes: &[NodeId]) {
    for node in nodes {
        let member = election.members.get_mut(node).unwrap();
        member.hear(now, Flags::default());
        let your_age = Some(Duration::ZERO);
        member.report = Some(crate::member::Report {
            at: now,
            your_age,
            your_seq: 0,
            heard: BTreeMap::new(),
            refused: BTreeSet::new(),
        });
        member.digest = member.claims.digest();
    }
}

fn claims(election: &mut Election, node: NodeId, epoch: u64, quorate: bool) {
    election.note_claim(node, ip().into(), Some(Claim { epoch, quorate, reason: 0 }), 0);
    let digest = election.members[&node].claims.digest();
    election.members.get_mut(&node).unwrap().digest = digest;
}

fn actions(election: &mut Election) -> Vec<Action> {
    std::iter::from_fn(|| election.poll()).collect()
}

#[test]
fn a_claim_is_sent_before_its_gain() {
    let (mut election, now) = machine(&[ME]);
    actions(&mut election);
    election.handle(now, Event::Tick);
    let actions = actions(&mut election);
    let gain = actions
        .iter()
        .position(|action| matches!(action, Action::Gain { reason: GainReason::FirstOwner, .. }))
        .unwrap();
    let sends = actions[..gain].iter().filter(|action| matches!(action, Action::Send { .. })).count();
    assert_eq!(sends, 2, "to each member, {actions:?}");
    assert!(election.answers_for(ip()));
}

#[test]
fn while_a_majoritys_claim_lives_no_lower_epoch_and_no_minority_is_accepted() {
    let (mut election, now) = machine(&[A, B]);
    let owner = |election: &Election| election.owners()[&ip()].map(|owner| (owner.node, owner.epoch >> 16));
    claims(&mut election, A, 7 << 16, true);
    assert_eq!(owner(&election), Some((A, 7)));
    claims(&mut election, B, 5 << 16, true);
    assert_eq!(owner(&election), Some((A, 7)), "lower");
    claims(&mut election, B, 9 << 16, false);
    assert_eq!(owner(&election), Some((A, 7)), "newer, but made alone");
    election.handle(now, Event::Tick);
    assert_eq!(owner(&election), Some((A, 7)), "and time changes nothing");
    claims(&mut election, B, 9 << 16, true);
    assert_eq!(owner(&election), Some((B, 9)));
}

#[test]
fn a_claim_is_above_all_that_its_claimant_has_seen() {
    let (mut election, now) = machine(&[ME]);
    claims(&mut election, A, 1 << 60, true);
    election.note_claim(A, ip().into(), None, LoseReason::Leaving as u8);
    election.handle(now, Event::Tick);
    assert!(election.owners()[&ip()].is_some_and(|owner| owner.node == ME && owner.epoch > 1 << 60));
}

#[test]
fn an_address_with_a_live_owner_is_not_claimed_whatever_the_order_says() {
    let (mut election, now) = machine(&[ME, A]);
    claims(&mut election, A, 5 << 16, true);
    election.handle(now, Event::Tick);
    assert!(!actions(&mut election).iter().any(|action| matches!(action, Action::Gain { .. })));
}

#[test]
fn the_loser_is_silent_before_anything_else_and_names_the_winner() {
    let (mut election, now) = machine(&[ME]);
    election.handle(now, Event::Tick);
    actions(&mut election);
    claims(&mut election, B, u64::MAX, true);
    election.handle(now, Event::Tick);
    assert_eq!(actions(&mut election)[0], Action::Lose { ip: ip(), reason: LoseReason::BetterClaim, to: Some(B) });
    assert!(!election.answers_for(ip()));
}

#[test]
fn nothing_is_claimed_from_a_member_whose_claims_are_not_known_yet() {
    let (mut election, now) = machine(&[ME, A]);
    election.members.get_mut(&A).unwrap().digest = 77;
    election.handle(now, Event::Tick);
    assert!(!election.answers_for(ip()));
    pass(&mut election, now, now + Timing::DEFAULT.step() + Timing::DEFAULT.heartbeat());
    assert!(election.answers_for(ip()), "whichever of the two comes first");
}
