use proptest::prelude::*;

use super::*;

/// 192.0.2.10 at 02:00:00:00:00:01 answers 192.0.2.77 at 02:00:00:00:00:4d.
const REPLY: [u8; 42] = [
    0x02, 0x00, 0x00, 0x00, 0x00, 0x4d, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x08, 0x06, // Ethernet
    0x00, 0x01, 0x08, 0x00, 6, 4, 0x00, 0x02, // Ethernet, IPv4, reply
    0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 192, 0, 2, 10, // sender
    0x02, 0x00, 0x00, 0x00, 0x00, 0x4d, 192, 0, 2, 77, // target
];

#[test]
fn a_reply_is_these_42_bytes() {
    assert_eq!(reply().frame(MacAddr([2, 0, 0, 0, 0, 0x4d])), REPLY);
    assert_eq!(Arp::parse(&REPLY[14..]), Ok(reply()));
}

#[test]
fn padding_behind_the_message_is_ignored() {
    let mut padded = REPLY.to_vec();
    padded.resize(60, 0xaa);

    assert_eq!(Arp::parse(&padded[14..]), Ok(reply()));
}

#[test]
fn a_message_cut_anywhere_is_truncated() {
    for length in 0..28 {
        assert_eq!(Arp::parse(&REPLY[14..14 + length]), Err(Drop::Truncated), "{length} bytes");
    }
}

#[test]
fn each_wrong_field_has_its_own_reason() {
    let cases = [
        (1, 6, Drop::HardwareType), // IEEE 802
        (2, 0x86, Drop::ProtocolType),
        (4, 8, Drop::AddressLength),
        (5, 16, Drop::AddressLength),
        (7, 3, Drop::Operation), // RARP request
        (7, 0, Drop::Operation),
    ];
    for (offset, value, reason) in cases {
        let mut message = REPLY[14..].to_vec();
        message[offset] = value;

        assert_eq!(Arp::parse(&message), Err(reason), "byte {offset} = {value}");
    }
}

proptest! {
    #[test]
    fn every_message_reads_back_as_it_was_written(
        request: bool, sender_mac: [u8; 6], sender_ip: [u8; 4], target_mac: [u8; 6], target_ip: [u8; 4],
    ) {
        let arp = Arp {
            operation: if request { Operation::Request } else { Operation::Reply },
            sender_mac: MacAddr(sender_mac),
            sender_ip: sender_ip.into(),
            target_mac: MacAddr(target_mac),
            target_ip: target_ip.into(),
        };

        let frame = arp.frame(MacAddr::BROADCAST);

        prop_assert_eq!(frame.len(), 42);
        prop_assert_eq!(Arp::parse(&frame[14..]), Ok(arp));
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let _ = Arp::parse(&bytes);
    }
}

fn reply() -> Arp {
    Arp {
        operation: Operation::Reply,
        sender_mac: MacAddr([2, 0, 0, 0, 0, 1]),
        sender_ip: Ipv4Addr::new(192, 0, 2, 10),
        target_mac: MacAddr([2, 0, 0, 0, 0, 0x4d]),
        target_ip: Ipv4Addr::new(192, 0, 2, 77),
    }
}
