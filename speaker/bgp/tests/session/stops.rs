//! Stops: what the peer is told, and what it keeps.

use herald_bgp::{Event, Observed, Restart, Start, State, Stop};

use crate::solo::{Solo, routes, s, settings};
use crate::written::{self, Open, keepalive};

fn shutdown(text: &str) -> Event<'static> {
    Event::Stop(Stop::Shutdown { text: text.into() })
}

fn keep(text: &str) -> Event<'static> {
    Event::Stop(Stop::KeepRoutes { text: text.into() })
}

/// Established with a peer that speaks of restarts, N bit or not.
fn graceful(bit: bool) -> (Solo, herald_bgp::ConnectionId) {
    let mut settings = settings();
    settings.graceful_restart = Some(Restart { restart_time: s(120), start: Start::Fresh });
    let mut capabilities = written::all(written::PEER_AS);
    capabilities.push((64, vec![if bit { 0x40 } else { 0 }, 120]));
    let open = Open { capabilities, ..Default::default() }.bytes();
    Solo::of(settings, routes(["198.51.100.1/32"])).bring_to(State::Established, &open)
}

#[test]
fn a_shutdown_tells_the_peer_why_and_stays_away_until_started() {
    let (mut solo, id) = Solo::established();
    solo.handle(shutdown("node is drained"));
    assert_eq!(solo.told(id), Some((6, 2, [&[15][..], b"node is drained"].concat())));
    assert_eq!(solo.closed, [id]);
    let dials = solo.dials;
    solo.pass(s(3600));
    assert_eq!((solo.dials, solo.session.state()), (dials, State::Idle));
    solo.handle(Event::Start);
    assert_eq!((solo.dials, solo.session.state()), (dials + 1, State::Connect));
}

#[test]
fn a_stopped_session_is_not_begun_by_settings() {
    let (mut solo, _) = Solo::established();
    solo.handle(shutdown(""));
    solo.wanted.settings.hold_time = s(30);
    solo.apply();
    assert_eq!(solo.session.state(), State::Idle);
    assert_eq!(solo.session.deadline(), None);
}

#[test]
fn a_long_text_is_cut_where_a_character_ends() {
    let (mut solo, id) = Solo::established();
    solo.handle(shutdown(&"ä".repeat(200)));
    let (_, _, data) = solo.told(id).unwrap();
    assert_eq!(usize::from(data[0]), 254);
    assert_eq!(std::str::from_utf8(&data[1..]).unwrap(), "ä".repeat(127));
}

#[test]
fn a_stop_that_keeps_the_routes_closes_without_a_word_if_that_was_agreed_on() {
    for bit in [false, true] {
        let (mut solo, id) = graceful(bit);
        solo.forget();
        solo.handle(keep("restart"));
        assert!(solo.said(id).is_empty());
        assert_eq!(solo.closed, [id]);
        assert!(solo.why().unwrap().contains("keeps our routes"));
    }
    let (mut solo, id) = Solo::established();
    solo.handle(keep("restart"));
    assert_eq!(solo.told(id), Some((6, 2, [&[7][..], b"restart"].concat())));
}

#[test]
fn a_shutdown_is_a_hard_reset_for_a_peer_that_keeps_routes_over_notifications() {
    let (mut solo, id) = graceful(true);
    solo.handle(shutdown("bye"));
    assert_eq!(solo.told(id), Some((6, 9, [&[6, 2, 3][..], b"bye"].concat())));
    let (mut solo, id) = graceful(false);
    solo.handle(shutdown("bye"));
    assert_eq!(solo.told(id), Some((6, 2, [&[3][..], b"bye"].concat())));
}

#[test]
fn a_peer_that_is_no_longer_configured_is_told_so() {
    let (mut solo, id) = Solo::established();
    solo.handle(Event::Stop(Stop::Deconfigured));
    assert_eq!(solo.told(id), Some((6, 3, Vec::new())));
}

#[test]
fn settings_that_an_open_does_not_say_change_in_flight() {
    let (mut solo, id) = Solo::established();
    solo.forget();
    solo.wanted.settings.connect_retry_time = s(5);
    solo.wanted.settings.dial = herald_bgp::Dial::Passive;
    solo.apply();
    assert!(solo.said(id).is_empty() && solo.observed.is_empty());
    solo.apply();
    assert!(solo.said(id).is_empty() && solo.observed.is_empty());
}

#[test]
fn a_lost_bfd_session_ends_this_one_and_a_found_one_ends_the_wait() {
    let (mut solo, id) = Solo::established();
    solo.handle(Event::BfdDown);
    assert_eq!(solo.told(id), Some((6, 10, Vec::new())));
    assert!(matches!(solo.observed.last(), Some(Observed::StateChanged { to: State::Idle, .. })));
    let dials = solo.dials;
    solo.handle(Event::BfdUp);
    assert_eq!(solo.dials, dials + 1);
}

#[test]
fn a_session_that_ends_and_begins_again_says_everything_again() {
    let (mut solo, id) = Solo::established();
    assert_eq!(solo.table.routes.len(), 1);
    solo.handle(Event::Reset { text: "again".into() });
    assert_eq!(solo.told(id), Some((6, 4, [&[5][..], b"again"].concat())));
    solo.table = Default::default();
    let id = solo.connected();
    solo.receive(id, &written::open());
    solo.receive(id, &keepalive());
    assert_eq!(solo.table.routes.len(), 1);
    assert_eq!(solo.session.counters().established, 2);
}
