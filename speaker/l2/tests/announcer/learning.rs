//! Who is remembered.

use std::net::{IpAddr, Ipv4Addr};

use herald_l2::{Event, MacAddr, Role, Settings};

use crate::bed::*;
use crate::said::*;

#[test]
fn askers_are_remembered_by_owner_and_standby_alike_per_interface() {
    for role in [Role::Owner, Role::Standby] {
        let mut bed = Bed::new();
        bed.role(VIP4, role, &[LAN, STORAGE]);
        bed.role(VIP6, role, &[LAN, STORAGE]);

        bed.receive_on(LAN, &who_has(VIP4, (mac(7), ip4(7))));
        bed.receive_on(STORAGE, &who_has(VIP4, (mac(8), ip4(8))));
        bed.receive_on(LAN, &solicit(VIP6, (mac(7), ip6(7))));

        assert_eq!(bed.clients(VIP4), [(LAN, client4(7)), (STORAGE, client4(8))]);
        assert_eq!(bed.clients(VIP6), [(LAN, client6(7))]);
    }
}

#[test]
fn memory_is_bounded_whatever_the_segment_sends() {
    let mut bed = Bed::with(Settings { clients_total: 100, ..Settings::default() });
    let vips: Vec<Ipv4Addr> = (1..=4).map(|n| Ipv4Addr::new(203, 0, 113, n)).collect();
    for vip in &vips {
        bed.stand_by(*vip);
    }
    for n in 0..5_000_u16 {
        let [high, low] = n.to_be_bytes();
        let sender = (MacAddr([2, 0, 0, 9, high, low]), Ipv4Addr::new(10, 0, high, low.max(1)));
        bed.receive(&who_has(vips[usize::from(n % 4)], sender));
    }
    let counts: Vec<_> = vips.iter().map(|vip| bed.clients(*vip).len()).collect();
    assert!(counts.iter().all(|count| *count <= 64), "{counts:?}");
    assert_eq!(counts.iter().sum::<usize>(), 100);
}

#[test]
fn clients_of_a_released_address_are_forgotten() {
    let mut bed = Bed::settled();
    bed.receive(&who_has(VIP4, (mac(7), ip4(7))));
    let address = bed.wanted.addresses.remove(&IpAddr::from(VIP4)).unwrap();
    bed.apply();
    bed.wanted.addresses.insert(VIP4.into(), address);
    bed.apply();

    assert!(bed.clients(VIP4).is_empty());
}

#[test]
fn clients_survive_a_change_of_role() {
    let mut bed = Bed::settled();
    bed.receive(&who_has(VIP4, (mac(7), ip4(7))));
    bed.stand_by(VIP4);
    bed.own(&[VIP4.into()]);

    assert_eq!(bed.clients(VIP4), [(LAN, client4(7))]);
}

#[test]
fn another_announced_address_is_no_client() {
    let mut bed = Bed::settled();
    let other = ip4(11);
    bed.stand_by(other);

    bed.receive(&who_has(VIP4, (PEER_MAC, other)));

    assert!(bed.clients(VIP4).is_empty());
}

#[test]
fn whom_somebody_else_saw_is_remembered_for_addresses_of_ours_alone() {
    let mut bed = Bed::settled();
    let now = bed.now;
    let known = |ip: IpAddr| Event::Known { ip, interface: LAN, client: client4(7) };
    bed.announcer.handle(now, known(VIP4.into()));
    bed.announcer.handle(now, known(ip4(99).into()));

    assert_eq!(bed.clients(VIP4), [(LAN, client4(7))]);
    assert!(bed.clients(ip4(99)).is_empty());
}
