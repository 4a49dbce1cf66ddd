//! What BGP objects mean, and every way in which they can be wrong, as tables.

#![allow(clippy::unwrap_used, reason = "a test whose input cannot be built has failed")]

use std::time::Duration;

use herald_crds::model::{
    Community, Config, NodeFacts, Place, ProblemReason, RemoteAs, Resolved, SecretFacts, resolve,
};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, from_value, json};

#[test]
fn a_peer_is_read_whole() {
    let spec = json!({"myASN": 64512, "peerASN": 64513, "localASN": 7, "peerAddress": "2001:db8::1", "sourceAddress": "2001:db8::2", "peerPort": 1179,
        "holdTime": "90s", "connectTime": "10s", "routerID": "192.0.2.3", "nodeSelectors": [{"matchLabels": {"zone": "a"}}], "passwordSecret": {"name": "s"},
        "bfdProfile": "fast", "enableGracefulRestart": true, "ebgpMultiHop": true, "vrf": "red", "dualStackAddressFamily": true});
    let world = world().with("BFDProfile", "fast", json!({"receiveInterval": 50})).with("BGPPeer", "p", spec);
    let resolved = sound(&world.secret("s", "kubernetes.io/basic-auth", "password").node("n1", "a").node("n2", "b").0);
    let peer = &resolved.bgp_peers["p"];
    assert_eq!((peer.my_asn, peer.remote, peer.local_asn), (64512, RemoteAs::Exactly(64513), Some(7)));
    assert_eq!(peer.place, Place::Address("2001:db8::1".parse().unwrap()));
    assert_eq!((peer.port, peer.source), (1179, Some("2001:db8::2".parse().unwrap())));
    let s = Duration::from_secs;
    assert_eq!((peer.hold, peer.keepalive, peer.connect), (Some(s(90)), Some(s(30)), Some(s(10))));
    assert_eq!(peer.router_id, Some("192.0.2.3".parse().unwrap()));
    assert_eq!(peer.nodes.iter().collect::<Vec<_>>(), ["n1"]);
    assert_eq!(peer.password.as_ref().unwrap().reveal(), "secret");
    assert!(!format!("{peer:?}").contains("\"secret\""), "a password is not shown");
    let bfd = peer.bfd.as_ref().unwrap();
    assert_eq!(
        (bfd.receive_interval.as_millis(), bfd.transmit_interval.as_millis(), bfd.detect_multiplier),
        (50, 300, 3)
    );
    assert!(peer.graceful_restart && peer.multi_hop && peer.both_families && !peer.is_internal());
    assert_eq!(peer.vrf.as_deref(), Some("red"));
}

#[test]
fn timers_complete_each_other() {
    let s = |seconds| Some(Duration::from_secs(seconds));
    let table = [
        (json!({}), (None, None)),
        (json!({"holdTime": "9s"}), (s(9), s(3))),
        (json!({"keepaliveTime": "3s"}), (s(9), s(3))),
        (json!({"holdTime": "9s", "keepaliveTime": "9s"}), (s(9), s(9))),
        (json!({"holdTime": "0s"}), (s(0), s(0))),
        (json!({"holdTime": "1m0.7s", "keepaliveTime": "1s"}), (s(60), s(1))),
    ];
    for (timers, expected) in table {
        let peer = &sound(&world().with("BGPPeer", "p", peer(&timers)).0).bgp_peers["p"];
        assert_eq!((peer.hold, peer.keepalive), expected, "{timers}");
    }
}

/// What is written beside a sound peer, and what is said about it.
#[test]
fn a_wrong_peer_is_set_aside_alone() {
    use ProblemReason as R;
    let web = json!({"matchLabels": {"app": "web"}});
    let table = [
        (json!({"myASN": 0}), R::BadNumber, "spec.myASN is 0"),
        (json!({"peerASN": 0}), R::Missing, "neither spec.peerASN nor spec.dynamicASN"),
        (json!({"dynamicASN": "external"}), R::Contradiction, "both spec.peerASN and spec.dynamicASN"),
        (json!({"peerAddress": ""}), R::Missing, "neither spec.peerAddress nor spec.interface"),
        (json!({"interface": "eth0"}), R::Contradiction, "both spec.peerAddress and spec.interface"),
        (json!({"peerAddress": "", "interface": "eth0\n"}), R::BadText, "spec.interface holds a line break"),
        (json!({"peerAddress": "router"}), R::BadAddresses, "spec.peerAddress: \"router\""),
        (json!({"sourceAddress": "192.0.2.256"}), R::BadAddresses, "spec.sourceAddress"),
        (json!({"routerID": "one"}), R::BadAddresses, "spec.routerID"),
        (json!({"routerID": "2001:db8::1"}), R::BadAddresses, "spec.routerID is 2001:db8::1"),
        (json!({"routerID": "0.0.0.0"}), R::BadAddresses, "spec.routerID"),
        (json!({"peerPort": 0}), R::BadNumber, "spec.peerPort is 0"),
        (json!({"peerPort": 16385}), R::BadNumber, "spec.peerPort is 16385"),
        (json!({"holdTime": "2s"}), R::BadTimer, "the hold time is 2s"),
        (json!({"holdTime": "65536s"}), R::BadTimer, "the hold time is 65536s"),
        (json!({"keepaliveTime": "500ms"}), R::BadTimer, "the hold time is 1.5s"),
        (json!({"holdTime": "ninety"}), R::BadTimer, "\"ninety\" is not a duration"),
        (json!({"keepaliveTime": "-1s"}), R::BadTimer, "spec.keepaliveTime"),
        (json!({"holdTime": "9s", "keepaliveTime": "10s"}), R::BadTimer, "longer than the hold time"),
        (json!({"holdTime": "0s", "keepaliveTime": "1s"}), R::BadTimer, "longer than the hold time"),
        (json!({"connectTime": "0s"}), R::BadTimer, "spec.connectTime is 0ns"),
        (json!({"connectTime": "65536s"}), R::BadTimer, "spec.connectTime is 65536s"),
        (json!({"connectTime": "1500ms"}), R::BadTimer, "whole seconds"),
        (json!({"nodeSelectors": [web, web]}), R::Duplicate, "spec.nodeSelectors[1]"),
        (
            json!({"nodeSelectors": [{"matchExpressions": [{"key": "a", "operator": "Near"}]}]}),
            R::BadSelector,
            "\"Near\"",
        ),
        (json!({"ebgpMultiHop": true, "peerASN": 64512}), R::Contradiction, "spec.ebgpMultiHop"),
        (json!({"ebgpMultiHop": true, "peerASN": 0, "dynamicASN": "internal"}), R::Contradiction, "spec.ebgpMultiHop"),
        (json!({"password": "x", "passwordSecret": {"name": "s"}}), R::Contradiction, "both spec.password and"),
        (json!({"password": "x\ny"}), R::BadText, "spec.password holds a line break"),
        (json!({"vrf": "red\r"}), R::BadText, "spec.vrf holds a line break"),
        (json!({"passwordSecret": {"name": "opaque"}}), R::BadSecret, "must be of type kubernetes.io/basic-auth"),
        (json!({"passwordSecret": {"name": "keyless"}}), R::BadSecret, "no text under the key"),
        (json!({"disableMP": true, "peerAddress": "wrong"}), R::BadAddresses, "spec.peerAddress"),
    ];
    for (slip, reason, says) in table {
        let world = world()
            .secret("opaque", "Opaque", "password")
            .secret("keyless", "kubernetes.io/basic-auth", "token")
            .with("BGPPeer", "sound", peer(&json!({})))
            .with("BGPPeer", "wrong", peer(&slip));
        let (resolved, problems) = resolve(&world.0);
        assert_eq!(resolved.bgp_peers.keys().collect::<Vec<_>>(), ["sound"], "{slip}");
        let [problem] = &problems[..] else { panic!("{slip}: {problems:?}") };
        assert_eq!((problem.object.to_string().as_str(), problem.reason), ("BGPPeer wrong", reason), "{slip}");
        assert!(problem.message.contains(says), "{slip}: {problem}");
        assert!(!problem.message.contains("x\ny"), "a password is not shown");
    }
}

#[test]
fn what_may_come_later_is_waited_for() {
    let secret = json!({"passwordSecret": {"name": "s"}, "bfdProfile": "fast"});
    let table = [
        ("BGPPeer", peer(&secret), "BGPPeer a waits for the Secret s, the BFDProfile fast"),
        (
            "BGPAdvertisement",
            json!({"communities": ["vip"]}),
            "BGPAdvertisement a waits for a Community that defines the alias \"vip\"",
        ),
    ];
    for (kind, spec, says) in table {
        let world = world().with(kind, "a", spec);
        let (resolved, problems) = resolve(&world.0);
        assert_eq!((problems, resolved.bgp_peers.len(), resolved.bgp_advertisements.len()), (vec![], 0, 0));
        let [waiting] = &resolved.waiting[..] else { panic!("{:?}", resolved.waiting) };
        assert_eq!(waiting.to_string(), says);
        let arrived = world
            .secret("s", "kubernetes.io/basic-auth", "password")
            .with("BFDProfile", "fast", json!({}))
            .with("Community", "c", json!({"communities": [{"name": "vip", "value": "1:2"}]}));
        let resolved = sound(&arrived.0);
        assert_eq!((resolved.waiting.len(), resolved.bgp_peers.len() + resolved.bgp_advertisements.len()), (0, 1));
    }
}

#[test]
fn a_mistake_counts_for_more_than_a_missing_name() {
    let slip = peer(&json!({"bfdProfile": "gone", "holdTime": "1s"}));
    let (resolved, problems) = resolve(&world().with("BGPPeer", "p", slip).0);
    assert_eq!((resolved.waiting.len(), problems.len()), (0, 1));
}

#[test]
fn echo_does_not_go_to_a_peer_of_ipv6_addresses() {
    for (mode, addresses, peers, refused) in [
        (true, "2001:db8::/120", json!([]), true),
        (true, "2001:db8::/120", json!(["p"]), true),
        (true, "2001:db8::/120", json!(["other"]), false),
        (true, "192.0.2.0/24", json!([]), false),
        (false, "2001:db8::/120", json!([]), false),
    ] {
        let world = world()
            .with("IPAddressPool", "pool", json!({"addresses": [addresses]}))
            .with("BGPAdvertisement", "a", json!({"peers": peers}))
            .with("BFDProfile", "b", json!({"echoMode": mode}))
            .with("BGPPeer", "p", peer(&json!({"bfdProfile": "b"})));
        let (resolved, problems) = resolve(&world.0);
        let reasons: Vec<_> = problems.iter().map(|problem| problem.reason).collect();
        assert_eq!(reasons.contains(&ProblemReason::EchoWithIpv6), refused, "{mode} {addresses} {peers}");
        assert_eq!(resolved.bgp_peers.contains_key("p"), !refused);
    }
}

#[test]
fn an_aggregate_does_not_reach_beyond_any_entry_of_its_pools() {
    let table = [
        (json!(["10.20.30.0/24", "1.2.3.0/28"]), "aggregationLength", 26, false),
        (json!(["10.20.30.0/24", "1.2.3.0/28"]), "aggregationLength", 28, true),
        (json!(["3.3.3.2-3.3.3.254"]), "aggregationLength", 26, true),
        (json!(["3.3.3.2-3.3.3.254"]), "aggregationLength", 24, false),
        (json!(["3.3.3.3-3.3.3.3"]), "aggregationLength", 31, false),
        (json!(["0.0.0.0/0"]), "aggregationLength", 1, true),
        (json!(["2001:db8::/64"]), "aggregationLength", 1, true),
        (json!(["2001:db8::/64"]), "aggregationLengthV6", 64, true),
        (json!(["2001:db8::/64"]), "aggregationLengthV6", 63, false),
        (json!(["2001:db8::1-2001:db8::ff"]), "aggregationLengthV6", 121, true),
        (json!(["2001:db8::1-2001:db8::ff"]), "aggregationLengthV6", 120, false),
        (json!(["::/0"]), "aggregationLengthV6", 0, true),
        (json!(["192.0.2.0/24"]), "aggregationLength", 33, false),
        (json!(["192.0.2.0/24"]), "aggregationLength", 0, false),
        (json!(["192.0.2.0/24"]), "aggregationLength", -1, false),
        (json!(["192.0.2.0/24"]), "aggregationLengthV6", 129, false),
        (json!(["192.0.2.0/24"]), "aggregationLengthV6", -1, false),
    ];
    for (addresses, field, length, legal) in table {
        let world = world().with("IPAddressPool", "pool", json!({"addresses": addresses})).with(
            "BGPAdvertisement",
            "a",
            json!({field: length}),
        );
        let (resolved, problems) = resolve(&world.0);
        assert_eq!(resolved.bgp_advertisements.contains_key("a"), legal, "{addresses} {field} {length}: {problems:?}");
        assert!(problems.iter().all(|problem| problem.reason == ProblemReason::BadAggregation), "{problems:?}");
        assert_eq!(problems.is_empty(), legal);
    }
}

#[test]
fn a_wrong_bgp_advertisement_is_set_aside_alone() {
    use ProblemReason as R;
    let web = json!({"matchLabels": {"app": "web"}});
    let many: Vec<String> = (0..64).map(|n| format!("1:{n}")).collect();
    let table = [
        (json!({"ipAddressPools": ["a", "a"]}), R::Duplicate, "spec.ipAddressPools"),
        (json!({"ipAddressPoolSelectors": [web, web]}), R::Duplicate, "spec.ipAddressPoolSelectors[1]"),
        (json!({"nodeSelectors": [web, web]}), R::Duplicate, "spec.nodeSelectors[1]"),
        (json!({"serviceSelectors": [web, web]}), R::Duplicate, "spec.serviceSelectors[1]"),
        (json!({"peers": ["p", "p"]}), R::Duplicate, "spec.peers"),
        (json!({"communities": ["1:2", "1:2"]}), R::Duplicate, "spec.communities"),
        (json!({"communities": ["vip", "11:22"]}), R::Duplicate, "\"11:22\" is 11:22, which is listed already"),
        (json!({"communities": many}), R::BadCommunity, "use at most 63"),
        (json!({"communities": ["1:65536"]}), R::BadCommunity, "\"1:65536\" is not a community"),
        (json!({"communities": ["1:2:3"]}), R::BadCommunity, "\"1:2:3\""),
        (json!({"communities": [""]}), R::BadCommunity, "\"\""),
        (json!({"serviceSelectors": [web], "aggregationLength": 24}), R::Contradiction, "spec.serviceSelectors"),
        (json!({"serviceSelectors": [web], "aggregationLengthV6": 64}), R::Contradiction, "spec.serviceSelectors"),
    ];
    for (slip, reason, says) in table {
        let world = world()
            .with("Community", "c", json!({"communities": [{"name": "vip", "value": "11:22"}]}))
            .with("BGPAdvertisement", "sound", json!({}))
            .with("BGPAdvertisement", "wrong", slip.clone());
        let (resolved, problems) = resolve(&world.0);
        assert_eq!(resolved.bgp_advertisements.keys().collect::<Vec<_>>(), ["sound"], "{slip}");
        let [problem] = &problems[..] else { panic!("{slip}: {problems:?}") };
        assert_eq!((problem.object.to_string().as_str(), problem.reason), ("BGPAdvertisement wrong", reason), "{slip}");
        assert!(problem.message.contains(says), "{slip}: {problem}");
    }
}

#[test]
fn advertisements_of_the_same_prefixes_agree_on_their_preference() {
    let one = json!({"localPref": 100});
    let web = json!([{"matchLabels": {"app": "web"}}]);
    let (a, b) = (json!([{"matchLabels": {"zone": "a"}}]), json!([{"matchLabels": {"zone": "b"}}]));
    let nobody = json!([{"matchLabels": {"zone": "x"}}]);
    // The younger advertisement beside one of LOCAL_PREF 100 for everything, or for what is written first.
    let table = [
        (one.clone(), json!({"localPref": 200}), true),
        (one.clone(), json!({"localPref": 100}), false),
        (one.clone(), json!({"localPref": 200, "aggregationLength": 28}), true), // the IPv6 prefixes are the same
        (one.clone(), json!({"localPref": 200, "aggregationLength": 28, "aggregationLengthV6": 124}), false),
        (one.clone(), json!({"localPref": 200, "ipAddressPools": ["other"]}), false),
        (one.clone(), json!({"localPref": 200, "peers": ["p"]}), true),
        (json!({"localPref": 100, "peers": ["q"]}), json!({"localPref": 200, "peers": ["p"]}), false),
        (one.clone(), json!({"localPref": 200, "serviceSelectors": web}), false),
        (json!({"localPref": 100, "nodeSelectors": a}), json!({"localPref": 200, "nodeSelectors": b}), false),
        (json!({"localPref": 100, "nodeSelectors": a}), json!({"localPref": 200, "nodeSelectors": a}), true),
        (one.clone(), json!({"localPref": 200, "nodeSelectors": nobody}), false),
    ];
    for (older, younger, refused) in table {
        // By name the younger one comes first: age decides.
        let world = world()
            .with("IPAddressPool", "pool", json!({"addresses": ["192.0.2.0/24", "2001:db8::/120"]}))
            .node("n1", "a")
            .node("n2", "b")
            .born("BGPAdvertisement", "z", "2026-01-01T00:00:00Z", older.clone())
            .born("BGPAdvertisement", "a", "2026-01-02T00:00:00Z", younger.clone());
        let (resolved, problems) = resolve(&world.0);
        assert!(resolved.bgp_advertisements.contains_key("z"), "{older} {younger}");
        assert_eq!(!resolved.bgp_advertisements.contains_key("a"), refused, "{older} {younger}: {problems:?}");
        assert!(problems.iter().all(|problem| problem.reason == ProblemReason::ContradictsAdvertisement));
    }
}

#[test]
fn communities_have_two_forms() {
    let table = [
        ("0:0", Some(Community::Standard(0, 0))),
        ("65535:65281", Some(Community::Standard(65535, 65281))),
        ("large:4294967295:0:1", Some(Community::Large(u32::MAX, 0, 1))),
        ("1234", None),
        ("1:2:3", None),
        ("large:1:2", None),
        ("large:1:2:3:4", None),
        ("large:4294967296:1:1", None),
        ("65536:1", None),
        ("+1:2", None),
        (" 1:2", None),
        ("1:", None),
        ("no-export", None),
        ("", None),
    ];
    for (text, expected) in table {
        let read: Option<Community> = text.parse().ok();
        assert_eq!(read, expected, "{text}");
        assert!(read.is_none_or(|community| community.to_string() == text));
    }
}

#[test]
fn an_alias_is_defined_once_among_all_communities() {
    let alias = |name: &str, value: &str| json!({"name": name, "value": value});
    let world = world()
        .born(
            "Community",
            "z",
            "2026-01-01T00:00:00Z",
            json!({"communities": [alias("vip", "1:1"), alias("same", "1:1")]}),
        )
        .born(
            "Community",
            "a",
            "2026-01-02T00:00:00Z",
            json!({"communities": [alias("vip", "2:2"), alias("lost", "3:3")]}),
        )
        .with("Community", "twice", json!({"communities": [alias("x", "1:1"), alias("x", "1:1")]}))
        .with("Community", "bad", json!({"communities": [alias("y", "1234"), alias("", "1:1")]}));
    let (resolved, problems) = resolve(&world.0);
    let names: Vec<_> = resolved.communities.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(names, ["same=1:1", "vip=1:1"]);
    let reasons: Vec<_> = problems.iter().map(|problem| (problem.object.name.as_str(), problem.reason)).collect();
    let bad = ("bad", ProblemReason::BadCommunity);
    assert_eq!(reasons, [("a", ProblemReason::AliasTaken), bad, bad, ("twice", ProblemReason::Duplicate)]);
}

#[test]
fn the_numbers_of_a_bfd_profile_are_possible() {
    for (field, low, high) in [
        ("receiveInterval", 10, 60000),
        ("transmitInterval", 10, 60000),
        ("echoInterval", 10, 60000),
        ("detectMultiplier", 2, 255),
        ("minimumTtl", 1, 254),
    ] {
        for (value, legal) in [(low - 1, false), (low, true), (high, true), (high + 1, false)] {
            let (resolved, problems) = resolve(&world().with("BFDProfile", "b", json!({field: value})).0);
            assert_eq!(resolved.bfd_profiles.contains_key("b"), legal, "{field} {value}");
            assert!(problems.iter().all(|problem| problem.reason == ProblemReason::BadNumber));
        }
    }
}

#[test]
fn a_slip_in_editing_a_peer_leaves_it_as_it_was_until_it_is_deleted() {
    let before = sound(&world().with("BGPPeer", "p", peer(&json!({}))).with("BGPAdvertisement", "a", json!({})).0);
    let slip = world().with("BGPPeer", "p", peer(&json!({"bfdProfile": "gone"}))).with(
        "BGPAdvertisement",
        "a",
        json!({"aggregationLength": 0}),
    );
    let mut resolved = resolve(&slip.0).0;
    resolved.keep_advertisements(&before, &slip.0);
    assert_eq!((&resolved.bgp_peers, &resolved.bgp_advertisements), (&before.bgp_peers, &before.bgp_advertisements));
    let mut resolved = sound(&world().0);
    resolved.keep_advertisements(&before, &world().0);
    assert!(resolved.bgp_peers.is_empty() && resolved.bgp_advertisements.is_empty());
}

fn world() -> World {
    World(Config::default())
}

struct World(Config);

impl World {
    fn with(self, kind: &str, name: &str, spec: Value) -> Self {
        self.put(kind, name, json!({"metadata": {"name": name}, "spec": spec}))
    }

    fn born(self, kind: &str, name: &str, born: &str, spec: Value) -> Self {
        self.put(kind, name, json!({"metadata": {"name": name, "creationTimestamp": born}, "spec": spec}))
    }

    fn put(mut self, kind: &str, name: &str, object: Value) -> Self {
        let (config, name) = (&mut self.0, name.to_owned());
        match kind {
            "IPAddressPool" => drop(config.pools.insert(name, from_value(object).unwrap())),
            "BGPAdvertisement" => drop(config.bgp_advertisements.insert(name, from_value(object).unwrap())),
            "BGPPeer" => drop(config.bgp_peers.insert(name, from_value(object).unwrap())),
            "BFDProfile" => drop(config.bfd_profiles.insert(name, from_value(object).unwrap())),
            "Community" => drop(config.communities.insert(name, from_value(object).unwrap())),
            other => panic!("{other}"),
        }
        self
    }

    fn secret(mut self, name: &str, kind: &str, key: &str) -> Self {
        let data = [(key.to_owned(), ByteString(b"secret".to_vec()))].into();
        let secret = Secret { type_: Some(kind.to_owned()), data: Some(data), ..Secret::default() };
        self.0.secrets.insert(name.to_owned(), SecretFacts::from(&secret));
        self
    }

    fn node(mut self, name: &str, zone: &str) -> Self {
        let labels = [("zone".to_owned(), zone.to_owned())].into();
        self.0.nodes.insert(name.to_owned(), NodeFacts { labels, ..NodeFacts::default() });
        self
    }
}

/// A sound peer with some fields written over.
fn peer(over: &Value) -> Value {
    let mut spec = json!({"myASN": 64512, "peerASN": 64513, "peerAddress": "192.0.2.1"});
    spec.as_object_mut().unwrap().extend(over.as_object().unwrap().clone());
    spec
}

fn sound(config: &Config) -> Resolved {
    let (resolved, problems) = resolve(config);
    assert_eq!(problems, vec![]);
    resolved
}
