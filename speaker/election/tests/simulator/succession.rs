//! Row 7 and 8: a new process takes the place of an old one. Nothing moves, and somebody answers at every instant.

use std::time::Duration;

use herald_election::{Observed, Phase};

use crate::world::{World, ms, vip};

/// What a new process needs to take over: a socket, a thread that is awake, a busy machine.
const TAKES: Duration = ms(4);

#[test]
fn row_7_a_process_that_succeeds_another_moves_nothing_and_leaves_no_gap() {
    for seed in 0..100 {
        let nodes = 1 + seed as usize % 5;
        let mut world = World::settled(seed, nodes, 4);
        let from = world.now;
        let owners: Vec<_> = (0..4).map(|index| world.owner(vip(index))).collect();
        for index in 0..nodes {
            world.succeed(index, TAKES);
            let pause = ms(100 + world.dice.below(900));
            world.run(pause);
        }
        world.run(ms(2_000));
        world.check_one_owner();
        assert_eq!(world.moves_since(from), 0, "seed {seed}\n{}", world.story(60));
        for (index, owner) in owners.into_iter().enumerate() {
            assert_eq!(world.owner(vip(index)), owner, "seed {seed}");
            for wrong in [|count| count == 0, |count| count > 1] {
                let time = world.time_with(vip(index), from, wrong);
                assert_eq!(time, Duration::ZERO, "seed {seed}: {}\n{}", vip(index), world.story(60));
            }
        }
        let died = |_, seen: &Observed| matches!(seen, Observed::MemberDown { .. });
        assert!(!world.saw(from, died), "seed {seed}: nobody was taken for dead\n{}", world.story(60));
    }
}

#[test]
fn a_successor_is_proven_within_two_heartbeats() {
    for seed in 0..100 {
        let mut world = World::settled(seed, 2 + seed as usize % 4, 1);
        let (owner, from) = (world.owner(vip(0)), world.now);
        world.succeed(owner, TAKES);
        world.run(ms(500));
        let active =
            |index, seen: &Observed| index == owner && matches!(seen, Observed::Phase(Phase::Learning | Phase::Active));
        let at = world.log.iter().find(|(at, index, news)| {
            *at >= from && matches!(news, crate::world::News::Saw(seen) if active(*index, seen))
        });
        let at = at.unwrap_or_else(|| panic!("seed {seed}\n{}", world.story(40))).0 - from;
        assert!(at <= ms(44), "seed {seed}: {at:?}\n{}", world.story(40));
    }
}

#[test]
fn row_8_a_node_that_is_cut_off_while_its_process_is_replaced_loses_its_addresses_as_ever() {
    for seed in 0..100 {
        let mut world = World::settled(seed, 3, 1);
        let (owner, cut) = (world.owner(vip(0)), world.now);
        world.succeed(owner, TAKES);
        let when = ms(world.dice.below(12));
        world.after(when, move |world| {
            world.isolate(owner, true);
            world.nodes[owner].neighbour = false;
        });
        world.run(ms(600));
        let heir = world.gains_since(cut);
        assert_eq!(heir.len(), 1, "seed {seed}\n{}", world.story(40));
        assert!(heir[0].0 - cut <= when + ms(125), "seed {seed}: {:?}\n{}", heir[0].0 - cut, world.story(40));
        assert!(!world.answers(owner, vip(0)), "seed {seed}\n{}", world.story(40));
        world.heal();
        world.nodes[owner].neighbour = true;
        world.run(ms(1_000));
        world.check_one_owner();
        assert_eq!(world.owner(vip(0)), heir[0].1, "seed {seed}");
    }
}

#[test]
fn a_successor_that_never_comes_costs_one_detection() {
    for seed in 0..100 {
        let mut world = World::settled(seed, 3, 1);
        let (owner, end) = (world.owner(vip(0)), world.now);
        world.succeed(owner, Duration::from_secs(3_600));
        world.run(ms(600));
        let gains = world.gains_since(end);
        assert_eq!(gains.len(), 1, "seed {seed}\n{}", world.story(40));
        assert!(gains[0].0 - end <= ms(125), "seed {seed}: {:?}", gains[0].0 - end);
        assert_eq!(world.time_with(vip(0), end, |count| count > 1), Duration::ZERO, "seed {seed}");
    }
}

#[test]
fn a_successor_that_comes_late_takes_nothing_back() {
    for seed in 0..100 {
        let mut world = World::settled(seed, 3, 2);
        let (owner, end) = (world.owner(vip(0)), world.now);
        world.succeed(owner, ms(150 + seed * 10));
        world.run(ms(3_000));
        world.check_one_owner();
        assert_ne!(world.owner(vip(0)), owner, "seed {seed}\n{}", world.story(40));
        for index in 0..2 {
            assert_eq!(world.time_with(vip(index), end, |count| count > 1), Duration::ZERO, "seed {seed}");
        }
    }
}
