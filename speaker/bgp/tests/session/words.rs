//! Reports: an operator reads what is wrong, and on which side.

use herald_bgp::{Ended, Observed, Refusal, Side, State};

use crate::solo::Solo;
use crate::written::{self, Open, notification};

/// The reason of the end that one message in OpenSent or Established causes.
fn ended(state: State, bytes: &[u8]) -> Ended {
    let (mut solo, id) = Solo::in_state(state);
    solo.receive(id, bytes);
    let end = solo.observed.iter().find_map(|observed| match observed {
        Observed::Ended { was, why } if *was == state => Some(why.clone()),
        _ => None,
    });
    end.expect("an end is reported with the state it ended")
}

#[test]
fn a_wrong_as_is_named_with_the_one_expected() {
    let why =
        ended(State::OpenSent, &Open { asn: 65_999, capabilities: written::all(65_999), ..Default::default() }.bytes());
    assert!(matches!(why, Ended::Refused(Refusal::WrongAs { .. })));
    assert_eq!(
        why.to_string(),
        "refused by us: the peer is in AS 65999, expected 64513: correct the peer's AS here or its own AS there"
    );
    assert_eq!((why.by(), why.label()), (Side::Us, "wrong_as"));
}

#[test]
fn a_notification_of_the_peer_is_spelled_out_and_advice_follows_where_there_is_any() {
    for (bytes, text) in [
        (
            notification(2, 2, &[]),
            "closed by the peer: OPEN Message Error (2), Bad Peer AS (2); the peer expects another AS of us: correct our AS here or the neighbor's AS on the peer",
        ),
        (
            notification(6, 2, b"\x0bmaintenance"),
            "closed by the peer: Cease (6), Administrative Shutdown (2): \"maintenance\"",
        ),
        (notification(6, 1, &[]), "closed by the peer: Cease (6), Maximum Number of Prefixes Reached (1)"),
        (notification(77, 3, &[]), "closed by the peer: unknown error (77), subcode 3"),
    ] {
        let why = ended(State::OpenSent, &bytes);
        assert_eq!(why.to_string(), text);
        assert_eq!((why.by(), why.label()), (Side::Peer, "peer_notification"));
    }
}

#[test]
fn a_message_out_of_place_is_named() {
    let why = ended(State::Established, &written::open());
    assert_eq!(why.to_string(), "closed by us: the peer sent OPEN in state Established, where it has no place");
}

#[test]
fn what_was_agreed_on_is_reported_with_what_is_missing() {
    let open = Open { capabilities: vec![(1, vec![0, 1, 0, 1])], ..Default::default() }.bytes();
    let (solo, _) = Solo::new().bring_to(State::Established, &open);
    let up = solo.observed.iter().find_map(|observed| match observed {
        Observed::Up(negotiated) => Some(negotiated),
        _ => None,
    });
    let missing: Vec<_> = up.unwrap().families_missing.iter().collect();
    assert_eq!(missing, [herald_bgp::wire::Family::V6Unicast]);
    assert_eq!(solo.session.negotiated(), up.map(|up| &**up));
    assert_eq!(solo.session.established_since(), Some(solo.now));
}

#[test]
fn every_change_of_state_is_reported_once() {
    let (solo, _) = Solo::established();
    let changes: Vec<(State, State)> = solo
        .observed
        .iter()
        .filter_map(|observed| match observed {
            Observed::StateChanged { from, to } => Some((*from, *to)),
            _ => None,
        })
        .collect();
    use State::{Connect, Established, Idle, OpenConfirm, OpenSent};
    assert_eq!(changes, [(Idle, Connect), (Connect, OpenSent), (OpenSent, OpenConfirm), (OpenConfirm, Established)]);
}

#[test]
fn messages_are_counted_in_both_directions() {
    let (mut solo, id) = Solo::established();
    solo.receive(id, &written::refresh(1));
    solo.receive(id, &notification(6, 4, &[]));
    let counters = solo.session.counters();
    assert_eq!((counters.received.open, counters.received.keepalive, counters.received.route_refresh), (1, 1, 1));
    assert_eq!((counters.received.notification, counters.received.total()), (1, 4));
    assert_eq!((counters.sent.open, counters.sent.keepalive), (1, 1));
    assert_eq!(counters.sent.update, 4, "a route, two ends-of-RIB, the route again");
    assert_eq!(counters.sent.route_refresh, 2);
}
