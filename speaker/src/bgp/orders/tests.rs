//! One peer at a time: what a BGPPeer means on a node.

use super::*;
use herald_bgp::wire::Asn;
use herald_crds::model::{Config, SecretFacts, resolve};
use serde_json::{Value, from_value, json};

#[test]
fn a_plain_peer_is_talked_to_with_the_defaults() {
    let (orders, unusable) = Lab::new().peer("a", json!({"peerAddress": "10.0.0.254"})).orders();
    assert!(unusable.is_empty());
    let order = &orders["a"];
    assert_eq!(order.link.peer, "10.0.0.254:179".parse().unwrap());
    assert_eq!((order.link.local, &order.link.vrf, &order.link.password), (None, &None, &None));
    let settings = &order.settings;
    assert_eq!((settings.local_as, settings.remote_as), (Asn(64512), RemoteAs::Exactly(Asn(64513))));
    assert_eq!(settings.router_id, Ipv4Addr::new(10, 0, 0, 1));
    assert_eq!((settings.hold_time, settings.keepalive_time), (HOLD_TIME, None));
    assert_eq!(settings.families, [wire::Family::V4Unicast].into_iter().collect());
    assert_eq!(settings.graceful_restart, None);
    assert!(order.routes.is_empty());
    assert_eq!(order.bfd, None);
}

#[test]
fn what_users_write_about_a_peer_reaches_the_session_and_the_socket() {
    let spec = json!({
        "peerAddress": "2001:db8:1::9", "peerPort": 1790, "sourceAddress": "2001:db8::1", "localASN": 65001,
        "holdTime": "30s", "keepaliveTime": "5s", "connectTime": "7s", "routerID": "1.2.3.4", "vrf": "red",
        "ebgpMultiHop": true, "dualStackAddressFamily": true, "enableGracefulRestart": true,
        "passwordSecret": {"name": "bgp"}, "bfdProfile": "fast"
    });
    let (orders, _) = Lab::new()
        .profile("fast", json!({"minimumTtl": 60, "passiveMode": true}))
        .secret("bgp")
        .peer("a", spec)
        .orders();
    let order = &orders["a"];
    assert_eq!(order.link.peer, "[2001:db8:1::9]:1790".parse().unwrap());
    assert_eq!(order.link.local, Some("2001:db8::1".parse().unwrap()));
    assert_eq!(order.link.vrf.as_deref(), Some("red"));
    assert!(order.link.password.as_ref().is_some_and(|password| password.reveal() == "hush"));
    let settings = &order.settings;
    assert_eq!(settings.local_as_override, Some(Asn(65001)));
    assert_eq!(settings.hold_time, Duration::from_secs(30));
    assert_eq!(settings.keepalive_time, Some(Duration::from_secs(5)));
    assert_eq!(settings.connect_retry_time, Duration::from_secs(7));
    assert_eq!(settings.router_id, Ipv4Addr::new(1, 2, 3, 4));
    assert_eq!(settings.families, Families::ALL);
    assert_eq!(settings.extended_next_hop, Offer::Yes);
    assert!(settings.graceful_restart.is_some());
    let (path, bfd) = order.bfd.unwrap();
    let vrf = Some(InterfaceIndex(9));
    assert_eq!(
        path,
        Path { hops: Hops::Multi, vrf, peer: order.link.peer.ip(), interface: None, local: order.link.local }
    );
    assert_eq!((bfd.minimum_ttl_hops, bfd.role, bfd.echo), (60, Role::Passive, Echo::Off));
    assert_eq!(bfd.desired_min_tx, Interval::saturating(Duration::from_millis(300)));
}

#[test]
fn bfd_runs_over_one_hop_exactly_where_the_peer_is_on_a_network_of_the_node() {
    let hops = |spec: Value| {
        let mut whole = spec;
        whole["bfdProfile"] = json!("p");
        let (orders, _) = Lab::new().profile("p", json!({})).peer("a", whole).orders();
        orders["a"].bfd.unwrap().0.hops
    };
    for (address, expected) in [
        ("10.0.0.254", Hops::Single),
        ("2001:db8::fe", Hops::Single),
        ("10.1.0.1", Hops::Multi),
        ("2001:db8:1::1", Hops::Multi),
    ] {
        assert_eq!(hops(json!({"peerAddress": address})), expected, "{address}");
        assert_eq!(hops(json!({"peerAddress": address, "peerASN": 64512})), expected, "{address} inside the AS");
        assert_eq!(hops(json!({"peerAddress": address, "ebgpMultiHop": true})), Hops::Multi, "{address}");
    }
}

#[test]
fn the_other_familys_next_hop_is_an_address_of_the_interface_towards_the_peer() {
    let own = |spec: Value| Lab::new().peer("a", spec).orders().0["a"].settings.own;
    let expected = OwnAddresses {
        v4: Some(Ipv4Addr::new(10, 0, 0, 1)),
        v6: Some("2001:db8::1".parse().unwrap()),
        link_local: Some("fe80::1".parse().unwrap()),
    };
    assert_eq!(own(json!({"peerAddress": "10.0.0.254"})), expected);
    assert_eq!(own(json!({"peerAddress": "2001:db8::fe"})), expected);
    // Behind a router there is no interface towards the peer.
    let far = OwnAddresses { link_local: None, ..expected };
    assert_eq!(own(json!({"peerAddress": "10.1.0.1"})), far);
    let source = OwnAddresses { v4: Some(Ipv4Addr::new(10, 0, 0, 7)), ..far };
    assert_eq!(own(json!({"peerAddress": "10.1.0.1", "sourceAddress": "10.0.0.7"})), source);
}

#[test]
fn a_node_without_ipv4_has_a_router_id_that_no_start_changes() {
    let mut lab = Lab::new().peer("a", json!({"peerAddress": "2001:db8::fe"}));
    lab.config.nodes.get_mut("n1").unwrap().addresses = vec!["2001:db8::1".parse().unwrap()];
    let id = lab.orders().0["a"].settings.router_id;
    assert_ne!(id, Ipv4Addr::UNSPECIFIED);
    assert_eq!(lab.orders().0["a"].settings.router_id, id);
    let facts = lab.config.nodes.remove("n1").unwrap();
    lab.config.nodes.insert("n2".to_owned(), facts);
    lab.node = "n2";
    assert_ne!(lab.orders().0["a"].settings.router_id, id);
}

#[test]
fn dynamic_as_numbers_are_taken_as_written() {
    for (word, expected) in [("internal", RemoteAs::Internal), ("external", RemoteAs::External)] {
        let spec = json!({"peerAddress": "10.0.0.254", "peerASN": 0, "dynamicASN": word});
        assert_eq!(Lab::new().peer("a", spec).orders().0["a"].settings.remote_as, expected);
    }
}

#[test]
fn a_peer_behind_an_interface_is_explained() {
    let (orders, unusable) = Lab::new().peer("a", json!({"interface": "eth1"})).orders();
    assert!(orders.is_empty());
    assert_eq!(unusable["a"], Unusable::Unnumbered("eth1".to_owned()));
    assert!(unusable["a"].to_string().contains("spec.peerAddress"));
}

/// Node n1 with 10.0.0.1/24 and 2001:db8::1/64 on eth0, and a VRF.
struct Lab {
    node: &'static str,
    config: Config,
}

impl Lab {
    fn new() -> Self {
        let addresses = vec!["10.0.0.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        let facts = NodeFacts { addresses, ..NodeFacts::default() };
        Self { node: "n1", config: Config { nodes: [("n1".to_owned(), facts)].into(), ..Config::default() } }
    }

    fn peer(mut self, name: &str, spec: Value) -> Self {
        let mut whole = json!({"myASN": 64512, "peerASN": if spec["dynamicASN"].is_null() { 64513 } else { 0 }});
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        self.config.bgp_peers.insert(name.to_owned(), from_value(json!({"metadata": {}, "spec": whole})).unwrap());
        self
    }

    fn profile(mut self, name: &str, spec: Value) -> Self {
        self.config.bfd_profiles.insert(name.to_owned(), from_value(json!({"metadata": {}, "spec": spec})).unwrap());
        self
    }

    fn secret(mut self, name: &str) -> Self {
        let password = Some(herald_crds::model::Password::new("hush"));
        self.config
            .secrets
            .insert(name.to_owned(), SecretFacts { kind: "kubernetes.io/basic-auth".to_owned(), password });
        self
    }

    fn orders(&self) -> (BTreeMap<String, Order>, BTreeMap<String, Unusable>) {
        let interface = |name: &str, addresses: &[&str]| Interface {
            name: name.to_owned(),
            mac: Some([2, 0, 0, 0, 0, 1]),
            up: true,
            neighbours: true,
            enslaved: false,
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
            gateways: Vec::new(),
        };
        let eth0 = interface("eth0", &["fe80::1/64", "10.0.0.1/24", "2001:db8::1/64"]);
        let view = NodeView { interfaces: [(2, eth0), (9, interface("red", &[]))].into(), neighbours: BTreeMap::new() };
        let (resolved, problems) = resolve(&self.config);
        assert!(problems.is_empty(), "{problems:?}");
        let desired = resolved.bgp_peers.keys().map(|name| (name.clone(), Routes::new())).collect();
        let facts = self.config.nodes.get(self.node);
        orders(&World { node: self.node, facts, view: &view, resolved: &resolved, desired: &desired })
    }
}
