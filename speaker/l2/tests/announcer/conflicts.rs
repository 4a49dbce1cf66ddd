//! Somebody else claims what is ours.

use std::net::IpAddr;

use herald_l2::{Cause, Claimant, Drop, MacAddr, Observed};

use crate::bed::*;
use crate::said::*;

/// The ways to claim an address, with the MAC address `by`.
fn claims(by: MacAddr) -> Vec<(IpAddr, Vec<u8>)> {
    let group = group_mac(ALL_NODES);
    vec![
        (VIP4.into(), who_has(VIP4, (by, VIP4))),
        (VIP4.into(), arp(MacAddr::BROADCAST, 2, (by, VIP4), (by, VIP4))),
        (VIP4.into(), who_has(ip4(7), (by, VIP4))),
        (VIP4.into(), arp(MAC, 2, (by, VIP4), (MAC, ip4(1)))),
        (VIP6.into(), ndp((by, group), ip6(9), ALL_NODES, 136, 0x20, VIP6, Some(by))),
        (VIP6.into(), ndp((by, MAC), VIP6, LINK_LOCAL, 136, 0x60, VIP6, None)),
        (VIP6.into(), solicit(ip6(1), (by, VIP6))),
    ]
}

#[test]
fn a_strangers_claim_is_reported_and_corrected_at_once() {
    for (ip, claim) in claims(mac(9)) {
        let mut bed = Bed::settled();

        bed.receive(&claim);

        let observed = bed.observed();
        assert_eq!(observed[0], conflict(ip, mac(9), Claimant::Foreign));
        assert!(
            matches!(observed[1], Observed::Announced { ip: at, cause: Cause::Defended, frames: 3, .. } if at == ip),
            "{observed:?}"
        );
        assert_eq!(observed.len(), 2);
        assert_eq!(bed.said().len(), 3, "broadcast, gateway, second");
        assert_eq!(bed.announcer.deadline(), None);
    }
}

#[test]
fn a_peers_claim_is_reported_and_left_to_the_election() {
    for (ip, claim) in claims(PEER_MAC) {
        let mut bed = Bed::settled();
        bed.wanted.peers.insert(PEER_MAC);
        bed.apply();

        bed.receive(&claim);
        bed.run(ms(10_000));

        assert_eq!(bed.observed(), [conflict(ip, PEER_MAC, Claimant::Peer)]);
        assert!(bed.said().is_empty());
    }
}

#[test]
fn all_clients_are_told_again_in_the_correction() {
    let mut bed = Bed::settled();
    bed.receive(&arp(MAC, 1, (mac(7), ip4(7)), (MAC, VIP4)));
    bed.run(ms(1_000));
    bed.forget();

    bed.receive(&who_has(VIP4, (mac(9), VIP4)));

    let to_client = Said::ArpRequest { to: mac(7), sender: (VIP4.into(), MAC), target: ip4(7).into() };
    assert!(bed.said().contains(&to_client));
}

#[test]
fn a_stubborn_stranger_costs_one_correction_and_one_report_a_second() {
    let mut bed = Bed::settled();
    for _ in 0..500 {
        bed.receive(&who_has(VIP4, (mac(9), VIP4)));
        bed.run(ms(10));
    }

    let observed = bed.observed();
    let count = |wanted: fn(&Observed) -> bool| observed.iter().filter(|seen| wanted(seen)).count();
    assert_eq!(count(|seen| matches!(seen, Observed::Conflict { .. })), 5);
    assert_eq!(count(|seen| matches!(seen, Observed::Announced { .. })), 5);
    assert_eq!(count(|seen| matches!(seen, Observed::Ignored(Drop::RepeatedClaim))), 495);
    assert_eq!(bed.said().len(), 15);
}

#[test]
fn a_stranger_after_a_peer_is_still_corrected() {
    let mut bed = Bed::settled();
    bed.wanted.peers.insert(PEER_MAC);
    bed.apply();
    bed.receive(&who_has(VIP4, (PEER_MAC, VIP4)));
    bed.forget();

    bed.receive(&who_has(VIP4, (mac(9), VIP4)));

    assert_eq!(bed.said().len(), 3);
}

#[test]
fn a_claim_within_the_announcement_begins_the_round_again_and_keeps_the_schedule() {
    let mut bed = Bed::new();
    bed.own(&[VIP4.into()]);
    bed.run(ms(300));
    bed.forget();

    bed.receive(&who_has(VIP4, (mac(9), VIP4)));
    bed.run(ms(10_000));

    let rounds: Vec<_> = bed
        .observed()
        .into_iter()
        .filter_map(|seen| match seen {
            Observed::Announced { cause, round, .. } => Some((cause, round)),
            _ => None,
        })
        .collect();
    let gained = [4, 5, 6, 7].map(|round| (Cause::Gained, round));
    assert_eq!(rounds[0], (Cause::Defended, 0));
    assert_eq!(rounds[1..], gained);
}

#[test]
fn a_claim_of_an_address_we_only_stand_by_for_is_the_owners_announcement() {
    let mut bed = Bed::new();
    bed.stand_by(VIP4);
    bed.stand_by(VIP6);
    for (_, claim) in claims(PEER_MAC) {
        bed.receive(&claim);
    }
    bed.run(ms(1_000));

    assert!(bed.said().is_empty());
    assert!(bed.observed().iter().all(|seen| matches!(seen, Observed::Ignored(_))));
    assert!(bed.clients(VIP4).is_empty() && bed.clients(VIP6).is_empty());
}

#[test]
fn our_own_frames_are_no_claim_wherever_they_are_seen() {
    for own in [MAC, STORAGE_MAC] {
        let mut bed = Bed::settled();
        for (_, claim) in claims(own) {
            bed.receive(&claim);
        }
        assert!(bed.said().is_empty());
        assert!(bed.observed().iter().all(|seen| *seen == Observed::Ignored(Drop::Own)));
    }
}

#[test]
fn losing_the_address_ends_its_defence() {
    let mut bed = Bed::settled();
    let bytes = who_has(VIP4, (mac(9), VIP4));
    let event = herald_l2::Event::Frame { interface: LAN, received: bed.now, bytes: &bytes };
    bed.announcer.handle(bed.now, event);

    bed.stand_by(VIP4);
    bed.run(ms(10_000));

    assert!(bed.said().is_empty());
}

fn conflict(ip: IpAddr, mac: MacAddr, claimant: Claimant) -> Observed {
    Observed::Conflict { ip, interface: LAN, mac, claimant }
}
