//! Herald's BFD against BIRD and FRR, on real sockets in namespaces: needs root.
//!
//! ```text
//!   node1: the speaker's BFD ──┬── client1: BIRD or FRR, one hop
//!                              └── router ── outside: BIRD or FRR, two hops
//! ```
//!
//! What is true is asked from the other side: `birdc show bfd sessions`, `show bfd peers json`. BGP is not needed for that, so the tests drive
//! the speaker's own modules directly, without the rest of it.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests of a shell"
)]

#[path = "bfd/routers.rs"]
mod routers;
#[path = "bfd/speaker.rs"]
mod speaker;

// The product's own code, from where it stands.
#[path = "../../speaker/src/metrics"]
mod metrics {
    pub(crate) mod bfd;
}
#[path = "../../speaker/src/net"]
mod net {
    pub(crate) mod bfd;
    pub(crate) mod realtime;
}
#[path = "../../speaker/src/pulse"]
mod pulse {
    pub(crate) mod bfd;
}

use std::{
    net::IpAddr,
    num::NonZeroU8,
    time::{Duration, Instant},
};

use herald_bfd::{Cause, Echo, Hops, InterfaceIndex, Interval, Observed, Path, Role, Settings};
use herald_tests::wire::{Member, Wire, WireOptions, plan};
use pulse::bfd::PeerState;
use routers::{Kind, Router, Seen};
use speaker::Speaker;

#[test]
fn a_session_comes_up_and_each_side_notices_that_the_other_is_gone() {
    for kind in Kind::ALL {
        for interval_ms in [300, 50] {
            let wire = wire();
            let paths = paths(&wire, Hops::Single, &wire.client());
            let mut router = Router::start(kind, &wire, &wire.client(), &paths, interval_ms);
            let speaker = Speaker::start(&wire.node(1));
            speaker.order(&paths, settings(interval_ms));
            up(kind, &speaker, &router, &paths, interval_ms);

            // The speaker dies without a word.
            drop(speaker);
            eventually("the router notices", || paths.iter().all(|path| !router.seen(path).up));

            let speaker = Speaker::start(&wire.node(1));
            speaker.order(&paths, settings(interval_ms));
            up(kind, &speaker, &router, &paths, interval_ms);
            // Now the router.
            router.kill();
            for path in &paths {
                eventually("Herald notices", || matches!(speaker.state(path), Some(PeerState::Failed { .. })));
                let Some(PeerState::Failed { cause: Cause::DetectionTimeExpired { silent_for }, .. }) =
                    speaker.state(path)
                else {
                    panic!("{kind:?}: {:?}", speaker.state(path));
                };
                assert!(silent_for >= ms(interval_ms * 3), "{kind:?} was given {silent_for:?}");
            }
        }
    }
}

#[test]
fn a_planned_end_is_said_and_known_before_it_is_over() {
    for kind in Kind::ALL {
        let wire = wire();
        let paths = paths(&wire, Hops::Single, &wire.client());
        let router = Router::start(kind, &wire, &wire.client(), &paths, 50);
        let speaker = Speaker::start(&wire.node(1));
        speaker.order(&paths, settings(50));
        up(kind, &speaker, &router, &paths, 50);

        speaker.leave();
        eventually("every session is over", || speaker.idle());
        for path in &paths {
            let seen = router.seen(path);
            assert!(!seen.up, "{kind:?}");
            if kind == Kind::Frr {
                assert_eq!(seen.diagnostic, "neighbor signaled session down");
                assert_eq!(seen.remote_diagnostic, "administratively down");
            }
        }
        assert!(!speaker.observed().iter().any(|seen| matches!(seen, Observed::Down { .. })));
    }
}

#[test]
fn a_peer_that_is_shut_down_has_not_failed_and_comes_back() {
    let wire = wire();
    let paths = paths(&wire, Hops::Single, &wire.client());
    let router = Router::start(Kind::Frr, &wire, &wire.client(), &paths, 50);
    let speaker = Speaker::start(&wire.node(1));
    speaker.order(&paths, settings(50));
    up(Kind::Frr, &speaker, &router, &paths, 50);
    for path in &paths {
        router.set(path, "shutdown");
        eventually("Herald hears of it", || speaker.state(path) == Some(PeerState::PeerAdminDown));
        router.set(path, "no shutdown");
        eventually("it comes back", || speaker.state(path) == Some(PeerState::Up));
    }
    assert!(!speaker.observed().iter().any(|seen| matches!(seen, Observed::Down { .. })));
}

#[test]
fn a_session_runs_across_a_router() {
    for kind in Kind::ALL {
        let wire = wire();
        let far = wire.outside.clone().unwrap();
        let paths = paths(&wire, Hops::Multi, &far);
        let router = Router::start(kind, &wire, &far, &paths, 100);
        let speaker = Speaker::start(&wire.node(1));
        // What is left behind the router of the 255 that FRR starts with, and of the 64 of BIRD.
        let left = if kind == Kind::Frr { 254 } else { 63 };
        speaker.order(&paths, Settings { minimum_ttl_hops: left + 1, ..settings(100) });
        eventually("packets come", || speaker.dropped("ttl-below-minimum") >= 3);
        assert!(paths.iter().all(|path| speaker.state(path) == Some(PeerState::Waiting)));
        speaker.order(&paths, Settings { minimum_ttl_hops: left, ..settings(100) });
        up(kind, &speaker, &router, &paths, 100);
    }
}

#[test]
fn other_intervals_are_taken_without_going_down() {
    for kind in Kind::ALL {
        let wire = wire();
        let paths = paths(&wire, Hops::Single, &wire.client());
        let router = Router::start(kind, &wire, &wire.client(), &paths, 100);
        let speaker = Speaker::start(&wire.node(1));
        for interval_ms in [400, 100, 800, 200] {
            speaker.order(&paths, settings(interval_ms));
            up(kind, &speaker, &router, &paths, interval_ms.max(100));
        }
        let downs = speaker.observed().iter().filter(|seen| matches!(seen, Observed::Down { .. })).count();
        assert_eq!(downs, 0, "{kind:?}");
    }
}

#[test]
fn one_side_may_be_passive() {
    let wire = wire();
    let paths = paths(&wire, Hops::Single, &wire.client());
    let router = Router::start(Kind::Frr, &wire, &wire.client(), &paths, 100);
    let speaker = Speaker::start(&wire.node(1));
    speaker.order(&paths, Settings { role: Role::Passive, ..settings(100) });
    up(Kind::Frr, &speaker, &router, &paths, 100);
}

#[test]
fn a_link_local_peer_is_reached_by_its_interface() {
    let wire = wire();
    let path = Path {
        interface: Some(interface(&wire.node(1))),
        peer: link_local(&wire.client()),
        local: Some(link_local(&wire.node(1))),
        ..paths(&wire, Hops::Single, &wire.client())[1]
    };
    let mut router = Router::start(Kind::Frr, &wire, &wire.client(), &[path], 50);
    let speaker = Speaker::start(&wire.node(1));
    speaker.order(&[path], settings(50));
    up(Kind::Frr, &speaker, &router, &[path], 50);
    router.kill();
    eventually("Herald notices", || matches!(speaker.state(&path), Some(PeerState::Failed { .. })));
}

fn wire() -> Wire {
    Wire::build(WireOptions { nodes: 1, clients: 1, router: true }).unwrap()
}

/// Up on both sides, with the intervals that both agreed on.
fn up(kind: Kind, speaker: &Speaker, router: &Router, paths: &[Path], interval_ms: u64) {
    for path in paths {
        eventually(&format!("Herald has {path:?} up, {kind:?} sees {:?}", router.seen(path)), || {
            speaker.state(path) == Some(PeerState::Up)
        });
        let expected = Seen { up: true, interval: ms(interval_ms), detection: ms(interval_ms * 3), ..Seen::default() };
        let agreed = || {
            let Seen { up, interval, detection, .. } = router.seen(path);
            Seen { up, interval, detection, ..Seen::default() } == expected
        };
        eventually(&format!("{kind:?} has it up at {interval_ms} ms: {:?}", router.seen(path)), agreed);
    }
}

/// One session per family from node 1 to a member.
fn paths(wire: &Wire, hops: Hops, member: &Member) -> [Path; 2] {
    let (local, peer) = (wire.node(1).addresses(), member.addresses());
    [0, 1].map(|i| Path { hops, vrf: None, peer: peer[i], interface: None, local: Some(local[i]) })
}

fn settings(interval_ms: u64) -> Settings {
    Settings {
        desired_min_tx: Interval::saturating(ms(interval_ms)),
        required_min_rx: Interval::saturating(ms(interval_ms)),
        detect_mult: NonZeroU8::new(3).unwrap(),
        role: Role::Active,
        minimum_ttl_hops: 254,
        echo: Echo::Off,
    }
}

fn interface(member: &Member) -> InterfaceIndex {
    let shown = member.namespace.output("ip", &["-o", "link", "show", "dev", plan::INTERFACE]).unwrap();
    InterfaceIndex(shown.split(':').next().unwrap().trim().parse().unwrap())
}

fn link_local(member: &Member) -> IpAddr {
    let shown = member
        .namespace
        .output("ip", &["-o", "-6", "address", "show", "dev", plan::INTERFACE, "scope", "link"])
        .unwrap();
    let address = shown.split_whitespace().find(|word| word.starts_with("fe80")).unwrap();
    address.split('/').next().unwrap().parse().unwrap()
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Waits until something holds, with a limit that only a broken machine exceeds.
#[track_caller]
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "not within 30 s: {what}");
        std::thread::sleep(ms(10));
    }
}
