//! Every state and every event, through the public verbs: where it leads, and what the peer is told.

use herald_bgp::{ConnectionId, Event, State, Stop};

use crate::reader::{KEEPALIVE, NOTIFICATION, OPEN, UPDATE};
use crate::solo::{Solo, s};
use crate::written::{self, keepalive, notification, open, refresh, update, update_of};

/// What came of an event.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    state: State,
    /// Code and subcode of a NOTIFICATION.
    told: Option<(u8, u8)>,
    closed: bool,
}

type Act = fn(&mut Solo, ConnectionId);

const STATES: [State; 6] = State::ALL;

fn outcome(state: State, act: Act) -> Outcome {
    let (mut solo, id) = Solo::in_state(state);
    solo.forget();
    act(&mut solo, id);
    let closed = !solo.closed.is_empty();
    let told = solo.sent.iter().find(|(_, kind, _)| *kind == NOTIFICATION).map(|(_, _, body)| (body[0], body[1]));
    Outcome { state: solo.session.state(), told, closed }
}

fn received(solo: &mut Solo, id: ConnectionId, bytes: &[u8]) {
    // Without a connection nothing can be received; a late event about one that is gone must change nothing.
    solo.receive(id, bytes);
}

#[test]
fn every_event_in_every_state_leads_where_the_rfc_says_and_tells_the_peer() {
    use State::{Active, Connect, Established, Idle, OpenConfirm, OpenSent};
    let stay = |state| Outcome { state, told: None, closed: false };
    let end = |code, subcode| Outcome { state: Idle, told: Some((code, subcode)), closed: true };
    let quiet_end = |state| Outcome { state, told: None, closed: true };
    let gone = |state| Outcome { state, told: None, closed: false };

    let table: Vec<(&str, Act, [Outcome; 6])> = vec![
        (
            "start",
            |solo, _| solo.handle(Event::Start),
            [stay(Connect), stay(Active), stay(Connect), stay(OpenSent), stay(OpenConfirm), stay(Established)],
        ),
        (
            "stop",
            |solo, _| solo.handle(Event::Stop(Stop::Shutdown { text: String::new() })),
            [stay(Idle), stay(Idle), stay(Idle), end(6, 2), end(6, 2), end(6, 2)],
        ),
        (
            "reset",
            |solo, _| solo.handle(Event::Reset { text: String::new() }),
            [
                stay(Idle),
                stay(Connect),
                stay(Connect),
                Outcome { state: Connect, ..end(6, 4) },
                Outcome { state: Connect, ..end(6, 4) },
                Outcome { state: Connect, ..end(6, 4) },
            ],
        ),
        (
            "the dial fails",
            |solo, _| solo.handle(Event::ConnectFailed { why: "refused".into() }),
            [stay(Idle), stay(Active), stay(Active), stay(OpenSent), stay(OpenConfirm), stay(Established)],
        ),
        (
            "the peer dials",
            |solo, _| {
                solo.accepted();
            },
            [
                Outcome { state: Idle, told: Some((6, 5)), closed: true },
                stay(OpenSent),
                stay(OpenSent),
                stay(OpenSent),
                stay(OpenConfirm),
                stay(Established),
            ],
        ),
        (
            "the connection is lost",
            |solo, connection| solo.handle(Event::Closed { connection, why: "reset".into() }),
            [stay(Idle), stay(Active), stay(Connect), gone(Active), gone(Idle), gone(Idle)],
        ),
        (
            "OPEN",
            |solo, id| received(solo, id, &open()),
            [stay(Idle), stay(Active), stay(Connect), stay(OpenConfirm), end(5, 2), end(5, 3)],
        ),
        (
            "OPEN of another AS",
            |solo, id| {
                received(
                    solo,
                    id,
                    &written::Open { asn: 1, capabilities: written::all(1), ..Default::default() }.bytes(),
                );
            },
            [stay(Idle), stay(Active), stay(Connect), end(2, 2), end(5, 2), end(5, 3)],
        ),
        (
            "OPEN of another version",
            |solo, id| received(solo, id, &written::Open { version: 3, ..Default::default() }.bytes()),
            [stay(Idle), stay(Active), stay(Connect), end(2, 1), end(2, 1), end(2, 1)],
        ),
        (
            "OPEN with a hold time of two seconds",
            |solo, id| received(solo, id, &written::Open { hold: 2, ..Default::default() }.bytes()),
            [stay(Idle), stay(Active), stay(Connect), end(2, 6), end(2, 6), end(2, 6)],
        ),
        (
            "OPEN without an identifier",
            |solo, id| received(solo, id, &written::Open { id: [0, 0, 0, 0].into(), ..Default::default() }.bytes()),
            [stay(Idle), stay(Active), stay(Connect), end(2, 3), end(2, 3), end(2, 3)],
        ),
        (
            "KEEPALIVE",
            |solo, id| received(solo, id, &keepalive()),
            [stay(Idle), stay(Active), stay(Connect), end(5, 1), stay(Established), stay(Established)],
        ),
        (
            "UPDATE",
            |solo, id| received(solo, id, &update(&[24, 198, 51, 100])),
            [stay(Idle), stay(Active), stay(Connect), end(5, 1), end(5, 2), stay(Established)],
        ),
        (
            "UPDATE whose lengths contradict each other",
            |solo, id| received(solo, id, &written::message(UPDATE, &[0, 9, 0, 0])),
            [stay(Idle), stay(Active), stay(Connect), end(5, 1), end(5, 2), end(3, 1)],
        ),
        (
            "UPDATE with a prefix of 33 bits",
            |solo, id| received(solo, id, &update_of(&[], &[33, 1, 2, 3, 4, 5])),
            [stay(Idle), stay(Active), stay(Connect), end(5, 1), end(5, 2), end(3, 10)],
        ),
        (
            "ROUTE-REFRESH",
            |solo, id| received(solo, id, &refresh(1)),
            [stay(Idle), stay(Active), stay(Connect), end(5, 1), end(5, 2), stay(Established)],
        ),
        (
            "ROUTE-REFRESH that is too long",
            |solo, id| received(solo, id, &written::message(crate::reader::REFRESH, &[0, 1, 0, 1, 0])),
            [stay(Idle), stay(Active), stay(Connect), end(5, 1), end(5, 2), end(7, 1)],
        ),
        (
            "NOTIFICATION",
            |solo, id| received(solo, id, &notification(6, 2, &[])),
            [stay(Idle), stay(Active), stay(Connect), quiet_end(Idle), quiet_end(Idle), quiet_end(Idle)],
        ),
        (
            "a marker that is none",
            |solo, id| received(solo, id, &[&[0; 16][..], &[0, 19, KEEPALIVE]].concat()),
            [stay(Idle), stay(Active), stay(Connect), end(1, 1), end(1, 1), end(1, 1)],
        ),
        (
            "a length of 18",
            |solo, id| received(solo, id, &[&[0xff; 16][..], &[0, 18, KEEPALIVE]].concat()),
            [stay(Idle), stay(Active), stay(Connect), end(1, 2), end(1, 2), end(1, 2)],
        ),
        (
            "a KEEPALIVE with a body",
            |solo, id| received(solo, id, &written::message(KEEPALIVE, &[0])),
            [stay(Idle), stay(Active), stay(Connect), end(1, 2), end(1, 2), end(1, 2)],
        ),
        (
            "a type that is none",
            |solo, id| received(solo, id, &written::message(77, &[])),
            [stay(Idle), stay(Active), stay(Connect), end(1, 3), end(1, 3), end(1, 3)],
        ),
        (
            "BFD loses the peer",
            |solo, _| solo.handle(Event::BfdDown),
            [stay(Idle), stay(Active), stay(Connect), stay(OpenSent), end(6, 10), end(6, 10)],
        ),
        (
            "BFD finds the peer",
            |solo, _| solo.handle(Event::BfdUp),
            [stay(Idle), stay(Connect), stay(Connect), stay(OpenSent), stay(OpenConfirm), stay(Established)],
        ),
        (
            "a configuration with another hold time",
            |solo, _| {
                solo.wanted.settings.hold_time = s(30);
                solo.apply();
            },
            [
                stay(Idle),
                stay(Connect),
                stay(Connect),
                Outcome { state: Connect, ..end(6, 6) },
                Outcome { state: Connect, ..end(6, 6) },
                Outcome { state: Connect, ..end(6, 6) },
            ],
        ),
        (
            "the hold timer expires",
            |solo, _| {
                solo.now += s(3600);
                solo.handle(Event::Tick);
            },
            [stay(Idle), stay(Connect), stay(Connect), end(4, 0), end(4, 0), end(4, 0)],
        ),
    ];
    for (name, act, row) in table {
        for (state, expected) in STATES.into_iter().zip(row) {
            assert_eq!(outcome(state, act), expected, "{name} in {state}");
        }
    }
}

#[test]
fn an_open_goes_out_with_the_connection_and_a_keepalive_with_the_peers_open() {
    for accepted in [false, true] {
        let mut solo = Solo::new();
        let id = if accepted { solo.accepted() } else { solo.connected() };
        assert_eq!(solo.kinds(id), [OPEN]);
        solo.receive(id, &open());
        assert_eq!(solo.kinds(id), [KEEPALIVE]);
        solo.receive(id, &keepalive());
        assert_eq!(solo.kinds(id), [UPDATE, UPDATE, UPDATE], "a route and two ends-of-RIB");
    }
}

#[test]
fn messages_may_arrive_in_any_pieces() {
    let all = [open(), keepalive(), update(&[24, 198, 51, 100]), refresh(1)].concat();
    for size in [1, 2, 18, 19, 20, all.len()] {
        let mut solo = Solo::new();
        let id = solo.connected();
        for piece in all.chunks(size) {
            solo.receive(id, piece);
        }
        assert_eq!(solo.session.state(), State::Established, "pieces of {size}");
        assert_eq!(solo.session.counters().announced_by_peer, 1, "pieces of {size}");
        assert_eq!(solo.session.counters().received.route_refresh, 1, "pieces of {size}");
    }
}

#[test]
fn nothing_is_done_before_the_first_set() {
    let mut solo = Solo::unborn(crate::solo::settings(), Default::default());
    for event in [Event::Tick, Event::Start, Event::BfdUp, Event::BfdDown, Event::Reset { text: String::new() }] {
        solo.handle(event);
    }
    assert_eq!((solo.dials, solo.session.state(), solo.session.deadline()), (0, State::Idle, None));
    solo.apply();
    assert_eq!((solo.dials, solo.session.state()), (1, State::Connect));
}
