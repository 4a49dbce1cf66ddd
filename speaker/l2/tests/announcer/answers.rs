//! Who is answered, and with what.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use herald_l2::{Client, Drop, Event, MacAddr, Observed, Role, Settings, Wanted};

use crate::bed::*;
use crate::said::*;

const SOLICITED_OVERRIDE: u8 = 0x60;
const OVERRIDE: u8 = 0x20;

#[test]
fn a_broadcast_arp_request_is_answered_to_the_asker() {
    let mut bed = Bed::settled();

    bed.receive(&who_has(VIP4, (mac(7), ip4(7))));

    assert_eq!(bed.said(), [arp_answer(client4(7))]);
    assert_eq!(bed.observed(), requested_and_answered(VIP4, client4(7)));
}

#[test]
fn a_unicast_arp_request_to_our_mac_is_answered() {
    let mut bed = Bed::settled();

    bed.receive(&arp(MAC, 1, (mac(7), ip4(7)), (MAC, VIP4)));

    assert_eq!(bed.said(), [arp_answer(client4(7))]);
}

#[test]
fn an_arp_probe_is_answered_so_that_its_sender_learns_the_address_is_taken() {
    let mut bed = Bed::settled();

    bed.receive(&who_has(VIP4, (mac(7), Ipv4Addr::UNSPECIFIED)));

    let prober = Client { ip: Ipv4Addr::UNSPECIFIED.into(), mac: mac(7) };
    assert_eq!(bed.said(), [arp_answer(prober)]);
    assert_eq!(bed.observed(), requested_and_answered(VIP4, prober));
    assert!(bed.clients(VIP4).is_empty(), "a prober is nobody yet");
}

#[test]
fn a_solicitation_to_the_group_is_answered_solicited_and_overriding() {
    let mut bed = Bed::settled();

    bed.receive(&solicit(VIP6, (mac(7), ip6(7))));

    assert_eq!(bed.said(), [ndp_answer(client6(7))]);
    assert_eq!(bed.observed(), requested_and_answered(VIP6, client6(7)));
}

#[test]
fn a_unicast_solicitation_without_link_layer_option_is_answered() {
    let mut bed = Bed::settled();

    bed.receive(&ndp((mac(7), MAC), ip6(7), VIP6, 135, 0, VIP6, None));

    assert_eq!(bed.said(), [ndp_answer(client6(7))]);
}

#[test]
fn an_answer_goes_to_the_link_layer_address_the_asker_names() {
    let mut bed = Bed::settled();
    let (bridge, host) = (mac(8), mac(7));

    bed.receive(&ndp((bridge, MAC), ip6(7), VIP6, 135, 0, VIP6, Some(host)));
    let mut request = who_has(VIP4, (host, ip4(7)));
    request[6..12].copy_from_slice(&bridge.0);
    bed.receive(&request);

    assert_eq!(bed.said(), [ndp_answer(client6(7)), arp_answer(client4(7))]);
}

#[test]
fn duplicate_address_detection_is_answered_to_all_nodes() {
    let mut bed = Bed::settled();

    bed.receive(&dad(VIP6, mac(7)));

    assert_eq!(
        bed.said(),
        [Said::Advertisement {
            to: group_mac(ALL_NODES),
            from: LINK_LOCAL.into(),
            destination: ALL_NODES.into(),
            target: (VIP6.into(), MAC),
            flags: OVERRIDE,
        }]
    );
    let prober = Client { ip: Ipv6Addr::UNSPECIFIED.into(), mac: mac(7) };
    assert_eq!(bed.observed(), requested_and_answered(VIP6, prober));
    assert!(bed.clients(VIP6).is_empty());
}

#[test]
fn without_a_link_local_address_the_vip_speaks_for_itself() {
    let mut bed = Bed::settled();
    let lan = bed.wanted.interfaces.get_mut(&LAN).unwrap();
    lan.addresses.retain(|net| net.addr() != LINK_LOCAL);
    bed.apply();

    bed.receive(&solicit(VIP6, (mac(7), ip6(7))));

    assert!(matches!(bed.said()[..], [Said::Advertisement { from, .. }] if from == VIP6));
}

#[test]
fn a_standby_says_nothing_and_remembers_who_asked() {
    let mut bed = Bed::new();
    bed.stand_by(VIP4);
    bed.stand_by(VIP6);

    for frame in both_requests(7).into_iter().chain([dad(VIP6, mac(9)), who_has(VIP4, (mac(9), Ipv4Addr::UNSPECIFIED))])
    {
        bed.receive(&frame);
    }
    bed.run(ms(60_000));

    assert!(bed.said().is_empty());
    let request = |ip: IpAddr, client| Observed::Request { ip, interface: LAN, client, role: Role::Standby };
    assert_eq!(bed.observed()[..2], [request(VIP4.into(), client4(7)), request(VIP6.into(), client6(7))]);
    assert_eq!(bed.clients(VIP6), [(LAN, client6(7))]);
}

#[test]
fn each_interface_answers_with_its_own_mac() {
    let mut bed = Bed::new();
    bed.role(VIP4, Role::Owner, &[LAN, STORAGE]);
    bed.run(ms(60_000));
    bed.forget();

    bed.receive_on(STORAGE, &who_has(VIP4, (mac(7), ip4(7))));

    let target = (ip4(7).into(), mac(7));
    assert_eq!(
        bed.sent.iter().map(|(_, interface, said)| (*interface, *said)).collect::<Vec<_>>(),
        [(STORAGE, Said::ArpReply { to: mac(7), sender: (VIP4.into(), STORAGE_MAC), target })]
    );
}

#[test]
fn an_interface_the_address_may_not_use_stays_silent() {
    let mut bed = Bed::settled();

    for frame in both_requests(7) {
        bed.receive_on(STORAGE, &frame);
    }

    assert!(bed.said().is_empty());
    assert_eq!(bed.observed(), [Observed::Ignored(Drop::OtherInterface); 2]);
    assert!(bed.clients(VIP4).is_empty());
}

#[test]
fn a_thawed_owner_never_answers_from_its_old_queue() {
    let mut bed = Bed::settled();

    for frame in both_requests(7) {
        bed.receive_late(LAN, &frame, ms(51));
    }
    assert!(bed.said().is_empty());
    assert_eq!(bed.observed(), [Observed::Ignored(Drop::Stale); 2]);
    assert!(bed.clients(VIP4).is_empty());

    for frame in both_requests(7) {
        bed.receive_late(LAN, &frame, ms(50));
    }
    assert_eq!(bed.said().len(), 2);
}

#[test]
fn an_answer_that_was_not_fetched_in_time_is_thrown_away() {
    let mut bed = Bed::settled();
    let bytes = who_has(VIP4, (mac(7), ip4(7)));
    let event = Event::Frame { interface: LAN, received: bed.now, bytes: &bytes };
    bed.announcer.handle(bed.now, event);

    bed.now += ms(51);
    bed.announcer.handle(bed.now, Event::Tick);
    bed.drain();

    assert!(bed.said().is_empty());
    assert!(bed.observed().contains(&Observed::Ignored(Drop::Stale)));
}

#[test]
fn an_answer_that_was_not_fetched_dies_with_the_ownership() {
    let mut bed = Bed::settled();
    for frame in both_requests(7) {
        let event = Event::Frame { interface: LAN, received: bed.now, bytes: &frame };
        bed.announcer.handle(bed.now, event);
    }

    bed.wanted.addresses.remove(&IpAddr::from(VIP4));
    bed.stand_by(VIP6);

    assert!(bed.said().is_empty());
    assert!(!bed.observed().iter().any(|seen| matches!(seen, Observed::Answered { .. })));
}

#[test]
fn a_released_address_is_answered_no_more() {
    let mut bed = Bed::settled();
    bed.wanted.addresses.clear();
    bed.apply();

    for frame in both_requests(7) {
        bed.receive(&frame);
    }

    assert!(bed.said().is_empty());
    assert_eq!(bed.observed(), [Observed::Ignored(Drop::NotOurAddress); 2]);
}

#[test]
fn a_new_mac_address_is_the_one_that_answers() {
    let mut bed = Bed::settled();
    let new = MacAddr([2, 0, 0, 0, 0, 0x55]);
    bed.wanted.interfaces.get_mut(&LAN).unwrap().mac = new;
    bed.apply();
    bed.run(ms(60_000));
    bed.forget();

    bed.receive(&who_has(VIP4, (mac(7), ip4(7))));
    bed.receive(&arp(MAC, 1, (mac(7), ip4(7)), (MAC, VIP4)));

    let said = bed.said();
    assert_eq!(said.len(), 1, "a frame for the old MAC address is not for us");
    assert_eq!(said[0].binding(), (VIP4.into(), new));
}

#[test]
fn before_anything_is_wanted_nothing_is_said() {
    let mut bed = Bed::of(Settings::default(), Wanted::default());
    assert_eq!(bed.announcer.deadline(), None);

    bed.receive(&who_has(VIP4, (mac(7), ip4(7))));

    assert_eq!(bed.observed(), [Observed::Ignored(Drop::UnknownInterface)]);
}

fn both_requests(n: u8) -> [Vec<u8>; 2] {
    [who_has(VIP4, (mac(n), ip4(n))), solicit(VIP6, (mac(n), ip6(n)))]
}

fn arp_answer(client: Client) -> Said {
    Said::ArpReply { to: client.mac, sender: (VIP4.into(), MAC), target: (client.ip, client.mac) }
}

fn ndp_answer(client: Client) -> Said {
    Said::Advertisement {
        to: client.mac,
        from: LINK_LOCAL.into(),
        destination: client.ip,
        target: (VIP6.into(), MAC),
        flags: SOLICITED_OVERRIDE,
    }
}

fn requested_and_answered(ip: impl Into<IpAddr>, client: Client) -> [Observed; 2] {
    let ip = ip.into();
    [
        Observed::Request { ip, interface: LAN, client, role: Role::Owner },
        Observed::Answered { ip, interface: LAN, client },
    ]
}
