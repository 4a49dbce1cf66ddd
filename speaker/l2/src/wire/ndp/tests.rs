use proptest::prelude::*;

use super::*;

/// fe80::1 tells all nodes that 2001:db8::10 is at 02:00:00:00:00:01.
const ADVERTISEMENT: [u8; 86] = [
    0x33, 0x33, 0x00, 0x00, 0x00, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x86, 0xdd, // Ethernet
    0x60, 0x00, 0x00, 0x00, 0x00, 32, 58, 255, // IPv6: 32 bytes of ICMPv6, hop limit 255
    0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, // from
    0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, // to
    136, 0, 0x28, 0x54, 0x20, 0, 0, 0, // advertisement, checksum, override
    0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, // target
    2, 1, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, // target link-layer address
];

#[test]
fn an_advertisement_is_these_86_bytes() {
    assert_eq!(advertisement().frame(MacAddr([2, 0, 0, 0, 0, 1]), MacAddr([0x33, 0x33, 0, 0, 0, 1])), ADVERTISEMENT);
    assert_eq!(Ndp::parse(&ADVERTISEMENT[14..]), Ok(advertisement()));
}

#[test]
fn padding_behind_the_packet_is_ignored() {
    let mut padded = ADVERTISEMENT.to_vec();
    padded.extend([0xaa; 7]);

    assert_eq!(Ndp::parse(&padded[14..]), Ok(advertisement()));
}

#[test]
fn a_packet_cut_anywhere_is_dropped() {
    for length in 0..72 {
        let reason = if length < 40 { Drop::Truncated } else { Drop::Ipv6Header };
        assert_eq!(Ndp::parse(&ADVERTISEMENT[14..14 + length]), Err(reason), "{length} bytes");
    }
}

#[test]
fn a_message_shorter_than_its_kind_is_truncated() {
    for length in [0, 3, 4, 23] {
        assert_eq!(Ndp::parse(&with(|packet| packet.truncate(40 + length))), Err(Drop::Truncated), "{length} bytes");
    }
}

#[test]
fn each_wrong_field_has_its_own_reason() {
    let cases: [(usize, u8, Drop); 8] = [
        (0, 0x40, Drop::Ipv6Header),
        (6, 44, Drop::NotIcmpv6), // fragment header
        (6, 0, Drop::NotIcmpv6),  // hop-by-hop options
        (7, 254, Drop::HopLimit),
        (40, 134, Drop::Icmpv6Type),
        (41, 1, Drop::Icmpv6Type),
        (48, 0xff, Drop::Target),
        (65, 0, Drop::NdpOption),
    ];
    for (offset, value, reason) in cases {
        assert_eq!(Ndp::parse(&with(|packet| packet[offset] = value)), Err(reason), "byte {offset} = {value}");
    }
}

#[test]
fn a_wrong_checksum_is_dropped() {
    for offset in [42, 43, 55, 60, 71] {
        let mut packet = ADVERTISEMENT[14..].to_vec();
        packet[offset] ^= 1;
        assert_eq!(Ndp::parse(&packet), Err(Drop::Checksum), "byte {offset}");
    }
}

#[test]
fn options_must_fill_the_message_exactly() {
    assert_eq!(Ndp::parse(&with(|packet| packet[65] = 2)), Err(Drop::NdpOption), "beyond the message");
    assert_eq!(Ndp::parse(&with(|packet| packet[65] = 255)), Err(Drop::NdpOption), "255 units");
    assert_eq!(Ndp::parse(&with(|packet| packet.push(1))), Err(Drop::NdpOption), "one byte left over");
    assert_eq!(
        Ndp::parse(&with(|packet| {
            packet[65] = 2;
            packet.extend([0; 8]);
        })),
        Err(Drop::NdpOption),
        "a link-layer address of 14 bytes"
    );
}

#[test]
fn unknown_options_are_skipped() {
    let nonce = with(|packet| {
        packet.splice(64..64, [14, 1, 1, 2, 3, 4, 5, 6]);
    });

    assert_eq!(Ndp::parse(&nonce), Ok(advertisement()));
}

#[test]
fn a_message_without_link_layer_address_is_24_bytes() {
    let probe = Ndp { mac: None, message: Message::Solicitation, ..advertisement() };

    let frame = probe.frame(MacAddr([2; 6]), MacAddr([4; 6]));

    assert_eq!(frame.len(), 14 + 40 + 24);
    assert_eq!(Ndp::parse(&frame[14..]), Ok(probe));
}

#[test]
fn what_the_rfc_rules_out_is_dropped() {
    let target = advertisement().target;
    let dad = Ndp {
        source: Ipv6Addr::UNSPECIFIED,
        destination: solicited_node(target),
        target,
        message: Message::Solicitation,
        mac: None,
    };
    let multicast: Ipv6Addr = "ff02::1".parse().unwrap();
    let solicited = Message::Advertisement { solicited: true, overrides: true };
    let cases = [
        (dad, Ok(dad)),
        (Ndp { mac: Some(MacAddr([2; 6])), ..dad }, Err(Drop::NdpRule)),
        (Ndp { destination: multicast, ..dad }, Err(Drop::NdpRule)),
        (Ndp { destination: target, ..dad }, Err(Drop::NdpRule)),
        (Ndp { source: multicast, ..dad }, Err(Drop::NdpRule)),
        (Ndp { source: multicast, ..advertisement() }, Err(Drop::NdpRule)),
        (Ndp { source: Ipv6Addr::UNSPECIFIED, ..advertisement() }, Err(Drop::NdpRule)),
        (Ndp { message: solicited, ..advertisement() }, Err(Drop::NdpRule)),
        (Ndp { target: Ipv6Addr::UNSPECIFIED, ..advertisement() }, Err(Drop::Target)),
    ];
    for (message, expected) in cases {
        let frame = message.frame(MacAddr([2; 6]), MacAddr([4; 6]));
        assert_eq!(Ndp::parse(&frame[14..]), expected, "{message:?}");
    }
}

#[test]
fn addresses_that_share_24_bits_share_a_group() {
    let group: Ipv6Addr = "ff02::1:ff00:10".parse().unwrap();

    assert_eq!(solicited_node("2001:db8::10".parse().unwrap()), group);
    assert_eq!(solicited_node("2001:db8:1::a:10".parse().unwrap()), "ff02::1:ff0a:10".parse::<Ipv6Addr>().unwrap());
    assert_eq!(solicited_node("fd00::ab00:10".parse().unwrap()), group);
}

proptest! {
    #[test]
    fn every_valid_message_reads_back_as_it_was_written(
        source: [u8; 15], destination: [u8; 15], target: [u8; 15], mac: Option<[u8; 6]>, flags: Option<[bool; 2]>,
    ) {
        let unicast = |tail: [u8; 15]| {
            let mut octets = [0xfd; 16];
            octets[1..].copy_from_slice(&tail);
            Ipv6Addr::from(octets)
        };
        let message = Ndp {
            source: unicast(source),
            destination: unicast(destination),
            target: unicast(target),
            message: match flags {
                None => Message::Solicitation,
                Some([solicited, overrides]) => Message::Advertisement { solicited, overrides },
            },
            mac: mac.map(MacAddr),
        };

        let frame = message.frame(MacAddr([2; 6]), MacAddr([4; 6]));

        prop_assert_eq!(Ndp::parse(&frame[14..]), Ok(message));
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let _ = Ndp::parse(&bytes);
    }

    #[test]
    fn no_options_panic(options in proptest::collection::vec(any::<u8>(), 0..64)) {
        let packet = with(|packet| {
            packet.truncate(64);
            packet.extend(&options);
        });
        let _ = Ndp::parse(&packet);
    }
}

fn advertisement() -> Ndp {
    Ndp {
        source: "fe80::1".parse().unwrap(),
        destination: "ff02::1".parse().unwrap(),
        target: "2001:db8::10".parse().unwrap(),
        message: Message::Advertisement { solicited: false, overrides: true },
        mac: Some(MacAddr([2, 0, 0, 0, 0, 1])),
    }
}

/// The golden packet after a change, its length and checksum set right again.
fn with(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut packet = ADVERTISEMENT[14..].to_vec();
    change(&mut packet);
    let body = packet.len() - 40;
    packet[4..6].copy_from_slice(&(body as u16).to_be_bytes());
    if body >= 4 {
        let (source, destination) = (octets(&packet[8..24]), octets(&packet[24..40]));
        let mut icmpv6 = MutableIcmpv6Packet::new(&mut packet[40..]).unwrap();
        let sum = checksum(&icmpv6.to_immutable(), &source, &destination);
        icmpv6.set_checksum(sum);
    }
    packet
}

fn octets(bytes: &[u8]) -> Ipv6Addr {
    <[u8; 16]>::try_from(bytes).unwrap().into()
}
