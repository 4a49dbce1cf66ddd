//! Two machines over a link that delays and loses.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use herald_bfd::{Action, Cause, Event, Hops, InterfaceIndex, Observed, Packet, Path, Sessions, Settings, State};
use proptest::prelude::*;

use crate::bed::{F, PEERS, Wire, ip, ms, path, settings, start};

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_silent_peer_is_down_after_the_detection_time_and_not_before(
        seed: u64, family in 0..2_usize, a in side(), b in side(), delay in 0..20_u64, cut in 0..500_u64,
    ) {
        let mut pair = Pair::new(seed, PEERS[family], [settings(a.0, a.1, a.2), settings(b.0, b.1, b.2)], ms(delay));
        pair.run(ms(20_000 + cut));
        prop_assert_eq!(pair.states(), [State::Up; 2]);
        pair.seen.clear();
        pair.loss = Loss::All;
        pair.run(ms(1_000_000));
        for (side, mine, peers) in [(0, a, b), (1, b, a)] {
            let detection = ms(u64::from(peers.2) * mine.1.max(peers.0));
            let found: Vec<_> = pair.seen.iter().filter(|(who, _)| *who == side).map(|(_, seen)| *seen).collect();
            let silent = matches!(
                found[..],
                [Observed::Down { cause: Cause::DetectionTimeExpired { silent_for }, .. }] if silent_for == detection
            );
            prop_assert!(silent, "{:?}, expected {:?}", found, detection);
        }
    }

    #[test]
    fn a_pair_that_loses_fewer_than_detect_mult_packets_in_a_row_stays_up(
        seed: u64, family in 0..2_usize, a in side(), b in side(), delay in 1..20_u64,
    ) {
        let mut pair = Pair::new(seed, PEERS[family], [settings(a.0, a.1, a.2), settings(b.0, b.1, b.2)], ms(delay));
        pair.run(ms(20_000));
        prop_assert_eq!(pair.states(), [State::Up; 2]);
        pair.seen.clear();
        pair.loss = Loss::InARow { most: [a.2 - 1, b.2 - 1], now: [0; 2] };
        pair.run(ms(60_000));
        prop_assert_eq!(&pair.seen, &[]);
    }

    #[test]
    fn nothing_is_sent_faster_than_agreed(
        seed: u64, family in 0..2_usize, a in side(), b in side(), percent in 0..60_u64,
    ) {
        let mut pair = Pair::new(seed, PEERS[family], [settings(a.0, a.1, a.2), settings(b.0, b.1, b.2)], ms(3));
        pair.loss = Loss::Percent(percent);
        pair.run(ms(60_000));
        for side in 0..2 {
            // What was said last, and when the last packet went that was no answer to a Poll.
            let mut last: Option<(Wire, Instant)> = None;
            for (_, at, wire) in pair.sent.iter().filter(|sent| sent.0 == side) {
                if wire.flags & F != 0 {
                    last = last.map(|(_, at)| (*wire, at));
                    continue;
                }
                prop_assert!(wire.state == State::Up || wire.tx_ms >= 1000, "{:?}", wire);
                if let Some((before, sent)) = last {
                    let says_the_same = Wire { flags: 0, ..before } == Wire { flags: 0, ..*wire };
                    let least = ms(u64::from(before.tx_ms)) * 3 / 4;
                    prop_assert!(!says_the_same || *at - sent >= least, "{:?} after {:?}", wire, *at - sent);
                }
                last = Some((*wire, *at));
            }
        }
    }

    #[test]
    fn a_pair_comes_up_through_heavy_loss(seed: u64, family in 0..2_usize, a in side(), b in side()) {
        let mut pair = Pair::new(seed, PEERS[family], [settings(a.0, a.1, a.2), settings(b.0, b.1, b.2)], ms(3));
        pair.loss = Loss::Percent(50);
        pair.run(ms(60_000));
        for side in 0..2 {
            let up = pair.seen.iter().any(|(who, seen)| *who == side && matches!(seen, Observed::Up { .. }));
            prop_assert!(up, "side {}", side);
        }
    }
}

#[test]
fn both_sides_agree_on_the_same_numbers() {
    for addresses in PEERS {
        let mut pair = Pair::new(3, addresses, [settings(50, 80, 3), settings(100, 20, 5)], ms(1));
        pair.run(ms(10_000));
        let mut last = BTreeMap::new();
        for (side, seen) in &pair.seen {
            if let Observed::Agreed { transmit, detection, .. } = seen {
                last.insert(*side, (*transmit, *detection));
            }
        }
        // a sends every max(50, 20) and waits 5 * max(80, 100); b sends every max(100, 80) and waits 3 * max(20, 50).
        assert_eq!(last, BTreeMap::from([(0, (ms(50), ms(500))), (1, (ms(100), ms(150)))]));
    }
}

#[test]
fn a_path_that_is_dead_in_one_direction_is_down_on_both_sides() {
    for addresses in PEERS {
        let mut pair = Pair::new(4, addresses, [settings(50, 50, 3); 2], ms(1));
        pair.run(ms(10_000));
        pair.seen.clear();
        pair.loss = Loss::From(0);
        pair.run(ms(300));
        let causes: Vec<_> = pair
            .seen
            .iter()
            .filter_map(|(side, seen)| match seen {
                Observed::Down { cause, diagnostic, .. } => Some((*side, cause.as_str(), diagnostic.as_str())),
                _ => None,
            })
            .collect();
        assert_eq!(
            causes,
            [(1, "detection-time-expired", "none"), (0, "neighbor-signaled-down", "detection-time-expired")]
        );
    }
}

#[test]
fn a_planned_end_is_no_failure_for_the_peer_even_if_packets_are_lost() {
    for addresses in PEERS {
        for seed in 0..200 {
            let mut pair = Pair::new(seed, addresses, [settings(50, 50, 3); 2], ms(2));
            pair.run(ms(10_000));
            pair.seen.clear();
            // Never more than two in a row: a live pair would not notice.
            pair.loss = Loss::InARow { most: [2; 2], now: [0; 2] };
            pair.want(0, None);
            pair.run(ms(10_000));
            let peers: Vec<_> = pair.seen.iter().filter(|(side, _)| *side == 1).map(|(_, seen)| *seen).collect();
            let stopped = peers.iter().any(|seen| matches!(seen, Observed::PeerAdminDown { .. }));
            let failed = peers.iter().any(|seen| matches!(seen, Observed::Down { .. }));
            assert!(stopped && !failed, "seed {seed}: {peers:?}");
            assert!(pair.seen.iter().any(|(side, seen)| *side == 0 && matches!(seen, Observed::Released { .. })));
        }
    }
}

/// Desired Min TX and Required Min RX in milliseconds, Detect Mult.
fn side() -> impl Strategy<Value = (u64, u64, u8)> {
    (prop::sample::select(vec![10, 33, 50, 300, 1500]), prop::sample::select(vec![10, 50, 100, 300]), 2..8_u8)
}

/// Which packets get lost.
enum Loss {
    None,
    All,
    /// All of one side's.
    From(usize),
    Percent(u64),
    /// Half of them, but never more in a row than each side may.
    InARow {
        most: [u8; 2],
        now: [u8; 2],
    },
}

struct Pair {
    sides: [Sessions; 2],
    paths: [Path; 2],
    now: Instant,
    delay: Duration,
    loss: Loss,
    random: u64,
    flying: VecDeque<(Instant, usize, Vec<u8>)>,
    sent: Vec<(usize, Instant, Wire)>,
    seen: Vec<(usize, Observed)>,
}

impl Pair {
    fn new(seed: u64, (a, b): (&str, &str), settings: [Settings; 2], delay: Duration) -> Self {
        let mut pair = Self {
            sides: [Sessions::new(seed), Sessions::new(!seed)],
            paths: [path(Hops::Single, a, b), path(Hops::Single, b, a)],
            now: start(),
            delay,
            loss: Loss::None,
            random: seed | 1,
            flying: VecDeque::new(),
            sent: Vec::new(),
            seen: Vec::new(),
        };
        for (side, settings) in settings.into_iter().enumerate() {
            pair.want(side, Some(settings));
        }
        pair
    }

    fn want(&mut self, side: usize, settings: Option<Settings>) {
        let wanted = settings.map(|settings| (self.paths[side], settings)).into_iter().collect();
        self.sides[side].set(self.now, &wanted);
        self.drain(side);
    }

    fn states(&self) -> [State; 2] {
        [0, 1].map(|side| self.sides[side].iter().next().unwrap().1.state)
    }

    fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            let ticks = [0, 1].map(|side| self.sides[side].deadline());
            let lands = self.flying.front().map(|(at, ..)| *at);
            // A packet that lands when a timer ends was there in time.
            let Some(next) = lands.into_iter().chain(ticks.into_iter().flatten()).min().filter(|at| *at <= end) else {
                break;
            };
            self.now = self.now.max(next);
            if lands.is_some_and(|at| at <= self.now) {
                let (_, side, bytes) = self.flying.pop_front().unwrap();
                let Path { peer, local, .. } = self.paths[side];
                self.sides[side].handle(self.now, Event::Packet(packet(peer, local.unwrap(), &bytes)));
                self.drain(side);
                continue;
            }
            for (side, tick) in ticks.into_iter().enumerate() {
                if tick.is_some_and(|at| at <= self.now) {
                    self.sides[side].handle(self.now, Event::Tick);
                    self.drain(side);
                }
            }
        }
        self.now = end;
    }

    fn drain(&mut self, side: usize) {
        while let Some(action) = self.sides[side].poll() {
            match action {
                Action::Send { bytes, .. } => {
                    self.sent.push((side, self.now, Wire::read(&bytes)));
                    if !self.lost(side) {
                        self.flying.push_back((self.now + self.delay, 1 - side, bytes.to_vec()));
                    }
                }
                Action::Report(Observed::Received { .. }) => {}
                Action::Report(seen) => self.seen.push((side, seen)),
            }
        }
    }

    fn lost(&mut self, side: usize) -> bool {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let drawn = self.random % 100;
        match &mut self.loss {
            Loss::None => false,
            Loss::All => true,
            Loss::From(from) => side == *from,
            Loss::Percent(percent) => drawn < *percent,
            Loss::InARow { most, now } => {
                let lost = drawn < 50 && now[side] < most[side];
                now[side] = if lost { now[side] + 1 } else { 0 };
                lost
            }
        }
    }
}

fn packet(from: IpAddr, to: IpAddr, bytes: &[u8]) -> Packet<'_> {
    Packet {
        hops: Hops::Single,
        vrf: None,
        interface: InterfaceIndex(2),
        from,
        to: ip(&to.to_string()),
        ttl_hops: 255,
        bytes,
    }
}
