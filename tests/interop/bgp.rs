//! Herald's BGP against BIRD, FRR and GoBGP, on real sockets in namespaces: needs root.
//!
//! ```text
//!   node1: the speaker's BGP ──┬── client1: BIRD, FRR or GoBGP
//!                              └── router ── outside: the same, two hops
//! ```
//!
//! From users' objects to the router's table, without a cluster. What is true is asked from the router: `birdc show route all`,
//! `vtysh -c "show bgp ... json"`.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests of a shell"
)]

#[path = "bgp/routers.rs"]
mod routers;
#[path = "bgp/speaker.rs"]
mod speaker;
#[allow(dead_code, reason = "the tests of BFD use the rest")]
#[path = "bfd/speaker.rs"]
mod watcher;

// The product's own code, from where it stands.
#[allow(dead_code, reason = "the reporter uses the rest")]
#[path = "../../speaker/src/bgp/mod.rs"]
mod bgp;
#[path = "../../speaker/src/metrics"]
mod metrics {
    pub(crate) mod bfd;
    pub(crate) mod bgp;
}
#[path = "../../speaker/src/net"]
mod net {
    pub(crate) mod bfd;
    pub(crate) mod realtime;
    pub(crate) mod tcp;
}
#[allow(dead_code, reason = "layer 2 uses the rest")]
#[path = "../../speaker/src/node.rs"]
mod node;
#[path = "../../speaker/src/pulse"]
mod pulse {
    pub(crate) mod bfd;
}

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    time::{Duration, Instant},
};

use herald_tests::{
    fault,
    router::Bird,
    wire::{Wire, WireOptions},
};
use ipnet::IpNet;
use pulse::bfd::PeerState;
use routers::{Kind, Neighbour, Router, Seen};
use serde_json::json;
use speaker::{Objects, Speaker};
use watcher::Speaker as Watcher;

#[test]
fn routes_reach_the_router_with_their_attributes_and_leave_it() {
    for kind in Kind::ALL {
        let wire = wire();
        let neighbours = Neighbour::of(&wire, &wire.client());
        let router = Router::start(kind, &wire, &wire.client(), &neighbours);
        let objects = Objects::new()
            .peers(wire.client().addresses(), &json!({}))
            .advert("host", json!({"communities": ["65000:1", "65535:65281"]}))
            .advert(
                "wide",
                json!({"aggregationLength": 24, "aggregationLengthV6": 112, "communities": ["large:1:2:3"]}),
            )
            .service("web", &["10.66.100.1", "fd00:10:66::100:1"])
            .service("mail", &["10.66.100.2"]);
        let mut speaker = Speaker::start(&wire.node(1));
        speaker.order(objects.orders(&wire.node(1)));

        let [v4, v6] = wire.node(1).addresses();
        let no_export = if kind == Kind::Frr { "no-export" } else { "65535:65281" };
        let seen = |next_hop: std::net::IpAddr, communities: &[&str]| Seen {
            next_hop: next_hop.to_string(),
            as_path: "64512".to_owned(),
            local_pref: if kind == Kind::Bird { Some(100) } else { None },
            communities: communities.iter().map(|&one| one.to_owned()).collect(),
        };
        let host = ["65000:1", no_export];
        let mut expected = BTreeMap::from([
            (net("10.66.100.0/24"), seen(v4, &["1:2:3"])),
            (net("10.66.100.1/32"), seen(v4, &host)),
            (net("10.66.100.2/32"), seen(v4, &host)),
            (net("fd00:10:66::100:0/112"), seen(v6, &["1:2:3"])),
            (net("fd00:10:66::100:1/128"), seen(v6, &host)),
        ]);
        has(kind, &router, &speaker, &expected);
        for (peer, count) in wire.client().addresses().into_iter().zip([3.0, 2.0]) {
            assert_eq!(speaker.metric("metallb_bgp_session_up", peer), Some(1.0));
            assert_eq!(speaker.metric("metallb_bgp_announced_prefixes_total", peer), Some(count));
            assert_eq!(speaker.metric("metallb_bgp_pending_prefixes_total", peer), Some(0.0));
            assert!(speaker.metric("metallb_bgp_updates_total", peer) >= Some(1.0));
            assert!(speaker.metric("metallb_bgp_opens_sent", peer) >= Some(1.0));
        }

        let objects = objects.without_service("web");
        speaker.order(objects.orders(&wire.node(1)));
        expected.retain(|prefix, _| prefix.addr().is_ipv4() && *prefix != net("10.66.100.1/32"));
        has(kind, &router, &speaker, &expected);

        speaker.order(objects.without_peer("four").orders(&wire.node(1)));
        has(kind, &router, &speaker, &BTreeMap::new());
        eventually("the peer is forgotten", || speaker.peers() == ["six".to_owned()].into());
        assert_eq!(speaker.metric("metallb_bgp_session_up", wire.client().v4.into()), None);
        assert!(
            router.last_words(&neighbours[0]).to_lowercase().contains("configured"),
            "{}",
            router.last_words(&neighbours[0])
        );
    }
}

#[test]
fn inside_an_as_routes_carry_their_local_preference() {
    for kind in Kind::ALL {
        let wire = wire();
        let neighbours = Neighbour::of(&wire, &wire.client()).map(|one| Neighbour { own_as: 64512, ..one });
        let router = Router::start(kind, &wire, &wire.client(), &neighbours);
        let mut speaker = Speaker::start(&wire.node(1));
        let objects = Objects::new()
            .peers(wire.client().addresses(), &json!({"peerASN": null, "dynamicASN": "internal"}))
            .advert("all", json!({"localPref": 250}))
            .service("web", &["10.66.100.1", "fd00:10:66::100:1"]);
        speaker.order(objects.orders(&wire.node(1)));
        let [v4, v6] = wire.node(1).addresses();
        let seen = |ip: std::net::IpAddr| Seen { next_hop: ip.to_string(), local_pref: Some(250), ..Seen::default() };
        let expected = [(net("10.66.100.1/32"), seen(v4)), (net("fd00:10:66::100:1/128"), seen(v6))].into();
        has(kind, &router, &speaker, &expected);
    }
}

#[test]
fn one_session_carries_both_families() {
    for kind in Kind::ALL {
        let wire = wire();
        for over in [0, 1] {
            let neighbour = Neighbour { both_families: true, ..Neighbour::of(&wire, &wire.client())[over].clone() };
            let router = Router::start(kind, &wire, &wire.client(), &[neighbour]);
            let mut speaker = Speaker::start(&wire.node(1));
            let address = wire.client().addresses()[over];
            let objects = Objects::new()
                .peer("both", json!({"peerAddress": address, "dualStackAddressFamily": true}))
                .advert("all", json!({}))
                .service("web", &["10.66.100.1", "fd00:10:66::100:1"]);
            speaker.order(objects.orders(&wire.node(1)));
            let [v4, v6] = wire.node(1).addresses();
            // GoBGP offers RFC 8950 by itself on every session over IPv6, and so does Herald.
            let v4 = if kind == Kind::Gobgp && over == 1 { v6 } else { v4 };
            let next_hops = [v4, v6].map(|ip| ip.to_string());
            eventually(&format!("{kind:?}: {:?} {:?}", router.routes(), speaker.standing("both")), || {
                router.routes().into_values().map(|seen| seen.next_hop).eq(next_hops.clone())
            });
        }
    }
}

#[test]
fn a_wrong_password_is_said_in_words_and_a_changed_secret_is_followed() {
    for kind in Kind::FULL {
        let wire = wire();
        let neighbours =
            Neighbour::of(&wire, &wire.client()).map(|one| Neighbour { password: Some("right"), hold_s: 3, ..one });
        let router = Router::start(kind, &wire, &wire.client(), &neighbours);
        let objects = |password: &str| {
            Objects::new()
                .peers(wire.client().addresses(), &json!({"passwordSecret": {"name": "bgp"}, "holdTime": "3s"}))
                .secret("bgp", password)
        };
        let both = ["four", "six"];
        let mut speaker = Speaker::start(&wire.node(1));
        speaker.order(objects("wrong").orders(&wire.node(1)));
        for peer in both {
            eventually(&format!("{kind:?}: {}", speaker.why(peer)), || speaker.why(peer).contains("password"));
            assert!(!speaker.is_up(peer));
        }
        speaker.order(objects("right").orders(&wire.node(1)));
        for peer in both {
            eventually("up with the right password", || speaker.is_up(peer));
        }

        // The node first, then the router: nothing happens before the router changes.
        speaker.order(objects("newer").orders(&wire.node(1)));
        std::thread::sleep(Duration::from_secs(4));
        for peer in both {
            assert!(speaker.is_up(peer), "{kind:?} {:?}", speaker.standing(peer));
        }
        assert!(both.iter().all(|peer| speaker.ends(peer).is_empty()));
        router.set_password(&neighbours, "newer");
        for peer in both {
            eventually("the session was made anew", || !speaker.ends(peer).is_empty());
        }
        for peer in both {
            eventually("up with the newer password", || speaker.is_up(peer));
        }
        for one in &neighbours {
            eventually("the router agrees", || router.established(one));
        }
    }
}

#[test]
fn a_wrong_as_is_said_in_words_whoever_finds_it() {
    for kind in Kind::ALL {
        let wire = wire();
        let neighbours = Neighbour::of(&wire, &wire.client());
        let _router = Router::start(kind, &wire, &wire.client(), &neighbours);
        let mut speaker = Speaker::start(&wire.node(1));
        let objects = |spec| Objects::new().peers(wire.client().addresses(), &spec);
        speaker.order(objects(json!({"peerASN": 64999})).orders(&wire.node(1)));
        for peer in ["four", "six"] {
            eventually(&format!("{kind:?}: {}", speaker.why(peer)), || {
                let why = speaker.why(peer);
                why.contains("64999") && why.contains("64513")
            });
        }
        speaker.order(objects(json!({"myASN": 64998})).orders(&wire.node(1)));
        for peer in ["four", "six"] {
            eventually(&format!("{kind:?}: {}", speaker.why(peer)), || {
                speaker.why(peer).contains("expects another AS of us")
            });
        }
        speaker.order(objects(json!({})).orders(&wire.node(1)));
        for peer in ["four", "six"] {
            eventually("up with the right numbers", || speaker.is_up(peer));
        }
    }
}

#[test]
fn each_side_notices_by_the_hold_time_that_the_other_is_silent() {
    for kind in Kind::ALL {
        let wire = wire();
        let neighbours = Neighbour::of(&wire, &wire.client()).map(|one| Neighbour { hold_s: 3, ..one });
        let router = Router::start(kind, &wire, &wire.client(), &neighbours);
        let mut speaker = Speaker::start(&wire.node(1));
        let objects = Objects::new()
            .peers(wire.client().addresses(), &json!({"holdTime": "3s"}))
            .advert("all", json!({}))
            .service("web", &["10.66.100.1", "fd00:10:66::100:1"]);
        speaker.order(objects.orders(&wire.node(1)));
        eventually("both routes are there", || router.count() == 2);
        let cut = fault::cut(&wire, &wire.client()).unwrap();
        for peer in ["four", "six"] {
            eventually("Herald gives up", || speaker.ends(peer).iter().any(|why| why.contains("nothing was heard")));
        }
        eventually("the router gives up", || router.count() == 0);
        cut.heal().unwrap();
        eventually("all is as it was", || router.count() == 2);
    }
}

#[test]
fn at_a_planned_stop_the_router_reads_why_and_drops_the_routes_at_once() {
    for kind in Kind::ALL {
        let wire = wire();
        let neighbours = Neighbour::of(&wire, &wire.client());
        let router = Router::start(kind, &wire, &wire.client(), &neighbours);
        let mut speaker = Speaker::start(&wire.node(1));
        let objects = Objects::new()
            .peers(wire.client().addresses(), &json!({}))
            .advert("all", json!({}))
            .service("web", &["10.66.100.1", "fd00:10:66::100:1"]);
        speaker.order(objects.orders(&wire.node(1)));
        eventually("both routes are there", || router.count() == 2);
        speaker.leave("node1 is drained");
        eventually("the routes are gone", || router.count() == 0);
        for one in &neighbours {
            let words = router.last_words(one);
            assert!(words.contains("node1 is drained"), "{kind:?}: {words}");
        }
    }
}

#[test]
fn what_the_peers_operator_says_at_a_shutdown_is_passed_on() {
    for kind in Kind::ALL {
        let wire = wire();
        let neighbours = Neighbour::of(&wire, &wire.client());
        let router = Router::start(kind, &wire, &wire.client(), &neighbours);
        let mut speaker = Speaker::start(&wire.node(1));
        speaker.order(Objects::new().peers(wire.client().addresses(), &json!({})).orders(&wire.node(1)));
        for (peer, neighbour) in ["four", "six"].into_iter().zip(&neighbours) {
            eventually("it is up", || speaker.is_up(peer) && router.established(neighbour));
            router.shut_down(neighbour, "new line card");
            eventually(&format!("{kind:?}: {:?}", speaker.ends(peer)), || {
                speaker.ends(peer).iter().any(|why| why.contains("new line card"))
            });
        }
    }
}

#[test]
fn a_peer_that_does_not_answer_keeps_no_other_waiting() {
    let wire = wire();
    let neighbours = Neighbour::of(&wire, &wire.client());
    let router = Router::start(Kind::Bird, &wire, &wire.client(), &neighbours);
    let mut speaker = Speaker::start(&wire.node(1));
    let objects = (1..100).fold(Objects::new().peers(wire.client().addresses(), &json!({})), |objects, i| {
        objects.peer(&format!("nobody{i}"), json!({"peerAddress": format!("10.66.250.{i}")}))
    });
    let began = Instant::now();
    speaker.order(objects.orders(&wire.node(1)));
    eventually("those that answer are up", || neighbours.iter().all(|one| router.established(one)));
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    eventually("the others are explained", || (1..100).all(|i| !speaker.why(&format!("nobody{i}")).is_empty()));
    let began = Instant::now();
    speaker.leave("over");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[test]
fn a_router_that_bfd_loses_is_given_up_long_before_the_hold_time() {
    for kind in Kind::FULL {
        let wire = wire();
        let neighbours = Neighbour::of(&wire, &wire.client()).map(|one| Neighbour { bfd_ms: Some(50), ..one });
        let router = Router::start(kind, &wire, &wire.client(), &neighbours);
        let watcher = Watcher::start(&wire.node(1));
        let mut speaker = Speaker::with_bfd(&wire.node(1), watcher.states());
        let profile = json!({"receiveInterval": 50, "transmitInterval": 50});
        let objects = Objects::new()
            .profile("fast", profile)
            .peers(wire.client().addresses(), &json!({"bfdProfile": "fast"}))
            .advert("all", json!({}))
            .service("web", &["10.66.100.1", "fd00:10:66::100:1"]);
        let orders = objects.orders(&wire.node(1));
        let (paths, settings): (Vec<_>, Vec<_>) = orders.values().filter_map(|order| order.bfd).unzip();
        watcher.order(&paths, settings[0]);
        speaker.order(orders);
        eventually("both routes are there", || router.count() == 2);
        for path in &paths {
            eventually("BFD is up", || watcher.state(path) == Some(PeerState::Up));
        }
        let cut = fault::cut(&wire, &wire.client()).unwrap();
        eventually("the routes are gone", || router.count() == 0);
        for peer in ["four", "six"] {
            eventually("Herald gives up", || !speaker.ends(peer).is_empty());
            assert!(speaker.ends(peer)[0].contains("BFD"), "{kind:?}: {:?}", speaker.ends(peer));
        }
        // The hold time is 90 s, and a try of anything above takes 30 s at most.
        assert!(cut.when.asked.elapsed() < Duration::from_secs(30));
        cut.heal().unwrap();
        eventually("all is as it was", || router.count() == 2);
    }
}

#[test]
fn a_router_behind_another_one_is_reached() {
    for kind in Kind::ALL {
        let wire = Wire::build(WireOptions { nodes: 1, clients: 1, router: true }).unwrap();
        let far = wire.outside.clone().unwrap();
        let neighbours = Neighbour::of(&wire, &far).map(|one| Neighbour { multi_hop: true, ..one });
        let router = Router::start(kind, &wire, &far, &neighbours);
        let mut speaker = Speaker::start(&wire.node(1));
        let objects = Objects::new()
            .peers(far.addresses(), &json!({"ebgpMultiHop": true}))
            .advert("all", json!({}))
            .service("web", &["10.66.100.1", "fd00:10:66::100:1"]);
        speaker.order(objects.orders(&wire.node(1)));
        eventually("both routes are there", || router.count() == 2);
    }
}

#[test]
fn a_router_that_starts_anew_gets_everything_again() {
    for kind in Kind::ALL {
        let wire = wire();
        let neighbours = Neighbour::of(&wire, &wire.client());
        let mut router = Router::start(kind, &wire, &wire.client(), &neighbours);
        let mut speaker = Speaker::start(&wire.node(1));
        let objects = (0..200).fold(Objects::new(), |objects, i| {
            objects.service(&i.to_string(), &[&format!("10.66.100.{i}"), &format!("fd00:10:66::100:{i:x}")])
        });
        let objects = objects.peers(wire.client().addresses(), &json!({})).advert("all", json!({}));
        speaker.order(objects.orders(&wire.node(1)));
        eventually("every route is there", || router.count() == 400);
        router.kill();
        let router = Router::start(kind, &wire, &wire.client(), &neighbours);
        eventually("every route is there again", || router.count() == 400);
    }
}

#[test]
fn a_restart_that_was_agreed_on_takes_no_route_away() {
    for kind in Kind::ALL {
        let wire = wire();
        let neighbours = Neighbour::of(&wire, &wire.client());
        let router = Router::start(kind, &wire, &wire.client(), &neighbours);
        let objects = Objects::new()
            .peers(wire.client().addresses(), &json!({"enableGracefulRestart": true}))
            .advert("all", json!({}))
            .service("web", &["10.66.100.1", "fd00:10:66::100:1"])
            .service("old", &["10.66.100.2"]);
        let mut speaker = Speaker::start(&wire.node(1));
        speaker.order(objects.orders(&wire.node(1)));
        eventually("the routes are there", || router.count() == 3);
        speaker.leave("a roll-out");
        for one in &neighbours {
            eventually("the router has noticed", || !router.established(one));
        }
        assert_eq!(router.count(), 3, "{kind:?}");

        // What the next process does not announce goes once it has said everything.
        let mut speaker = Speaker::start(&wire.node(1));
        speaker.order(objects.without_service("old").orders(&wire.node(1)));
        let deadline = Instant::now() + Duration::from_secs(30);
        while !(router.count() == 2 && neighbours.iter().all(|one| router.established(one))) {
            assert!(router.count() >= 2, "{kind:?} dropped routes");
            assert!(Instant::now() < deadline, "{kind:?} has {:?}", router.routes());
        }
    }
}

#[test]
fn a_full_table_of_the_peer_is_read_and_not_kept() {
    let wire = wire();
    let neighbours = Neighbour::of(&wire, &wire.client());
    let files = wire.lab().dir().join("Bird");
    let full: String = (0..100_000_u32)
        .map(|i| format!("  route 100.{}.{}.{}/32 blackhole;\n", 64 + (i >> 16), i >> 8 & 255, i & 255))
        .collect();
    let text = routers::bird(&neighbours).replace("export none", "export all")
        + &format!("protocol static {{\n  ipv4;\n{full}}}\n");
    let bird = Bird::start(&wire.client().namespace, &files, &text).unwrap();
    let objects = Objects::new()
        .peers(wire.client().addresses(), &json!({}))
        .advert("all", json!({}))
        .service("web", &["10.66.100.1", "fd00:10:66::100:1"]);
    let mut speaker = Speaker::start(&wire.node(1));
    let before = resident();
    speaker.order(objects.orders(&wire.node(1)));
    let received = || speaker.metric("metallb_bgp_updates_total_received", wire.client().v4.into()).unwrap_or_default();
    eventually("all of it has come", || {
        let shown = bird.show("protocols all herald4").unwrap();
        received() > 0.0 && shown.contains("100001 exported") | shown.contains("100000 exported")
    });
    eventually("the route is there", || bird.show("route for 10.66.100.1").is_ok());
    let mut last = -1.0;
    eventually("it is read to the end", || std::mem::replace(&mut last, received()) == received());
    assert!(speaker.is_up("four") && speaker.ends("four").is_empty());
    let grown = resident().saturating_sub(before);
    assert!(grown < 16 << 20, "the process grew by {grown} octets");
}

#[test]
fn a_peer_that_sends_garbage_is_told_and_costs_no_other_session() {
    let wire = wire();
    let neighbours = Neighbour::of(&wire, &wire.client());
    let router = Router::start(Kind::Bird, &wire, &wire.client(), &neighbours);
    let babblers = [0_u8, 1, 2, 3];
    for kind in babblers {
        let at = SocketAddr::new(wire.client().v4.into(), 1790 + u16::from(kind));
        let listen = move || -> anyhow::Result<()> {
            let listener = TcpListener::bind(at)?;
            for stream in listener.incoming() {
                let mut stream = stream?;
                let mut header = vec![0xff; 16];
                let bytes = match kind {
                    0 => b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
                    // A length that no message has.
                    1 => [header, vec![0xff, 0xff, 4]].concat(),
                    // An OPEN of version 3.
                    2 => [header, vec![0, 29, 1, 3, 0xfc, 1, 0, 90, 1, 2, 3, 4, 0]].concat(),
                    // A KEEPALIVE where an OPEN has to come.
                    _ => {
                        header.extend([0, 19, 4]);
                        header
                    }
                };
                let _ = stream.write_all(&bytes);
                // The NOTIFICATION, until the other side closes.
                let _ = stream.read_to_end(&mut Vec::new());
            }
            Ok(())
        };
        drop(wire.client().namespace.spawn("babbler", listen).unwrap());
    }
    let mut speaker = Speaker::start(&wire.node(1));
    let objects = babblers.iter().fold(
        Objects::new()
            .peers(wire.client().addresses(), &json!({}))
            .advert("all", json!({}))
            .service("web", &["10.66.100.1"]),
        |objects, kind| {
            let spec = json!({"peerAddress": wire.client().v4, "peerPort": 1790 + u16::from(*kind)});
            objects.peer(&format!("babbler{kind}"), spec)
        },
    );
    speaker.order(objects.orders(&wire.node(1)));
    for kind in babblers {
        let peer = format!("babbler{kind}");
        eventually(&format!("{peer} is told: {}", speaker.why(&peer)), || {
            speaker.why(&peer).starts_with("closed by us: the peer sent")
        });
    }
    eventually("the others are up", || neighbours.iter().all(|one| router.established(one)) && router.count() == 1);
    assert!(["four", "six"].iter().all(|peer| speaker.ends(peer).is_empty()));
}

#[test]
fn the_source_address_and_the_local_as_are_those_that_users_write() {
    for kind in Kind::ALL {
        let wire = wire();
        let sources = ["10.66.1.101", "fd00:10:66::1:101"];
        let namespace = &wire.node(1).namespace;
        namespace.ip("address add 10.66.1.101/16 dev eth0\naddress add fd00:10:66::1:101/64 dev eth0 nodad\n").unwrap();
        let mut neighbours = Neighbour::of(&wire, &wire.client());
        for (one, source) in neighbours.iter_mut().zip(sources) {
            (one.herald, one.herald_as) = (source.parse().unwrap(), 64999);
        }
        let router = Router::start(kind, &wire, &wire.client(), &neighbours);
        let mut speaker = Speaker::start(&wire.node(1));
        let mut objects = Objects::new().advert("all", json!({})).service("web", &["10.66.100.1", "fd00:10:66::100:1"]);
        for (name, (peer, source)) in
            ["four", "six"].into_iter().zip(wire.client().addresses().into_iter().zip(sources))
        {
            objects = objects.peer(name, json!({"peerAddress": peer, "sourceAddress": source, "localASN": 64999}));
        }
        speaker.order(objects.orders(&wire.node(1)));
        let seen = |source: &str| Seen {
            next_hop: source.to_owned(),
            as_path: "64999".to_owned(),
            local_pref: if kind == Kind::Bird { Some(100) } else { None },
            ..Seen::default()
        };
        let expected =
            [(net("10.66.100.1/32"), seen(sources[0])), (net("fd00:10:66::100:1/128"), seen(sources[1]))].into();
        has(kind, &router, &speaker, &expected);

        // An address that the node does not have is named, and what is to be changed.
        let lost = Objects::new().peer("four", json!({"peerAddress": wire.client().v4, "sourceAddress": "10.66.9.9"}));
        speaker.order(lost.orders(&wire.node(1)));
        eventually(&format!("it is explained: {}", speaker.why("four")), || {
            speaker.why("four") == "this node does not have the address 10.66.9.9: correct spec.sourceAddress"
        });
    }
}

/// Not every kernel that runs these tests has VRFs; that a socket is bound to the device can be seen with any.
#[test]
fn a_session_is_bound_to_the_device_of_its_vrf_and_goes_to_the_port_of_its_peer() {
    let wire = wire();
    let node = wire.node(1);
    let neighbours = Neighbour::of(&wire, &wire.client()).map(|one| Neighbour { password: Some("secret"), ..one });
    let [four, six] = wire.client().addresses();
    let text = routers::bird(&neighbours)
        .replace(&format!("local {four} as"), &format!("local {four} port 1790 as"))
        .replace(&format!("local {six} as"), &format!("local {six} port 1790 as"));
    let bird = Bird::start(&wire.client().namespace, &wire.lab().dir().join("Bird"), &text).unwrap();
    let router = Router::Bird(bird);
    let objects = |vrf: &str| {
        Objects::new()
            .peers(wire.client().addresses(), &json!({"vrf": vrf, "peerPort": 1790, "password": "secret"}))
            .advert("all", json!({}))
            .service("web", &["10.66.100.1", "fd00:10:66::100:1"])
    };
    let mut speaker = Speaker::start(&node);
    speaker.order(objects("blue").orders(&node));
    for peer in ["four", "six"] {
        eventually(&format!("it is explained: {}", speaker.why(peer)), || {
            speaker.why(peer) == "this node has no VRF blue: create it, or correct spec.vrf"
        });
    }
    speaker.order(objects("lo").orders(&node));
    for peer in ["four", "six"] {
        eventually(&format!("there is no way: {}", speaker.why(peer)), || {
            ["no way to", "did not answer"].iter().any(|words| speaker.why(peer).contains(words))
        });
    }
    speaker.order(objects("eth0").orders(&node));
    eventually("both routes are there", || router.count() == 2);
}

#[test]
fn a_router_that_does_not_know_this_node_is_named_as_such() {
    for kind in Kind::ALL {
        let wire = wire();
        let [four, mut six] = Neighbour::of(&wire, &wire.client());
        six.herald = "fd00:10:66::1:77".parse().unwrap();
        let router = Router::start(kind, &wire, &wire.client(), &[four.clone(), six]);
        let mut speaker = Speaker::start(&wire.node(1));
        speaker.order(Objects::new().peers(wire.client().addresses(), &json!({})).orders(&wire.node(1)));
        eventually(&format!("{kind:?}: {}", speaker.why("six")), || {
            speaker.why("six").contains("before it said anything: let it know this node")
        });
        eventually("the other one is up", || speaker.is_up("four") && router.established(&four));
    }
}

/// Memory of this process, in octets.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

fn wire() -> Wire {
    Wire::build(WireOptions { nodes: 1, clients: 1, router: false }).unwrap()
}

#[track_caller]
fn has(kind: Kind, router: &Router, speaker: &Speaker, expected: &BTreeMap<IpNet, Seen>) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while router.routes() != *expected {
        assert!(
            Instant::now() < deadline,
            "{kind:?} has\n{:#?}\ninstead of\n{expected:#?}\n{:?} {:?}",
            router.routes(),
            speaker.standing("four"),
            speaker.standing("six")
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

/// Waits until something holds, with a limit that only a broken machine exceeds.
#[track_caller]
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "not within 30 s: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
