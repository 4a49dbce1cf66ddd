//! Bad and foreign frames: each reason once, seen from outside, and none leads to a frame.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use herald_l2::{Drop, InterfaceIndex, MacAddr, Observed};

use crate::bed::*;
use crate::said::*;

#[test]
fn every_reason_has_a_frame_that_shows_it() {
    let arp_ok = who_has(VIP4, (mac(7), ip4(7)));
    let ndp_ok = solicit(VIP6, (mac(7), ip6(7)));
    let change = |frame: &[u8], offset: usize, bytes: &[u8]| {
        let mut frame = frame.to_vec();
        frame[offset..offset + bytes.len()].copy_from_slice(bytes);
        frame
    };
    let other = ip4(99);
    let other6 = ip6(99);
    let mut tagged = arp_ok.clone();
    tagged.splice(12..12, [0x81, 0x00, 0x00, 0x05]);
    let mut no_length = ndp((mac(7), MAC), ip6(7), VIP6, 135, 0, VIP6, Some(mac(7)));
    no_length[79] = 0; // and the checksum with it: 1 in the low byte of a word
    no_length[57] += 1;
    let cases: Vec<(&str, Vec<u8>, Drop)> = vec![
        ("an empty frame", vec![], Drop::Truncated),
        ("a header alone", arp_ok[..14].to_vec(), Drop::Truncated),
        ("half an ARP message", arp_ok[..41].to_vec(), Drop::Truncated),
        ("half an IPv6 header", ndp_ok[..50].to_vec(), Drop::Truncated),
        ("a VLAN tag", tagged, Drop::VlanTagged),
        ("IPv4", change(&arp_ok, 12, &[8, 0]), Drop::Ethertype),
        ("our own source", change(&arp_ok, 6, &MAC.0), Drop::Own),
        ("our own sender in ARP", change(&arp_ok, 22, &MAC.0), Drop::Own),
        ("a broadcast source", change(&arp_ok, 6, &[0xff; 6]), Drop::SenderMac),
        ("a zero sender in ARP", change(&arp_ok, 22, &[0; 6]), Drop::SenderMac),
        ("a group in the option", solicit(VIP6, (MacAddr([3; 6]), ip6(7))), Drop::SenderMac),
        ("a multicast asker", change(&arp_ok, 28, &[224, 0, 0, 1]), Drop::SenderIp),
        ("a broadcast asker", change(&arp_ok, 28, &[255; 4]), Drop::SenderIp),
        ("a loopback asker", change(&arp_ok, 28, &[127, 0, 0, 1]), Drop::SenderIp),
        ("another station's ARP", change(&arp_ok, 0, &mac(8).0), Drop::NotForUs),
        ("another station's NDP", change(&ndp_ok, 0, &mac(8).0), Drop::NotForUs),
        ("another group's MAC", change(&ndp_ok, 0, &group_mac(ALL_NODES).0), Drop::NotForUs),
        ("IEEE 802 ARP", change(&arp_ok, 14, &[0, 6]), Drop::HardwareType),
        ("ARP for IPv6", change(&arp_ok, 16, &[0x86, 0xdd]), Drop::ProtocolType),
        ("ARP with 8-byte MACs", change(&arp_ok, 18, &[8]), Drop::AddressLength),
        ("ARP with 16-byte IPs", change(&arp_ok, 19, &[16]), Drop::AddressLength),
        ("RARP", change(&arp_ok, 20, &[0, 3]), Drop::Operation),
        ("IP version 4", change(&ndp_ok, 14, &[0x40]), Drop::Ipv6Header),
        ("a length beyond the frame", change(&ndp_ok, 18, &[0xff, 0xff]), Drop::Ipv6Header),
        ("a fragment", change(&ndp_ok, 20, &[44]), Drop::NotIcmpv6),
        ("hop limit 254", change(&ndp_ok, 21, &[254]), Drop::HopLimit),
        ("a flipped bit", change(&ndp_ok, 60, &[1]), Drop::Checksum),
        ("a router solicitation", ndp((mac(7), MAC), ip6(7), VIP6, 133, 0, VIP6, None), Drop::Icmpv6Type),
        ("a multicast target", ndp((mac(7), MAC), ip6(7), VIP6, 135, 0, ALL_NODES, None), Drop::Target),
        ("an option of length 0", no_length, Drop::NdpOption),
        ("a probe with option", dad_with_option(), Drop::NdpRule),
        ("ARP for a neighbour", who_has(other, (mac(7), ip4(7))), Drop::NotOurAddress),
        ("NDP for a neighbour", solicit(other6, (mac(7), ip6(7))), Drop::NotOurAddress),
        ("a neighbour's reply", arp(MAC, 2, (mac(7), ip4(7)), (MAC, ip4(1))), Drop::NothingAsked),
        ("a reply to everybody", arp(MacAddr::BROADCAST, 2, (mac(7), ip4(7)), (MAC, VIP4)), Drop::NothingAsked),
        ("a reply from nobody", arp(MAC, 2, (mac(7), Ipv4Addr::UNSPECIFIED), (MAC, VIP4)), Drop::NothingAsked),
        (
            "a neighbour's advertisement",
            ndp((mac(7), MAC), ip6(7), LINK_LOCAL, 136, 0x60, ip6(7), Some(mac(7))),
            Drop::NothingAsked,
        ),
    ];
    let mut seen = BTreeSet::new();
    for (name, frame, reason) in cases {
        let mut bed = Bed::settled();
        bed.receive(&frame);
        bed.run(ms(10_000));

        assert_eq!(bed.observed(), [Observed::Ignored(reason)], "{name}");
        assert!(bed.said().is_empty(), "{name}");
        assert!(bed.clients(VIP4).is_empty() && bed.clients(VIP6).is_empty(), "{name}");
        seen.insert(reason);
    }
    // These need more than a frame and have their tests in `answers` and `conflicts`.
    seen.extend([Drop::Stale, Drop::UnknownInterface, Drop::OtherInterface, Drop::RepeatedClaim]);
    assert_eq!(seen, BTreeSet::from(Drop::ALL));
}

#[test]
fn a_frame_of_an_interface_that_does_not_announce_is_ignored() {
    let mut bed = Bed::settled();
    bed.receive_on(InterfaceIndex(99), &who_has(VIP4, (mac(7), ip4(7))));

    assert_eq!(bed.observed(), [Observed::Ignored(Drop::UnknownInterface)]);
}

#[test]
fn reasons_have_distinct_words() {
    let words: BTreeSet<_> = Drop::ALL.iter().map(|reason| reason.as_str()).collect();

    assert_eq!(words.len(), Drop::ALL.len());
    assert_eq!(BTreeSet::from(Drop::ALL).len(), Drop::ALL.len());
}

fn dad_with_option() -> Vec<u8> {
    let group = group(VIP6);
    ndp((mac(7), group_mac(group)), Ipv6Addr::UNSPECIFIED, group, 135, 0, VIP6, Some(mac(7)))
}
