//! What a new owner says, when, and how fast.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use herald_l2::{Cause, EarlyRepeats, MacAddr, Observed, Role, Settings};

use crate::bed::*;
use crate::said::*;

#[test]
fn a_new_owner_of_an_ipv4_address_says_this_at_once() {
    let mut bed = Bed::new();
    bed.stand_by(VIP4);
    bed.receive(&who_has(VIP4, (mac(7), ip4(7))));
    bed.forget();

    bed.own(&[VIP4.into()]);

    let ask = |to, target: IpAddr| Said::ArpRequest { to, sender: (VIP4.into(), MAC), target };
    assert_eq!(
        bed.said(),
        [
            ask(MacAddr::BROADCAST, VIP4.into()),
            ask(mac(7), ip4(7).into()),
            ask(MacAddr::BROADCAST, GATEWAY4.into()),
            Said::ArpReply { to: MacAddr::BROADCAST, sender: (VIP4.into(), MAC), target: (VIP4.into(), MAC) },
        ]
    );
    assert_eq!(bed.observed(), [announced(VIP4, 0, 4)]);
}

#[test]
fn a_new_owner_of_an_ipv6_address_says_this_at_once() {
    let mut bed = Bed::new();
    bed.stand_by(VIP6);
    bed.receive(&solicit(VIP6, (mac(7), ip6(7))));
    bed.forget();

    bed.own(&[VIP6.into()]);

    let tell = |group: Ipv6Addr| Said::Advertisement {
        to: group_mac(group),
        from: LINK_LOCAL.into(),
        destination: group.into(),
        target: (VIP6.into(), MAC),
        flags: 0x20,
    };
    let ask = |to, destination: IpAddr, target: IpAddr| Said::Solicitation {
        to,
        source: (VIP6.into(), MAC),
        destination,
        target,
    };
    let gateway_group = group(GATEWAY6);
    assert_eq!(
        bed.said(),
        [
            tell(ALL_NODES),
            ask(mac(7), ip6(7).into(), ip6(7).into()),
            ask(group_mac(gateway_group), gateway_group.into(), GATEWAY6.into()),
            tell(ALL_ROUTERS),
        ]
    );
    assert_eq!(bed.observed(), [announced(VIP6, 0, 4)]);
}

#[test]
fn rounds_are_repeated_at_these_times_and_then_never_again() {
    let mut bed = Bed::new();
    bed.own(&[VIP4.into(), VIP6.into()]);

    bed.run(Duration::from_secs(3_600));

    assert_eq!(rounds(&bed, VIP4.into()), V4_MS);
    assert_eq!(rounds(&bed, VIP6.into()), V6_MS);
    assert_eq!(bed.announcer.deadline(), None);
}

#[test]
fn early_repeats_can_be_turned_off() {
    let mut bed = Bed::with(Settings { early_repeats: EarlyRepeats::Skip, ..Settings::default() });
    bed.own(&[VIP4.into()]);

    bed.run(ms(400));

    assert!(bed.sent.iter().all(|(at, _, _)| at.is_zero()));
}

#[test]
fn a_client_that_answered_us_is_not_told_again() {
    let mut bed = Bed::new();
    for n in [7, 8] {
        bed.stand_by(VIP4);
        bed.stand_by(VIP6);
        bed.receive(&who_has(VIP4, (mac(n), ip4(n))));
        bed.receive(&solicit(VIP6, (mac(n), ip6(n))));
    }
    bed.own(&[VIP4.into(), VIP6.into()]);
    bed.forget();

    bed.receive(&arp(MAC, 2, (mac(7), ip4(7)), (MAC, VIP4)));
    bed.receive(&ndp((mac(7), MAC), ip6(7), VIP6, 136, 0x60, ip6(7), Some(mac(7))));
    bed.receive(&arp(MAC, 2, (mac(0xfe), GATEWAY4), (MAC, VIP4)));

    let confirmed = |ip: IpAddr, client| Observed::Confirmed { ip, interface: LAN, client };
    let gateway = herald_l2::Client { ip: GATEWAY4.into(), mac: mac(0xfe) };
    assert_eq!(
        bed.observed(),
        [confirmed(VIP4.into(), client4(7)), confirmed(VIP6.into(), client6(7)), confirmed(VIP4.into(), gateway)]
    );
    bed.run(ms(10_000));
    let told = |client: IpAddr| {
        let to = |said: &Said| matches!(*said, Said::ArpRequest { target, .. } | Said::Solicitation { target, .. } if target == client);
        bed.sent.iter().filter(|(_, _, said)| to(said)).count()
    };
    assert_eq!([told(ip4(7).into()), told(ip6(7).into()), told(GATEWAY4.into())], [0, 0, 0]);
    assert_eq!([told(ip4(8).into()), told(ip6(8).into()), told(GATEWAY6.into())], [7, 5, 5]);
}

#[test]
fn a_gateway_is_told_only_of_addresses_of_its_subnet() {
    let mut bed = Bed::new();
    let outside: IpAddr = "203.0.113.5".parse().unwrap();
    let outside6: IpAddr = "2001:db8:ffff::5".parse().unwrap();

    bed.own(&[outside, outside6]);

    assert!(!bed.said().iter().any(|said| match *said {
        Said::ArpRequest { target, .. } | Said::Solicitation { target, .. } => target == GATEWAY4 || target == GATEWAY6,
        _ => false,
    }));
}

#[test]
fn a_gateway_that_asked_is_told_at_its_mac_and_not_twice() {
    let mut bed = Bed::new();
    bed.stand_by(VIP4);
    bed.receive(&who_has(VIP4, (mac(0xfe), GATEWAY4)));
    bed.own(&[VIP4.into()]);

    let asked: Vec<_> = bed
        .said()
        .into_iter()
        .filter_map(|said| match said {
            Said::ArpRequest { to, target, .. } if target == GATEWAY4 => Some(to),
            _ => None,
        })
        .collect();

    assert_eq!(asked, [mac(0xfe)]);
}

#[test]
fn setting_the_same_again_says_nothing() {
    let mut bed = Bed::settled();
    bed.apply();
    bed.wanted.interfaces.get_mut(&LAN).unwrap().name = "lan0".into();
    bed.apply();
    bed.run(ms(60_000));

    assert!(bed.said().is_empty());
    assert_eq!(bed.announcer.deadline(), None);
}

#[test]
fn losing_an_address_stops_its_announcement_at_once() {
    let mut bed = Bed::new();
    bed.own(&[VIP4.into(), VIP6.into()]);
    bed.run(ms(5));
    bed.forget();

    bed.stand_by(VIP4);
    bed.wanted.addresses.remove(&IpAddr::from(VIP6));
    bed.apply();
    bed.run(ms(60_000));

    assert!(bed.said().is_empty());
}

#[test]
fn an_address_that_comes_back_is_announced_anew() {
    let mut bed = Bed::settled();
    bed.stand_by(VIP4);
    bed.run(ms(1_000));
    bed.own(&[VIP4.into()]);

    assert_eq!(bed.observed(), [announced(VIP4, 0, 3)]);
}

#[test]
fn an_address_lost_and_won_within_its_announcement_has_one_schedule() {
    for pause in [0, 5] {
        let mut bed = Bed::new();
        bed.own(&[VIP4.into(), VIP6.into()]);
        bed.run(ms(5));
        bed.stand_by(VIP4);
        bed.stand_by(VIP6);
        bed.run(ms(pause));
        bed.forget();
        bed.start = bed.now;
        bed.own(&[VIP4.into(), VIP6.into()]);
        bed.run(ms(60_000));

        assert_eq!(rounds(&bed, VIP4.into()), V4_MS);
        assert_eq!(rounds(&bed, VIP6.into()), V6_MS);
    }
}

#[test]
fn a_new_mac_or_a_new_interface_is_announced() {
    let mut bed = Bed::settled();
    bed.wanted.interfaces.get_mut(&LAN).unwrap().mac = MacAddr([2, 0, 0, 0, 0, 0x55]);
    bed.apply();
    assert_eq!(bed.observed(), [announced(VIP4, 0, 3), announced(VIP6, 0, 3)]);

    bed.run(ms(60_000));
    bed.forget();
    bed.role(VIP4, Role::Owner, &[LAN, STORAGE]);
    let interfaces: Vec<_> = bed.sent.iter().map(|(_, interface, _)| *interface).collect();
    assert_eq!(interfaces, [STORAGE, STORAGE]);
}

#[test]
fn an_interface_that_is_gone_is_forgotten_and_one_that_returns_is_announced_on() {
    let mut bed = Bed::settled();
    let lan = bed.wanted.interfaces.remove(&LAN).unwrap();
    bed.apply();
    bed.run(ms(1_000));
    assert!(bed.said().is_empty());

    bed.wanted.interfaces.insert(LAN, lan);
    bed.apply();
    assert_eq!(bed.observed(), [announced(VIP4, 0, 3), announced(VIP6, 0, 3)]);
}

#[test]
fn an_interface_without_a_mac_address_says_nothing() {
    let mut bed = Bed::new();
    for mac in [MacAddr::ZERO, MacAddr::BROADCAST] {
        bed.wanted.interfaces.get_mut(&LAN).unwrap().mac = mac;
        bed.own(&[VIP4.into(), VIP6.into()]);
        bed.run(ms(1_000));
    }

    assert!(bed.said().is_empty());
    assert!(bed.groups.is_empty());
}

/// 1,000 addresses, 100 of which have clients: every one is broadcast before anything else, those with clients first;
/// no window exceeds the pace; the machine is woken at most every 2 ms.
#[test]
fn a_thousand_addresses_are_announced_in_order_at_the_pace() {
    let mut bed = Bed::new();
    let vips: Vec<IpAddr> = (0..1_000_u16)
        .map(|n| match n % 2 {
            0 => Ipv4Addr::from_bits(0xc000_0300 + u32::from(n)).into(),
            _ => Ipv6Addr::new(0x2001, 0xdb8, 0, 5, 0, 0, 0, n).into(),
        })
        .collect();
    for vip in &vips {
        bed.wanted.addresses.insert(*vip, herald_l2::Address { role: Role::Standby, interfaces: [LAN].into() });
    }
    bed.apply();
    let busy: Vec<_> = vips.iter().copied().rev().step_by(10).collect();
    for vip in &busy {
        match vip {
            IpAddr::V4(vip) => bed.receive(&who_has(*vip, (mac(7), ip4(7)))),
            IpAddr::V6(vip) => bed.receive(&solicit(*vip, (mac(7), ip6(7)))),
        }
    }
    bed.forget();
    (bed.start, bed.wakeups) = (bed.now, 0);

    bed.own(&vips);
    bed.run(ms(60_000));

    let first: Vec<_> = bed.sent.iter().take(1_000).filter_map(|(_, _, said)| broadcast(said)).collect();
    assert_eq!(first.len(), 1_000, "nothing but broadcasts first");
    let distinct: std::collections::BTreeSet<_> = first.iter().collect();
    assert_eq!(distinct.len(), 1_000, "each address once before any twice");
    let (mut head, mut expected) = (first[..100].to_vec(), busy.clone());
    head.sort_unstable();
    expected.sort_unstable();
    assert_eq!(head, expected, "addresses with clients first");
    assert!(bed.sent[999].0 <= ms(500), "the last address is out after {:?}", bed.sent[999].0);

    for (index, (from, _, _)) in bed.sent.iter().enumerate() {
        let within = bed.sent[index..].iter().take_while(|(at, _, _)| *at < *from + ms(100)).count();
        assert!(within <= 80 + 200 + 1, "{within} frames in 100 ms");
    }
    for vip in &vips {
        let rounds = bed.sent.iter().filter(|(_, _, said)| broadcast(said) == Some(*vip)).count();
        assert!(rounds >= 3, "{vip} was announced {rounds} times");
    }
    let (last, _, _) = bed.sent.last().unwrap();
    assert!(*last <= ms(9_000), "the last repeat is out after {last:?}");
    assert!(bed.wakeups as u128 <= last.as_millis() / 2 + 20, "{} wake-ups", bed.wakeups);
}

fn announced(ip: impl Into<IpAddr>, round: u8, frames: u32) -> Observed {
    Observed::Announced { ip: ip.into(), interface: LAN, cause: Cause::Gained, round, frames }
}

const V4_MS: [u128; 8] = [0, 10, 50, 200, 500, 1_100, 2_100, 5_000];
const V6_MS: [u128; 6] = [0, 10, 50, 200, 1_000, 2_000];

/// The address that a frame announces to everybody, once a round.
fn broadcast(said: &Said) -> Option<IpAddr> {
    match *said {
        Said::ArpRequest { sender, target, .. } => (sender.0 == target).then_some(target),
        Said::Advertisement { destination, target, .. } => (destination == ALL_NODES).then_some(target.0),
        _ => None,
    }
}

/// When an address was announced to everybody, in ms.
fn rounds(bed: &Bed, vip: IpAddr) -> Vec<u128> {
    bed.sent.iter().filter(|(_, _, said)| broadcast(said) == Some(vip)).map(|(at, _, _)| at.as_millis()).collect()
}
