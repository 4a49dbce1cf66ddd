//! What is discarded, and under which name.

use std::collections::BTreeMap;

use herald_bfd::{Drop, Event, Hops, InterfaceIndex, MOST_SESSIONS, Observed, Packet, Path, Sessions, State};

use crate::bed::{A, Bed, PEERS, Wire, ip, ms, path, settings, start};

#[test]
fn each_rule_about_sessions_has_its_reason() {
    for pair in PEERS {
        let mut bed = Bed::up(pair, settings(50, 50, 3));
        let good = bed.peer(State::Up);
        let stranger = ip(if bed.path.peer.is_ipv4() { "192.0.2.66" } else { "2001:db8::66" });
        let new = Wire { your: 0, state: State::Down, ..good };
        type Change = fn(Packet<'_>) -> Packet<'_>;
        let as_is: Change = |packet| packet;
        let rows: [(Wire, Change, Drop); 9] = [
            (good, |packet| Packet { ttl_hops: 254, ..packet }, Drop::Ttl),
            (good, |packet| Packet { ttl_hops: 0, ..packet }, Drop::Ttl),
            (good, |packet| Packet { bytes: &[], ..packet }, Drop::Truncated),
            (Wire { your: good.your ^ 1, ..good }, as_is, Drop::UnknownSession),
            (Wire { your: 0, ..good }, as_is, Drop::YourDiscriminator),
            (Wire { your: 0, state: State::Init, ..good }, as_is, Drop::YourDiscriminator),
            (Wire { flags: A, ..good }, as_is, Drop::Authentication),
            (good, |packet| Packet { hops: Hops::Multi, ..packet }, Drop::OtherPath),
            (new, |packet| Packet { vrf: Some(InterfaceIndex(9)), ..packet }, Drop::UnknownPeer),
        ];
        for (wire, change, reason) in rows {
            let bytes = wire.bytes();
            let packet = change(bed.packet(&bytes));
            assert_eq!(one(&mut bed, packet), Observed::Dropped { reason }, "{wire:?}");
        }
        let bytes = (good.bytes(), new.bytes());
        let forged = Packet { from: stranger, ..bed.packet(&bytes.0) };
        assert_eq!(one(&mut bed, forged), Observed::Dropped { reason: Drop::OtherPath });
        let forged = Packet { from: stranger, ..bed.packet(&bytes.1) };
        assert_eq!(one(&mut bed, forged), Observed::Dropped { reason: Drop::UnknownPeer });
        assert_eq!(bed.state(), State::Up, "none of them changed anything");
    }
}

#[test]
fn dropped_packets_do_not_keep_a_session_alive() {
    for pair in PEERS {
        let mut bed = Bed::up(pair, settings(50, 50, 3));
        let mut down = false;
        for _ in 0..20 {
            bed.hear(Wire { flags: A, ..bed.peer(State::Up) });
            down |= bed.run(ms(10)).1.iter().any(|seen| matches!(seen, Observed::Down { .. }));
        }
        assert!(down);
    }
}

#[test]
fn over_several_hops_the_ttl_may_fall_to_the_minimum_and_no_lower() {
    for (local, peer) in PEERS {
        let wanted = herald_bfd::Settings { minimum_ttl_hops: 250, ..settings(50, 50, 3) };
        let mut bed = Bed::over(path(Hops::Multi, local, peer), wanted);
        bed.run(ms(0));
        let bytes = bed.peer(State::Down).bytes();
        let low = Packet { ttl_hops: 249, ..bed.packet(&bytes) };
        assert_eq!(one(&mut bed, low), Observed::Dropped { reason: Drop::TtlBelowMinimum });
        let enough = Packet { ttl_hops: 250, ..bed.packet(&bytes) };
        assert_eq!(one(&mut bed, enough), Observed::Received { path: bed.path });
        assert_eq!(bed.state(), State::Init);
    }
}

#[test]
fn a_path_that_names_more_wins_and_what_it_names_must_be_true() {
    for (local, peer) in PEERS {
        let anywhere = Path { local: None, ..path(Hops::Single, local, peer) };
        let there = Path { interface: Some(InterfaceIndex(5)), ..anywhere };
        let mut sessions = Sessions::new(1);
        sessions.set(start(), &BTreeMap::from([(anywhere, settings(50, 50, 3)), (there, settings(50, 50, 3))]));
        let new =
            Wire { diag: 0, state: State::Down, flags: 0, mult: 3, my: 1, your: 0, tx_ms: 50, rx_ms: 50, echo_ms: 0 };
        for (interface, expected) in [(5, there), (6, anywhere)] {
            let interface = InterfaceIndex(interface);
            let packet = Packet {
                hops: Hops::Single,
                vrf: None,
                interface,
                from: ip(peer),
                to: ip(local),
                ttl_hops: 255,
                bytes: &new.bytes(),
            };
            sessions.handle(start(), Event::Packet(packet));
            let seen = std::iter::from_fn(|| sessions.poll())
                .filter_map(|action| match action {
                    herald_bfd::Action::Report(seen) => Some(seen),
                    herald_bfd::Action::Send { .. } => None,
                })
                .collect::<Vec<_>>();
            assert_eq!(seen, [Observed::Received { path: expected }]);
        }
    }
}

#[test]
fn more_sessions_than_are_kept_are_said_and_cost_nothing() {
    let paths = (0..MOST_SESSIONS as u32 + 3)
        .map(|n| path(Hops::Single, "10.0.0.1", &std::net::Ipv4Addr::from(0x0a01_0000 + n).to_string()))
        .map(|path| (path, settings(50, 50, 3)))
        .collect::<BTreeMap<_, _>>();
    let mut sessions = Sessions::new(5);
    for round in [3, 0] {
        sessions.set(start(), &paths);
        let refused = std::iter::from_fn(|| sessions.poll())
            .filter(|action| matches!(action, herald_bfd::Action::Report(Observed::TooMany { .. })));
        assert_eq!(refused.count(), round, "each is said once");
    }
    assert_eq!(sessions.iter().count(), MOST_SESSIONS);
}

#[test]
fn reasons_have_words_of_their_own() {
    let words: std::collections::BTreeSet<_> = Drop::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(words.len(), Drop::ALL.len());
}

/// The last report after one packet.
fn one(bed: &mut Bed, packet: Packet<'_>) -> Observed {
    bed.sessions.handle(bed.now, Event::Packet(packet));
    let mut last = None;
    while let Some(action) = bed.sessions.poll() {
        if let herald_bfd::Action::Report(observed) = action {
            last = Some(observed);
        }
    }
    last.unwrap()
}
