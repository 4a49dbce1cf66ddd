//! Whether an address is free, asked before its first use.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use herald_l2::{Doubtful, Finding, MacAddr, Prober};

use crate::bed::*;
use crate::said::*;

struct Asking {
    prober: Prober,
    start: Instant,
    now: Instant,
    found: Vec<(Duration, Finding)>,
}

impl Asking {
    fn about(ips: &[IpAddr]) -> Self {
        #[expect(clippy::disallowed_methods, reason = "the one instant from which virtual time is counted")]
        let start = Instant::now();
        let mut asking = Self { prober: Prober::new(7), start, now: start, found: Vec::new() };
        asking.set(ips);
        asking
    }

    fn set(&mut self, ips: &[IpAddr]) {
        let wanted = Doubtful {
            addresses: ips.iter().map(|ip| (*ip, BTreeSet::from([LAN]))).collect(),
            own: [(LAN, MAC)].into(),
            peers: [PEER_MAC].into(),
        };
        self.prober.set(self.now, wanted);
        self.drain();
    }

    fn hear(&mut self, frame: &[u8]) {
        self.prober.frame(self.now, LAN, frame);
        self.drain();
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.prober.deadline().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.prober.tick(self.now);
            self.drain();
        }
        self.now = end;
    }

    fn drain(&mut self) {
        while let Some(finding) = self.prober.poll() {
            self.found.push((self.now - self.start, finding));
        }
    }

    fn verdicts(&self) -> Vec<(Duration, Finding)> {
        self.found.iter().filter(|(_, finding)| !matches!(finding, Finding::Send { .. })).cloned().collect()
    }

    fn sent(&self) -> Vec<(Duration, Vec<u8>)> {
        let frame = |(at, finding): &(Duration, Finding)| match finding {
            Finding::Send { frame, .. } => Some((*at, frame.clone())),
            Finding::Free { .. } | Finding::Taken { .. } => None,
        };
        self.found.iter().filter_map(frame).collect()
    }
}

/// What shows that somebody with this MAC address has an address, or is about to take it.
fn signs(by: MacAddr) -> Vec<(IpAddr, Vec<u8>)> {
    let unspecified = std::net::Ipv6Addr::UNSPECIFIED;
    let group = std::net::Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 0x10);
    vec![
        (VIP4.into(), arp(MAC, 2, (by, VIP4), (MAC, std::net::Ipv4Addr::UNSPECIFIED))),
        (VIP4.into(), who_has(VIP4, (by, VIP4))),
        (VIP4.into(), who_has(ip4(9), (by, VIP4))),
        (VIP4.into(), who_has(VIP4, (by, std::net::Ipv4Addr::UNSPECIFIED))),
        (VIP6.into(), ndp((by, group_mac(ALL_NODES)), VIP6, ALL_NODES, 136, 0x20, VIP6, Some(by))),
        (VIP6.into(), solicit(ip6(1), (by, VIP6))),
        (VIP6.into(), ndp((by, group_mac(group)), unspecified, group, 135, 0, VIP6, None)),
    ]
}

#[test]
fn an_address_that_nobody_has_is_free_after_three_probes() {
    for ip in [IpAddr::from(VIP4), VIP6.into()] {
        let mut asking = Asking::about(&[ip]);
        asking.run(ms(60_000));
        let times: Vec<_> = asking.sent().into_iter().map(|(at, _)| at).collect();
        assert_eq!(times, [ms(0), ms(100), ms(200)]);
        assert_eq!(asking.verdicts(), [(ms(300), Finding::Free { ip })]);
        assert_eq!(asking.prober.deadline(), None);
    }
}

#[test]
fn a_probe_claims_nothing_and_a_solicitation_has_a_nonce_of_its_own() {
    let mut asking = Asking::about(&[VIP4.into(), VIP6.into()]);
    asking.run(ms(300));
    let sent = asking.sent();
    let (v4, v6): (Vec<_>, Vec<_>) = sent.iter().map(|(_, frame)| frame).partition(|frame| frame[12..14] == [8, 6]);
    for frame in &v4 {
        assert_eq!(frame[..6], [0xff; 6]);
        assert_eq!(frame[20..22], [0, 1]);
        assert_eq!((&frame[22..28], &frame[28..32]), (&MAC.0[..], &[0; 4][..]), "from 0.0.0.0");
        assert_eq!(frame[38..42], VIP4.octets());
    }
    let mut nonces = BTreeSet::new();
    for frame in &v6 {
        assert_eq!(frame.len(), 86);
        assert_eq!(frame[22..38], [0; 16], "from ::");
        assert_eq!(frame[38..54], [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 0x10]);
        assert_eq!((frame[54], &frame[62..78]), (135, &VIP6.octets()[..]));
        assert_eq!(frame[78..80], [14, 1], "a nonce option, no link-layer address");
        nonces.insert(frame[80..86].to_vec());
    }
    assert_eq!((v4.len(), v6.len(), nonces.len()), (3, 3, 3));
}

#[test]
fn whoever_has_it_or_probes_too_is_found_and_asked_again_after_ten_seconds() {
    for (ip, sign) in signs(mac(9)) {
        let mut asking = Asking::about(&[ip]);
        asking.run(ms(150));
        asking.hear(&sign);
        let taken = (ms(150), Finding::Taken { ip, interface: LAN, mac: mac(9) });
        asking.run(ms(9_999));
        asking.hear(&sign);
        assert_eq!((asking.verdicts(), asking.sent().len()), (vec![taken.clone()], 2), "left alone for ten seconds");
        asking.run(ms(60_000));
        assert_eq!(asking.verdicts(), [taken, (ms(10_450), Finding::Free { ip })]);
    }
}

#[test]
fn what_this_node_and_its_peers_say_is_no_sign() {
    for by in [MAC, PEER_MAC] {
        for (ip, sign) in signs(by) {
            let mut asking = Asking::about(&[ip]);
            asking.hear(&sign);
            asking.run(ms(300));
            assert_eq!(asking.verdicts(), [(ms(300), Finding::Free { ip })], "{by}");
        }
    }
}

#[test]
fn an_address_that_is_in_doubt_no_more_is_not_asked_about() {
    let mut asking = Asking::about(&[VIP4.into(), VIP6.into()]);
    asking.run(ms(50));
    asking.set(&[VIP6.into()]);
    for (_, sign) in signs(mac(9)).into_iter().filter(|(ip, _)| ip.is_ipv4()) {
        asking.hear(&sign);
    }
    asking.run(ms(1_000));
    assert_eq!(asking.verdicts(), [(ms(300), Finding::Free { ip: VIP6.into() })]);
    asking.hear(&[1, 2, 3]);
}
