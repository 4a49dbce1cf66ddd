//! What a session says and reports in each state.

use herald_bfd::{Cause, ControlPlane, Diagnostic, Echo, Observed, Role, Settings, State};

use crate::bed::{Bed, D, F, P, PEER, PEERS, Wire, ms, settings};

#[test]
fn two_packets_bring_it_up() {
    for pair in PEERS {
        let mut bed = Bed::new(pair, settings(50, 40, 4));
        let (sent, _) = bed.run(ms(0));
        let first = Wire {
            diag: 0,
            state: State::Down,
            flags: 0,
            mult: 4,
            my: bed.ours(),
            your: 0,
            tx_ms: 1000,
            rx_ms: 40,
            echo_ms: 0,
        };
        assert_eq!(sent, [first], "at once, slowly, to nobody yet");

        let (sent, seen) = bed.hear(Wire { your: 0, ..bed.peer(State::Down) });
        assert_eq!((sent, seen), (vec![Wire { state: State::Init, your: PEER, ..first }], vec![]));

        let (sent, seen) = bed.hear(bed.peer(State::Init));
        assert_eq!(sent, [Wire { state: State::Up, your: PEER, tx_ms: 50, flags: P, ..first }]);
        assert_eq!(seen, [Observed::Up { path: bed.path, control_plane: ControlPlane::Shared }]);

        let (sent, seen) = bed.hear(Wire { flags: F, ..bed.peer(State::Up) });
        assert_eq!(sent, []);
        let agreed = Observed::Agreed { path: bed.path, transmit: ms(50), detection: ms(150) };
        assert_eq!(seen, [agreed]);
    }
}

#[test]
fn every_state_reacts_to_every_received_state() {
    use State::{Down, Init, Up};
    // Received: AdminDown, Down, Init, Up. AdminDown of our own is in `stops`.
    let table = [(Down, [Down, Init, Up, Down]), (Init, [Down, Init, Up, Up]), (Up, [Down, Down, Up, Up])];
    for pair in PEERS {
        for (state, row) in table {
            for (received, expected) in State::ALL.into_iter().zip(row) {
                let mut bed = Bed::new(pair, settings(50, 50, 3));
                bed.run(ms(0));
                let way: &[State] = match state {
                    Init => &[Down],
                    Up => &[Down, Init],
                    _ => &[],
                };
                for step in way {
                    bed.hear(bed.peer(*step));
                }
                assert_eq!(bed.state(), state);
                let (sent, seen) = bed.hear(bed.peer(received));
                assert_eq!(bed.state(), expected, "{state:?} receives {received:?}");
                let failed = seen.iter().any(|seen| matches!(seen, Observed::Down { .. }));
                assert_eq!(failed, state == Up && received == Down, "{state:?} receives {received:?}");
                let fell = expected == Down && state != Down;
                let diag = if fell { Diagnostic::NEIGHBOR_SIGNALED_DOWN.bits() } else { 0 };
                assert_eq!(bed.sessions.iter().next().unwrap().1.diagnostic.bits(), diag);
                if expected != state {
                    assert_eq!(
                        sent.last().map(|packet| (packet.state, packet.diag)),
                        Some((expected, diag)),
                        "said at once"
                    );
                }
            }
        }
    }
}

#[test]
fn a_peer_that_starts_anew_is_down_and_then_up_again() {
    for pair in PEERS {
        let mut bed = Bed::up(pair, settings(50, 50, 3));
        let anew = Wire { my: 99, your: 0, tx_ms: 1000, ..bed.peer(State::Down) };
        let (sent, seen) = bed.hear(anew);
        assert!(sent.iter().all(|packet| packet.your == 99));
        let down = Observed::Down {
            path: bed.path,
            cause: Cause::PeerSignaledDown,
            diagnostic: Diagnostic::NONE,
            control_plane: ControlPlane::Shared,
        };
        assert_eq!(seen, [down]);
        let (_, seen) = bed.hear(Wire { your: bed.ours(), state: State::Init, ..anew });
        assert!(matches!(seen[..], [Observed::Up { .. }]));
    }
}

#[test]
fn silence_is_reported_with_its_length_and_forgets_the_peer() {
    for pair in PEERS {
        let mut bed = Bed::up(pair, settings(50, 50, 3));
        bed.hear(Wire { flags: 0x08, diag: 4, ..bed.peer(State::Up) });
        let (sent, seen) = bed.run(ms(150));
        let down = Observed::Down {
            path: bed.path,
            cause: Cause::DetectionTimeExpired { silent_for: ms(150) },
            diagnostic: Diagnostic::FORWARDING_PLANE_RESET,
            control_plane: ControlPlane::Independent,
        };
        assert_eq!(seen, [down]);
        let last = sent.last().unwrap();
        assert_eq!((last.state, last.diag, last.your, last.tx_ms, last.flags), (State::Down, 1, 0, 1000, 0));
    }
}

#[test]
fn silence_in_init_is_no_failure_of_a_session() {
    for pair in PEERS {
        let mut bed = Bed::new(pair, settings(50, 50, 3));
        bed.run(ms(0));
        bed.hear(bed.peer(State::Down));
        let (_, seen) = bed.run(ms(150));
        assert_eq!((bed.state(), seen), (State::Down, vec![]));
    }
}

#[test]
fn a_passive_side_speaks_when_spoken_to_and_falls_silent_again() {
    for pair in PEERS {
        let mut bed = Bed::new(pair, Settings { role: Role::Passive, ..settings(50, 50, 3) });
        assert_eq!(bed.run(ms(60_000)), (vec![], vec![]));
        let (sent, _) = bed.hear(bed.peer(State::Down));
        assert_eq!(sent.len(), 0, "nothing was said before that could have changed");
        let (sent, _) = bed.run(ms(0));
        assert_eq!(sent.first().map(|packet| packet.state), Some(State::Init));
        let (sent, _) = bed.run(ms(60_000));
        assert_eq!(sent, [], "the peer fell silent within a second");
    }
}

#[test]
fn a_poll_is_answered_at_once_in_every_state() {
    for pair in PEERS {
        let mut bed = Bed::new(pair, settings(50, 50, 3));
        for state in [State::Down, State::Init, State::Up] {
            let (sent, _) = bed.hear(Wire { flags: P, ..bed.peer(state) });
            let finals: Vec<_> = sent.iter().filter(|packet| packet.flags & F != 0).collect();
            assert_eq!(finals.len(), 1, "{state:?}");
            assert_eq!(finals[0].flags, F, "never together with P");
        }
    }
}

#[test]
fn a_peer_in_demand_mode_gets_no_periodic_packets_but_while_we_poll() {
    for pair in PEERS {
        let mut bed = Bed::up(pair, settings(50, 50, 3));
        let demand = Wire { flags: D, tx_ms: 1000, ..bed.peer(State::Up) };
        bed.hear(demand);
        assert_eq!(bed.run(ms(2_000)).0, []);
        bed.hear(demand);
        let (sent, _) = {
            bed.want(settings(100, 50, 3));
            bed.run(ms(500))
        };
        assert!(sent.len() >= 4 && sent.iter().all(|packet| packet.flags == P), "{sent:?}");
        bed.hear(Wire { flags: D | F, ..demand });
        assert_eq!(bed.run(ms(1_000)).0, []);
        bed.hear(Wire { flags: 0, ..demand });
        assert!(!bed.run(ms(1_000)).0.is_empty(), "demand mode is over");
    }
}

#[test]
fn who_asks_for_echo_is_told_once_that_there_is_none() {
    for pair in PEERS {
        let echo = Settings { echo: Echo::Asked, ..settings(50, 50, 3) };
        let mut bed = Bed::new(pair, echo);
        bed.want(echo);
        let (sent, seen) = bed.run(ms(0));
        assert_eq!(seen, [Observed::EchoRefused { path: bed.path }]);
        assert!(sent.iter().all(|packet| packet.echo_ms == 0), "and no peer is invited to send any");
    }
}
