//! Killed processes whose kernels say so, and everybody who pretends.

use std::time::Duration;

use herald_election::{Evidence, GainReason, Observed};

use crate::storms::fault;
use crate::world::{News, World, ms, vip};

/// When the first address was taken over, after an instant.
fn taken_after(world: &World, since: Duration) -> Duration {
    let taken = |(at, _, news): &(Duration, usize, News)| match news {
        News::Gain { ip, reason: GainReason::TookOver, .. } if *ip == vip(0) => Some(*at - since),
        _ => None,
    };
    world
        .gains_since(since)
        .iter()
        .find_map(taken)
        .unwrap_or_else(|| panic!("seed {}: nobody took over\n{}", world.seed, world.story(40)))
}

#[test]
fn a_killed_owner_is_replaced_within_a_heartbeat_and_a_half() {
    let mut times = Vec::new();
    for seed in 0..100 {
        let mut world = World::settled(seed, 3 + seed as usize % 3, 2);
        world.run(ms(seed % 20));
        let (owner, killed) = (world.owner(vip(0)), world.now);
        world.kill(owner);
        world.run(ms(200));
        times.push(taken_after(&world, killed));
        let refused = |seen: &Observed| matches!(seen, Observed::MemberDown { evidence: Evidence::Refused(others), .. } if !others.is_empty());
        assert!(world.saw(killed, |_, seen| refused(seen)), "seed {seed}\n{}", world.story(40));
        world.check_one_owner();
        world.check_nothing_is_foreseen();
    }
    times.sort();
    println!("take-over after {:?} (median), {:?} (max)", times[times.len() / 2], times[times.len() - 1]);
    assert!(times[times.len() / 2] <= ms(20), "{:?}", times[times.len() / 2]);
    assert!(times[times.len() - 1] <= ms(33), "{:?}", times[times.len() - 1]);
}

#[test]
fn lost_refusals_leave_it_to_silence() {
    for seed in 0..40 {
        let mut world = World::settled(seed, 3, 1);
        world.every_wire(|wire| wire.loss = if seed % 2 == 0 { 0.1 } else { 0.4 });
        let (owner, killed) = (world.owner(vip(0)), world.now);
        world.kill(owner);
        world.run(ms(1_500));
        world.heal();
        world.run(ms(500));
        world.check_one_owner();
        let silent = world.time_with(vip(0), killed, |count| count == 0);
        assert!(silent <= ms(300), "seed {seed}: {silent:?}\n{}", world.story(40));
    }
}

#[test]
fn a_node_that_alone_is_refused_waits_for_t_dead() {
    for seed in 0..20 {
        let mut world = World::settled(seed, 3, 1);
        let (owner, killed) = (world.owner(vip(0)), world.now);
        world.crash(owner);
        for step in 0..70 {
            world.after(ms(step), move |world| world.forge_refusal((owner + 1) % 3, owner));
        }
        world.run(ms(500));
        let taken = taken_after(&world, killed);
        assert!(taken >= ms(60) && taken <= ms(125), "seed {seed}: {taken:?}\n{}", world.story(40));
    }
}

#[test]
fn with_two_nodes_there_is_nobody_to_confirm_a_refusal() {
    for seed in 0..20 {
        let mut world = World::settled(seed, 2, 1);
        let (owner, killed) = (world.owner(vip(0)), world.now);
        world.kill(owner);
        world.run(ms(500));
        let taken = taken_after(&world, killed);
        assert!(taken >= ms(220) && taken <= ms(290), "seed {seed}: {taken:?}\n{}", world.story(40));
    }
}

#[test]
fn forged_refusals_move_nothing() {
    for seed in 0..40 {
        let nodes = 2 + seed as usize % 4;
        let mut world = World::settled(seed, nodes, 2);
        if seed % 2 == 1 {
            world.every_wire(|wire| wire.loss = 0.05);
        }
        let from = world.now;
        for step in 0..2_000 {
            world.after(ms(step), move |world| {
                for (to, of) in (0..nodes).flat_map(|to| (0..nodes).map(move |of| (to, of))) {
                    world.forge_refusal(to, of);
                }
            });
        }
        // Once the first was refuted, not even a member that stands still is taken for dead by them.
        for stall in 0..10 {
            world.after(ms(500 + stall * 150), move |world| world.freeze(stall as usize % nodes, ms(35)));
        }
        world.run(ms(3_000));
        assert_eq!(world.moves_since(from), 0, "seed {seed}\n{}", world.story(60));
        world.check_one_owner();
        world.check_nothing_is_foreseen();
    }
}

#[test]
fn forged_refusals_that_meet_a_standing_owner_leave_one_owner() {
    for seed in 0..40 {
        let mut world = World::settled(seed, 3, 2);
        let (owner, from) = (world.owner(vip(0)), world.now);
        world.freeze(owner, ms(30));
        for step in 0..60 {
            world.after(ms(step), move |world| {
                for to in 0..3 {
                    world.forge_refusal(to, owner);
                }
            });
        }
        world.run(ms(2_000));
        world.check_one_owner();
        for index in 0..2 {
            let both = world.time_with(vip(index), from, |count| count > 1);
            assert!(both <= ms(60), "seed {seed}: {both:?}\n{}", world.story(60));
        }
        let quiet = world.now;
        world.run(ms(1_000));
        assert_eq!(world.moves_since(quiet), 0);
    }
}

#[test]
fn a_process_that_is_back_at_once_is_trusted_about_its_next_death() {
    for seed in 0..20 {
        let mut world = World::settled(seed, 3, 1);
        for _ in 0..3 {
            let (owner, killed) = (world.owner(vip(0)), world.now);
            world.kill(owner);
            let back = ms(1 + world.dice.below(100));
            world.after(back, move |world| world.start(owner));
            world.run(ms(1_500));
            world.check_one_owner();
            let taken = taken_after(&world, killed);
            assert!(taken <= ms(45), "seed {seed}: {taken:?}\n{}", world.story(60));
        }
    }
}

#[test]
fn after_any_storm_with_refusals_true_and_false_there_is_one_owner_and_then_nothing_moves() {
    for seed in 0..150 {
        let mut world = World::new(seed, 2 + seed as usize % 4, 2);
        world.start_all();
        world.run(ms(800));
        for _ in 0..4 + world.shells.below(8) {
            let nodes = world.nodes.len() as u64;
            let (index, other) = (world.shells.below(nodes) as usize, world.shells.below(nodes) as usize);
            match world.shells.below(4) {
                0 => fault(&mut world),
                1 => world.kill(index),
                2 => {
                    world.kill(index);
                    let later = ms(world.shells.below(300));
                    world.after(later, move |world| {
                        if world.nodes[index].election.is_none() {
                            world.start(index);
                        }
                    });
                }
                _ => {
                    for step in 0..50 {
                        world.after(ms(step), move |world| world.forge_refusal(index, other));
                    }
                }
            }
            let pause = ms(world.shells.below(200));
            world.run(pause);
        }
        world.heal();
        for index in 0..world.nodes.len() {
            world.carrier(index, true);
            world.nodes[index].neighbour = true;
            if world.nodes[index].election.is_none() && world.dice.chance(0.7) {
                world.start(index);
            }
        }
        world.run(ms(3_000));
        world.check_one_owner();
        world.check_nothing_is_foreseen();
        let quiet = world.now;
        world.run(ms(1_000));
        assert_eq!(world.moves_since(quiet), 0, "seed {seed}\n{}", world.story(40));
    }
}
