//! When something is done because nothing happened.

use std::time::Duration;

use herald_bgp::{Dial, Event, Observed, State};

use crate::reader::KEEPALIVE;
use crate::solo::{Solo, s, settings};
use crate::written::{self, keepalive};

#[test]
fn a_silent_peer_is_given_up_after_the_negotiated_hold_time_and_told() {
    let open = written::Open { hold: 9, ..Default::default() }.bytes();
    let (mut solo, id) = Solo::new().bring_to(State::Established, &open);
    solo.forget();
    solo.pass(s(8));
    assert_eq!(solo.session.state(), State::Established);
    solo.pass(s(1));
    assert_eq!(solo.session.state(), State::Idle);
    assert_eq!(solo.told(id), Some((4, 0, Vec::new())));
    assert_eq!(solo.why().as_deref(), Some("closed by us: nothing was heard from the peer for 9 s"));
}

#[test]
fn keepalives_and_updates_of_the_peer_keep_it_alive_and_nothing_else_does() {
    let (mut solo, id) = Solo::established();
    for n in 0..20 {
        solo.pass(s(60));
        let bytes = if n % 2 == 0 { keepalive() } else { written::update(&[0]) };
        solo.receive(id, &bytes);
    }
    assert_eq!(solo.session.state(), State::Established);
    // Half a message is not one.
    solo.pass(s(60));
    solo.receive(id, &keepalive()[..10]);
    solo.pass(s(30));
    assert_eq!(solo.session.state(), State::Idle);
}

#[test]
fn keepalives_go_out_at_a_third_of_the_hold_time_less_a_quarter_at_most() {
    let (mut solo, id) = Solo::established();
    solo.forget();
    for _ in 0..60 {
        solo.pass(s(30));
        solo.receive(id, &keepalive());
    }
    let count = solo.kinds(id).iter().filter(|kind| **kind == KEEPALIVE).count();
    assert!((60..=80).contains(&count), "{count} in 60 thirds");
}

#[test]
fn with_a_hold_time_of_zero_silence_means_nothing() {
    let open = written::Open { hold: 0, ..Default::default() }.bytes();
    let (mut solo, id) = Solo::new().bring_to(State::Established, &open);
    solo.forget();
    solo.pass(s(86_400));
    assert_eq!(solo.session.state(), State::Established);
    assert!(solo.kinds(id).is_empty());
}

#[test]
fn a_peer_that_sends_no_open_is_given_up_after_a_minute() {
    let (mut solo, id) = Solo::in_state(State::OpenSent);
    solo.forget();
    solo.pass(s(59));
    assert_eq!(solo.session.state(), State::OpenSent);
    solo.pass(s(1));
    assert_eq!(solo.told(id), Some((4, 0, Vec::new())));
}

#[test]
fn a_peer_that_reads_nothing_is_given_up_after_eight_minutes() {
    let (mut solo, id) = Solo::established();
    solo.write_all();
    solo.forget();
    solo.writes = false;
    let mut waited = Duration::ZERO;
    while solo.session.state() == State::Established && waited < s(3600) {
        solo.pass(s(10));
        waited += s(10);
        solo.receive(id, &keepalive());
    }
    assert!(waited >= s(480) && waited <= s(520), "{waited:?}");
    assert_eq!(solo.told(id), Some((8, 0, Vec::new())));
}

#[test]
fn a_peer_that_reads_slowly_is_not_given_up() {
    let (mut solo, id) = Solo::established();
    solo.writes = false;
    for _ in 0..200 {
        solo.pass(s(60));
        solo.receive(id, &keepalive());
        if let Some((connection, octets)) = solo.unwritten.pop() {
            solo.handle(Event::Written { connection, octets: octets.min(1) });
            solo.unwritten.push((connection, octets));
        }
        assert_eq!(solo.session.state(), State::Established);
    }
}

#[test]
fn a_dial_that_gets_no_answer_is_given_up_and_made_anew() {
    let mut solo = Solo::new();
    for n in 1..5 {
        assert_eq!((solo.dials, solo.abandoned), (n, n - 1));
        solo.pass(s(10));
    }
}

#[test]
fn failed_dials_are_repeated_more_and_more_rarely_up_to_the_configured_time() {
    let mut settings = settings();
    settings.connect_retry_time = s(8);
    let mut solo = Solo::of(settings, Default::default());
    for ceiling in [1, 2, 4, 8, 8, 8] {
        solo.handle(Event::ConnectFailed { why: "refused".into() });
        let Some(Observed::ConnectFailed { retry_in: Some(wait), .. }) =
            solo.observed.iter().rfind(|observed| matches!(observed, Observed::ConnectFailed { .. }))
        else {
            panic!("the wait is not reported");
        };
        assert!(*wait <= s(ceiling) && *wait >= s(ceiling) * 3 / 4, "{wait:?} of {ceiling} s");
        let dials = solo.dials;
        solo.pass(s(ceiling));
        assert_eq!(solo.dials, dials + 1);
    }
}

#[test]
fn a_session_that_fails_as_soon_as_it_stands_is_tried_more_and_more_rarely() {
    let mut solo = Solo::new();
    let mut dials = Vec::new();
    for _ in 0..600 {
        if solo.session.state() == State::Connect {
            dials.push(solo.now);
            let id = solo.connected();
            solo.receive(id, &written::open());
            solo.receive(id, &keepalive());
            solo.receive(id, &written::notification(6, 1, &[]));
        }
        solo.pass(s(1));
    }
    assert!(dials.len() < 30, "{} dials in ten minutes", dials.len());
    let last = dials[dials.len() - 1] - dials[dials.len() - 2];
    assert!(last >= s(20), "{last:?}");
}

#[test]
fn a_session_that_stood_for_a_while_is_tried_again_at_once() {
    let (mut solo, mut id) = Solo::established();
    for _ in 0..10 {
        solo.pass(s(40));
        solo.handle(Event::Closed { connection: id, why: "reset".into() });
        let dials = solo.dials;
        solo.pass(s(1));
        assert_eq!(solo.dials, dials + 1);
        id = solo.connected();
        solo.receive(id, &written::open());
        solo.receive(id, &keepalive());
    }
}

#[test]
fn a_passive_session_never_dials() {
    let mut settings = settings();
    settings.dial = Dial::Passive;
    let mut solo = Solo::of(settings, Default::default());
    solo.pass(s(3600));
    assert_eq!((solo.dials, solo.session.state()), (0, State::Active));
    let id = solo.accepted();
    solo.receive(id, &written::open());
    solo.receive(id, &keepalive());
    assert_eq!(solo.session.state(), State::Established);
    solo.handle(Event::Closed { connection: id, why: "reset".into() });
    solo.pass(s(3600));
    assert_eq!((solo.dials, solo.session.state()), (0, State::Active));
}

#[test]
fn bytes_that_were_waiting_count_before_the_tick_that_was_late() {
    let (mut solo, id) = Solo::established();
    // This process was stopped for two minutes; the peer's KEEPALIVEs are in the socket.
    solo.now += s(120);
    solo.receive(id, &keepalive());
    solo.handle(Event::Tick);
    assert_eq!(solo.session.state(), State::Established);
}
