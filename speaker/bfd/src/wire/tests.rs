use super::*;
use proptest::prelude::*;

/// A first packet to a peer that was not heard: Down, 1 s, 10 ms, detect mult 5.
const FIRST: [u8; 24] = [
    0x20, 0x40, 0x05, 0x18, 0x5e, 0x6f, 0x0f, 0x2e, 0, 0, 0, 0, 0x00, 0x0f, 0x42, 0x40, 0x00, 0x00, 0x27, 0x10, 0, 0,
    0, 0,
];

fn read() -> Control {
    Control {
        diagnostic: Diagnostic::NONE,
        state: State::Down,
        poll: false,
        final_: false,
        control_plane_independent: false,
        authentication: false,
        demand: false,
        detect_mult: NonZeroU8::new(5).unwrap(),
        my_discriminator: NonZeroU32::new(0x5e6f_0f2e).unwrap(),
        your_discriminator: None,
        desired_min_tx_us: 1_000_000,
        required_min_rx_us: 10_000,
        required_min_echo_rx_us: 0,
    }
}

#[test]
fn a_packet_is_read_field_by_field_and_written_the_same() {
    assert_eq!(Control::parse(&FIRST), Ok(read()));
    assert_eq!(read().emit(), FIRST);
}

#[test]
fn each_flag_has_its_own_bit() {
    for (bit, control) in [
        (0x20, Control { poll: true, ..read() }),
        (0x10, Control { final_: true, ..read() }),
        (0x08, Control { control_plane_independent: true, ..read() }),
        (0x02, Control { demand: true, ..read() }),
    ] {
        let mut bytes = FIRST;
        bytes[1] |= bit;
        assert_eq!(Control::parse(&bytes), Ok(control));
        assert_eq!(control.emit(), bytes);
    }
}

/// One row per rule: what is changed in a good packet, and the rule that then fails.
#[test]
fn each_rule_about_bytes_has_its_reason() {
    let change = |at: usize, byte: u8| {
        let mut bytes = FIRST.to_vec();
        bytes[at] = byte;
        bytes
    };
    let rows = [
        (Vec::new(), Drop::Truncated),
        (FIRST[..3].to_vec(), Drop::Truncated),
        (change(0, 0x00), Drop::Version),
        (change(0, 0x40), Drop::Version),
        (change(0, 0xe0), Drop::Version),
        (change(3, 0), Drop::LengthTooShort),
        (change(3, 23), Drop::LengthTooShort),
        (change(1, 0x44), Drop::LengthTooShort),
        (change(3, 25), Drop::LengthBeyondPacket),
        (change(3, 255), Drop::LengthBeyondPacket),
        (FIRST[..23].to_vec(), Drop::LengthBeyondPacket),
        (change(2, 0), Drop::DetectMult),
        (change(1, 0x41), Drop::Multipoint),
        ([&FIRST[..4], &[0; 20]].concat(), Drop::MyDiscriminator),
    ];
    for (bytes, reason) in rows {
        assert_eq!(Control::parse(&bytes), Err(reason), "{bytes:02x?}");
    }
}

#[test]
fn the_rules_are_applied_in_the_order_of_the_rfc() {
    // Everything is wrong; the reasons come one after the other as each is put right.
    let mut bytes = vec![0x00, 0x05, 0, 0];
    let mut reasons = Vec::new();
    let repairs: [fn(&mut Vec<u8>); 6] = [
        |bytes| bytes[0] = 0x20,
        |bytes| bytes[3] = 26,
        |bytes| bytes.resize(26, 0),
        |bytes| bytes[2] = 3,
        |bytes| bytes[1] &= !1,
        |bytes| bytes[7] = 1,
    ];
    for repair in repairs {
        reasons.push(Control::parse(&bytes).unwrap_err());
        repair(&mut bytes);
    }
    assert_eq!(
        reasons,
        [
            Drop::Version,
            Drop::LengthTooShort,
            Drop::LengthBeyondPacket,
            Drop::DetectMult,
            Drop::Multipoint,
            Drop::MyDiscriminator
        ]
    );
    assert!(Control::parse(&bytes).unwrap().authentication);
}

#[test]
fn bytes_after_the_length_are_ignored() {
    let longer = [&FIRST[..], &[0xff; 40]].concat();
    assert_eq!(Control::parse(&longer), Ok(read()));
}

proptest! {
    #[test]
    fn whatever_is_read_is_written_back(
        mut bytes: [u8; 24],
        first in 0_u8..32,
    ) {
        // Version 1 and the right length, no authentication and no multipoint: the rest is free.
        bytes[0] = 0x20 | first;
        bytes[1] &= !0x05;
        bytes[3] = 24;
        if let Ok(control) = Control::parse(&bytes) {
            prop_assert_eq!(control.emit(), bytes);
        } else {
            prop_assert!(bytes[2] == 0 || bytes[4..8] == [0; 4]);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = Control::parse(&bytes);
    }
}
