//! What five routers said, octet by octet, on a session in which we offered both families, path identifiers, long messages,
//! graceful restart and both kinds of refresh: AS 64512, 10.99.0.2, towards AS 65001, 10.99.0.1. Each was told to announce
//! 198.51.100.0/24 with marks, 203.0.113.7/32 and 2001:db8:1::/48, was asked for IPv4 again, and was shut down with a text
//! where it has a way to.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test takes any instant, and fails by panic"
)]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use herald_bgp::wire::{
    AddPathMode, Asn, Attributes, Capability, Community, Decoded, Encoding, Families, LargeCommunity, Message,
    Notification, Prefix, Update,
};
use herald_bgp::{
    Action, ConnectionId, Ended, Event, Observed, Offer, RemoteAs, Restart, Routes, Session, Settings, Start, State,
    Wanted,
};

const ROUTERS: [(&str, &str); 5] = [
    ("gobgp", include_str!("gobgp.hex")),
    ("bird", include_str!("bird.hex")),
    ("frr", include_str!("frr.hex")),
    ("openbgpd", include_str!("openbgpd.hex")),
    ("exabgp", include_str!("exabgp.hex")),
];

fn messages(recorded: &str) -> Vec<Vec<u8>> {
    let octet = |text: &[u8]| u8::from_str_radix(std::str::from_utf8(text).unwrap(), 16).unwrap();
    let lines = recorded.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.as_bytes().chunks(2).map(octet).collect()).collect()
}

/// Everything that a router said, as messages.
fn read(name: &str, recorded: &str) -> Vec<Message> {
    let mut encoding = Encoding::default();
    let mut read = Vec::new();
    for bytes in messages(recorded) {
        let decoded = Message::decode(&bytes, &encoding).unwrap_or_else(|error| panic!("{name}: {error}"));
        let Decoded { message, flaw } = decoded;
        assert_eq!(flaw, None, "{name}");
        if let Message::Open(open) = &message {
            encoding.four_octet_as = true;
            encoding.add_path = sends_paths(&open.capabilities);
        }
        // Two orders of attributes and two ways to say a length: what is written again is read as the same.
        let again = message.encode(&encoding).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(Message::decode(&again, &encoding).unwrap().message, message, "{name}");
        read.push(message);
    }
    read
}

fn sends_paths(capabilities: &[Capability]) -> Families {
    let entries = capabilities.iter().filter_map(|capability| match capability {
        Capability::AddPath(families) => Some(families),
        _ => None,
    });
    entries.flatten().filter(|entry| AddPathMode::sends(entry.mode)).filter_map(|entry| entry.family.family()).collect()
}

/// What the router had announced in the end.
fn table(messages: &[Message]) -> BTreeMap<Prefix, Attributes> {
    let mut table = BTreeMap::new();
    for message in messages {
        let Message::Update(Update { withdrawn, attributes, nlri, reach, unreach, .. }) = message else { continue };
        for gone in withdrawn.iter().chain(unreach.iter().flat_map(|unreach| &unreach.nlri)) {
            table.remove(&gone.prefix);
        }
        for entry in nlri.iter().chain(reach.iter().flat_map(|reach| &reach.nlri)) {
            table.insert(entry.prefix, attributes.clone());
        }
    }
    table
}

fn prefix(text: &str) -> Prefix {
    Prefix::new(text.parse().unwrap())
}

#[test]
fn every_router_is_understood_with_its_prefixes_and_their_marks() {
    for (name, recorded) in ROUTERS {
        let messages = read(name, recorded);
        let Some(Message::Open(open)) = messages.first() else { panic!("{name} does not begin with OPEN") };
        assert_eq!((open.asn(), open.identifier), (Asn(65_001), Ipv4Addr::new(10, 99, 0, 1)), "{name}");
        let table = table(&messages);
        let expected = ["198.51.100.0/24", "203.0.113.7/32", "2001:db8:1::/48"].map(prefix);
        assert_eq!(table.keys().copied().collect::<Vec<_>>(), expected, "{name}");
        for attributes in table.values() {
            let path: Vec<Asn> = attributes.as_path.iter().flat_map(|path| path.asns()).collect();
            assert_eq!(path, [Asn(65_001)], "{name}");
        }
        let marked = &table[&expected[0]];
        assert_eq!(marked.next_hop, Some(Ipv4Addr::new(10, 99, 0, 1)), "{name}");
        assert!(marked.communities.contains(&Community((65_001 << 16) | 100)), "{name}");
        let large = LargeCommunity { global: 65_001, local1: 1, local2: 2 };
        assert!(marked.large_communities.contains(&large), "{name}");
        assert_eq!(marked.med, Some(50), "{name}");
    }
}

/// Our end of the session that was recorded.
fn settings() -> Settings {
    Settings {
        extended_next_hop: Offer::No,
        add_path: Offer::Yes,
        graceful_restart: Some(Restart { restart_time: std::time::Duration::from_secs(120), start: Start::Fresh }),
        ..Settings::new(Asn(64_512), RemoteAs::Exactly(Asn(65_001)), Ipv4Addr::new(10, 99, 0, 2))
    }
}

/// Plays a recording to a session, and returns the session and all that it reported.
fn play(recorded: &str, size: usize) -> (Session, Vec<Observed>) {
    let (session, observed, _) = hear(&messages(recorded).concat(), size);
    (session, observed)
}

/// The session, what it reported, and the type of the last message that it sent.
fn hear(stream: &[u8], size: usize) -> (Session, Vec<Observed>, Option<u8>) {
    let now = Instant::now();
    let mut session = Session::new(1);
    let mut observed = Vec::new();
    let connection = ConnectionId(1);
    session.set(now, Wanted { settings: settings(), routes: Routes::new() });
    session.handle(now, Event::Connected { connection, local: IpAddr::V4(Ipv4Addr::new(10, 99, 0, 2)) });
    let mut last = None;
    for piece in stream.chunks(size) {
        session.handle(now, Event::Received { connection, bytes: piece });
        while let Some(action) = session.poll() {
            match action {
                Action::Report(news) => observed.push(news),
                Action::Send { bytes, .. } => last = last_type(&bytes).or(last),
                _ => {}
            }
        }
    }
    (session, observed, last)
}

/// The type of the last message in what was sent at once.
fn last_type(mut bytes: &[u8]) -> Option<u8> {
    let mut last = None;
    while let [_, .., _] = bytes.get(..19)? {
        last = Some(bytes[18]);
        bytes = &bytes[usize::from(u16::from_be_bytes([bytes[16], bytes[17]]))..];
        if bytes.is_empty() {
            break;
        }
    }
    last
}

#[test]
fn a_session_stands_with_every_router_and_counts_what_it_announces() {
    for (name, recorded) in ROUTERS {
        for size in [1, 7, 4_096] {
            let (session, observed) = play(recorded, size);
            let up = observed.iter().find_map(|news| match news {
                Observed::Up(agreed) => Some(agreed),
                _ => None,
            });
            let agreed = up.unwrap_or_else(|| panic!("{name}: {observed:?}"));
            assert_eq!((agreed.families, agreed.peer_as), (Families::ALL, Asn(65_001)), "{name}");
            assert!(agreed.route_refresh && agreed.sending.four_octet_as, "{name}");
            let counters = session.counters();
            assert_eq!(counters.malformed_updates, 0, "{name}");
            assert!(counters.announced_by_peer >= 3, "{name}");
        }
    }
}

#[test]
fn the_text_of_a_shutdown_reaches_the_operator() {
    for (name, recorded) in ROUTERS.into_iter().filter(|(name, _)| *name != "exabgp") {
        let (session, observed) = play(recorded, 4_096);
        assert_eq!(session.state(), State::Idle, "{name}");
        let told: Vec<&Notification> = observed
            .iter()
            .filter_map(|news| match news {
                Observed::Ended { why: Ended::PeerNotified(notification), .. } => Some(notification),
                _ => None,
            })
            .collect();
        let [told] = told[..] else { panic!("{name}: {observed:?}") };
        // GoBGP says that it is shut down, and keeps the text to itself.
        let text = (name != "gobgp").then_some("maintenance");
        assert_eq!((told.code, told.subcode), (6, if name == "frr" { 9 } else { 2 }), "{name}");
        assert_eq!(told.shutdown_text().as_deref(), text, "{name}: {told}");
    }
}

#[test]
fn a_router_that_goes_wrong_in_the_middle_is_told_so_or_costs_a_route_at_most() {
    let streams: Vec<Vec<u8>> = ROUTERS.iter().map(|(_, recorded)| messages(recorded).concat()).collect();
    let mut random = 7u64;
    let mut below = |limit: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).unwrap() % limit
    };
    let (mut stood, mut fell, mut flawed) = (0, 0, 0);
    for _ in 0..500_000 {
        let mut stream = streams[below(streams.len())].clone();
        for _ in 0..=below(3) {
            let at = below(stream.len());
            match below(3) {
                0 => stream[at] = below(256).try_into().unwrap(),
                1 => stream[at] ^= 1 << below(8),
                _ => {
                    stream.remove(at);
                }
            }
        }
        let (session, observed, last) = hear(&stream, 1 + below(2_000));
        let why = observed.iter().find_map(|news| match news {
            Observed::Ended { why, .. } => Some(why),
            _ => None,
        });
        flawed += session.counters().malformed_updates;
        match why {
            None => {
                stood += 1;
                assert!(session.state() >= State::OpenSent);
            }
            Some(Ended::PeerNotified(_)) => assert_ne!(last, Some(3), "a NOTIFICATION is not answered by one"),
            Some(why) => {
                fell += 1;
                assert_eq!(last, Some(3), "{why}");
                assert!(session.state() <= State::Connect, "{why}");
            }
        }
    }
    assert!(stood > 1_000 && fell > 1_000 && flawed > 1_000, "{stood} stood, {fell} fell, {flawed} flaws");
}
