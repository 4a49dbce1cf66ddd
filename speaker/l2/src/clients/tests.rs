use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;
use crate::MacAddr;

const LAN: InterfaceIndex = InterfaceIndex(2);
const OTHER: InterfaceIndex = InterfaceIndex(3);

#[test]
fn the_longest_unheard_client_of_an_address_makes_room() {
    let (mut clients, now) = (clients(3, 100), now());
    for last in [1, 2, 3, 1, 4] {
        clients.learn(now, vip(1), LAN, client(last), Heard::Asking);
    }

    assert_eq!(known(&clients, now, vip(1)), [1, 3, 4]);
}

#[test]
fn the_longest_unheard_client_of_all_makes_room() {
    let (mut clients, now) = (clients(64, 4), now());
    for (address, last) in [(1, 1), (2, 2), (1, 3), (2, 4), (1, 1), (3, 5)] {
        clients.learn(now, vip(address), LAN, client(last), Heard::Asking);
    }

    assert_eq!(known(&clients, now, vip(1)), [1, 3]);
    assert_eq!(known(&clients, now, vip(2)), [4]);
    assert_eq!(known(&clients, now, vip(3)), [5]);
}

#[test]
fn a_client_is_forgotten_after_the_expiry_and_not_before() {
    let (mut clients, now) = (clients(64, 100), now());
    clients.learn(now, vip(1), LAN, client(1), Heard::Asking);
    let expiry = Settings::default().client_expiry;

    assert_eq!(known(&clients, now + expiry, vip(1)), [1]);
    let after = now + expiry + Duration::from_millis(1);
    assert!(known(&clients, after, vip(1)).is_empty());
    assert_eq!(clients.next_to_tell(after, vip(1), LAN, after, 1), None);
    assert!(!clients.any(after, vip(1), LAN));
}

#[test]
fn each_client_is_told_once_a_round_where_it_is() {
    let (mut clients, now) = (clients(64, 100), now());
    clients.learn(now, vip(1), LAN, client(1), Heard::Asking);
    clients.learn(now, vip(1), OTHER, client(2), Heard::Asking);

    assert_eq!(clients.next_to_tell(now, vip(1), LAN, now, 1), Some(client(1)));
    assert_eq!(clients.next_to_tell(now, vip(1), LAN, now, 1), None);
    assert_eq!(clients.next_to_tell(now, vip(1), OTHER, now, 2), Some(client(2)));
    assert_eq!(clients.next_to_tell(now, vip(1), LAN, now, 3), Some(client(1)));
}

#[test]
fn who_knows_us_is_not_told_until_a_newer_reason() {
    let (mut clients, now) = (clients(64, 100), now());
    clients.learn(now, vip(1), LAN, client(1), Heard::KnowingUs);

    assert_eq!(clients.next_to_tell(now, vip(1), LAN, now, 1), None);
    let later = now + Duration::from_secs(1);
    assert_eq!(clients.next_to_tell(later, vip(1), LAN, later, 2), Some(client(1)));
}

#[test]
fn a_client_with_a_new_mac_address_must_be_told_again() {
    let (mut clients, now) = (clients(64, 100), now());
    clients.learn(now, vip(1), LAN, client(1), Heard::KnowingUs);
    let moved = Client { mac: MacAddr([2, 0, 0, 0, 9, 9]), ..client(1) };
    clients.learn(now, vip(1), LAN, moved, Heard::Asking);

    assert_eq!(clients.next_to_tell(now, vip(1), LAN, now, 1), Some(moved));
}

#[test]
fn zero_bounds_turn_learning_off() {
    for (per_address, total) in [(0, 10), (10, 0)] {
        let (mut clients, now) = (clients(per_address, total), now());
        clients.learn(now, vip(1), LAN, client(1), Heard::Asking);

        assert!(known(&clients, now, vip(1)).is_empty());
    }
}

proptest! {
    #[test]
    fn the_bounds_hold_and_the_latest_stay(
        heard in proptest::collection::vec((0_u8..6, 0_u8..12, any::<bool>()), 1..300),
        forget in 0_u8..6,
    ) {
        let (mut clients, now) = (clients(5, 17), now());
        for (address, last, _) in &heard {
            clients.learn(now, vip(*address), LAN, client(*last), Heard::Asking);

            let sizes: Vec<_> = (0..6).map(|address| known(&clients, now, vip(address)).len()).collect();
            prop_assert!(sizes.iter().all(|size| *size <= 5));
            prop_assert!(sizes.iter().sum::<usize>() <= 17);
            prop_assert!(known(&clients, now, vip(*address)).contains(last));
            prop_assert!(clients.entries.len() <= 17);
        }
        clients.retain(|ip, _| ip != vip(forget));
        prop_assert!(known(&clients, now, vip(forget)).is_empty());
        let listed: usize = clients.of.values().map(Vec::len).sum();
        let mut linked = 0;
        let mut next = clients.oldest;
        while let Some(slot) = next {
            linked += 1;
            next = clients.entries[slot as usize].later;
        }
        prop_assert_eq!(listed, linked);
        prop_assert_eq!(listed + clients.free.len(), clients.entries.len());
    }
}

fn clients(clients_per_address: usize, clients_total: usize) -> Clients {
    Clients::new(&Settings { clients_per_address, clients_total, ..Settings::default() })
}

fn vip(last: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, last).into()
}

fn client(last: u8) -> Client {
    Client { ip: Ipv4Addr::new(192, 0, 2, 100 + last).into(), mac: MacAddr([2, 0, 0, 0, 1, last]) }
}

fn known(clients: &Clients, now: Instant, ip: IpAddr) -> Vec<u8> {
    let mut found: Vec<_> = clients.iter(now, ip).map(|(_, client)| client.mac.0[5]).collect();
    found.sort_unstable();
    found
}

#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
fn now() -> Instant {
    Instant::now()
}
