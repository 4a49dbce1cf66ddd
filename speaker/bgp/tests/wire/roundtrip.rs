//! What is written is read back as it was.

use herald_bgp::iana::{AttributeCode, CeaseSubcode};
use herald_bgp::wire::{Asn, Encoding, MAX_EXTENDED_MESSAGE, MAX_MESSAGE, Message, Notification, Open, frame};
use proptest::prelude::*;

use crate::values;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_message_that_is_written_is_read_back_as_it_was((encoding, message) in values::agreed()) {
        let Ok(bytes) = message.encode(&encoding) else {
            // The values are legal: only their number can be too large.
            let long = Encoding { extended_message: true, ..encoding };
            prop_assert!(matches!(message, Message::Open(_)) || message.encode(&long).is_ok());
            return Ok(());
        };
        prop_assert!(bytes.len() <= encoding.max_len(message.message_type()));
        prop_assert_eq!(frame(&bytes, &encoding), Ok(Some(bytes.len())));
        let decoded = Message::decode(&bytes, &encoding).unwrap();
        prop_assert_eq!(&decoded.flaw, &None);
        prop_assert_eq!(message, decoded.message);
    }

    #[test]
    fn what_is_read_without_a_flaw_and_written_again_means_the_same((encoding, message) in values::agreed(), at in any::<prop::sample::Index>(), octet in any::<u8>()) {
        let Ok(mut bytes) = message.encode(&encoding) else { return Ok(()) };
        let at = at.index(bytes.len());
        bytes[at] = octet;
        let Ok(decoded) = Message::decode(&bytes, &encoding) else { return Ok(()) };
        // Routes of other families are read over, not kept.
        if let Ok(again) = decoded.message.encode(&encoding) {
            prop_assert_eq!(Message::decode(&again, &encoding).unwrap().message, decoded.message);
        }
    }
}

#[test]
fn parameters_take_the_long_form_only_where_the_short_one_does_not_do() {
    let open = |octets: usize| {
        let capability = |n: usize| herald_bgp::wire::Capability::Unknown { code: 200, bytes: vec![7; n] };
        // Each takes two octets more, and the parameter two.
        let capabilities = vec![capability(100), capability(octets - 106)];
        Open::new(Asn(1), 90, [192, 0, 2, 1].into(), capabilities)
    };
    for (octets, long) in [(200, false), (254, false), (255, true), (300, true)] {
        let message = Message::Open(open(octets));
        let bytes = message.encode(&Encoding::default()).unwrap();
        assert_eq!(bytes[28..30] == [255, 255], long, "{octets}");
        assert_eq!(bytes.len(), 29 + octets + if long { 4 } else { 0 }, "{octets}");
        assert_eq!(Message::decode(&bytes, &Encoding::default()).unwrap().message, message);
    }
}

#[test]
fn a_first_parameter_of_the_long_form_decides_whatever_its_length_octet_says() {
    let head = [4, 0xfc, 1, 0, 90, 192, 0, 2, 1];
    for length in [1, 7, 255] {
        let bytes = crate::message(1, &[&head[..], &[length, 255, 0, 5, 2, 0, 2, 2, 0]].concat());
        let Message::Open(open) = Message::decode(&bytes, &Encoding::default()).unwrap().message else { panic!() };
        assert_eq!(open.capabilities, [herald_bgp::wire::Capability::RouteRefresh]);
    }
}

#[test]
fn a_direction_of_add_path_that_has_no_meaning_makes_it_an_unknown_capability() {
    let head = [4, 0xfc, 1, 0, 90, 192, 0, 2, 1];
    let bytes = crate::message(1, &[&head[..], &[8, 2, 6, 69, 4, 0, 1, 1, 4]].concat());
    let Message::Open(open) = Message::decode(&bytes, &Encoding::default()).unwrap().message else { panic!() };
    let unknown = herald_bgp::wire::Capability::Unknown { code: 69, bytes: vec![0, 1, 1, 4] };
    assert_eq!(open.capabilities, [unknown]);
}

#[test]
fn reachable_prefixes_of_the_attribute_stand_first() {
    let attributes = herald_bgp::wire::Attributes {
        origin: Some(herald_bgp::iana::Origin::Igp),
        as_path: Some(Default::default()),
        ..Default::default()
    };
    let reach = herald_bgp::wire::Reach {
        family: herald_bgp::wire::Family::V6Unicast,
        next_hop: herald_bgp::wire::NextHop::V6 { global: [1; 16].into(), link_local: None },
        nlri: vec![herald_bgp::wire::Prefix::new("2001:db8::/32".parse().unwrap()).into()],
    };
    let update = herald_bgp::wire::Update { attributes, reach: Some(reach), ..Default::default() };
    let bytes = Message::Update(update).encode(&Encoding::default()).unwrap();
    assert_eq!(bytes[24], AttributeCode::MpReachNlri.number());
}

#[test]
fn the_longest_messages_fit_and_one_octet_more_does_not() {
    for (extended_message, max) in [(false, MAX_MESSAGE), (true, MAX_EXTENDED_MESSAGE)] {
        let encoding = Encoding { extended_message, ..Encoding::default() };
        let message = |octets| Message::Notification(Notification { code: 6, subcode: 1, data: vec![1; octets - 21] });
        let bytes = message(max).encode(&encoding).unwrap();
        assert_eq!(bytes.len(), max);
        assert_eq!(Message::decode(&bytes, &encoding).unwrap().message, message(max));
        assert!(message(max + 1).encode(&encoding).is_err());
    }
}

#[test]
fn a_text_for_the_operator_is_cut_at_a_character_and_shown_without_control_characters() {
    let text = "ä".repeat(200);
    let notification = Notification::cease_with_text(CeaseSubcode::AdministrativeShutdown, &text);
    assert_eq!(notification.data.len(), 255);
    assert_eq!(notification.shutdown_text().unwrap(), "ä".repeat(127));
    let sly = Notification { data: b"\x05a\nb\x1bc".to_vec(), ..notification };
    assert_eq!(sly.shutdown_text().unwrap(), "a b c");
}
