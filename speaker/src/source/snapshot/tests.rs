use super::*;
use herald_crds::{
    api::{BGPPeer, IPAddressPool},
    model::{Password, SecretFacts},
};
use serde_json::json;
use std::fmt::Debug;

/// A speaker's view of an empty cluster whose kinds were all listed but for those of `without`.
struct Bed {
    snapshot: Snapshot,
    metrics: Metrics,
}

impl Bed {
    fn without(without: &[&str]) -> Self {
        let mut registry = prometheus_client::registry::Registry::default();
        let settings = Settings {
            node: "a".to_owned(),
            namespace: "herald-system".to_owned(),
            class: None,
            ignore_exclude_label: false,
        };
        let mut bed = Self { snapshot: Snapshot::new(settings), metrics: Metrics::new("a", &mut registry) };
        for (name, news) in nothing() {
            if !without.contains(&name) {
                bed.snapshot.apply(news);
            }
        }
        bed
    }

    fn picture(&mut self) -> Option<Picture> {
        self.snapshot.picture(&self.metrics)
    }

    fn apply(&mut self, news: config::News) -> Picture {
        self.snapshot.apply(News::config(news));
        self.picture().unwrap()
    }
}

/// The news, for every kind, that it has no objects.
fn nothing() -> Vec<(&'static str, News)> {
    fn none<T>() -> Change<T> {
        Change::Reset { objects: BTreeMap::new(), invalid: Vec::new() }
    }
    vec![
        ("pools", News::config(config::News::Pool(none()))),
        ("l2advertisements", News::config(config::News::L2Advertisement(none()))),
        ("nodes", News::config(config::News::Node(none()))),
        ("services", News::Service(Box::new(none()))),
        ("slices", News::Slice(none())),
        ("bgpadvertisements", News::config(config::News::BgpAdvertisement(none()))),
        ("bgppeers", News::config(config::News::BgpPeer(none()))),
        ("bfdprofiles", News::config(config::News::BfdProfile(none()))),
        ("communities", News::config(config::News::Community(none()))),
    ]
}

fn key(name: &str) -> Key {
    Key { namespace: "herald-system".to_owned(), name: name.to_owned() }
}

fn peer(spec: &serde_json::Value) -> Change<BGPPeer> {
    let object = serde_json::from_value(json!({
        "apiVersion": "metallb.io/v1beta2", "kind": "BGPPeer", "metadata": {"name": "router"}, "spec": spec
    }));
    Change::Apply(key("router"), object.unwrap())
}

fn secret(password: &str) -> config::News {
    let facts = SecretFacts { kind: "kubernetes.io/basic-auth".to_owned(), password: Some(Password::new(password)) };
    config::News::Secret("secret".to_owned(), Some(facts))
}

fn text(value: &impl Debug) -> String {
    format!("{value:?}")
}

#[test]
fn there_is_no_picture_before_every_kind_of_layer_2_was_listed() {
    for missing in ["pools", "l2advertisements", "nodes", "services", "slices"] {
        assert_eq!(Bed::without(&[missing]).picture(), None, "{missing}");
    }
    let picture = Bed::without(&[]).picture().unwrap();
    assert_eq!(picture, Picture { resolved: Some(Arc::default()), ..Picture::default() });
}

#[test]
fn layer_2_does_not_wait_for_the_kinds_of_bgp() {
    for missing in ["bgpadvertisements", "bgppeers", "bfdprofiles", "communities"] {
        assert_eq!(Bed::without(&[missing]).picture(), Some(Picture::default()), "{missing}");
    }
}

#[test]
fn a_peer_waits_for_its_secret_and_keeps_its_password_when_the_secret_goes() {
    let mut bed = Bed::without(&[]);
    let spec =
        json!({"myASN": 64500, "peerASN": 64501, "peerAddress": "192.0.2.1", "passwordSecret": {"name": "secret"}});
    let picture = bed.apply(config::News::BgpPeer(peer(&spec)));
    assert_eq!(bed.snapshot.secrets(), ["secret".to_owned()].into());
    assert!(picture.resolved.unwrap().bgp_peers.is_empty());

    let picture = bed.apply(secret("hidden-word"));
    let resolved = picture.resolved.as_ref().unwrap();
    assert_eq!(resolved.bgp_peers["router"].password, Some(Password::new("hidden-word")));
    assert!(!text(&picture).contains("hidden-word"), "no log may show it");

    let without = bed.apply(config::News::Secret("secret".to_owned(), None));
    assert_eq!(without.resolved.unwrap().bgp_peers["router"].password, Some(Password::new("hidden-word")));
    let renewed = bed.apply(secret("another"));
    assert_eq!(renewed.resolved.unwrap().bgp_peers["router"].password, Some(Password::new("another")));
}

#[test]
fn a_peer_edited_into_nonsense_stays_as_it_was_and_stops_nothing() {
    let mut bed = Bed::without(&[]);
    let sound = json!({"myASN": 64500, "peerASN": 64501, "peerAddress": "192.0.2.1"});
    let before = bed.apply(config::News::BgpPeer(peer(&sound))).resolved.unwrap();
    let nonsense = json!({"myASN": 64500, "peerAddress": "192.0.2.2"});
    let after = bed.apply(config::News::BgpPeer(peer(&nonsense))).resolved.unwrap();
    assert_eq!(after.bgp_peers, before.bgp_peers);

    let pool: IPAddressPool = serde_json::from_value(json!({
        "apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool", "metadata": {"name": "lan"},
        "spec": {"addresses": ["192.0.2.0/24", "2001:db8::/64"]}
    }))
    .unwrap();
    let later = bed.apply(config::News::Pool(Change::Apply(key("lan"), pool))).resolved.unwrap();
    assert!(later.pools.contains_key("lan"));
    let gone = bed.apply(config::News::BgpPeer(Change::Delete(key("router")))).resolved.unwrap();
    assert!(gone.bgp_peers.is_empty());
}
