//! Errors that end a connection: each with its octet, its values, and what the peer is told.

use std::collections::BTreeSet;

use herald_bgp::iana::AttributeCode;
use herald_bgp::wire::{DecodeError, Encoding, Message, PrefixField, Problem, frame};

use crate::{GOOD, NET, message, update};

/// What both can do with everything agreed on that changes how something is read.
fn encoding() -> Encoding {
    Encoding { four_octet_as: true, ..Encoding::default() }
}

fn error(bytes: &[u8]) -> DecodeError {
    match Message::decode(bytes, &encoding()) {
        Err(error) => error,
        Ok(decoded) => panic!("{bytes:02x?} is taken: {decoded:?}"),
    }
}

/// An OPEN with these optional parameters, their length before them.
fn open(parameters: &[u8]) -> Vec<u8> {
    message(1, &[&[4, 0xfc, 1, 0, 90, 192, 0, 2, 1][..], parameters].concat())
}

fn capability(code: u8, value: &[u8]) -> Vec<u8> {
    let length = u8::try_from(value.len()).unwrap();
    open(&[&[length + 4, 2, length + 2, code, length][..], value].concat())
}

fn with_octet(mut bytes: Vec<u8>, at: usize, octet: u8) -> Vec<u8> {
    bytes[at] = octet;
    bytes
}

/// Message, octet, problem; code, subcode and data of the NOTIFICATION.
type Case = (Vec<u8>, usize, Problem, (u8, u8, Vec<u8>));

fn cases() -> Vec<Case> {
    let reach = AttributeCode::MpReachNlri;
    let unreach = AttributeCode::MpUnreachNlri;
    let attribute =
        |flags: u8, code: u8, value: &[u8]| [&[flags, code, u8::try_from(value.len()).unwrap()][..], value].concat();
    let of = |attribute: &[u8]| update(&[], attribute, &[]);
    let long_prefix = attribute(0x80, 14, &[0, 2, 1, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 129]);
    let cut_prefix = attribute(0x80, 15, &[0, 2, 1, 64, 0x20]);
    let short_reach = attribute(0x80, 14, &[0, 2, 1]);
    let no_reserved = attribute(0x80, 14, &[0, 1, 1, 4, 192, 0, 2, 1]);
    let short_unreach = attribute(0x80, 15, &[0, 2]);
    let next_hop = attribute(0x80, 14, &[&[0, 1, 1, 16][..], &[1; 16], &[0]].concat());
    let empty = attribute(0x80, 15, &[0, 2, 1]);
    let well_known = attribute(0x40, 99, &[7]);
    vec![
        // The header.
        (with_octet(message(4, &[]), 7, 0x7f), 7, Problem::Marker { found: 0x7f }, (1, 1, vec![])),
        (with_octet(message(4, &[]), 17, 18), 16, Problem::Length { found: 18, min: 19, max: 19 }, (1, 2, vec![0, 18])),
        (message(4, &[0]), 16, Problem::Length { found: 20, min: 19, max: 19 }, (1, 2, vec![0, 20])),
        (message(3, &[6]), 16, Problem::Length { found: 20, min: 21, max: 4096 }, (1, 2, vec![0, 20])),
        (message(2, &[0; 3]), 16, Problem::Length { found: 22, min: 23, max: 4096 }, (1, 2, vec![0, 22])),
        (message(2, &[0; 4078]), 16, Problem::Length { found: 4097, min: 23, max: 4096 }, (1, 2, vec![16, 1])),
        (message(1, &[0; 9]), 16, Problem::Length { found: 28, min: 29, max: 4096 }, (1, 2, vec![0, 28])),
        (message(6, &[]), 18, Problem::Type { found: 6 }, (1, 3, vec![6])),
        // OPEN.
        (with_octet(open(&[0]), 19, 3), 19, Problem::Version { found: 3 }, (2, 1, vec![0, 4])),
        (message(1, &[4, 0, 0, 0, 90, 192, 0, 2, 1, 0]), 20, Problem::ZeroAs, (2, 2, vec![])),
        (capability(65, &[0; 4]), 33, Problem::ZeroAs, (2, 2, vec![])),
        (with_octet(open(&[0]), 23, 2), 22, Problem::HoldTime { found: 2 }, (2, 6, vec![])),
        (message(1, &[4, 0, 1, 0, 90, 0, 0, 0, 0, 0]), 24, Problem::ZeroIdentifier, (2, 3, vec![])),
        (open(&[3, 2, 0]), 28, Problem::ParametersLength { found: 3, left: 2 }, (2, 0, vec![])),
        (open(&[1, 2, 0]), 28, Problem::ParametersLength { found: 1, left: 2 }, (2, 0, vec![])),
        (open(&[255, 255, 0]), 28, Problem::ParametersLength { found: 3, left: 2 }, (2, 0, vec![])),
        (open(&[255, 255, 0, 9, 2]), 28, Problem::ParametersLength { found: 9, left: 1 }, (2, 0, vec![])),
        (open(&[1, 2]), 29, Problem::ParameterLength { found: 2, left: 1 }, (2, 0, vec![])),
        (open(&[3, 2, 2, 2]), 29, Problem::ParameterLength { found: 4, left: 3 }, (2, 0, vec![])),
        (open(&[255, 255, 0, 3, 2, 0, 1]), 32, Problem::ParameterLength { found: 4, left: 3 }, (2, 0, vec![])),
        (open(&[3, 1, 1, 0]), 29, Problem::ParameterType { found: 1 }, (2, 4, vec![])),
        (open(&[3, 2, 1, 65]), 31, Problem::CapabilityLength { found: 2, left: 1 }, (2, 0, vec![])),
        (open(&[5, 2, 3, 65, 4, 0]), 31, Problem::CapabilityLength { found: 6, left: 3 }, (2, 0, vec![])),
        // UPDATE.
        (message(2, &[0, 1, 0, 0]), 19, Problem::WithdrawnLength { found: 1, left: 0 }, (3, 1, vec![])),
        (message(2, &[0, 0, 0, 2, 0]), 21, Problem::AttributesLength { found: 2, left: 1 }, (3, 1, vec![])),
        (
            update(&[33, 1, 2, 3, 4, 5], &[], &[]),
            21,
            Problem::PrefixBits { field: PrefixField::Withdrawn, found: 33, max: 32 },
            (3, 10, vec![]),
        ),
        (
            update(&[], &GOOD, &[24, 198, 51, 100, 25, 1]),
            47,
            Problem::PrefixOverrun { field: PrefixField::Nlri, found: 5, left: 2 },
            (3, 10, vec![]),
        ),
        (
            of(&long_prefix),
            47,
            Problem::PrefixBits { field: PrefixField::Reach, found: 129, max: 128 },
            (3, 9, long_prefix.clone()),
        ),
        (
            of(&cut_prefix),
            29,
            Problem::PrefixOverrun { field: PrefixField::Unreach, found: 9, left: 2 },
            (3, 9, cut_prefix.clone()),
        ),
        (
            of(&short_reach),
            26,
            Problem::MultiProtocolShort { code: reach, found: 3, min: 5 },
            (3, 9, short_reach.clone()),
        ),
        (
            of(&no_reserved),
            26,
            Problem::MultiProtocolShort { code: reach, found: 8, min: 9 },
            (3, 9, no_reserved.clone()),
        ),
        (
            of(&short_unreach),
            26,
            Problem::MultiProtocolShort { code: unreach, found: 2, min: 3 },
            (3, 9, short_unreach.clone()),
        ),
        (of(&next_hop), 29, Problem::NextHopLength { found: 16, expected: "4" }, (3, 9, next_hop.clone())),
        (of(&empty.repeat(2)), 29, Problem::MultiProtocolTwice { code: unreach }, (3, 1, empty.clone())),
        (of(&well_known), 23, Problem::UnrecognizedWellKnown { code: 99 }, (3, 2, well_known.clone())),
        // ROUTE-REFRESH.
        (message(5, &[0, 1, 0]), 16, Problem::RefreshLength { found: 22 }, (7, 1, message(5, &[0, 1, 0]))),
        (message(5, &[0; 5]), 16, Problem::RefreshLength { found: 24 }, (7, 1, message(5, &[0; 5]))),
    ]
}

#[test]
fn every_error_names_its_octet_its_values_and_its_notification() {
    for (bytes, offset, problem, (code, subcode, data)) in cases() {
        let error = error(&bytes);
        assert_eq!((error.offset, error.problem), (offset, problem), "{bytes:02x?}");
        let notification = error.notification();
        assert_eq!((notification.code, notification.subcode, notification.data), (code, subcode, data), "{error}");
        assert!(error.problem.rule().starts_with("RFC "), "{error}");
    }
}

#[test]
fn every_capability_of_a_wrong_length_is_refused_at_its_value() {
    for (code, value, expected, rule) in [
        (1, &[0; 3][..], "4", "RFC 4760 §8"),
        (1, &[0; 5], "4", "RFC 4760 §8"),
        (2, &[0], "0", "RFC 2918 §2"),
        (5, &[0; 7], "a multiple of 6", "RFC 8950 §4"),
        (6, &[0], "0", "RFC 8654 §3"),
        (9, &[], "1", "RFC 9234 §4.1"),
        (64, &[0], "2 and a multiple of 4", "RFC 4724 §3"),
        (64, &[0; 5], "2 and a multiple of 4", "RFC 4724 §3"),
        (65, &[0; 2], "4", "RFC 6793 §3"),
        (69, &[0, 1, 1], "a multiple of 4", "RFC 7911 §4"),
        (70, &[0], "0", "RFC 7313 §3.1"),
    ] {
        let error = error(&capability(code, value));
        assert_eq!(error.problem, Problem::CapabilityValue { code, found: value.len(), expected });
        assert_eq!((error.offset, error.problem.rule()), (33, rule));
        assert_eq!((error.notification().code, error.notification().subcode), (2, 0));
    }
}

#[test]
fn no_error_is_without_a_test() {
    let mut tested: BTreeSet<usize> = cases().into_iter().map(|(_, _, problem, _)| number(problem)).collect();
    tested.extend(crate::flaws::cases().into_iter().map(|(.., problem, _)| number(problem)));
    tested.insert(number(Problem::CapabilityValue { code: 0, found: 0, expected: "" }));
    assert_eq!(tested, (0..LAST).collect());
}

const LAST: usize = 33;

/// Fails to compile, or leaves a gap, when a variant is added.
fn number(problem: Problem) -> usize {
    match problem {
        Problem::Marker { .. } => 0,
        Problem::Length { .. } => 1,
        Problem::Type { .. } => 2,
        Problem::Version { .. } => 3,
        Problem::ZeroAs => 4,
        Problem::HoldTime { .. } => 5,
        Problem::ZeroIdentifier => 6,
        Problem::ParametersLength { .. } => 7,
        Problem::ParameterLength { .. } => 8,
        Problem::ParameterType { .. } => 9,
        Problem::CapabilityLength { .. } => 10,
        Problem::CapabilityValue { .. } => 11,
        Problem::WithdrawnLength { .. } => 12,
        Problem::AttributesLength { .. } => 13,
        Problem::PrefixBits { .. } => 14,
        Problem::PrefixOverrun { .. } => 15,
        Problem::MultiProtocolShort { .. } => 16,
        Problem::NextHopLength { .. } => 17,
        Problem::MultiProtocolTwice { .. } => 18,
        Problem::UnrecognizedWellKnown { .. } => 19,
        Problem::AttributeOverrun { .. } => 20,
        Problem::AttributeFlags { .. } => 21,
        Problem::AttributeLength { .. } => 22,
        Problem::Repeated { .. } => 23,
        Problem::Unwelcome { .. } => 24,
        Problem::Missing { .. } => 25,
        Problem::OriginValue { .. } => 26,
        Problem::SegmentType { .. } => 27,
        Problem::SegmentEmpty { .. } => 28,
        Problem::SegmentOverrun { .. } => 29,
        Problem::ZeroAsIn { code: AttributeCode::AsPath | AttributeCode::As4Path } => 30,
        Problem::ZeroAsIn { .. } => 31,
        Problem::RefreshLength { .. } => 32,
    }
}

#[test]
fn a_stream_is_cut_where_messages_end_and_refused_as_soon_as_it_is_wrong() {
    let stream = [message(4, &[]), update(&[], &[], &[])].concat();
    let encoding = encoding();
    for octets in 0..19 {
        assert_eq!(frame(&stream[..octets], &encoding), Ok(None));
    }
    assert_eq!(frame(&stream, &encoding), Ok(Some(19)));
    assert_eq!(frame(&stream[19..41], &encoding), Ok(None));
    assert_eq!(frame(&stream[19..], &encoding), Ok(Some(23)));
    // Another protocol, long before it has said 19 octets.
    assert_eq!(frame(b"GET", &encoding).unwrap_err().offset, 0);
    let huge = [&[0xff; 16][..], &[0xff, 0xff, 2]].concat();
    assert!(frame(&huge, &encoding).is_err());
    assert_eq!(frame(&huge, &Encoding { extended_message: true, ..encoding }), Ok(None));
    let open = with_octet(huge, 18, 1);
    let long = frame(&open, &Encoding { extended_message: true, ..encoding }).unwrap_err();
    assert_eq!(long.problem, Problem::Length { found: 65_535, min: 29, max: 4_096 });
}

#[test]
fn a_message_that_is_not_whole_is_refused() {
    let keepalive = message(4, &[]);
    assert!(Message::decode(&keepalive[..18], &encoding()).is_err());
    assert!(Message::decode(&[], &encoding()).is_err());
    assert!(Message::decode(&keepalive.repeat(2), &encoding()).is_err());
}

#[test]
fn the_data_of_a_notification_is_cut_to_what_fits_the_shortest_limit() {
    let extended = Encoding { extended_message: true, ..encoding() };
    let mut attribute = vec![0x50, 99, 0xea, 0x60];
    attribute.extend(vec![1; 60_000]);
    let error = Message::decode(&update(&[], &attribute, &[]), &extended).unwrap_err();
    let notification = error.notification();
    assert_eq!(notification.data.len(), DecodeError::MAX_DATA);
    assert!(Message::Notification(notification).encode(&Encoding::default()).is_ok());
}

#[test]
fn an_error_reads_like_a_sentence_with_its_rule() {
    let text = |bytes: &[u8]| error(bytes).to_string();
    assert_eq!(text(&with_octet(open(&[0]), 19, 3)), "octet 19: a version of 3, expected 4 (RFC 4271 §6.2)");
    assert_eq!(
        text(&update(&[], &GOOD, &[&NET[..], &[33, 1, 2, 3, 4, 5]].concat())),
        "octet 47: a prefix of 33 bits in the NLRI, expected at most 32 (RFC 7606 §5.3)"
    );
}
