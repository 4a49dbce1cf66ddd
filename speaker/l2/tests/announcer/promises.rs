//! The promises under random events. `Bed` checks each frame against what is wanted at that moment.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use herald_l2::{Drop, Event, InterfaceIndex, MacAddr, Observed, Role};
use proptest::prelude::*;

use crate::bed::*;
use crate::said::*;

#[derive(Clone, Debug)]
enum Step {
    Role {
        vip: usize,
        role: Option<Role>,
        interfaces: Vec<InterfaceIndex>,
    },
    Mac {
        interface: InterfaceIndex,
        last: u8,
    },
    Interface {
        interface: InterfaceIndex,
        there: bool,
    },
    Peer(bool),
    Frame {
        interface: InterfaceIndex,
        kind: u8,
        vip: usize,
        client: u8,
        age: u64,
        flips: Vec<(usize, u8)>,
    },
    Bytes(Vec<u8>),
    /// A frame handled, then a change, before anything is polled.
    Unpolled {
        vip: usize,
        client: u8,
    },
    Wait(u64),
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_frame_leaves_for_an_address_outside_ownership(steps in prop::collection::vec(step(), 1..60)) {
        let mut bed = Bed::new();
        for step in steps {
            play(&mut bed, step);
        }
        bed.run(ms(60_000));
        prop_assert_eq!(bed.announcer.deadline(), None);
        let expected: std::collections::BTreeSet<_> = bed.wanted.addresses.iter().flat_map(|(ip, address)| {
            let group = match ip { IpAddr::V6(ip) => Some(group(*ip)), IpAddr::V4(_) => None };
            address.interfaces.iter().filter(|index| bed.wanted.interfaces.contains_key(index))
                .filter_map(move |index| group.map(|group| (*index, group)))
        }).collect();
        prop_assert_eq!(&bed.groups, &expected);
    }

    #[test]
    fn a_stalled_queue_is_never_answered(
        frames in prop::collection::vec((0_u8..10, 0_usize..4, 1_u8..9, 51_u64..10_000), 1..40),
    ) {
        let mut bed = Bed::settled();
        bed.own(&VIPS);
        bed.run(ms(60_000));
        bed.forget();
        for (kind, vip, client, age) in frames {
            bed.receive_late(LAN, &frame(kind, VIPS[vip], client), ms(age));
        }
        bed.run(ms(10_000));
        prop_assert!(bed.sent.is_empty());
        prop_assert!(bed.observed.iter().all(|seen| *seen == Observed::Ignored(Drop::Stale)));
        prop_assert!(VIPS.iter().all(|vip| bed.clients(*vip).is_empty()));
    }

    #[test]
    fn random_bytes_are_one_drop_each(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..128), 1..40)) {
        let mut bed = Bed::settled();
        for bytes in &frames {
            bed.receive(bytes);
        }
        bed.run(ms(10_000));
        prop_assert!(bed.sent.is_empty());
        prop_assert_eq!(bed.observed.len(), frames.len());
    }
}

const VIPS: [IpAddr; 4] = [
    IpAddr::V4(VIP4),
    IpAddr::V6(VIP6),
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, 5)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 0x10)),
];

fn play(bed: &mut Bed, step: Step) {
    match step {
        Step::Role { vip, role, interfaces } => match role {
            Some(role) => bed.role(VIPS[vip], role, &interfaces),
            None => {
                bed.wanted.addresses.remove(&VIPS[vip]);
                bed.apply();
            }
        },
        Step::Mac { interface, last } => {
            if let Some(interface) = bed.wanted.interfaces.get_mut(&interface) {
                interface.mac = MacAddr([2, 0, 0, 0, 0, last]);
            }
            bed.apply();
        }
        Step::Interface { interface, there } => {
            if there {
                let fresh = if interface == LAN { lan() } else { storage() };
                bed.wanted.interfaces.entry(interface).or_insert(fresh);
            } else {
                bed.wanted.interfaces.remove(&interface);
            }
            bed.apply();
        }
        Step::Peer(known) => {
            bed.wanted.peers = known.then_some(mac(3)).into_iter().collect();
            bed.apply();
        }
        Step::Frame { interface, kind, vip, client, age, flips } => {
            let mut bytes = frame(kind, VIPS[vip], client);
            for (at, value) in flips {
                let at = at % bytes.len();
                bytes[at] ^= value;
            }
            bed.receive_late(interface, &bytes, ms(age));
        }
        Step::Bytes(bytes) => bed.receive(&bytes),
        Step::Unpolled { vip, client } => {
            let bytes = frame(0, VIPS[vip], client);
            bed.announcer.handle(bed.now, Event::Frame { interface: LAN, received: bed.now, bytes: &bytes });
            bed.stand_by(VIPS[vip]);
        }
        Step::Wait(time) => bed.run(Duration::from_micros(time)),
    }
}

/// Something a neighbour may send about an address.
fn frame(kind: u8, vip: IpAddr, client: u8) -> Vec<u8> {
    let hw = mac(client);
    match vip {
        IpAddr::V4(vip) => match kind {
            0..=2 => who_has(vip, (hw, ip4(client))),
            3 => arp(MAC, 1, (hw, ip4(client)), (MAC, vip)),
            4 => who_has(vip, (hw, Ipv4Addr::UNSPECIFIED)),
            5 => who_has(vip, (hw, vip)),
            6 => arp(MacAddr::BROADCAST, 2, (hw, vip), (hw, vip)),
            7 => who_has(ip4(1), (hw, vip)),
            8 => arp(MAC, 2, (hw, ip4(client)), (MAC, vip)),
            _ => who_has(ip4(77), (hw, ip4(client))),
        },
        IpAddr::V6(vip) => match kind {
            0..=2 => solicit(vip, (hw, ip6(client))),
            3 => ndp((hw, MAC), ip6(client), vip, 135, 0, vip, None),
            4 => dad(vip, hw),
            5 => ndp((hw, group_mac(ALL_NODES)), ip6(client), ALL_NODES, 136, 0x20, vip, Some(hw)),
            6 => ndp((hw, MAC), ip6(client), LINK_LOCAL, 136, 0x60, vip, None),
            7 => solicit(ip6(1), (hw, vip)),
            8 => ndp((hw, MAC), ip6(client), vip, 136, 0x60, ip6(client), Some(hw)),
            _ => solicit(ip6(77), (hw, ip6(client))),
        },
    }
}

fn step() -> impl Strategy<Value = Step> {
    let interface = || prop_oneof![3 => Just(LAN), 1 => Just(STORAGE), 1 => Just(InterfaceIndex(9))];
    let vip = || 0_usize..VIPS.len();
    prop_oneof![
        4 => (vip(), prop::option::weighted(0.85, prop_oneof![Just(Role::Owner), Just(Role::Standby)]),
              prop::collection::vec(interface(), 0..3))
            .prop_map(|(vip, role, interfaces)| Step::Role { vip, role, interfaces }),
        1 => (interface(), prop_oneof![Just(1_u8), Just(2), Just(0x55)])
            .prop_map(|(interface, last)| Step::Mac { interface, last }),
        1 => (interface(), any::<bool>()).prop_filter("known", |(interface, _)| *interface != InterfaceIndex(9))
            .prop_map(|(interface, there)| Step::Interface { interface, there }),
        1 => any::<bool>().prop_map(Step::Peer),
        8 => (interface(), 0_u8..10, vip(), 1_u8..9, 0_u64..80,
              prop_oneof![2 => Just(vec![]), 1 => prop::collection::vec((any::<usize>(), any::<u8>()), 1..4)])
            .prop_map(|(interface, kind, vip, client, age, flips)| Step::Frame { interface, kind, vip, client, age, flips }),
        1 => prop::collection::vec(any::<u8>(), 0..128).prop_map(Step::Bytes),
        1 => (vip(), 1_u8..9).prop_map(|(vip, client)| Step::Unpolled { vip, client }),
        4 => prop_oneof![Just(100_u64), Just(10_000), Just(300_000), Just(6_000_000)].prop_map(Step::Wait),
    ]
}
