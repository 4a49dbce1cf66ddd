use serde_json::{Value, from_value, json};

use super::*;

#[test]
fn a_bare_service_reads_as_the_defaults_of_kubernetes() {
    let service = read(json!({"metadata": {"namespace": "shop", "name": "web"}}));
    let expected = Service {
        key: ServiceKey::new("shop", "web"),
        labels: Labels::new(),
        kind: ServiceKind::Other,
        class: None,
        cluster_ips: vec![],
        family_policy: FamilyPolicy::SingleStack,
        primary_family: Family::V4,
        requested_ips: Ok(vec![]),
        requested_pool: None,
        assigned: vec![],
        allocated_from: None,
        traffic_policy: TrafficPolicy::Cluster,
        selector: BTreeMap::new(),
        ports: BTreeSet::new(),
        sharing_key: None,
        sharing_annotated: false,
        deprecated_annotations: BTreeSet::new(),
        deleting: false,
    };
    assert_eq!(service, expected);
    assert_eq!(service.key.to_string(), "shop/web");
}

#[test]
fn a_full_service_is_read_whole() {
    let service = read(json!({
        "metadata": {
            "namespace": "shop", "name": "web", "labels": {"tier": "front"}, "deletionTimestamp": "2026-01-01T00:00:00Z",
            "annotations": {
                "metallb.io/address-pool": " gold ",
                "metallb.io/allow-shared-ip": "k",
                "metallb.io/ip-allocated-from-pool": "silver",
                "metallb.io/loadBalancerIPs": "2001:db8::5, 192.0.2.5",
            },
        },
        "spec": {
            "type": "LoadBalancer", "loadBalancerClass": "herald", "externalTrafficPolicy": "Local",
            "clusterIP": "fd00::1", "clusterIPs": ["fd00::1", "10.96.0.1"], "ipFamilies": ["IPv6", "IPv4"],
            "ipFamilyPolicy": "RequireDualStack", "selector": {"app": "web"},
            "ports": [{"port": 80}, {"port": 53, "protocol": "UDP"}, {"port": 9, "protocol": "SCTP"}],
        },
        "status": {"loadBalancer": {"ingress": [{"ip": "2001:db8::4"}, {"hostname": "x"}, {"ip": "192.0.2.4"}, {"ip": "?"}]}},
    }));
    let expected = Service {
        key: ServiceKey::new("shop", "web"),
        labels: Labels::from([("tier".to_owned(), "front".to_owned())]),
        kind: ServiceKind::LoadBalancer,
        class: Some("herald".to_owned()),
        cluster_ips: ips(&["fd00::1", "10.96.0.1"]),
        family_policy: FamilyPolicy::RequireDualStack,
        primary_family: Family::V6,
        requested_ips: Ok(ips(&["2001:db8::5", "192.0.2.5"])),
        requested_pool: Some("gold".to_owned()),
        assigned: ips(&["2001:db8::4", "192.0.2.4"]),
        allocated_from: Some("silver".to_owned()),
        traffic_policy: TrafficPolicy::Local,
        selector: BTreeMap::from([("app".to_owned(), "web".to_owned())]),
        ports: BTreeSet::from([port(Protocol::Tcp, 80), port(Protocol::Udp, 53), port(Protocol::Sctp, 9)]),
        sharing_key: Some("k".to_owned()),
        sharing_annotated: true,
        deprecated_annotations: BTreeSet::new(),
        deleting: true,
    };
    assert_eq!(service, expected);
    assert_eq!(service.ports.iter().map(Port::to_string).collect::<Vec<_>>(), ["tcp/80", "udp/53", "sctp/9"]);
}

#[test]
fn the_new_spelling_of_an_annotation_wins_over_the_deprecated_one() {
    let old = json!({"metallb.universe.tf/address-pool": "old", "metallb.universe.tf/loadBalancerIPs": "192.0.2.1",
        "metallb.universe.tf/allow-shared-ip": "old", "metallb.universe.tf/ip-allocated-from-pool": "old"});
    let service = annotated(old.clone());
    let seen = |s: &Service| {
        (s.requested_pool.clone(), s.requested_ips.clone(), s.sharing_key.clone(), s.allocated_from.clone())
    };
    let text = |t: &str| Some(t.to_owned());
    assert_eq!(seen(&service), (text("old"), Ok(ips(&["192.0.2.1"])), text("old"), text("old")));
    assert_eq!(
        service.deprecated_annotations.iter().copied().collect::<Vec<_>>(),
        [
            "metallb.universe.tf/address-pool",
            "metallb.universe.tf/allow-shared-ip",
            "metallb.universe.tf/loadBalancerIPs"
        ]
    );

    let mut both = old;
    for (key, value) in [
        ("address-pool", "new"),
        ("loadBalancerIPs", "192.0.2.2"),
        ("allow-shared-ip", ""),
        ("ip-allocated-from-pool", "new"),
    ] {
        both[format!("metallb.io/{key}")] = json!(value);
    }
    let service = annotated(both);
    assert_eq!(seen(&service), (text("new"), Ok(ips(&["192.0.2.2"])), None, text("new")));
    assert!(service.sharing_annotated, "an empty key shares nothing, but it is there");
}

#[test]
fn a_request_that_makes_no_sense_is_an_error_in_its_field_only() {
    let place = keys::ADDRESSES_ANNOTATION;
    let not_an_address = |text: &str| RequestError::NotAnAddress { place, text: text.to_owned() };
    let twice = |family, [first, second]: [&str; 2]| RequestError::SameFamilyTwice {
        place,
        family,
        first: first.parse().unwrap(),
        second: second.parse().unwrap(),
    };
    let table = [
        ("192.0.2.1", Ok(ips(&["192.0.2.1"]))),
        (" 192.0.2.1 ,2001:db8::1 ", Ok(ips(&["192.0.2.1", "2001:db8::1"]))),
        ("", Ok(vec![])),
        ("::ffff:192.0.2.1", Ok(ips(&["192.0.2.1"]))),
        ("192.0.2.1,", Err(not_an_address(""))),
        ("192.0.2.0/24", Err(not_an_address("192.0.2.0/24"))),
        ("web.example", Err(not_an_address("web.example"))),
        ("192.0.2.1,192.0.2.1", Err(twice(Family::V4, ["192.0.2.1", "192.0.2.1"]))),
        ("2001:db8::1,192.0.2.1,2001:db8::2", Err(twice(Family::V6, ["2001:db8::1", "2001:db8::2"]))),
    ];
    for (written, expected) in table {
        assert_eq!(annotated(json!({place: written})).requested_ips, expected, "{written}");
    }
}

#[test]
fn the_field_asks_for_one_address_and_not_beside_the_annotation() {
    let field = |value: &str| read(json!({"metadata": {}, "spec": {"loadBalancerIP": value}})).requested_ips;
    assert_eq!(field("192.0.2.1"), Ok(ips(&["192.0.2.1"])));
    assert_eq!(field(""), Ok(vec![]));
    let place = "spec.loadBalancerIP";
    assert_eq!(field("192.0.2.1,::1"), Err(RequestError::NotAnAddress { place, text: "192.0.2.1,::1".to_owned() }));

    let both = read(json!({
        "metadata": {"annotations": {"metallb.io/loadBalancerIPs": "192.0.2.1"}},
        "spec": {"loadBalancerIP": "192.0.2.1"},
    }));
    assert_eq!(both.requested_ips, Err(RequestError::TwoRequests { annotation: keys::ADDRESSES_ANNOTATION }));
}

#[test]
fn a_headless_service_has_no_cluster_ips() {
    let cluster_ips = |spec: Value| read(json!({"metadata": {}, "spec": spec})).cluster_ips;
    assert_eq!(cluster_ips(json!({"clusterIP": "None", "clusterIPs": ["None"]})), ips(&[]));
    assert_eq!(cluster_ips(json!({"clusterIP": ""})), ips(&[]));
    assert_eq!(cluster_ips(json!({"clusterIP": "10.96.0.1"})), ips(&["10.96.0.1"]));
}

#[test]
fn an_installation_handles_exactly_its_own_class() {
    let class = |class: Option<&str>| read(json!({"metadata": {}, "spec": {"loadBalancerClass": class}}));
    assert!(class(None).handled_by(None) && class(None).handled_by(Some("")));
    assert!(
        !class(Some("a")).handled_by(None)
            && !class(Some("a")).handled_by(Some("b"))
            && !class(None).handled_by(Some("a"))
    );
    assert!(class(Some("a")).handled_by(Some("a")));
}

fn read(service: Value) -> Service {
    Service::from(&from_value::<v1::Service>(service).unwrap())
}

fn annotated(annotations: Value) -> Service {
    read(json!({"metadata": {"annotations": annotations}}))
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn port(protocol: Protocol, port: u16) -> Port {
    Port { protocol, port }
}
