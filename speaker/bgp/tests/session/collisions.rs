//! Two connections at once: RFC 4271 §6.8, RFC 6286 §2.3, RFC 4724 §5.

use std::net::Ipv4Addr;

use herald_bgp::wire::Asn;
use herald_bgp::{ConnectionId, RemoteAs, State};

use crate::solo::{OUR_ID, Solo, routes, settings};
use crate::written::{self, Open, keepalive};

const HIGHER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
const LOWER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

/// Both connections up, both OPENs out.
fn crossed() -> (Solo, ConnectionId, ConnectionId) {
    let mut solo = Solo::new();
    let accepted = solo.accepted();
    let dialled = solo.connected();
    solo.forget();
    (solo, dialled, accepted)
}

fn open(id: Ipv4Addr) -> Vec<u8> {
    Open { id, ..Default::default() }.bytes()
}

#[test]
fn the_connection_of_the_side_with_the_higher_identifier_is_kept_whichever_open_comes_first() {
    for peer in [HIGHER, LOWER] {
        for dialled_first in [true, false] {
            let (mut solo, dialled, accepted) = crossed();
            let (kept, lost) = if peer > OUR_ID { (accepted, dialled) } else { (dialled, accepted) };
            for id in if dialled_first { [dialled, accepted] } else { [accepted, dialled] } {
                solo.receive(id, &open(peer));
            }
            assert_eq!(solo.closed, [lost], "peer {peer}, dialled first: {dialled_first}");
            assert_eq!(solo.told(lost), Some((6, 7, Vec::new())));
            solo.receive(kept, &keepalive());
            assert_eq!(solo.session.state(), State::Established);
        }
    }
}

#[test]
fn of_equal_identifiers_the_higher_as_counts() {
    for (asn, ours_kept) in [(1, true), (4_200_000_000, false)] {
        let mut settings = settings();
        settings.remote_as = RemoteAs::Exactly(Asn(asn));
        let mut solo = Solo::of(settings, routes([]));
        let accepted = solo.accepted();
        let dialled = solo.connected();
        let open = Open { id: OUR_ID, asn, capabilities: written::all(asn), ..Default::default() };
        solo.receive(dialled, &open.bytes());
        assert_eq!(solo.closed, [if ours_kept { accepted } else { dialled }], "AS {asn}");
    }
}

#[test]
fn an_established_session_stands_and_the_newcomer_is_told() {
    for peer in [HIGHER, LOWER] {
        let (mut solo, id) = Solo::new().bring_to(State::Established, &open(peer));
        solo.forget();
        let second = solo.accepted();
        solo.receive(second, &open(peer));
        assert_eq!(solo.closed, [second]);
        assert_eq!(solo.told(second), Some((6, 7, Vec::new())));
        assert_eq!(solo.session.state(), State::Established);
        solo.receive(id, &keepalive());
        assert_eq!(solo.session.state(), State::Established);
    }
}

#[test]
fn a_dial_that_is_still_out_when_the_session_stands_is_given_up() {
    let mut solo = Solo::new();
    let id = solo.accepted();
    solo.receive(id, &open(HIGHER));
    solo.receive(id, &keepalive());
    assert_eq!((solo.dials, solo.abandoned), (1, 1));
}

#[test]
fn a_peer_that_dials_twice_has_forgotten_the_first() {
    let mut solo = Solo::new();
    let first = solo.accepted();
    let second = solo.accepted();
    assert_eq!(solo.closed, [first]);
    solo.receive(second, &open(HIGHER));
    solo.receive(second, &keepalive());
    assert_eq!(solo.session.state(), State::Established);
}

#[test]
fn the_new_connection_of_a_peer_that_restarts_gracefully_takes_over_without_a_word_on_the_old() {
    let mut settings = settings();
    let restart_time = crate::solo::s(120);
    settings.graceful_restart = Some(herald_bgp::Restart { restart_time, start: herald_bgp::Start::Fresh });
    let mut capabilities = written::all(written::PEER_AS);
    capabilities.push(written::graceful());
    let open = Open { capabilities, ..Default::default() }.bytes();
    let (mut solo, old) = Solo::of(settings, routes(["198.51.100.1/32"])).bring_to(State::Established, &open);
    solo.pass(crate::solo::s(1));
    solo.forget();
    solo.table = Default::default();
    let new = solo.accepted();
    solo.receive(new, &open);
    assert_eq!(solo.closed, [old]);
    assert!(solo.said(old).is_empty());
    solo.receive(new, &keepalive());
    assert_eq!(solo.session.state(), State::Established);
    assert_eq!(solo.table.routes.len(), 1, "the peer gets everything again");
    assert_eq!(solo.table.ended.len(), 2);
}

#[test]
fn when_one_of_two_fails_the_other_goes_on() {
    let (mut solo, dialled, accepted) = crossed();
    solo.handle(herald_bgp::Event::Closed { connection: accepted, why: "reset".into() });
    solo.receive(dialled, &open(HIGHER));
    solo.receive(dialled, &keepalive());
    assert_eq!(solo.session.state(), State::Established);
    assert_eq!(solo.dials, 0, "nothing was dialled beside it");
}
