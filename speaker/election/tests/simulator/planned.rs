//! Wishes: leaving, changed candidates, new and removed addresses. At each instant somebody answers (I5).

use std::collections::BTreeMap;
use std::time::Duration;

use herald_election::{Address, GainReason, LoseReason, Observed};

use crate::world::{News, World, ms, vip};

#[test]
fn a_leaving_owner_hands_everything_over_and_somebody_answers_at_every_instant() {
    for seed in 0..40 {
        let loss = if seed % 2 == 0 { 0.0 } else { 0.1 };
        let mut world = World::settled(seed, 3, 4);
        world.every_wire(|wire| wire.loss = loss);
        let (leaver, from) = (world.owner(vip(0)), world.now);
        let held = world.nodes[leaver].owned.len();
        world.leave(leaver);
        world.run(ms(1_500));
        world.check_one_owner();
        for index in 0..4 {
            assert_eq!(
                world.time_with(vip(index), from, |count| count == 0),
                Duration::ZERO,
                "seed {seed}\n{}",
                world.story(40)
            );
        }
        let gains = world.gains_since(from);
        assert_eq!(gains.len(), held, "seed {seed}\n{}", world.story(40));
        assert!(gains.iter().all(|(_, _, news)| matches!(news, News::Gain { reason: GainReason::HandedOver, .. })));
        let left =
            world.log.iter().find(|(at, index, news)| *at >= from && *index == leaver && matches!(news, News::Left));
        let left = left.unwrap_or_else(|| panic!("seed {seed}: did not leave\n{}", world.story(40))).0;
        assert!(left - from <= if loss > 0.0 { ms(250) } else { ms(5) }, "seed {seed}: {:?}", left - from);
        assert!(world.nodes[leaver].owned.is_empty());
    }
}

#[test]
fn a_leaver_is_treated_as_gone_at_once() {
    let mut world = World::settled(2, 3, 1);
    let (leaver, from) = (world.owner(vip(0)), world.now);
    world.leave(leaver);
    world.run(ms(10));
    let id = world.nodes[leaver].id;
    let gone = |seen: &Observed| matches!(seen, Observed::MemberDown { node, evidence: herald_election::Evidence::Left, .. } if *node == id);
    for other in (0..3).filter(|other| *other != leaver) {
        assert!(world.saw(from, |index, seen| index == other && gone(seen)), "{}", world.story(20));
    }
    world.crash(leaver);
    world.run(ms(500));
    let back = world.now;
    world.start(leaver);
    world.run(ms(2_000));
    assert_eq!(world.moves_since(back), 0);
}

#[test]
fn the_last_node_leaves_without_an_heir() {
    let mut world = World::new(1, 1, 1);
    world.start(0);
    world.run(ms(500));
    world.leave(0);
    let news: Vec<_> = world.log.iter().map(|(_, _, news)| news).collect();
    assert!(news.iter().any(|news| matches!(news, News::Lose { reason: LoseReason::Leaving, to: None, .. })));
    assert!(news.iter().any(|news| matches!(news, News::Left)));
}

#[test]
fn an_heir_that_dies_is_passed_over() {
    for seed in 0..20 {
        let mut world = World::settled(seed, 4, 1);
        let (leaver, from) = (world.owner(vip(0)), world.now);
        for other in (0..4).filter(|other| *other != leaver && *other != (leaver + 1) % 4) {
            world.crash(other);
        }
        world.leave(leaver);
        world.run(ms(1_500));
        assert_eq!(world.owner(vip(0)), (leaver + 1) % 4);
        assert_eq!(
            world.time_with(vip(0), from, |count| count == 0),
            Duration::ZERO,
            "seed {seed}\n{}",
            world.story(40)
        );
    }
}

#[test]
fn an_owner_that_is_no_candidate_any_more_hands_over() {
    for seed in 0..20 {
        let mut world = World::settled(seed, 3, 2);
        let (owner, from) = (world.owner(vip(0)), world.now);
        let id = world.nodes[owner].id;
        world.addresses.get_mut(&vip(0)).unwrap().candidates.remove(&id);
        for index in 0..3 {
            // The news reaches everybody at another time.
            let late = ms(world.dice.below(200));
            world.after(late, move |world| world.set(index));
        }
        world.run(ms(1_500));
        assert_ne!(world.owner(vip(0)), owner, "seed {seed}");
        assert_eq!(
            world.time_with(vip(0), from, |count| count == 0),
            Duration::ZERO,
            "seed {seed}\n{}",
            world.story(40)
        );
        assert_eq!(world.gains_since(from).len(), 1, "seed {seed}\n{}", world.story(40));
    }
}

#[test]
fn without_any_candidate_nobody_answers_and_the_reason_is_told() {
    let mut world = World::settled(4, 3, 1);
    let owner = world.owner(vip(0));
    world.addresses.get_mut(&vip(0)).unwrap().candidates.clear();
    world.set_all();
    world.run(ms(500));
    assert!(world.answerers(vip(0)).is_empty());
    let lost = |news: &News| matches!(news, News::Lose { reason: LoseReason::NotCandidate, to: None, .. });
    assert!(world.log.iter().any(|(_, index, news)| *index == owner && lost(news)), "{}", world.story(20));
}

#[test]
fn a_new_address_is_claimed_once_by_the_first_of_its_order() {
    for seed in 0..20 {
        let mut world = World::settled(seed, 3, 2);
        let (from, ip) = (world.now, vip(5));
        let candidates = world.nodes.iter().map(|node| node.id).collect();
        world.addresses.insert(ip, Address { candidates, preference: BTreeMap::new(), order_by: ip });
        world.answering.insert(ip, vec![(world.now, 0)]);
        for index in 0..3 {
            let late = ms(world.dice.below(100));
            world.after(late, move |world| world.set(index));
        }
        world.run(ms(1_000));
        world.check_one_owner();
        let gains = world.gains_since(from);
        assert_eq!(gains.len(), 1, "seed {seed}\n{}", world.story(30));
        assert!(matches!(gains[0].2, News::Gain { reason: GainReason::FirstOwner, from: None, .. }));
    }
}

#[test]
fn a_first_candidate_that_does_not_claim_is_followed_by_the_next() {
    for seed in 0..10 {
        let mut world = World::settled(seed, 3, 1);
        let ip = vip(4);
        let candidates = world.nodes.iter().map(|node| node.id).collect();
        world.addresses.insert(ip, Address { candidates, preference: BTreeMap::new(), order_by: ip });
        world.answering.insert(ip, vec![(world.now, 0)]);
        // One node never hears of it.
        for index in [seed as usize % 3, (seed as usize + 1) % 3] {
            world.set(index);
        }
        world.run(ms(400));
        assert_eq!(world.answerers(ip).len(), 1, "seed {seed}\n{}", world.story(30));
    }
}

#[test]
fn a_removed_address_is_given_up_and_not_fought_over_while_the_news_spreads() {
    for seed in 0..10 {
        let mut world = World::settled(seed, 3, 2);
        let (from, owner) = (world.now, world.owner(vip(0)));
        world.addresses.remove(&vip(0));
        world.set(owner);
        for index in 0..3 {
            let late = ms(world.dice.below(800));
            world.after(late, move |world| world.set(index));
        }
        world.run(ms(3_000));
        assert!(world.answerers(vip(0)).is_empty());
        assert_eq!(world.gains_since(from).len(), 0, "seed {seed}\n{}", world.story(30));
    }
}

#[test]
fn setting_the_same_again_changes_nothing() {
    let mut world = World::settled(9, 3, 3);
    let from = world.now;
    for _ in 0..20 {
        world.set_all();
        world.run(ms(50));
    }
    assert_eq!(world.moves_since(from), 0);
}

#[test]
fn a_thousand_addresses_move_to_all_survivors() {
    let mut world = World::new(36, 4, 400);
    world.answering.clear();
    world.start_all();
    world.run(ms(1_500));
    world.check_one_owner();
    let cut = world.now;
    let held = world.nodes[0].owned.len();
    assert!((60..=140).contains(&held), "{held}\n{}", world.story(9_000));
    world.crash(0);
    world.run(ms(500));
    world.check_one_owner();
    let gains = world.gains_since(cut);
    assert_eq!(gains.len(), held);
    assert!(gains.iter().all(|(at, ..)| *at - cut <= ms(125)));
    for index in 1..4 {
        let share = gains.iter().filter(|(_, heir, _)| *heir == index).count();
        assert!(share * 3 > held / 2 && share * 3 < held * 2, "{share} of {held}");
    }
}
