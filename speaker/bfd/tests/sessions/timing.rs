//! Changes of timing while Up, as the peer sees them.

use herald_bfd::{Observed, State};

use crate::bed::{Bed, F, P, PEERS, Wire, ms, settings};

#[test]
fn slower_settings_are_polled_and_then_followed() {
    for pair in PEERS {
        let mut bed = Bed::up(pair, settings(50, 50, 3));
        bed.want(settings(400, 50, 3));
        let mut gaps = Vec::new();
        for _ in 0..5 {
            let (sent, _) = bed.run(ms(50));
            assert!(sent.iter().all(|packet| (packet.tx_ms, packet.flags) == (400, P)), "{sent:?}");
            gaps.push(sent.len());
            bed.hear(bed.peer(State::Up));
        }
        assert!(gaps.iter().sum::<usize>() >= 5, "as fast as before until the Final comes");
        let (_, seen) = bed.hear(Wire { flags: F, ..bed.peer(State::Up) });
        assert_eq!(seen, [Observed::Agreed { path: bed.path, transmit: ms(400), detection: ms(150) }]);
    }
}

#[test]
fn another_multiplier_is_said_at_once_and_needs_no_poll() {
    for pair in PEERS {
        let mut bed = Bed::up(pair, settings(50, 50, 3));
        bed.want(settings(50, 50, 7));
        let (sent, _) = bed.run(ms(0));
        assert_eq!(sent.iter().map(|packet| (packet.mult, packet.flags)).collect::<Vec<_>>(), [(7, 0)]);
    }
}

#[test]
fn the_same_settings_again_say_nothing() {
    for pair in PEERS {
        let mut bed = Bed::up(pair, settings(50, 50, 3));
        for _ in 0..100 {
            bed.want(settings(50, 50, 3));
        }
        assert_eq!(bed.run(ms(0)), (vec![], vec![]));
    }
}

#[test]
fn a_faster_peer_is_followed_without_waiting_out_the_old_interval() {
    for pair in PEERS {
        let mut bed = Bed::up(pair, settings(50, 50, 3));
        bed.hear(Wire { rx_ms: 10_000, tx_ms: 20_000, ..bed.peer(State::Up) });
        bed.run(ms(100));
        assert_eq!(bed.run(ms(1_000)).0, [], "one packet in ten seconds");
        bed.hear(Wire { rx_ms: 50, tx_ms: 20_000, ..bed.peer(State::Up) });
        assert_eq!(bed.run(ms(0)).0.len(), 1, "its time has passed already");
    }
}

#[test]
fn a_peer_that_wants_nothing_gets_nothing() {
    for pair in PEERS {
        let mut bed = Bed::up(pair, settings(50, 50, 3));
        bed.hear(Wire { rx_ms: 0, tx_ms: 20_000, ..bed.peer(State::Up) });
        assert_eq!(bed.run(ms(10_000)).0, []);
    }
}
