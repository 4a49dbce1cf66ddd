//! Everybody on the segment reaches whom they should, in both families, as soon as the wire is built.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use herald_tests::{
    netns::Namespace,
    probe::ping,
    wire::{Wire, WireOptions, plan},
};

#[test]
fn members_reach_each_other_at_once_in_both_families() {
    let started = Instant::now();
    let wire = Wire::build(WireOptions { clients: 2, ..WireOptions::default() }).unwrap();
    println!("built in {:?}", started.elapsed());
    for from in wire.members() {
        for to in wire.members() {
            assert_reaches(&from.namespace, &to.addresses());
        }
    }
}

#[test]
fn pods_reach_pods_of_other_nodes_and_the_control_plane_but_no_client_reaches_them() {
    let wire = Wire::build(WireOptions::default()).unwrap();
    let here = wire.node(1).add_pod().unwrap();
    let there = wire.node(2).add_pod().unwrap();
    let beside = wire.node(2).add_pod().unwrap();
    assert_reaches(&here.namespace, &there.addresses());
    assert_reaches(&beside.namespace, &there.addresses());
    assert_reaches(&there.namespace, &wire.node(2).addresses());
    assert_reaches(&wire.node(2).namespace, &there.addresses());
    assert_reaches(&wire.control_plane.namespace, &there.addresses());
    for address in there.addresses() {
        assert!(!reaches(&wire.client().namespace, address), "{address}");
    }
}

#[test]
fn a_removed_pod_answers_no_more_and_its_address_is_free_again() {
    let wire = Wire::build(WireOptions { nodes: 1, ..WireOptions::default() }).unwrap();
    let node = wire.node(1);
    let first = node.add_pod().unwrap();
    let addresses = first.addresses();
    assert_reaches(&node.namespace, &addresses);
    first.remove().unwrap();
    for address in addresses {
        assert!(!reaches(&node.namespace, address), "{address}");
    }
    let second = node.add_pod().unwrap();
    assert_eq!(addresses, second.addresses());
    assert_reaches(&node.namespace, &second.addresses());
}

#[test]
fn a_client_behind_the_router_reaches_the_nodes() {
    let wire = Wire::build(WireOptions { router: true, ..WireOptions::default() }).unwrap();
    let outside = wire.outside.as_ref().unwrap();
    for node in &wire.nodes {
        assert_reaches(&outside.namespace, &node.addresses());
    }
    assert_reaches(&wire.node(3).namespace, &outside.addresses());
}

#[test]
fn a_frame_names_its_node_by_its_mac() {
    let wire = Wire::build(WireOptions::default()).unwrap();
    let client = wire.client();
    for node in &wire.nodes {
        assert_reaches(&client.namespace, &node.addresses());
        for address in node.addresses() {
            let entry = client.namespace.output("ip", &["neigh", "show", &address.to_string()]).unwrap();
            assert!(entry.contains(&node.mac.to_string()), "{entry}");
        }
        assert_eq!(node.name, wire.member_by_mac(node.mac).unwrap().name);
    }
}

#[test]
fn a_closure_and_a_runtime_run_inside_and_the_caller_stays_outside() {
    let wire = Wire::build(WireOptions { nodes: 1, ..WireOptions::default() }).unwrap();
    let address = std::net::SocketAddr::from((wire.node(1).v4, 4000));
    let bind = move || std::net::UdpSocket::bind(address).map(|_| ());
    assert!(bind().is_err());
    wire.node(1).namespace.enter(bind).unwrap().unwrap();
    wire.node(1)
        .namespace
        .run(async move { tokio::net::TcpListener::bind(address).await.map(|_| ()) })
        .unwrap()
        .unwrap();
    let blocking = wire.node(1).namespace.run(async move { tokio::task::spawn_blocking(bind).await }).unwrap().unwrap();
    blocking.unwrap();
    assert!(bind().is_err());
}

#[test]
fn the_addresses_for_load_balancers_belong_to_nobody() {
    let v4: ipnet::Ipv4Net = plan::VIPS_V4.parse().unwrap();
    let v6: ipnet::Ipv6Net = plan::VIPS_V6.parse().unwrap();
    let lan_v4: ipnet::Ipv4Net = plan::LAN_V4.parse().unwrap();
    let lan_v6: ipnet::Ipv6Net = plan::LAN_V6.parse().unwrap();
    assert!(lan_v4.contains(&v4) && lan_v6.contains(&v6));
    let wire = Wire::build(WireOptions { router: true, ..WireOptions::default() }).unwrap();
    for member in wire.members() {
        assert!(!v4.contains(&member.v4) && !v6.contains(&member.v6), "{}", member.name);
    }
}

fn assert_reaches(from: &Namespace, addresses: &[IpAddr]) {
    for address in addresses {
        assert!(reaches(from, *address), "{} does not reach {address}", from.name());
    }
}

fn reaches(from: &Namespace, address: IpAddr) -> bool {
    ping(from, address, Duration::from_secs(1)).unwrap().is_some()
}
