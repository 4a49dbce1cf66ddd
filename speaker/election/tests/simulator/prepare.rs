//! Make ready before an address comes: shells that are slow or never say so, heirs that die in between, suspicions that are refuted. At each instant
//! somebody answers (I5), and nothing stays prepared.

use std::time::Duration;

use herald_election::{Election, Foresight, GainReason, Observed, Phase};

use crate::storms::fault;
use crate::world::{News, World, ms, vip};

/// The first time since then that a node was asked to prepare for the first address.
fn foreseen(world: &World, since: Duration, expected: Foresight) -> Option<(Duration, usize)> {
    let found = |(at, index, news): &(Duration, usize, News)| match news {
        News::Prepare { ip, why } if *at >= since && *ip == vip(0) && *why == expected => Some((*at, *index)),
        _ => None,
    };
    world.log.iter().find_map(found)
}

fn gained(world: &World, since: Duration) -> (Duration, usize, GainReason) {
    let gains = world.gains_since(since);
    let first = gains.iter().find_map(|(at, index, news)| match news {
        News::Gain { ip, reason, .. } if *ip == vip(0) => Some((*at, *index, *reason)),
        _ => None,
    });
    first.unwrap_or_else(|| panic!("seed {}: nobody gained\n{}", world.seed, world.story(40)))
}

fn never_silent(world: &World, since: Duration) {
    let silent = world.time_with(vip(0), since, |count| count == 0);
    assert_eq!(silent, Duration::ZERO, "seed {}\n{}", world.seed, world.story(40));
}

#[test]
fn an_heir_claims_what_is_offered_when_its_shell_is_ready_and_not_before() {
    for seed in 0..20 {
        let mut world = World::settled(seed, 3, 2);
        for node in &mut world.nodes {
            node.shell = Some(ms(20));
        }
        let (leaver, from) = (world.owner(vip(0)), world.now);
        world.leave(leaver);
        world.run(ms(1_000));
        let (asked, heir) = foreseen(&world, from, Foresight::Offer).unwrap();
        let (at, by, reason) = gained(&world, from);
        assert_eq!((by, reason), (heir, GainReason::HandedOver));
        assert!(at > asked && at - asked <= ms(21), "seed {seed}: {:?}", at - asked);
        assert!(!world.saw(from, |_, seen| matches!(seen, Observed::Unprepared { .. })));
        never_silent(&world, from);
        world.check_one_owner();
        world.check_nothing_is_foreseen();
    }
}

#[test]
fn a_shell_that_never_answers_delays_an_offered_address_by_half_of_t_dead_and_is_told_of() {
    for seed in 0..20 {
        let loss = if seed % 2 == 0 { 0.0 } else { 0.1 };
        let mut world = World::settled(seed, 3, 2);
        world.every_wire(|wire| wire.loss = loss);
        for node in &mut world.nodes {
            node.shell = None;
        }
        let (leaver, from) = (world.owner(vip(0)), world.now);
        world.leave(leaver);
        world.run(ms(1_500));
        let (asked, heir) = foreseen(&world, from, Foresight::Offer).unwrap();
        let (at, by, reason) = gained(&world, from);
        assert_eq!((by, reason), (heir, GainReason::HandedOver));
        assert!(at - asked >= world.timing.dead() / 2 && at - asked <= world.timing.dead() / 2 + ms(2));
        assert!(world.saw(from, |index, seen| index == heir && matches!(seen, Observed::Unprepared { .. })));
        never_silent(&world, from);
        world.check_one_owner();
        world.check_nothing_is_foreseen();
    }
}

#[test]
fn an_heir_that_dies_while_it_makes_ready_is_passed_over() {
    for seed in 0..20 {
        let mut world = World::settled(seed, 4, 1);
        for node in &mut world.nodes {
            node.shell = Some(ms(30));
        }
        let (leaver, from) = (world.owner(vip(0)), world.now);
        world.leave(leaver);
        while foreseen(&world, from, Foresight::Offer).is_none() {
            world.run(ms(1) / 10);
        }
        let (_, heir) = foreseen(&world, from, Foresight::Offer).unwrap();
        world.crash(heir);
        world.run(ms(1_500));
        assert_ne!(world.owner(vip(0)), heir);
        never_silent(&world, from);
        world.check_one_owner();
        world.check_nothing_is_foreseen();
    }
}

#[test]
fn an_owner_that_dies_after_its_offer_is_replaced_as_ever() {
    for seed in 0..20 {
        let mut world = World::settled(seed, 3, 1);
        for node in &mut world.nodes {
            node.shell = None;
        }
        let (owner, from) = (world.owner(vip(0)), world.now);
        world.leave(owner);
        while foreseen(&world, from, Foresight::Offer).is_none() {
            world.run(ms(1) / 10);
        }
        world.crash(owner);
        world.run(ms(1_500));
        world.check_one_owner();
        let silent = world.time_with(vip(0), from, |count| count == 0);
        assert!(silent <= ms(125), "seed {seed}: {silent:?}\n{}", world.story(40));
        world.check_nothing_is_foreseen();
    }
}

#[test]
fn who_will_take_a_dead_owners_address_knows_before_it_does_and_waits_for_nothing() {
    for seed in 0..20 {
        let mut world = World::settled(seed, 3, 2);
        for node in &mut world.nodes {
            node.shell = None;
        }
        let (owner, cut) = (world.owner(vip(0)), world.now);
        world.crash(owner);
        world.run(ms(1_000));
        let (asked, foreseer) = foreseen(&world, cut, Foresight::Suspicion).unwrap();
        let (at, heir, reason) = gained(&world, cut);
        assert_eq!((heir, reason), (foreseer, GainReason::TookOver), "seed {seed}\n{}", world.story(40));
        assert!(at - asked >= ms(10) && at - cut <= ms(125), "seed {seed}: {:?}, {:?}", at - asked, at - cut);
        world.check_nothing_is_foreseen();
    }
}

#[test]
fn a_suspicion_that_is_refuted_calls_everything_off() {
    for seed in 0..20 {
        let mut world = World::settled(seed, 3, 2);
        let (owner, from) = (world.owner(vip(0)), world.now);
        for other in (0..3).filter(|other| *other != owner) {
            world.cut(owner, other, true);
        }
        world.run(ms(75));
        assert!(foreseen(&world, from, Foresight::Suspicion).is_some(), "seed {seed}\n{}", world.story(40));
        world.heal();
        world.run(ms(500));
        let id = world.nodes[owner].id;
        if world.gains_since(from).is_empty() {
            let cleared = |seen: &Observed| matches!(seen, Observed::MemberCleared { node, .. } if *node == id);
            assert!(world.saw(from, |_, seen| cleared(seen)), "seed {seed}\n{}", world.story(40));
            assert!(world.log.iter().any(|(_, _, news)| matches!(news, News::Withdraw { ip } if *ip == vip(0))));
        }
        world.check_one_owner();
        world.check_nothing_is_foreseen();
    }
}

#[test]
fn after_any_storm_with_hand_overs_and_bad_shells_there_is_one_owner_and_nothing_is_foreseen() {
    for seed in 0..150 {
        let mut world = World::new(seed, 2 + seed as usize % 4, 3);
        for node in &mut world.nodes {
            node.shell = [None, Some(ms(1)), Some(ms(30)), Some(ms(200))][world.shells.below(4) as usize];
        }
        world.start_all();
        world.run(ms(800));
        for _ in 0..4 + world.shells.below(8) {
            let index = world.shells.below(world.nodes.len() as u64) as usize;
            match world.shells.below(3) {
                0 => fault(&mut world),
                1 => world.leave(index),
                _ => {
                    // Who may own the addresses changes, and not everybody hears of it at once.
                    let id = world.nodes[index].id;
                    for address in world.addresses.values_mut() {
                        if !address.candidates.remove(&id) {
                            address.candidates.insert(id);
                        }
                    }
                    for index in 0..world.nodes.len() {
                        let late = ms(world.shells.below(200));
                        world.after(late, move |world| world.set(index));
                    }
                }
            }
            let pause = ms(world.shells.below(300));
            world.run(pause);
        }
        world.heal();
        world.run(ms(700));
        for index in 0..world.nodes.len() {
            world.carrier(index, true);
            world.nodes[index].neighbour = true;
            let phase = world.nodes[index].election.as_ref().map(Election::phase);
            if matches!(phase, None | Some(Phase::Left | Phase::Leaving)) {
                world.crash(index);
                world.start(index);
            }
        }
        world.run(ms(3_000));
        world.check_one_owner();
        world.check_nothing_is_foreseen();
    }
}
