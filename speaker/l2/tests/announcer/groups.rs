//! Solicited-node groups.

use std::net::Ipv6Addr;

use herald_l2::Role;

use crate::bed::*;
use crate::said::group;

/// Shares the last 24 bits with [`VIP6`].
const TWIN: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 0x10);

#[test]
fn owners_and_standbys_join_on_every_interface_of_the_address() {
    let mut bed = Bed::new();
    bed.role(VIP6, Role::Standby, &[LAN, STORAGE]);
    let other: Ipv6Addr = "2001:db8::abcd".parse().unwrap();
    bed.role(other, Role::Owner, &[LAN]);
    bed.role(VIP4, Role::Owner, &[LAN]);

    let expected = [(LAN, group(VIP6)), (LAN, group(other)), (STORAGE, group(VIP6))];
    assert_eq!(bed.groups.iter().copied().collect::<Vec<_>>(), expected);
}

#[test]
fn a_shared_group_is_joined_once_and_left_with_its_last_address() {
    let mut bed = Bed::new();
    bed.role(VIP6, Role::Owner, &[LAN]);
    bed.role(TWIN, Role::Standby, &[LAN]);
    assert_eq!(group(VIP6), group(TWIN));
    assert_eq!(bed.groups.len(), 1);

    bed.wanted.addresses.remove(&VIP6.into());
    bed.apply();
    assert_eq!(bed.groups.len(), 1);

    bed.wanted.addresses.clear();
    bed.apply();
    assert!(bed.groups.is_empty());
}

#[test]
fn an_interface_that_appears_later_joins_and_one_that_goes_leaves() {
    let mut bed = Bed::new();
    let storage = bed.wanted.interfaces.remove(&STORAGE).unwrap();
    bed.role(VIP6, Role::Standby, &[LAN, STORAGE]);
    assert_eq!(bed.groups.len(), 1);

    bed.wanted.interfaces.insert(STORAGE, storage);
    bed.apply();
    assert_eq!(bed.groups.len(), 2);

    bed.wanted.interfaces.remove(&LAN);
    bed.apply();
    assert_eq!(bed.groups.iter().copied().collect::<Vec<_>>(), [(STORAGE, group(VIP6))]);
}

#[test]
fn a_change_of_role_leaves_the_group_alone() {
    let mut bed = Bed::new();
    bed.stand_by(VIP6);
    let before = bed.groups.clone();
    bed.own(&[VIP6.into()]);

    assert_eq!(bed.groups, before);
}
