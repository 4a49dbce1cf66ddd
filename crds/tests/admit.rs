//! What the webhooks refuse, and what they let through with a word.

#![allow(clippy::unwrap_used, reason = "a test whose input cannot be built has failed")]

use herald_crds::model::{Candidate, Change, Config, ProblemReason, admit};
use serde_json::{Value, from_value, json};

const HERE: &str = "herald-system";

#[test]
fn an_object_that_would_be_set_aside_is_refused() {
    let table = [
        pool("new", json!({"addresses": ["192.0.2.0/24"]})),
        pool("new", json!({"addresses": []})),
        pool("new", json!({"addresses": ["1.2.3.4-1000::4"]})),
        peer("new", json!({"myASN": 1, "peerASN": 2, "peerAddress": "x"})),
        peer(
            "new",
            json!({"myASN": 1, "peerASN": 2, "peerAddress": "192.0.2.1", "password": "p", "passwordSecret": {"name": "s"}}),
        ),
        peer("new", json!({"myASN": 1, "peerASN": 2, "peerAddress": "x", "disableMP": true})),
        Candidate::Community(Box::new(object("new", json!({"communities": [{"name": "vip", "value": "9:9"}]})))),
        Candidate::BGPAdvertisement(Box::new(object("new", json!({"aggregationLength": 8})))),
        Candidate::L2Advertisement(Box::new(object("new", json!({"ipAddressPools": ["a", "a"]})))),
        Candidate::BFDProfile(Box::new(object("new", json!({"minimumTtl": 255})))),
    ];
    for candidate in table {
        let problems = admit(&config(), HERE, Change::Create, &candidate).unwrap_err();
        assert_eq!(problems[0].object, candidate.object(), "{problems:?}");
    }
}

#[test]
fn a_change_that_would_put_another_object_out_of_force_is_refused() {
    // The old pool is the older one, so that the overlap would cost the young one; the aggregate of the advertisement reaches beyond a /28.
    for (candidate, victim) in [
        (pool("old", json!({"addresses": ["192.0.2.0/24", "198.51.100.0/24"]})), "IPAddressPool young"),
        (pool("new", json!({"addresses": ["203.0.113.0/28"]})), "BGPAdvertisement wide"),
    ] {
        let mut config = config();
        config.bgp_advertisements.insert("wide".to_owned(), object("wide", json!({"aggregationLength": 25})));
        let problems = admit(&config, HERE, Change::Update, &candidate).unwrap_err();
        assert_eq!(problems[0].object.to_string(), victim);
    }
}

#[test]
fn a_mistake_that_is_there_already_hinders_nobody_else() {
    let mut config = config();
    config.pools.insert("broken".to_owned(), object("broken", json!({"addresses": ["?"]})));
    assert_eq!(
        admit(&config, HERE, Change::Create, &pool("new", json!({"addresses": ["203.0.113.0/24"]}))),
        Ok(vec![])
    );
    admit(&config, HERE, Change::Update, &pool("broken", json!({"addresses": ["?"]}))).unwrap_err();
}

#[test]
fn only_a_new_object_is_asked_for_its_namespace() {
    let mut elsewhere: herald_crds::IPAddressPool = object("new", json!({"addresses": ["203.0.113.0/24"]}));
    elsewhere.metadata.namespace = Some("default".to_owned());
    let candidate = Candidate::IPAddressPool(Box::new(elsewhere));
    let problems = admit(&config(), HERE, Change::Create, &candidate).unwrap_err();
    assert_eq!(problems[0].reason, ProblemReason::WrongNamespace);
    assert_eq!(admit(&config(), HERE, Change::Update, &candidate), Ok(vec![]));
}

#[test]
fn what_may_come_later_is_a_warning() {
    let spec = json!({"myASN": 1, "peerASN": 2, "peerAddress": "192.0.2.1", "bfdProfile": "later", "passwordSecret": {"name": "s", "namespace": "x"}, "disableMP": true});
    let table = [
        (
            peer("new", spec),
            vec!["waits for the BFDProfile later", "disableMP is deprecated", "the Secret is looked for in"],
        ),
        (
            Candidate::BGPAdvertisement(Box::new(object(
                "new",
                json!({"communities": ["later"], "ipAddressPools": ["old", "no"], "peers": ["q"]}),
            ))),
            vec!["defines the alias \"later\"", "names \"no\"", "no such BGPPeer"],
        ),
        (Candidate::L2Advertisement(Box::new(object("new", json!({"ipAddressPools": ["no"]})))), vec!["names \"no\""]),
        (
            peer("new", json!({"myASN": 1, "peerASN": 2, "interface": "eth0"})),
            vec!["peers behind an interface are not supported yet"],
        ),
        // The alias goes while an advertisement uses it.
        (Candidate::Community(Box::new(object("names", json!({})))), vec!["BGPAdvertisement tagged waits for"]),
    ];
    for (candidate, says) in table {
        let warnings = admit(&config(), HERE, Change::Update, &candidate).unwrap();
        assert_eq!(warnings.len(), says.len(), "{warnings:?}");
        for (warning, says) in warnings.iter().zip(says) {
            assert!(warning.message.contains(says), "{warning}");
        }
    }
}

#[test]
fn only_a_profile_in_use_cannot_be_deleted() {
    let profile = |name: &str| Candidate::BFDProfile(Box::new(object(name, json!({}))));
    let problems = admit(&config(), HERE, Change::Delete, &profile("used")).unwrap_err();
    assert_eq!(problems[0].reason, ProblemReason::InUse);
    assert!(problems[0].message.contains("BGPPeer router"));
    for candidate in [profile("unused"), pool("old", json!({"addresses": []})), peer("router", json!({}))] {
        assert_eq!(admit(&config(), HERE, Change::Delete, &candidate), Ok(vec![]));
    }
}

#[test]
fn an_object_on_its_way_out_is_let_go() {
    let mut leaving: herald_crds::IPAddressPool = object("old", json!({"addresses": []}));
    leaving.metadata.deletion_timestamp = from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    assert_eq!(admit(&config(), HERE, Change::Update, &Candidate::IPAddressPool(Box::new(leaving))), Ok(vec![]));
}

/// Two pools, a peer with BFD, an alias and an advertisement that uses it.
fn config() -> Config {
    let mut config = Config::default();
    for (name, day, addresses) in [("old", 1, "192.0.2.0/25"), ("young", 2, "198.51.100.0/24")] {
        let mut pool: herald_crds::IPAddressPool = object(name, json!({"addresses": [addresses]}));
        pool.metadata.creation_timestamp = from_value(json!(format!("2026-01-0{day}T00:00:00Z"))).unwrap();
        config.pools.insert(name.to_owned(), pool);
    }
    let spec = json!({"myASN": 1, "peerASN": 2, "peerAddress": "192.0.2.1", "bfdProfile": "used"});
    config.bgp_peers.insert("router".to_owned(), object("router", spec));
    config.bfd_profiles.insert("used".to_owned(), object("used", json!({})));
    config
        .communities
        .insert("names".to_owned(), object("names", json!({"communities": [{"name": "vip", "value": "1:1"}]})));
    config.bgp_advertisements.insert("tagged".to_owned(), object("tagged", json!({"communities": ["vip"]})));
    config
}

fn pool(name: &str, spec: Value) -> Candidate {
    let mut pool: herald_crds::IPAddressPool = object(name, spec);
    if name == "old" {
        pool.metadata.creation_timestamp = from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    }
    Candidate::IPAddressPool(Box::new(pool))
}

fn peer(name: &str, spec: Value) -> Candidate {
    Candidate::BGPPeer(Box::new(object(name, spec)))
}

fn object<T: serde::de::DeserializeOwned>(name: &str, spec: Value) -> T {
    from_value(json!({"metadata": {"name": name, "namespace": HERE}, "spec": spec})).unwrap()
}
