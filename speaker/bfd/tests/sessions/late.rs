//! Our own lateness, which is not the peer's.

use herald_bfd::{Event, Observed, State};

use crate::bed::{Bed, PEERS, ms, settings};

#[test]
fn a_pause_of_our_own_is_not_the_peers_death() {
    for pair in PEERS {
        let mut bed = Bed::up(pair, settings(50, 50, 3));
        bed.now += ms(400);
        let (_, seen) = bed.run(ms(0));
        assert!(matches!(seen[..], [Observed::Stalled { late }] if late >= ms(350)), "{seen:?}");
        let (_, seen) = bed.run(ms(149));
        assert_eq!((bed.state(), seen), (State::Up, vec![]));
        bed.hear(bed.peer(State::Up));
        assert_eq!(bed.run(ms(149)).1, []);
    }
}

#[test]
fn a_dead_peer_gets_that_grace_once() {
    for pair in PEERS {
        let mut bed = Bed::up(pair, settings(50, 50, 3));
        for _ in 0..3 {
            bed.now += ms(140);
            bed.sessions.handle(bed.now, Event::Tick);
            bed.run(ms(0));
        }
        assert_eq!(bed.state(), State::Down, "however often we are late ourselves");
    }
}

#[test]
fn a_wake_up_that_is_a_little_late_changes_nothing() {
    for pair in PEERS {
        let mut bed = Bed::up(pair, settings(50, 50, 3));
        bed.run(ms(140));
        bed.now += ms(20);
        let (_, seen) = bed.run(ms(0));
        assert!(matches!(seen[..], [Observed::Down { .. }]), "{seen:?}");
    }
}

#[test]
fn packets_that_waited_are_signs_of_life() {
    for pair in PEERS {
        let mut bed = Bed::up(pair, settings(50, 50, 3));
        bed.now += ms(10_000);
        bed.hear(bed.peer(State::Up));
        let (_, seen) = bed.run(ms(149));
        assert!(!seen.iter().any(|seen| matches!(seen, Observed::Down { .. })), "{seen:?}");
    }
}
