//! The rows of the fault matrix that concern the election.

use std::time::Duration;

use herald_election::{Evidence, GainReason, LoseReason, Observed, Witness};

use crate::world::{News, World, ms, vip};

#[test]
fn a_silent_owner_is_replaced_within_t_dead_and_two_heartbeats() {
    let mut times = Vec::new();
    for seed in 0..100 {
        let mut world = World::settled(seed, 3 + seed as usize % 3, 1);
        world.run(ms(seed % 20));
        let (owner, cut) = (world.owner(vip(0)), world.now);
        world.isolate(owner, true);
        world.nodes[owner].neighbour = false;
        world.run(ms(600));
        let gains = world.gains_since(cut);
        let [(at, heir, News::Gain { ip, reason, from, silent_for })] = gains.as_slice() else {
            panic!("seed {seed}: {gains:?}\n{}", world.story(40))
        };
        assert_eq!((*ip, *reason, *from), (vip(0), GainReason::TookOver, Some(world.nodes[owner].id)));
        assert_ne!(*heir, owner);
        assert!(silent_for.is_some_and(|silent| silent >= ms(60) && silent <= ms(125)), "seed {seed}: {silent_for:?}");
        times.push(*at - cut);
    }
    times.sort();
    println!("take-over after {:?} (median), {:?} (max)", times[times.len() / 2], times[times.len() - 1]);
    assert!(times[times.len() / 2] <= ms(90), "{:?}", times[times.len() / 2]);
    assert!(times[times.len() - 1] <= ms(80 + 40 + 5), "{:?}", times[times.len() - 1]);
}

#[test]
fn a_lost_carrier_silences_at_once_and_the_address_moves() {
    let mut world = World::settled(1, 3, 2);
    let (owner, cut) = (world.owner(vip(0)), world.now);
    world.carrier(owner, false);
    assert!(!world.answers(owner, vip(0)));
    assert!(world.log.iter().any(|(_, index, news)| *index == owner
        && matches!(news, News::Lose { ip, reason: LoseReason::LinkDown, .. } if *ip == vip(0))));
    world.run(ms(200));
    assert_ne!(world.owner(vip(0)), owner);
    assert!(world.time_with(vip(0), cut, |count| count == 0) <= ms(125));
    let healed = world.now;
    world.carrier(owner, true);
    world.run(ms(3_000));
    assert_eq!(world.moves_since(healed), 0, "{}", world.story(30));
    world.check_one_owner();
}

#[test]
fn an_owner_that_is_cut_off_answers_nothing_until_it_has_proof() {
    for seed in 0..20 {
        let mut world = World::settled(seed, 3, 2);
        let owner = world.owner(vip(0));
        assert!(world.answers(owner, vip(0)));
        world.isolate(owner, true);
        world.nodes[owner].neighbour = false;
        world.run(ms(500));
        assert!(!world.answers(owner, vip(0)), "seed {seed}: silent while it hears nobody\n{}", world.story(20));
        let healed = world.now;
        world.isolate(owner, false);
        world.nodes[owner].neighbour = true;
        world.run(ms(2_000));
        assert_eq!(world.time_with(vip(0), healed, |count| count > 1), Duration::ZERO, "seed {seed}");
        assert_ne!(world.owner(vip(0)), owner);
    }
}

/// After a carrier comes back, the kernel may take a second to resolve one peer's Ethernet address while it already talks to another.
#[test]
fn a_node_that_comes_back_claims_nothing_while_the_new_owner_is_heard_by_others_alone() {
    for seed in 0..30 {
        let mut world = World::settled(seed, 3, 2);
        let owner = world.owner(vip(0));
        world.carrier(owner, false);
        world.run(ms(300));
        let heir = world.owner(vip(0));
        assert_ne!(heir, owner);
        for pair in [(owner, heir), (heir, owner)] {
            world.wires.get_mut(&pair).unwrap().cut = true;
        }
        let healed = world.now;
        world.carrier(owner, true);
        world.run(ms(900));
        for pair in [(owner, heir), (heir, owner)] {
            world.wires.get_mut(&pair).unwrap().cut = false;
        }
        world.run(ms(2_000));
        assert_eq!(world.moves_since(healed), 0, "seed {seed}\n{}", world.story(30));
        assert_eq!(world.owner(vip(0)), heir, "seed {seed}");
        world.check_one_owner();
    }
}

#[test]
fn a_frozen_owner_is_replaced_and_silent_when_it_thaws() {
    for seed in 0..30 {
        for time in [300, 10_000] {
            let mut world = World::settled(seed, 3, 1);
            let (owner, from) = (world.owner(vip(0)), world.now);
            world.freeze(owner, ms(time));
            world.run(ms(time + 2_000));
            assert_ne!(world.owner(vip(0)), owner, "seed {seed}");
            assert_eq!(
                world.time_with(vip(0), from, |count| count > 1),
                Duration::ZERO,
                "seed {seed}\n{}",
                world.story(30)
            );
            assert!(world.saw(from, |index, seen| index == owner && matches!(seen, Observed::Stalled { .. })));
            assert!(
                world.log.iter().any(|(at, _, news)| *at > from && matches!(news, News::Reassert { .. })),
                "the winner speaks last"
            );
        }
    }
}

#[test]
fn a_short_freeze_moves_nothing_and_an_owner_that_was_not_replaced_resumes() {
    for seed in 0..30 {
        for time in [30, 45, 60] {
            let mut world = World::settled(seed, 3, 2);
            let (owner, from) = (world.owner(vip(0)), world.now);
            world.freeze(owner, ms(time));
            world.run(ms(1_000));
            assert_eq!(world.moves_since(from), 0, "seed {seed}\n{}", world.story(30));
            assert_eq!(world.owner(vip(0)), owner);
            assert!(
                world.time_with(vip(0), from, |count| count == 0) <= ms(time + 45),
                "seed {seed}: {}",
                world.story(20)
            );
        }
    }
}

#[test]
fn a_returning_owner_takes_nothing_back() {
    for seed in 0..20 {
        let mut world = World::settled(seed, 3, 3);
        let owner = world.owner(vip(0));
        world.crash(owner);
        world.run(ms(1_000));
        world.check_one_owner();
        let back = world.now;
        world.start(owner);
        world.run(ms(5_000));
        assert_eq!(world.moves_since(back), 0, "seed {seed}\n{}", world.story(30));
        world.check_one_owner();
    }
}

#[test]
fn a_restart_faster_than_detection_moves_at_once() {
    for seed in 0..20 {
        let mut world = World::settled(seed, 3, 1);
        let (owner, cut) = (world.owner(vip(0)), world.now);
        world.crash(owner);
        world.after(ms(20), move |world| world.start(owner));
        world.run(ms(1_500));
        assert_ne!(world.owner(vip(0)), owner);
        assert!(world.time_with(vip(0), cut, |count| count != 1) <= ms(60), "seed {seed}\n{}", world.story(30));
    }
}

#[test]
fn the_minority_owner_yields_on_contact() {
    for seed in 0..20 {
        let mut world = World::settled(seed, 3, 2);
        let owner = world.owner(vip(0));
        world.partition(&[owner]);
        world.run(ms(3_000));
        world.check_one_owner();
        let (heir, healed) = (*world.answerers(vip(0)).iter().find(|index| **index != owner).unwrap(), world.now);
        world.heal();
        world.run(ms(2_000));
        assert_eq!(world.owner(vip(0)), heir, "seed {seed}");
        assert!(world.time_with(vip(0), healed, |count| count > 1) <= ms(25), "seed {seed}\n{}", world.story(40));
        assert!(world.gains_since(healed).is_empty());
        assert!(world.log.iter().any(|(at, index, news)| *at > healed
            && *index == heir
            && matches!(news, News::Reassert { ip } if *ip == vip(0))));
    }
}

#[test]
fn a_claim_made_alone_never_beats_the_majoritys_incumbent() {
    for seed in 0..20 {
        let mut world = World::settled(seed, 3, 1);
        let owner = world.owner(vip(0));
        let alone = (owner + 1) % 3;
        world.partition(&[alone]);
        world.run(ms(3_000));
        assert_eq!(world.answerers(vip(0)).len(), 2, "each side has its owner");
        let healed = world.now;
        world.heal();
        world.run(ms(2_000));
        assert_eq!(world.owner(vip(0)), owner, "seed {seed}\n{}", world.story(40));
        assert!(world.time_with(vip(0), healed, |count| count > 1) <= ms(25));
        assert!(world.gains_since(healed).is_empty());
    }
}

#[test]
fn an_isolated_node_never_claims() {
    for seed in 0..10 {
        let mut world = World::settled(seed, 3, 2);
        let alone = (world.owner(vip(0)) + 1) % 3;
        world.nodes[alone].neighbour = false;
        let cut = world.now;
        world.isolate(alone, true);
        world.run(ms(60_000));
        assert!(world.gains_since(cut).iter().all(|(_, index, _)| *index != alone), "{}", world.story(30));
        assert!(world.saw(cut, |index, seen| index == alone && *seen == Observed::Isolated));
    }
}

#[test]
fn two_nodes_take_over_alone_only_with_a_witness() {
    for (witness, neighbour, moves) in
        [(Witness::Neighbour, true, true), (Witness::Neighbour, false, false), (Witness::Link, false, true)]
    {
        let mut world = World::new(7, 2, 1);
        world.witness = witness;
        world.start_all();
        world.run(ms(2_000));
        let (owner, cut) = (world.owner(vip(0)), world.now);
        world.nodes[1 - owner].neighbour = neighbour;
        world.crash(owner);
        world.run(ms(5_000));
        let gains = world.gains_since(cut);
        assert_eq!(gains.len(), usize::from(moves), "{witness:?} {}", world.story(20));
        if moves {
            assert!(gains[0].0 - cut > ms(240 - 20) && gains[0].0 - cut <= ms(300), "{gains:?}");
            assert!(world.saw(cut, |_, seen| matches!(seen, Observed::MemberDown { evidence: Evidence::Alone, .. })));
        }
    }
}

#[test]
fn an_even_split_heals_towards_the_incumbent_that_kept_its_gateway() {
    for seed in 0..20 {
        let mut world = World::settled(seed, 2, 1);
        let owner = world.owner(vip(0));
        world.run(ms(2_000));
        world.partition(&[owner]);
        world.run(ms(4_000));
        assert_eq!(world.answerers(vip(0)).len(), 2);
        let healed = world.now;
        world.heal();
        world.run(ms(2_000));
        assert_eq!(world.owner(vip(0)), owner, "seed {seed}\n{}", world.story(40));
        assert!(world.gains_since(healed).is_empty());
    }
}

#[test]
fn row_13_one_deaf_watcher_is_vetoed() {
    for seed in 0..10 {
        let mut world = World::settled(seed, 3, 1);
        let (owner, cut) = (world.owner(vip(0)), world.now);
        let deaf = (owner + 1) % 3;
        world.cut(owner, deaf, true);
        world.run(ms(20_000));
        assert_eq!(world.moves_since(cut), 0, "seed {seed}\n{}", world.story(30));
        assert!(world.saw(cut, |index, seen| index == deaf && matches!(seen, Observed::Vetoed { .. })));
        // And when the owner really dies, the deaf one knows too.
        let died = world.now;
        world.crash(owner);
        world.run(ms(500));
        assert_ne!(world.owner(vip(0)), owner);
        assert!(world.time_with(vip(0), died, |count| count == 0) <= ms(260), "seed {seed}\n{}", world.story(30));
    }
}

#[test]
fn row_14_an_owner_that_nobody_hears_is_replaced_and_yields() {
    for seed in 0..20 {
        let mut world = World::settled(seed, 3, 1);
        let (owner, cut) = (world.owner(vip(0)), world.now);
        for other in (0..3).filter(|other| *other != owner) {
            world.cut(owner, other, true);
        }
        world.run(ms(5_000));
        assert_ne!(world.owner(vip(0)), owner, "seed {seed}");
        assert!(world.time_with(vip(0), cut, |count| count > 1) <= ms(100), "seed {seed}");
        assert_eq!(world.gains_since(cut).len(), 1, "seed {seed}\n{}", world.story(30));
        let healed = world.now;
        world.heal();
        world.run(ms(3_000));
        assert_eq!(world.moves_since(healed), 0, "seed {seed}\n{}", world.story(30));
    }
}

#[test]
fn an_owner_that_nobody_hears_yields_even_if_nobody_takes_over() {
    let mut world = World::settled(3, 3, 1);
    let owner = world.owner(vip(0));
    let id = world.nodes[owner].id;
    world.addresses.get_mut(&vip(0)).unwrap().candidates.retain(|node| *node == id);
    world.set_all();
    world.run(ms(100));
    let cut = world.now;
    for other in (0..3).filter(|other| *other != owner) {
        world.cut(owner, other, true);
    }
    world.run(ms(1_000));
    assert!(world.answerers(vip(0)).is_empty());
    let lost = |news: &News| matches!(news, News::Lose { reason: LoseReason::Unheard, .. });
    assert!(
        world.log.iter().any(|(at, _, news)| *at > cut && *at < cut + ms(80 + 80 + 45) && lost(news)),
        "{}",
        world.story(20)
    );
}

#[test]
fn row_15_an_owner_that_hears_nobody_stays() {
    for seed in 0..10 {
        let mut world = World::settled(seed, 3, 1);
        let (owner, cut) = (world.owner(vip(0)), world.now);
        for other in (0..3).filter(|other| *other != owner) {
            world.cut(other, owner, true);
        }
        world.run(ms(8_000));
        world.heal();
        world.run(ms(4_000));
        assert_eq!(world.moves_since(cut), 0, "seed {seed}\n{}", world.story(30));
    }
}

#[test]
fn rows_16_and_17_random_loss_moves_nothing() {
    for (loss, minutes) in [(0.02, 10), (0.1, 15)] {
        let mut world = World::settled(16, 3, 2);
        let from = world.now;
        world.every_wire(|wire| wire.loss = loss);
        world.run(Duration::from_secs(60 * minutes));
        assert_eq!(world.moves_since(from), 0, "{}", world.story(30));
    }
}

#[test]
fn row_18_bursts_and_short_blackouts_move_nothing() {
    let mut world = World::settled(18, 3, 2);
    let from = world.now;
    world.every_wire(|wire| wire.burst = (1.0 / 200.0, 1.0 / 3.0));
    world.run(Duration::from_secs(120));
    assert_eq!(world.moves_since(from), 0, "{}", world.story(30));
    world.heal();
    for _ in 0..30 {
        world.every_wire(|wire| wire.cut = true);
        world.run(ms(60));
        world.every_wire(|wire| wire.cut = false);
        world.run(ms(3_000));
    }
    assert_eq!(world.moves_since(from), 0, "{}", world.story(30));
}

#[test]
fn row_19_a_blackout_of_the_whole_switch_moves_nothing() {
    for seed in 0..10 {
        let mut world = World::settled(seed, 3 + seed as usize % 2, 2);
        let from = world.now;
        for _ in 0..4 {
            world.every_wire(|wire| wire.cut = true);
            (0..world.nodes.len()).for_each(|index| world.nodes[index].neighbour = false);
            world.run(ms(500));
            world.every_wire(|wire| wire.cut = false);
            (0..world.nodes.len()).for_each(|index| world.nodes[index].neighbour = true);
            world.run(ms(4_000));
        }
        assert_eq!(world.moves_since(from), 0, "seed {seed}\n{}", world.story(300));
    }
}

#[test]
fn row_20_jitter_and_reordering_move_nothing() {
    let mut world = World::settled(20, 3, 2);
    let from = world.now;
    world.every_wire(|wire| (wire.jitter, wire.duplicate) = (ms(40), 0.05));
    world.run(Duration::from_secs(60));
    assert_eq!(world.moves_since(from), 0, "{}", world.story(30));
}

#[test]
fn row_34_survivors_of_a_mass_death_take_over() {
    for seed in 0..10 {
        let mut world = World::settled(seed, 5, 4);
        let cut = world.now;
        for index in 0..3 {
            world.crash(index);
        }
        world.run(ms(1_000));
        world.check_one_owner();
        for index in 0..4 {
            assert!(
                world.time_with(vip(index), cut, |count| count == 0) <= ms(150),
                "seed {seed}\n{}",
                world.story(40)
            );
        }
    }
}

#[test]
fn row_37_five_nodes_that_start_together_claim_each_address_once() {
    for seed in 0..30 {
        let mut world = World::new(seed, 5, 4);
        world.start_all();
        world.run(ms(1_000));
        world.check_one_owner();
        assert_eq!(world.gains_since(Duration::ZERO).len(), 4, "seed {seed}\n{}", world.story(60));
        assert!(world.gains_since(Duration::ZERO).iter().all(|(at, ..)| *at <= ms(100 + 300 + 50)), "seed {seed}");
    }
}

#[test]
fn row_43_a_node_that_comes_and_goes_moves_an_address_once() {
    for seed in 0..20 {
        let mut world = World::settled(seed, 3, 2);
        let (flapping, from) = (world.owner(vip(0)), world.now);
        let held = world.nodes[flapping].owned.len();
        for _ in 0..30 {
            world.crash(flapping);
            world.run(ms(5_000));
            world.start(flapping);
            world.run(ms(5_000));
            world.check_one_owner();
        }
        assert_eq!(world.gains_since(from).len(), held, "seed {seed}\n{}", world.story(40));
        assert_eq!(world.nodes[flapping].owned.len(), 0, "seed {seed}");
    }
}

#[test]
fn a_lone_node_of_a_lone_cluster_owns_after_listening() {
    let mut world = World::new(1, 1, 2);
    world.nodes[0].neighbour = false;
    world.start(0);
    world.run(ms(310));
    world.check_one_owner();
    let from = world.now;
    world.freeze(0, ms(5_000));
    world.run(ms(20_000));
    assert_eq!(world.moves_since(from), 0);
    world.check_one_owner();
}

#[test]
fn members_without_a_speaker_cost_one_heartbeat_a_second() {
    let mut world = World::new(1, 4, 1);
    world.start(0);
    world.start(1);
    world.run(ms(2_000));
    world.check_one_owner();
    world.record = Some(Vec::new());
    world.run(ms(10_000));
    let sent = world.record.take().unwrap();
    let to = |index: usize| sent.iter().filter(|(from, to, _)| *from == 0 && *to == world.nodes[index].address).count();
    assert!((9..=11).contains(&to(2)) && (9..=11).contains(&to(3)), "{} {}", to(2), to(3));
    assert!((495..=520).contains(&to(1)), "{}", to(1));
}

#[test]
fn a_node_in_the_learning_phase_leaves_an_address_that_has_an_owner_alone() {
    let mut world = World::new(5, 3, 3);
    world.start(0);
    world.run(ms(2_000));
    let from = world.now;
    world.start(1);
    world.start(2);
    world.run(ms(5_000));
    assert_eq!(world.moves_since(from), 0, "{}", world.story(30));
    assert_eq!(world.owner(vip(0)), 0);
}

#[test]
fn an_idle_cluster_wakes_for_heartbeats_only() {
    let mut world = World::settled(1, 3, 50);
    world.run(ms(2_000));
    let before = world.inputs;
    world.run(ms(10_000));
    let per_second = (world.inputs - before) / 10 / 3;
    // 100 heartbeats out, 100 in.
    assert!(per_second <= 210, "{per_second}");
}
