//! UPDATEs that are wrong without costing the session (RFC 7606): what becomes of their routes.

use herald_bgp::iana::AttributeCode;
use herald_bgp::wire::{
    Asn, Attributes, Decoded, Encoding, Family, Flaw, Message, Nlri, PeerKind, Prefix, Problem, Treatment, Unreach,
    Update,
};

use crate::{GOOD, NET, update};

const WIDE: Encoding = Encoding {
    four_octet_as: true,
    extended_message: false,
    add_path: herald_bgp::wire::Families::NONE,
    extended_next_hop: herald_bgp::wire::Families::NONE,
    peer: PeerKind::External,
};

/// Octets where the attribute of a case begins: behind [`GOOD`].
const AT: usize = 43;

fn nlri(text: &str) -> Nlri {
    Prefix::new(text.parse().unwrap()).into()
}

fn read(bytes: &[u8], encoding: &Encoding) -> (Update, Option<Flaw>) {
    match Message::decode(bytes, encoding) {
        Ok(Decoded { message: Message::Update(update), flaw }) => (update, flaw),
        other => panic!("{bytes:02x?}: {other:?}"),
    }
}

/// Encoding, attributes, octet, problem, treatment. The NLRI is [`NET`].
pub(crate) fn cases() -> Vec<(Encoding, Vec<u8>, usize, Problem, Treatment)> {
    use Treatment::{AttributeDiscard as Discard, TreatAsWithdraw as Withdraw};
    let narrow = Encoding { four_octet_as: false, ..WIDE };
    let internal = Encoding { peer: PeerKind::Internal, ..WIDE };
    let after = |encoding, attribute: &[u8], offset, problem, treatment| {
        let good = if encoding == narrow { &NARROW[..] } else { &GOOD[..] };
        (encoding, [good, attribute].concat(), offset, problem, treatment)
    };
    let length = |code, found, expected| Problem::AttributeLength { code, found, expected };
    let without = |range: std::ops::Range<usize>| {
        let mut attributes = GOOD.to_vec();
        attributes.drain(range);
        attributes
    };
    let instead = |range: std::ops::Range<usize>, attribute: &[u8]| {
        let mut attributes = GOOD.to_vec();
        attributes.splice(range, attribute.iter().copied());
        attributes
    };
    use AttributeCode as Code;
    vec![
        after(WIDE, &[0x80], AT, Problem::AttributeOverrun { found: 3, left: 1 }, Withdraw),
        after(WIDE, &[0x80, 4, 4, 0, 0], AT, Problem::AttributeOverrun { found: 7, left: 5 }, Withdraw),
        after(WIDE, &[0x90, 4, 0], AT, Problem::AttributeOverrun { found: 4, left: 3 }, Withdraw),
        after(WIDE, &[0x90, 4, 1, 0], AT, Problem::AttributeOverrun { found: 260, left: 4 }, Withdraw),
        after(
            WIDE,
            &[0x40, 4, 4, 0, 0, 0, 1],
            AT,
            Problem::AttributeFlags { code: Code::MultiExitDisc, found: 0x40, expected: 0x80 },
            Withdraw,
        ),
        after(
            WIDE,
            &[0x80, 7, 8, 0, 0, 0, 1, 1, 1, 1, 1],
            AT,
            Problem::AttributeFlags { code: Code::Aggregator, found: 0x80, expected: 0xc0 },
            Discard,
        ),
        (WIDE, instead(0..4, &[0x40, 1, 2, 0, 0]), 26, length(Code::Origin, 2, "1"), Withdraw),
        (WIDE, instead(0..4, &[0x40, 1, 1, 3]), 26, Problem::OriginValue { found: 3 }, Withdraw),
        (WIDE, instead(13..20, &[0x40, 3, 3, 1, 1, 1]), 39, length(Code::NextHop, 3, "4"), Withdraw),
        after(WIDE, &[0x80, 4, 3, 0, 0, 1], AT + 3, length(Code::MultiExitDisc, 3, "4"), Withdraw),
        after(internal, &[0x40, 5, 0], AT + 3, length(Code::LocalPref, 0, "4"), Withdraw),
        after(WIDE, &[0x40, 6, 1, 0], AT + 3, length(Code::AtomicAggregate, 1, "0"), Discard),
        after(WIDE, &[0xc0, 7, 6, 0, 1, 1, 1, 1, 1], AT + 3, length(Code::Aggregator, 6, "8"), Discard),
        after(WIDE, &[0xc0, 8, 0], AT + 3, length(Code::Communities, 0, "a multiple of 4"), Withdraw),
        after(WIDE, &[0xc0, 8, 5, 0, 0, 0, 0, 0], AT + 3, length(Code::Communities, 5, "a multiple of 4"), Withdraw),
        (
            internal,
            [&GOOD[..], &[0x40, 5, 4, 0, 0, 0, 1, 0x80, 9, 1, 1]].concat(),
            AT + 10,
            length(Code::OriginatorId, 1, "4"),
            Withdraw,
        ),
        (
            internal,
            [&GOOD[..], &[0x40, 5, 4, 0, 0, 0, 1, 0x80, 10, 0]].concat(),
            AT + 10,
            length(Code::ClusterList, 0, "a multiple of 4"),
            Withdraw,
        ),
        after(WIDE, &[0xc0, 16, 1, 0], AT + 3, length(Code::ExtendedCommunities, 1, "a multiple of 8"), Withdraw),
        after(WIDE, &[0xc0, 32, 1, 0], AT + 3, length(Code::LargeCommunities, 1, "a multiple of 12"), Withdraw),
        after(WIDE, &[0xc0, 35, 2, 0, 1], AT + 3, length(Code::OnlyToCustomer, 2, "4"), Withdraw),
        after(narrow, &[0xc0, 18, 1, 0], AT + 1, length(Code::As4Aggregator, 1, "8"), Discard),
        after(WIDE, &[0x40, 1, 1, 1], AT, Problem::Repeated { code: 1 }, Discard),
        after(WIDE, &[0xc0, 99, 0, 0xc0, 99, 0], AT + 3, Problem::Repeated { code: 99 }, Discard),
        after(WIDE, &[0x40, 5, 4, 0, 0, 0, 1], AT, Problem::Unwelcome { code: Code::LocalPref }, Discard),
        after(WIDE, &[0x80, 9, 4, 0, 0, 0, 1], AT, Problem::Unwelcome { code: Code::OriginatorId }, Discard),
        after(WIDE, &[0x80, 10, 4, 0, 0, 0, 1], AT, Problem::Unwelcome { code: Code::ClusterList }, Discard),
        after(WIDE, &[0xc0, 17, 6, 2, 1, 0, 0, 0, 1], AT, Problem::Unwelcome { code: Code::As4Path }, Discard),
        after(
            WIDE,
            &[0xc0, 18, 8, 0, 0, 0, 1, 1, 1, 1, 1],
            AT,
            Problem::Unwelcome { code: Code::As4Aggregator },
            Discard,
        ),
        (WIDE, without(0..4), 19, Problem::Missing { code: Code::Origin }, Withdraw),
        (WIDE, without(4..13), 19, Problem::Missing { code: Code::AsPath }, Withdraw),
        (WIDE, without(13..20), 19, Problem::Missing { code: Code::NextHop }, Withdraw),
        (internal, GOOD.to_vec(), 19, Problem::Missing { code: Code::LocalPref }, Withdraw),
        (
            WIDE,
            instead(4..13, &[0x40, 2, 6, 5, 1, 0, 0, 0, 1]),
            30,
            Problem::SegmentType { code: Code::AsPath, found: 5 },
            Withdraw,
        ),
        (WIDE, instead(4..13, &[0x40, 2, 2, 2, 0]), 30, Problem::SegmentEmpty { code: Code::AsPath }, Withdraw),
        (
            WIDE,
            instead(4..13, &[0x40, 2, 1, 2]),
            30,
            Problem::SegmentOverrun { code: Code::AsPath, found: 2, left: 1 },
            Withdraw,
        ),
        (
            WIDE,
            instead(4..13, &[0x40, 2, 6, 2, 2, 0, 0, 0, 1]),
            30,
            Problem::SegmentOverrun { code: Code::AsPath, found: 10, left: 6 },
            Withdraw,
        ),
        after(narrow, &[0xc0, 17, 2, 9, 1], AT + 1, Problem::SegmentType { code: Code::As4Path, found: 9 }, Discard),
        (
            WIDE,
            instead(4..13, &[0x40, 2, 10, 2, 2, 0, 0, 0, 1, 0, 0, 0, 0]),
            36,
            Problem::ZeroAsIn { code: Code::AsPath },
            Withdraw,
        ),
        after(
            WIDE,
            &[0xc0, 7, 8, 0, 0, 0, 0, 1, 1, 1, 1],
            AT + 3,
            Problem::ZeroAsIn { code: Code::Aggregator },
            Discard,
        ),
    ]
}

/// [`GOOD`] in two octets, one 16-bit number: 18 octets, so what follows begins at 41.
const NARROW: [u8; 18] = [0x40, 1, 1, 0, 0x40, 2, 4, 2, 1, 0xfc, 1, 0x40, 3, 4, 192, 0, 2, 1];

#[test]
fn every_flaw_names_its_octet_and_leads_to_the_treatment_of_rfc_7606() {
    for (encoding, attributes, offset, problem, treatment) in cases() {
        let (got, flaw) = read(&update(&[], &attributes, &NET), &encoding);
        let flaw = flaw.unwrap_or_else(|| panic!("{problem:?} is not seen"));
        assert_eq!((flaw.error.offset, flaw.error.problem, flaw.treatment), (offset, problem, treatment));
        let net = vec![nlri("198.51.100.0/24")];
        match treatment {
            Treatment::AttributeDiscard => {
                assert_eq!((&got.nlri, &got.withdrawn), (&net, &Vec::new()), "{flaw}");
                assert!(got.attributes.origin.is_some() && got.attributes.next_hop.is_some(), "{flaw}");
            }
            Treatment::TreatAsWithdraw => {
                assert_eq!(got, Update { withdrawn: net, ..Update::default() }, "{flaw}");
            }
        }
    }
}

#[test]
fn of_several_flaws_the_strongest_counts_and_all_are_counted() {
    let attributes = [&GOOD[..], &[0x40, 6, 1, 0, 0x80, 4, 1, 0, 0x40, 1, 1, 0, 0xc0, 8, 1, 0]].concat();
    let (got, flaw) = read(&update(&[], &attributes, &NET), &WIDE);
    let flaw = flaw.unwrap();
    assert_eq!((flaw.treatment, flaw.errors, flaw.error.offset), (Treatment::TreatAsWithdraw, 4, AT + 7));
    assert_eq!(got.withdrawn, [nlri("198.51.100.0/24")]);
    assert_eq!(
        flaw.to_string(),
        "octet 50: MULTI_EXIT_DISC of 1 octets, expected 4 (RFC 7606 §7); its routes are taken as withdrawn"
    );
}

#[test]
fn what_would_be_withdrawn_but_cannot_be_found_costs_the_session() {
    // A bad attribute and no reachable prefix: it may have been lost (RFC 7606 §5.2).
    let error = Message::decode(&update(&[], &[0x80, 4, 1, 0], &[]), &WIDE).unwrap_err();
    assert_eq!(error.problem, Problem::AttributeLength { code: AttributeCode::MultiExitDisc, found: 1, expected: "4" });
    assert_eq!((error.notification().code, error.notification().subcode), (3, 5));
    // What is only left out costs nothing.
    assert!(Message::decode(&update(&[], &[0x40, 6, 1, 0], &[]), &WIDE).is_ok());
    // Nor does a message that withdraws and nothing else.
    let (got, flaw) = read(&update(&[], &[0xc0, 15, 4, 0, 2, 1, 0], &[]), &WIDE);
    assert_eq!(flaw.unwrap().treatment, Treatment::TreatAsWithdraw);
    assert_eq!(got.unreach, Some(Unreach { family: Family::V6Unicast, nlri: vec![nlri("::/0")] }));
}

#[test]
fn routes_of_both_families_in_one_message_are_all_taken_as_withdrawn() {
    let next_hop = [&[16][..], &[0x20; 16], &[0]].concat();
    let reach6 = [&[0x80, 14, 24, 0, 2, 1][..], &next_hop, &[16, 0x20, 1]].concat();
    let unreach4 = [0x80, 15, 5, 0, 1, 1, 8, 10];
    let bad = [0x80, 4, 1, 0];
    let attributes = [&reach6[..], &unreach4, &GOOD, &bad].concat();
    let (got, flaw) = read(&update(&[8, 9], &attributes, &NET), &WIDE);
    assert_eq!(flaw.unwrap().treatment, Treatment::TreatAsWithdraw);
    let expected = Update {
        withdrawn: vec![nlri("9.0.0.0/8"), nlri("198.51.100.0/24"), nlri("10.0.0.0/8")],
        unreach: Some(Unreach { family: Family::V6Unicast, nlri: vec![nlri("2001::/16")] }),
        ..Update::default()
    };
    assert_eq!(got, expected);
    assert!(Message::Update(got).encode(&WIDE).is_ok(), "and the result can be said");
}

#[test]
fn routes_of_a_family_that_is_not_known_are_passed_over_and_are_no_end_of_rib() {
    for attribute in [&[0x80, 15, 3, 0, 25, 70][..], &[0x80, 14, 5, 0, 25, 70, 0, 0]] {
        let (got, flaw) = read(&update(&[], attribute, &[]), &WIDE);
        assert_eq!(flaw, None);
        assert_eq!(got.ends_rib_of(), None);
        assert_eq!(got.others.len(), 1);
    }
}

#[test]
fn both_forms_of_an_end_of_rib_are_known() {
    assert_eq!(read(&update(&[], &[], &[]), &WIDE).0.ends_rib_of(), Some(Family::V4Unicast));
    let v6 = update(&[], &[0x80, 15, 3, 0, 2, 1], &[]);
    assert_eq!(read(&v6, &WIDE).0.ends_rib_of(), Some(Family::V6Unicast));
}

#[test]
fn a_path_of_two_octets_is_completed_from_the_long_one_as_far_as_that_goes() {
    let narrow = Encoding { four_octet_as: false, ..WIDE };
    let path = |as_path: &[u8], as4: &[u8]| {
        let attribute =
            |flags, code, value: &[u8]| [&[flags, code, u8::try_from(value.len()).unwrap()], value].concat();
        let attributes =
            [attribute(0x40, 1, &[0]), attribute(0x40, 2, as_path), GOOD[13..].to_vec(), attribute(0xc0, 17, as4)];
        let (got, flaw) = read(&update(&[], &attributes.concat(), &NET), &narrow);
        assert_eq!(flaw, None);
        let Attributes { as_path, .. } = got.attributes;
        as_path.unwrap().asns().map(|Asn(asn)| asn).collect::<Vec<_>>()
    };
    // 64500 AS_TRANS 64502, and the last two in four octets.
    let short = [2, 3, 0xfb, 0xf4, 0x5b, 0xa0, 0xfb, 0xf6];
    assert_eq!(path(&short, &[2, 2, 0, 3, 0, 0, 0, 0, 0xfb, 0xf6]), [64_500, 196_608, 64_502]);
    // One that is longer was made for another path.
    assert_eq!(path(&short, &[&[2, 4][..], &[0, 0, 0, 7].repeat(4)].concat()), [64_500, 23_456, 64_502]);
}
