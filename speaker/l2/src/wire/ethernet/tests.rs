use std::net::Ipv6Addr;

use super::*;

#[test]
fn a_header_reads_back_as_it_was_written() {
    for protocol in [Protocol::Arp, Protocol::Ipv6] {
        let header = Ethernet { destination: MacAddr::BROADCAST, source: MacAddr([2, 0, 0, 0, 0, 1]), protocol };

        let frame = header.frame(28);

        assert_eq!(Ethernet::parse(&frame), Ok((header, &[0; 28][..])));
    }
}

#[test]
fn a_frame_shorter_than_its_header_is_truncated() {
    assert_eq!(Ethernet::parse(&[0; 13]), Err(Drop::Truncated));
    assert_eq!(Ethernet::parse(&[]), Err(Drop::Truncated));
}

#[test]
fn a_tagged_frame_is_for_another_segment() {
    for tag in [[0x81, 0x00], [0x88, 0xa8], [0x91, 0x00]] {
        assert_eq!(Ethernet::parse(&of_type(tag)), Err(Drop::VlanTagged), "{tag:x?}");
    }
}

#[test]
fn other_ethertypes_are_named() {
    assert_eq!(Ethernet::parse(&of_type([0x08, 0x00])), Err(Drop::Ethertype));
}

#[test]
fn a_group_maps_to_its_last_four_bytes() {
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff12, 0x3456);

    assert_eq!(multicast(group), MacAddr([0x33, 0x33, 0xff, 0x12, 0x34, 0x56]));
}

fn of_type(ethertype: [u8; 2]) -> Vec<u8> {
    let mut frame = vec![2; 64];
    frame[12..14].copy_from_slice(&ethertype);
    frame
}
