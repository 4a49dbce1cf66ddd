//! One datagram per reason of refusal, garbage by the thousand, and none of it moves anything.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use herald_election::{Drop, Key, Observed};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::world::{News, World, ms, vip};

const FLAGS_AT: usize = 7;

/// A settled world, and a fresh heartbeat from node 1 to node 0 that has not been delivered.
fn world_and_heartbeat() -> (World, SocketAddr, Vec<u8>) {
    let mut world = World::settled(11, 3, 1);
    world.cut(1, 0, true);
    world.record = Some(Vec::new());
    world.run(ms(21));
    let (from, to) = (world.nodes[1].address, world.nodes[0].address);
    let sent = world.record.take().unwrap_or_default();
    let (_, _, bytes) =
        sent.into_iter().rfind(|(from, target, _)| *from == 1 && *target == to).expect("one every 20 ms");
    world.cut(1, 0, false);
    (world, from, bytes)
}

fn refusal(world: &mut World, from: SocketAddr, bytes: &[u8]) -> Option<Drop> {
    let before = world.log.len();
    world.deliver(0, from, bytes);
    world.log[before..].iter().find_map(|(_, _, news)| match news {
        News::Saw(Observed::Rejected(why)) => Some(*why),
        _ => None,
    })
}

#[test]
fn each_reason_of_refusal_has_its_datagram() {
    let (mut world, from, good) = world_and_heartbeat();
    let changed = |at: usize, bytes: &[u8]| {
        let mut datagram = good.clone();
        datagram[at..at + bytes.len()].copy_from_slice(bytes);
        datagram
    };
    let me = world.nodes[0].id.0.to_le_bytes();
    let stranger = 77_u64.to_le_bytes();
    let elsewhere = SocketAddr::new("192.0.2.200".parse().unwrap(), from.port());
    let old = 5_u64.to_le_bytes();
    let mut seen = BTreeSet::new();
    for (expected, source, datagram) in [
        (Drop::TooShort, from, good[..75].to_vec()),
        (Drop::TooShort, from, Vec::new()),
        (Drop::TooLong, from, [&good[..], &[0; 1_200]].concat()),
        (Drop::NotHerald, from, changed(0, b"MLAB")),
        (Drop::OtherVersion, from, changed(4, &[2])),
        (Drop::UnknownType, from, changed(5, &[9])),
        (Drop::OtherKey, from, changed(6, &[good[6] ^ 1])),
        (Drop::OwnName, from, changed(8, &me)),
        (Drop::NotAMember, from, changed(8, &stranger)),
        (Drop::WrongSource, elsewhere, good.clone()),
        (Drop::OldIncarnation, from, changed(16, &old)),
        (Drop::Forged, from, changed(FLAGS_AT, &[0xFF])),
        (Drop::Forged, from, changed(70, &[good[70] ^ 1])),
        (Drop::TooOld, from, changed(28, &[0; 8])),
    ] {
        assert_eq!(refusal(&mut world, source, &datagram), Some(expected));
        seen.insert(expected);
    }
    let other_port = SocketAddr::new(from.ip(), 4_321);
    assert_eq!(refusal(&mut world, other_port, &good), None, "only the address is compared");
    assert_eq!(refusal(&mut world, from, &good), Some(Drop::Replayed));
    seen.insert(Drop::Replayed);
    // Both nodes restart: what was recorded before is void for the one that started anew.
    world.crash(0);
    world.start(0);
    assert_eq!(refusal(&mut world, from, &good), Some(Drop::OtherSession));
    seen.insert(Drop::OtherSession);
    // A sealed body that makes no sense cannot be made without the key: `a_shortened_or_lengthened_body_is_malformed`.
    seen.insert(Drop::Malformed);
    assert_eq!(seen, Drop::ALL.iter().copied().collect());
    let words: BTreeSet<_> = Drop::ALL.iter().map(|why| why.as_str()).collect();
    assert_eq!(words.len(), Drop::ALL.len());
}

#[test]
fn a_goodbye_ends_an_incarnation() {
    let (mut world, from, good) = world_and_heartbeat();
    world.leave(1);
    world.run(ms(100));
    assert_eq!(refusal(&mut world, from, &good), Some(Drop::OldIncarnation));
}

#[test]
fn recordings_do_not_keep_a_dead_owner_alive() {
    let mut world = World::settled(21, 3, 1);
    let (owner, watcher) = (world.owner(vip(0)), (world.owner(vip(0)) + 1) % 3);
    world.record = Some(Vec::new());
    world.run(ms(200));
    let sent = world.record.take().unwrap();
    let cut = world.now;
    world.crash(owner);
    let (source, target) = (world.nodes[owner].address, world.nodes[watcher].address);
    for (_, _, bytes) in sent.iter().filter(|(from, to, _)| *from == owner && *to == target) {
        world.deliver(watcher, source, bytes);
        world.run(ms(5));
    }
    world.run(ms(200));
    assert!(world.time_with(vip(0), cut, |count| count == 0) <= ms(125), "{}", world.story(20));
    // Neither for a watcher that starts anew and has seen nothing yet.
    world.crash(watcher);
    world.start(watcher);
    let from = world.now;
    for (_, _, bytes) in sent.iter().filter(|(from, to, _)| *from == owner && *to == target) {
        world.deliver(watcher, source, bytes);
    }
    let id = world.nodes[owner].id;
    assert!(
        !world.saw(from, |index, seen| index == watcher
            && matches!(seen, Observed::MemberUp { node, .. } if *node == id))
    );
}

#[test]
fn a_node_with_another_key_is_refused_and_counted() {
    let other = Key::from_secret(b"the secret of another cluster");
    assert!(other.is_ok());
    assert!(Key::from_secret(b"short").is_err());
    assert_eq!(format!("{:?}", other.unwrap()), "Key(..)");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn garbage_and_mutations_neither_panic_nor_move_anything(
        garbage in vec(vec(any::<u8>(), 0..1_400), 0..20),
        mutations in vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let (mut world, from, good) = world_and_heartbeat();
        let since = world.now;
        for bytes in &garbage {
            prop_assert!(refusal(&mut world, from, bytes).is_some());
        }
        for (at, byte) in &mutations {
            let mut datagram = good.clone();
            let at = at.index(datagram.len());
            if datagram[at] != *byte {
                datagram[at] = *byte;
                prop_assert!(refusal(&mut world, from, &datagram).is_some());
            }
        }
        prop_assert_eq!(refusal(&mut world, from, &good), None, "the genuine one still counts");
        world.run(ms(300));
        prop_assert_eq!(world.moves_since(since), 0);
    }
}
