//! A peer that sends anything at all.

use herald_bgp::State;
use proptest::prelude::*;

use crate::reader::NOTIFICATION;
use crate::solo::Solo;
use crate::written::{self, message};

/// Whatever came, the session goes on, or it ended with a NOTIFICATION that came last and a reason.
fn check(mut solo: Solo, id: herald_bgp::ConnectionId, pieces: &[Vec<u8>]) {
    solo.forget();
    for piece in pieces {
        solo.receive(id, piece);
    }
    let notified = solo.kinds(id).last() == Some(&NOTIFICATION);
    let by_peer =
        solo.observed.iter().any(|observed| matches!(observed, herald_bgp::Observed::NotificationReceived(_)));
    if solo.closed.contains(&id) {
        assert!(notified || by_peer || solo.why().is_some_and(|why| why.contains("NOTIFICATION")));
        assert!(solo.why().is_some());
    } else {
        assert!(solo.session.state() >= State::OpenSent);
    }
    assert!(solo.session.rib().wanted().len() == 1, "what is wanted is untouched");
}

fn states() -> impl Strategy<Value = State> {
    prop_oneof![Just(State::OpenSent), Just(State::OpenConfirm), Just(State::Established)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_octets_end_in_a_notification_or_wait_for_more(state in states(), octets in prop::collection::vec(any::<u8>(), 0..200)) {
        let (solo, id) = Solo::in_state(state);
        check(solo, id, &[octets]);
    }

    #[test]
    fn any_body_of_any_type_ends_in_a_notification_or_is_taken(
        state in states(),
        messages in prop::collection::vec((0u8..8, prop::collection::vec(any::<u8>(), 0..100)), 1..5),
    ) {
        let (solo, id) = Solo::in_state(state);
        let pieces: Vec<Vec<u8>> = messages.iter().map(|(kind, body)| message(*kind, body)).collect();
        check(solo, id, &pieces);
    }

    #[test]
    fn a_good_stream_with_one_octet_changed_ends_in_a_notification_or_is_taken(at in 0usize..300, to in any::<u8>()) {
        let mut stream = [written::open(), written::keepalive(), written::update(&[24, 198, 51, 100]), written::refresh(1)].concat();
        let at = at % stream.len();
        stream[at] = to;
        let (solo, id) = Solo::in_state(State::OpenSent);
        check(solo, id, &[stream]);
    }
}

#[test]
fn a_message_that_never_ends_is_refused_before_it_is_kept() {
    let (mut solo, id) = Solo::in_state(State::OpenSent);
    solo.forget();
    let mut huge = vec![0xff; 16];
    huge.extend([0xff, 0xff, 1]);
    solo.receive(id, &huge);
    assert_eq!(solo.told(id), Some((1, 2, vec![0xff, 0xff])));
}
