//! What is not written: values that contradict the protocol, or what was agreed on.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use herald_bgp::iana::{AttributeCode, MessageType, Origin, SegmentType};
use herald_bgp::wire::{
    AfiSafi, Aggregator, AsPath, Asn, Attributes, Capability, EncodeError, Encoding, Families, Family, GracefulRestart,
    Message, NextHop, Nlri, Notification, Open, PathId, PeerKind, Prefix, Reach, Segment, UnknownAttribute, Unreach,
    Update,
};

fn refused(message: Message, encoding: &Encoding) -> EncodeError {
    message.encode(encoding).expect_err("it cannot be said")
}

fn nlri(text: &str) -> Nlri {
    Prefix::new(text.parse().unwrap()).into()
}

fn attributes() -> Attributes {
    Attributes {
        origin: Some(Origin::Igp),
        as_path: Some(AsPath::default()),
        next_hop: Some(Ipv4Addr::LOCALHOST),
        ..Attributes::default()
    }
}

fn announce(attributes: Attributes) -> Message {
    Message::Update(Update { attributes, nlri: vec![nlri("10.0.0.0/8")], ..Update::default() })
}

fn reach(family: Family, next_hop: NextHop, prefixes: &[&str]) -> Message {
    let nlri = prefixes.iter().map(|text| nlri(text)).collect();
    let reach = Some(Reach { family, next_hop, nlri });
    Message::Update(Update { attributes: attributes(), reach, ..Update::default() })
}

fn open() -> Open {
    Open::new(Asn(64_512), 90, Ipv4Addr::LOCALHOST, Vec::new())
}

fn able(capability: Capability) -> Message {
    Message::Open(Open { capabilities: vec![capability], ..open() })
}

#[test]
fn an_open_that_breaks_the_rules_is_not_written() {
    let plain = Encoding::default();
    let restart = GracefulRestart { time: 4_096, ..GracefulRestart::default() };
    for (message, error) in [
        (Message::Open(Open { version: 3, ..open() }), EncodeError::Version(3)),
        (Message::Open(Open { my_as: 0, ..open() }), EncodeError::ZeroAs),
        (Message::Open(Open { hold_time: 1, ..open() }), EncodeError::HoldTime(1)),
        (Message::Open(Open { identifier: Ipv4Addr::UNSPECIFIED, ..open() }), EncodeError::ZeroIdentifier),
        (able(Capability::FourOctetAs(Asn(0))), EncodeError::ZeroAs),
        (able(Capability::GracefulRestart(restart)), EncodeError::RestartTime(4_096)),
        (able(Capability::Unknown { code: 65, bytes: vec![] }), EncodeError::KnownCapability(65)),
        (
            able(Capability::Unknown { code: 200, bytes: vec![0; 256] }),
            EncodeError::CapabilityTooLong { code: 200, octets: 256 },
        ),
    ] {
        assert_eq!(refused(message, &plain), error);
    }
    let many = vec![Capability::Unknown { code: 200, bytes: vec![0; 255] }; 16];
    let error = refused(Message::Open(Open { capabilities: many.clone(), ..open() }), &plain);
    assert_eq!(error, EncodeError::MessageTooLong { message: MessageType::Open, octets: 4_147, max: 4_096 });
    let extended = Encoding { extended_message: true, ..plain };
    assert_eq!(refused(Message::Open(Open { capabilities: many, ..open() }), &extended), error, "whatever is agreed");
    let more = vec![Capability::Unknown { code: 200, bytes: vec![0; 255] }; 300];
    let error = refused(Message::Open(Open { capabilities: more, ..open() }), &plain);
    assert_eq!(error, EncodeError::ParametersTooLong(77_100));
}

#[test]
fn an_update_that_breaks_the_rules_is_not_written() {
    let external = Encoding { four_octet_as: true, ..Encoding::default() };
    let internal = Encoding { peer: PeerKind::Internal, ..external };
    let v6 = |global: &str| NextHop::V6 { global: global.parse().unwrap(), link_local: None };
    let both = NextHop::V6 { global: [0x20; 16].into(), link_local: Some([0x20; 16].into()) };
    let segment = |count| {
        let asns = vec![Asn(1); count];
        let segments = vec![Segment { kind: SegmentType::Sequence, asns }];
        announce(Attributes { as_path: Some(AsPath { segments }), ..attributes() })
    };
    let unknown = |attributes: &[(u8, u8)]| {
        let one = |(code, flags): &(u8, u8)| UnknownAttribute { code: *code, flags: *flags, bytes: Vec::new() };
        announce(Attributes { unknown: attributes.iter().map(one).collect(), ..self::attributes() })
    };
    let withdraw = |withdrawn| Message::Update(Update { withdrawn, ..Update::default() });
    let with_id = Nlri { path_id: Some(PathId(1)), ..nlri("10.0.0.0/8") };
    let other = AfiSafi { afi: 25, safi: 70 };
    let aggregator = Some(Aggregator { asn: Asn(0), identifier: Ipv4Addr::LOCALHOST });
    for (message, encoding, error) in [
        (withdraw(vec![nlri("2001:db8::/32")]), external, EncodeError::PrefixFamily(Family::V4Unicast)),
        (withdraw(vec![with_id]), external, EncodeError::PathId(Family::V4Unicast)),
        (
            withdraw(vec![nlri("10.0.0.0/8")]),
            Encoding { add_path: Families::ALL, ..external },
            EncodeError::PathId(Family::V4Unicast),
        ),
        (
            reach(Family::V4Unicast, v6("2001:db8::1"), &["10.0.0.0/8"]),
            external,
            EncodeError::NextHopFamily(Family::V4Unicast),
        ),
        (
            reach(Family::V6Unicast, NextHop::V4(Ipv4Addr::LOCALHOST), &["2001:db8::/32"]),
            external,
            EncodeError::NextHopFamily(Family::V6Unicast),
        ),
        (reach(Family::V6Unicast, both, &["2001:db8::/32"]), external, EncodeError::NotLinkLocal),
        (reach(Family::V6Unicast, v6("2001:db8::1"), &[]), external, EncodeError::NoPrefix),
        (
            Message::Update(Update {
                unreach: Some(Unreach { family: Family::V6Unicast, nlri: vec![nlri("10.0.0.0/8")] }),
                ..Update::default()
            }),
            external,
            EncodeError::PrefixFamily(Family::V6Unicast),
        ),
        (announce(Attributes { origin: None, ..attributes() }), external, EncodeError::Missing(AttributeCode::Origin)),
        (announce(Attributes { as_path: None, ..attributes() }), external, EncodeError::Missing(AttributeCode::AsPath)),
        (
            announce(Attributes { next_hop: None, ..attributes() }),
            external,
            EncodeError::Missing(AttributeCode::NextHop),
        ),
        (announce(attributes()), internal, EncodeError::Missing(AttributeCode::LocalPref)),
        (
            announce(Attributes { local_pref: Some(1), ..attributes() }),
            external,
            EncodeError::Unwelcome(AttributeCode::LocalPref),
        ),
        (
            announce(Attributes { originator_id: Some(Ipv4Addr::LOCALHOST), ..attributes() }),
            external,
            EncodeError::Unwelcome(AttributeCode::OriginatorId),
        ),
        (
            announce(Attributes { cluster_list: vec![Ipv4Addr::LOCALHOST], ..attributes() }),
            external,
            EncodeError::Unwelcome(AttributeCode::ClusterList),
        ),
        (announce(Attributes { aggregator, ..attributes() }), external, EncodeError::ZeroAs),
        (
            announce(Attributes { as_path: Some(AsPath::sequence(&[Asn(0)])), ..attributes() }),
            external,
            EncodeError::ZeroAs,
        ),
        (segment(0), external, EncodeError::Segment(0)),
        (segment(256), external, EncodeError::Segment(256)),
        (unknown(&[(8, 0xc0)]), external, EncodeError::KnownAttribute(8)),
        (unknown(&[(99, 0x40)]), external, EncodeError::UnknownWellKnown(99)),
        (unknown(&[(99, 0x80), (98, 0x80)]), external, EncodeError::UnknownOrder(98)),
        (unknown(&[(99, 0x80), (99, 0x80)]), external, EncodeError::UnknownOrder(99)),
        (
            Message::Update(Update { others: BTreeSet::from([other]), ..Update::default() }),
            external,
            EncodeError::OtherFamily(other),
        ),
    ] {
        assert_eq!(refused(message, &encoding), error);
    }
}

#[test]
fn a_message_of_more_octets_than_agreed_on_is_not_written() {
    let short = Encoding::default();
    let long = Encoding { extended_message: true, ..short };
    let message = Message::Notification(Notification { code: 6, subcode: 2, data: vec![0; 4_076] });
    let error = EncodeError::MessageTooLong { message: MessageType::Notification, octets: 4_097, max: 4_096 };
    assert_eq!(refused(message.clone(), &short), error);
    assert_eq!(message.encode(&long).unwrap().len(), 4_097);
    let message = Message::Notification(Notification { code: 6, subcode: 2, data: vec![0; 65_515] });
    let error = EncodeError::MessageTooLong { message: MessageType::Notification, octets: 65_536, max: 65_535 };
    assert_eq!(refused(message, &long), error);
    let withdrawn = (0..20_000u32).map(|n| Prefix::new(format!("{}/32", Ipv4Addr::from(n)).parse().unwrap()).into());
    let message = Message::Update(Update { withdrawn: withdrawn.collect(), ..Update::default() });
    assert_eq!(refused(message, &long), EncodeError::PartTooLong(100_000));
}
