//! Pairs of sessions through many seeds: whatever the network and the operators do, once they stop, both ends are
//! established and each holds what the other wants it to hold.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use herald_bgp::wire::{Asn, Prefix};
use herald_bgp::{Dial, Event, Observed, RemoteAs, Restart, Route, Settings, Start, State, Stop, Wanted};

use crate::pair::{Network, Pair, own_v6};

const SEEDS: u64 = 150;

fn wanted(end: u16) -> Wanted {
    let (ours, theirs) = if end == 0 { (64512, 64513) } else { (64513, 64512) };
    let id = Ipv4Addr::new(192, 0, 2, u8::try_from(end).unwrap() + 1);
    let mut settings = Settings::new(Asn(ours), RemoteAs::Exactly(Asn(theirs)), id);
    settings.own.v6 = Some(own_v6(end));
    Wanted { settings, routes: Default::default() }
}

fn prefix(n: u64) -> Prefix {
    let text = if n.is_multiple_of(2) {
        format!("10.0.{}.{}/32", n / 256 % 256, n % 256)
    } else {
        format!("2001:db8:{n:x}::/64")
    };
    Prefix::new(text.parse().unwrap())
}

fn pair(seed: u64, network: Network) -> Pair {
    let mut pair = Pair::new(seed, network, [wanted(0), wanted(1)]);
    for end in [0, 1] {
        change(&mut pair, end);
        pair.set(end);
    }
    pair
}

/// Adds, removes and changes some routes of one end.
fn change(pair: &mut Pair, end: usize) {
    for _ in 0..pair.random(300) {
        let (n, what) = (pair.random(2_000), pair.random(4));
        let routes = &mut pair.ends[end].wanted.routes;
        match what {
            0 => {
                routes.remove(&prefix(n));
            }
            med => {
                let med = (med > 1).then(|| u32::try_from(med).unwrap());
                routes.insert(prefix(n), Arc::new(Route { med, ..Route::default() }));
            }
        }
    }
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Calm, and then what must be true.
fn settle(pair: &mut Pair, seed: u64) {
    pair.network = Network { delay_ms: 20, lost_dials: 0, refused_dials: 0 };
    // What is still cut is noticed within the hold time.
    pair.run(s(90));
    let mut waited = 0;
    while !pair.both_established() && waited < 400 {
        pair.run(s(1));
        waited += 1;
    }
    pair.run(s(30));
    assert!(pair.both_established(), "seed {seed}: {:?}", [0, 1].map(|end| pair.ends[end].session.state()));
    for end in [0, 1] {
        assert_eq!(pair.held(end), pair.expected(end), "seed {seed}, what end {end} holds");
        let rib = pair.ends[1 - end].session.rib();
        assert_eq!((rib.pending(), rib.held()), (0, pair.expected(end).len()), "seed {seed}");
        assert_eq!(pair.table(end).ended.len(), 2, "seed {seed}, ends-of-RIB");
    }
}

#[test]
fn two_ends_that_dial_at_once_agree_on_one_connection() {
    for seed in 0..SEEDS {
        let mut pair = pair(seed, Network { delay_ms: 50, lost_dials: 0, refused_dials: 0 });
        pair.run(s(60));
        assert!(pair.both_established(), "seed {seed}");
        settle(&mut pair, seed);
        for end in &pair.ends {
            let ups = end.observed.iter().filter(|observed| matches!(observed, Observed::Up(_))).count();
            assert!(ups <= 2, "seed {seed}: up {ups} times");
        }
    }
}

#[test]
fn through_lost_and_refused_dials_both_find_each_other() {
    for seed in 0..SEEDS {
        let mut pair = pair(seed, Network { delay_ms: 3_000, lost_dials: 30, refused_dials: 30 });
        pair.run(s(120));
        settle(&mut pair, seed);
    }
}

#[test]
fn through_cuts_resets_and_crashes_each_holds_in_the_end_what_the_other_wants() {
    for seed in 0..SEEDS {
        let mut pair = pair(seed, Network { delay_ms: 200, lost_dials: 10, refused_dials: 10 });
        for step in 0..20 {
            match pair.random(8) {
                0 => pair.cut(),
                1 => pair.reset(),
                2 => {
                    let end = usize::try_from(pair.random(2)).unwrap();
                    pair.crash(end, seed * 100 + step);
                }
                3 => pair.handle(0, Event::BfdDown),
                4 => pair.handle(1, Event::Reset { text: "again".into() }),
                _ => {
                    let end = usize::try_from(pair.random(2)).unwrap();
                    change(&mut pair, end);
                    pair.set(end);
                }
            }
            let pause = pair.random(20_000);
            pair.run(Duration::from_millis(pause));
        }
        settle(&mut pair, seed);
    }
}

#[test]
fn with_graceful_restart_through_crashes_and_planned_stops_the_same() {
    for seed in 0..SEEDS {
        let mut pair =
            Pair::new(seed, Network { delay_ms: 100, lost_dials: 5, refused_dials: 5 }, [wanted(0), wanted(1)]);
        for end in [0, 1] {
            let start = Start::Fresh;
            pair.ends[end].wanted.settings.graceful_restart = Some(Restart { restart_time: s(120), start });
            change(&mut pair, end);
            pair.set(end);
        }
        for step in 0..10 {
            let end = usize::try_from(pair.random(2)).unwrap();
            match pair.random(4) {
                0 => pair.crash(end, seed * 100 + step),
                1 => {
                    pair.handle(end, Event::Stop(Stop::KeepRoutes { text: "update".into() }));
                    pair.run(s(1));
                    pair.crash(end, seed * 100 + step);
                }
                2 => pair.cut(),
                _ => {
                    change(&mut pair, end);
                    pair.set(end);
                }
            }
            let pause = pair.random(20_000);
            pair.run(Duration::from_millis(pause));
        }
        settle(&mut pair, seed);
    }
}

#[test]
fn a_passive_end_is_found_by_an_active_one() {
    for seed in 0..SEEDS {
        let mut pair =
            Pair::new(seed, Network { delay_ms: 500, lost_dials: 20, refused_dials: 20 }, [wanted(0), wanted(1)]);
        pair.ends[1].wanted.settings.dial = Dial::Passive;
        for end in [0, 1] {
            change(&mut pair, end);
            pair.set(end);
        }
        pair.run(s(60));
        settle(&mut pair, seed);
    }
}

#[test]
fn a_shut_down_end_stays_down_and_the_other_knows_why() {
    for seed in 0..20 {
        let mut pair = pair(seed, Network { delay_ms: 20, lost_dials: 0, refused_dials: 0 });
        settle(&mut pair, seed);
        pair.handle(0, Event::Stop(Stop::Shutdown { text: "drained".into() }));
        pair.run(s(600));
        assert_eq!(pair.ends[0].session.state(), State::Idle, "seed {seed}");
        assert!(pair.ends[1].session.state() < State::Established, "seed {seed}");
        let said = pair.ends[1].observed.iter().any(|observed| match observed {
            Observed::Ended { was: State::Established, why } => why.to_string().contains("\"drained\""),
            _ => false,
        });
        assert!(said, "seed {seed}");
        pair.handle(0, Event::Start);
        settle(&mut pair, seed);
    }
}

#[test]
fn a_cut_path_costs_the_hold_time_and_no_more() {
    for seed in 0..20 {
        let mut pair = pair(seed, Network { delay_ms: 5, lost_dials: 0, refused_dials: 0 });
        settle(&mut pair, seed);
        pair.cut();
        pair.run(s(92));
        for end in &pair.ends {
            let expired = end.observed.iter().any(|observed| {
                matches!(observed, Observed::Ended { why: herald_bgp::Ended::HoldTimerExpired { .. }, .. })
            });
            assert!(expired || end.session.state() != State::Established, "seed {seed}");
        }
        settle(&mut pair, seed);
    }
}
