//! Planned ends: ours and the peer's.

use herald_bfd::{Drop, Event, Observed, State};

use crate::bed::{Bed, F, P, PEERS, Wire, ms, settings};

#[test]
fn an_end_is_announced_slowly_then_said_and_released_when_the_peer_knows() {
    for pair in PEERS {
        let mut bed = Bed::up(pair, settings(50, 50, 3));
        let (sent, seen) = bed.unwant();
        let slow = sent.last().unwrap();
        assert_eq!((slow.state, slow.tx_ms, slow.flags), (State::Up, 1000, P));
        assert_eq!(seen, []);

        // One Poll is lost; the next comes after at most 50 ms.
        let (sent, _) = bed.run(ms(50));
        assert_eq!((sent[0].state, sent[0].flags), (State::Up, P));

        let (sent, _) = bed.hear(Wire { flags: F, ..bed.peer(State::Up) });
        let end = sent.last().unwrap();
        assert_eq!((end.state, end.diag, end.flags), (State::AdminDown, 7, 0));

        // That one is lost as well, and the peer of a 50 ms session would have given up before the next: but it was told to wait 3 s.
        let (_, seen) = bed.hear(bed.peer(State::Up));
        assert_eq!(seen, [Observed::Dropped { reason: Drop::AdminDown }]);
        let (sent, _) = bed.run(ms(1000));
        assert_eq!(sent.last().unwrap().state, State::AdminDown);

        let (_, seen) = bed.hear(Wire { diag: 3, ..bed.peer(State::Down) });
        assert_eq!(seen[0], Observed::Released { path: bed.path });
        assert_eq!((bed.sessions.iter().count(), bed.sessions.deadline()), (0, None));
    }
}

#[test]
fn a_peer_that_answers_nothing_any_more_does_not_hold_up_the_end() {
    for pair in PEERS {
        let mut bed = Bed::up(pair, settings(50, 50, 3));
        bed.unwant();
        let (_, seen) = bed.run(ms(150));
        assert_eq!(seen, [Observed::Released { path: bed.path }], "dead, and nobody is interested");
    }
}

#[test]
fn admin_down_is_repeated_for_a_detection_time_at_most() {
    for pair in PEERS {
        let mut bed = Bed::up(pair, settings(50, 50, 3));
        bed.unwant();
        bed.hear(Wire { flags: F, ..bed.peer(State::Up) });
        let (sent, seen) = bed.run(ms(3_100));
        assert!((2..=4).contains(&sent.len()), "{sent:?}");
        assert!(sent.iter().all(|packet| packet.state == State::AdminDown && packet.tx_ms == 1000));
        assert_eq!(seen, [Observed::Released { path: bed.path }]);
    }
}

#[test]
fn a_session_that_never_met_its_peer_ends_at_once() {
    for pair in PEERS {
        let mut bed = Bed::new(pair, settings(50, 50, 3));
        bed.run(ms(0));
        assert_eq!(bed.unwant(), (vec![], vec![Observed::Released { path: bed.path }]));
    }
}

#[test]
fn a_session_that_is_wanted_again_goes_on() {
    for pair in PEERS {
        // While it still slows down.
        let mut bed = Bed::up(pair, settings(50, 50, 3));
        bed.unwant();
        bed.want(settings(50, 50, 3));
        let (_, seen) = bed.hear(Wire { flags: F, ..bed.peer(State::Up) });
        assert!(seen.iter().any(|seen| matches!(seen, Observed::Up { .. })), "who asks anew is told: {seen:?}");
        assert_eq!(bed.state(), State::Up);

        // When it has stopped already.
        let mut bed = Bed::up(pair, settings(50, 50, 3));
        bed.unwant();
        bed.hear(Wire { flags: F, ..bed.peer(State::Up) });
        assert_eq!(bed.state(), State::AdminDown);
        bed.want(settings(50, 50, 3));
        assert_eq!(bed.state(), State::Down);
        bed.run(ms(0));
        bed.hear(bed.peer(State::Down));
        let (_, seen) = bed.hear(bed.peer(State::Init));
        assert!(seen.iter().any(|seen| matches!(seen, Observed::Up { .. })));
    }
}

#[test]
fn a_peer_that_stops_on_purpose_has_not_failed() {
    for pair in PEERS {
        let mut bed = Bed::up(pair, settings(50, 50, 3));
        let stopped = Wire { diag: 7, tx_ms: 1000, ..bed.peer(State::AdminDown) };
        let (sent, seen) = bed.hear(stopped);
        assert_eq!(seen, [Observed::PeerAdminDown { path: bed.path }]);
        assert_eq!(sent.last().map(|packet| (packet.state, packet.diag)), Some((State::Down, 3)));
        assert_eq!(bed.hear(stopped).1, [], "said once");
        let (_, seen) = bed.run(ms(60_000));
        assert_eq!(seen, [], "nor does its silence mean anything");
        bed.hear(bed.peer(State::Down));
        let (_, seen) = bed.hear(bed.peer(State::Init));
        assert!(matches!(seen[..], [Observed::Up { .. }]), "{seen:?}");
    }
}

#[test]
fn time_that_passes_in_admin_down_is_no_silence() {
    for pair in PEERS {
        let mut bed = Bed::up(pair, settings(2_000, 50, 3));
        bed.unwant();
        assert_eq!(bed.state(), State::AdminDown, "it was slow enough before");
        bed.now += ms(1);
        bed.sessions.handle(bed.now, Event::Tick);
        assert_eq!(bed.state(), State::AdminDown);
    }
}
