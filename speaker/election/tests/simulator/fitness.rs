//! Nodes that do not serve what they own: better elsewhere than here, and better here than nowhere.

use std::time::Duration;

use herald_election::{Fitness, GainReason};

use crate::world::{News, World, ms, vip};

#[test]
fn an_unfit_owner_hands_over_without_a_gap_and_takes_nothing_back() {
    for seed in 0..20 {
        let mut world = World::settled(seed, 3, 4);
        world.every_wire(|wire| wire.loss = if seed % 2 == 0 { 0.0 } else { 0.1 });
        let (owner, from) = (world.owner(vip(0)), world.now);
        let held = world.nodes[owner].owned.len();
        world.fitness(owner, Fitness::Unfit);
        world.run(ms(1_500));
        world.check_one_owner();
        assert!(world.nodes[owner].owned.is_empty(), "seed {seed}\n{}", world.story(40));
        for index in 0..4 {
            assert_eq!(world.time_with(vip(index), from, |count| count == 0), Duration::ZERO, "seed {seed}");
        }
        let gains = world.gains_since(from);
        assert_eq!(gains.len(), held, "seed {seed}\n{}", world.story(40));
        assert!(gains.iter().all(|(_, _, news)| matches!(news, News::Gain { reason: GainReason::HandedOver, .. })));
        let back = world.now;
        world.fitness(owner, Fitness::Fit);
        world.run(ms(2_000));
        assert_eq!(world.moves_since(back), 0, "seed {seed}");
    }
}

#[test]
fn an_heir_that_is_unfit_is_passed_over() {
    for seed in 0..20 {
        let mut world = World::settled(seed, 4, 3);
        let (owner, fit, from) = (world.owner(vip(0)), (world.owner(vip(0)) + 1) % 4, world.now);
        for index in (0..4).filter(|index| *index != fit) {
            world.fitness(index, Fitness::Unfit);
        }
        world.run(ms(1_500));
        for index in 0..3 {
            assert_eq!(world.owner(vip(index)), fit, "seed {seed}\n{}", world.story(40));
            assert_eq!(world.time_with(vip(index), from, |count| count == 0), Duration::ZERO, "seed {seed}");
        }
        assert_ne!(owner, fit);
    }
}

#[test]
fn where_every_node_is_unfit_owners_stay_until_one_of_the_others_is_fit_again() {
    for seed in 0..10 {
        let mut world = World::settled(seed, 3, 3);
        let from = world.now;
        (0..3).for_each(|index| world.fitness(index, Fitness::Unfit));
        world.run(ms(5_000));
        assert_eq!(world.moves_since(from), 0, "seed {seed}\n{}", world.story(40));
        world.check_one_owner();
        let owner = world.owner(vip(0));
        let fit = (owner + 1) % 3;
        world.fitness(fit, Fitness::Fit);
        world.run(ms(11_500));
        for index in 0..3 {
            assert_eq!(world.owner(vip(index)), fit, "seed {seed}\n{}", world.story(40));
            assert_eq!(world.time_with(vip(index), from, |count| count == 0), Duration::ZERO, "seed {seed}");
        }
    }
}

#[test]
fn a_fit_node_takes_over_first_and_an_unfit_one_if_there_is_no_other() {
    for seed in 0..20 {
        let mut world = World::settled(seed, 3, 2);
        let owner = world.owner(vip(0));
        let (unfit, fit) = ((owner + 1) % 3, (owner + 2) % 3);
        world.fitness(unfit, Fitness::Unfit);
        world.run(ms(1_500));
        let from = world.now;
        world.crash(owner);
        world.run(ms(600));
        assert_eq!(world.owner(vip(0)), fit, "seed {seed}\n{}", world.story(40));
        world.crash(fit);
        world.run(ms(3_000));
        assert_eq!(world.owner(vip(0)), unfit, "seed {seed}\n{}", world.story(40));
        assert!(world.time_with(vip(0), from, |count| count > 1) == Duration::ZERO, "seed {seed}");
    }
}

#[test]
fn an_unfit_node_that_leaves_gives_up_what_nobody_takes() {
    let mut world = World::settled(3, 2, 2);
    (0..2).for_each(|index| world.fitness(index, Fitness::Unfit));
    world.run(ms(3_000));
    let leaver = world.owner(vip(0));
    world.leave(leaver);
    world.run(ms(4_000));
    assert!(world.nodes[leaver].owned.is_empty());
    assert_eq!(world.owner(vip(0)), 1 - leaver, "here better than nowhere\n{}", world.story(40));
}
