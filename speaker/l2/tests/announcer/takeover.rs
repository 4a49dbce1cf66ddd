//! "Every neighbour that knew the old owner learns the new one": a segment of Linux-like neighbours, with the rules
//! that were measured on Linux for each kind of frame and entry, and frames that get lost.
//!
//! | frame                        | entry | entry < 1 s old | no entry | `drop_gratuitous_arp` |
//! |------------------------------|-------|-----------------|----------|-----------------------|
//! | gratuitous request or reply  | moves | moves           | nothing  | ignored               |
//! | reply to the client          | moves | ignored         | nothing  | moves                 |
//! | request for the client       | moves | moves           | creates  | moves                 |
//! | NA, O=1                      | moves | moves           | nothing  | -                     |
//! | NA, O=0                      | -     | -               | nothing  | -                     |
//! | NS for the client            | moves | moves           | creates  | -                     |

use std::net::IpAddr;
use std::time::Duration;

use herald_l2::{MacAddr, Observed};
use proptest::prelude::*;

use crate::bed::*;
use crate::said::*;

const OLD_OWNER: MacAddr = PEER_MAC;

/// What a neighbour is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Resolved the address a while ago.
    Settled,
    /// Resolved it within the last second.
    Fresh,
    /// `drop_gratuitous_arp=1`; for IPv6 the same as `Settled` but deaf to multicast advertisements.
    Deaf,
    /// Asked once, its entry is gone since.
    Lapsed,
}

struct Neighbour {
    ip: IpAddr,
    mac: MacAddr,
    vip: IpAddr,
    kind: Kind,
    entry: Option<MacAddr>,
}

impl Neighbour {
    fn new(n: u8, vip: IpAddr, kind: Kind) -> Self {
        let ip = if vip.is_ipv4() { ip4(n).into() } else { ip6(n).into() };
        let entry = (kind != Kind::Lapsed).then_some(OLD_OWNER);
        Self { ip, mac: mac(n), vip, kind, entry }
    }

    /// How it asked for the address when the old owner had it: heard by all, because to all.
    fn ask(&self) -> Vec<u8> {
        match (self.vip, self.ip) {
            (IpAddr::V4(vip), IpAddr::V4(ip)) => who_has(vip, (self.mac, ip)),
            (IpAddr::V6(vip), IpAddr::V6(ip)) => solicit(vip, (self.mac, ip)),
            _ => unreachable!("one family each"),
        }
    }

    /// Takes a frame; returns its answer.
    fn hear(&mut self, said: &Said) -> Option<Vec<u8>> {
        let ((ip, owner), everybody) = (said.binding(), MacAddr::BROADCAST);
        if ip != self.vip {
            return None;
        }
        match *said {
            Said::ArpRequest { to, target, .. } if to == everybody && target == self.vip => self.gratuitous(owner),
            Said::ArpReply { to, target, .. } if to == everybody && target.0 == self.vip => self.gratuitous(owner),
            Said::ArpRequest { to, target, .. } if (to == self.mac || to == everybody) && target == self.ip => {
                self.entry = Some(owner);
                return match (self.ip, self.vip) {
                    (IpAddr::V4(ip), IpAddr::V4(vip)) => Some(arp(owner, 2, (self.mac, ip), (owner, vip))),
                    _ => None,
                };
            }
            Said::ArpReply { to, target, .. } if to == self.mac && target.0 == self.ip => {
                let holds = self.kind != Kind::Fresh && self.entry.is_some();
                self.entry = if holds { Some(owner) } else { self.entry };
            }
            Said::Advertisement { to, flags, .. } if to == group_mac(ALL_NODES) && flags & 0x20 != 0 => {
                self.gratuitous(owner);
            }
            Said::Solicitation { to, target, .. } if target == self.ip && (to == self.mac || to.0[0] == 0x33) => {
                self.entry = Some(owner);
                return match (self.ip, self.vip) {
                    (IpAddr::V6(ip), IpAddr::V6(vip)) => {
                        Some(ndp((self.mac, owner), ip, vip, 136, 0x60, ip, Some(self.mac)))
                    }
                    _ => None,
                };
            }
            _ => {}
        }
        None
    }

    fn gratuitous(&mut self, owner: MacAddr) {
        if self.kind != Kind::Deaf && self.entry.is_some() {
            self.entry = Some(owner);
        }
    }
}

#[test]
fn every_kind_of_neighbour_moves_within_the_first_burst() {
    for vip in [VIP4.into(), VIP6.into()] {
        let kinds = [Kind::Settled, Kind::Fresh, Kind::Deaf, Kind::Lapsed];
        let mut segment: Vec<_> = kinds.into_iter().zip(20..).map(|(kind, n)| Neighbour::new(n, vip, kind)).collect();
        let bed = take_over(&mut segment, Duration::ZERO, |_| true);

        assert!(segment.iter().all(|neighbour| neighbour.entry == Some(MAC)), "{vip}");
        assert!(bed.sent.iter().all(|(at, _, _)| at.is_zero()));
    }
}

#[test]
fn a_hardened_gateway_that_never_asked_moves() {
    for (vip, gateway) in [(VIP4.into(), IpAddr::from(GATEWAY4)), (VIP6.into(), GATEWAY6.into())] {
        let mut router = Neighbour { ip: gateway, ..Neighbour::new(200, vip, Kind::Deaf) };
        let mut bed = Bed::new();
        bed.own(&[vip]);
        let frames: Vec<_> = bed.sent.iter().map(|(_, _, said)| *said).collect();
        for said in &frames {
            router.hear(said);
        }

        assert_eq!(router.entry, Some(MAC), "{vip}");
    }
}

#[test]
fn a_neighbour_that_asks_exactly_during_the_take_over_is_answered_by_the_heir() {
    for vip in [VIP4.into(), VIP6.into()] {
        let asker = Neighbour::new(20, vip, Kind::Lapsed);
        let mut bed = Bed::new();
        bed.own(&[vip]);
        bed.forget();

        bed.receive(&asker.ask());

        assert!(matches!(bed.observed.last(), Some(Observed::Answered { .. })));
        assert_eq!(bed.sent[0].2.binding(), (vip, MAC));
    }
}

proptest! {
    /// Whichever single round reaches a neighbour is enough.
    #[test]
    fn every_neighbour_moves_if_one_round_reaches_it(
        v6: bool,
        kinds in prop::collection::vec(kind(), 1..20),
        spared in prop::collection::vec(0_usize..8, 20),
    ) {
        let vip = if v6 { VIP6.into() } else { VIP4.into() };
        let rounds: &[u64] = if v6 { &[0, 10, 50, 200, 1_000, 2_000] } else { &[0, 10, 50, 200, 500, 1_100, 2_100, 5_000] };
        let mut segment: Vec<_> = kinds.iter().zip(20..).map(|(kind, n)| Neighbour::new(n, vip, *kind)).collect();

        take_over(&mut segment, ms(10_000), |(neighbour, at)| {
            let spared = rounds[spared[neighbour] % rounds.len()];
            ms(spared) <= at && at < ms(spared) + ms(9)
        });

        for neighbour in &segment {
            prop_assert_eq!(neighbour.entry, Some(MAC), "{:?}", neighbour.kind);
        }
    }

    /// A client that answered is told no more, so it must really have moved: half of all frames lost, both ways.
    #[test]
    fn whoever_confirmed_has_moved(v6: bool, kinds in prop::collection::vec(kind(), 1..20), seed: u64) {
        let vip = if v6 { VIP6.into() } else { VIP4.into() };
        let mut segment: Vec<_> = kinds.iter().zip(20..).map(|(kind, n)| Neighbour::new(n, vip, *kind)).collect();
        let mut state = seed | 1;

        let bed = take_over(&mut segment, ms(10_000), |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state >> 63 == 1
        });

        for neighbour in &segment {
            prop_assert!([None, Some(OLD_OWNER), Some(MAC)].contains(&neighbour.entry));
        }
        for seen in &bed.observed {
            if let Observed::Confirmed { client, .. } = seen {
                let neighbour = segment.iter().find(|neighbour| neighbour.ip == client.ip).unwrap();
                prop_assert_eq!(neighbour.entry, Some(MAC), "who confirmed has moved");
            }
        }
    }
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Settled), Just(Kind::Fresh), Just(Kind::Deaf), Just(Kind::Lapsed)]
}

/// The heir stands by while everybody resolves the address, then takes it over; `arrives` says whether a frame reaches
/// the neighbour at that time.
fn take_over(segment: &mut [Neighbour], time: Duration, mut arrives: impl FnMut((usize, Duration)) -> bool) -> Bed {
    let vip = segment[0].vip;
    let mut bed = Bed::new();
    bed.stand_by(vip);
    for neighbour in segment.iter() {
        bed.receive(&neighbour.ask());
    }
    bed.run(ms(2_000));
    bed.start = bed.now;
    bed.own(&[vip]);
    let (mut heard, end) = (0, bed.now + time);
    loop {
        while heard < bed.sent.len() {
            let (at, _, said) = bed.sent[heard];
            heard += 1;
            for (index, neighbour) in segment.iter_mut().enumerate() {
                if arrives((index, at))
                    && let Some(answer) = neighbour.hear(&said)
                    && arrives((index, at))
                {
                    bed.receive(&answer);
                }
            }
        }
        let Some(next) = bed.announcer.deadline().filter(|next| *next <= end) else { return bed };
        bed.run(next - bed.now);
    }
}
