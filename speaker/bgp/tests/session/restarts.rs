//! Graceful restart as the peer sees it in our OPEN.

use herald_bgp::{Event, KeepsRoutes, Restart, Start, State};

use crate::reader::OPEN;
use crate::solo::{Solo, routes, s, settings};
use crate::written::{self, Open, keepalive};

fn restarted(start: Start) -> Solo {
    let mut settings = settings();
    settings.graceful_restart = Some(Restart { restart_time: s(120), start });
    Solo::of(settings, routes(["198.51.100.1/32", "2001:db8::1/128"]))
}

/// The value of the capability in the OPEN that was sent last.
fn said(solo: &Solo) -> Option<Vec<u8>> {
    let (_, _, body) = solo.sent.iter().rev().find(|(_, kind, _)| *kind == OPEN)?;
    let mut rest = &body[10..];
    while let [2, length, parameter @ ..] = rest {
        let (mut capabilities, after) = parameter.split_at((*length).into());
        while let [code, length, value @ ..] = capabilities {
            let (value, others) = value.split_at((*length).into());
            if *code == 64 {
                return Some(value.to_vec());
            }
            capabilities = others;
        }
        rest = after;
    }
    None
}

#[test]
fn a_process_that_follows_another_says_so_with_forwarding_kept_in_both_families() {
    let mut solo = restarted(Start::Restarted);
    solo.connected();
    assert_eq!(said(&solo).unwrap(), [0xc0, 120, 0, 1, 1, 0x80, 0, 2, 1, 0x80]);
}

#[test]
fn once_a_session_stood_the_next_follows_no_restart() {
    let mut solo = restarted(Start::Restarted);
    let id = solo.connected();
    let open = Open {
        capabilities: [written::all(written::PEER_AS), vec![written::graceful()]].concat(),
        ..Default::default()
    };
    solo.receive(id, &open.bytes());
    solo.receive(id, &keepalive());
    assert_eq!(solo.session.negotiated().unwrap().keeps_routes, KeepsRoutes::OverNotifications);
    solo.handle(Event::Closed { connection: id, why: "reset".into() });
    solo.pass(s(1));
    solo.connected();
    assert_eq!(said(&solo).unwrap()[0], 0x40);
}

#[test]
fn after_the_restart_time_nothing_is_claimed_any_more() {
    let mut solo = restarted(Start::Restarted);
    solo.pass(s(121));
    assert_eq!(solo.session.state(), State::Connect);
    solo.connected();
    assert_eq!(said(&solo).unwrap()[0], 0x40);
}

#[test]
fn without_the_setting_nothing_is_said_and_nothing_agreed_on() {
    let mut solo = Solo::new();
    let id = solo.connected();
    assert_eq!(said(&solo), None);
    let open = Open {
        capabilities: [written::all(written::PEER_AS), vec![written::graceful()]].concat(),
        ..Default::default()
    };
    solo.receive(id, &open.bytes());
    solo.receive(id, &keepalive());
    assert_eq!(solo.session.negotiated().unwrap().keeps_routes, KeepsRoutes::Never);
}

#[test]
fn routes_go_out_at_once_and_are_followed_by_the_end_of_rib_of_each_family() {
    let mut solo = restarted(Start::Restarted);
    let id = solo.connected();
    solo.receive(id, &written::open());
    solo.receive(id, &keepalive());
    assert_eq!(solo.table.ended.iter().copied().collect::<Vec<_>>(), [1, 2]);
}
