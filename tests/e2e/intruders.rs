//! Hosts that send what they should not: each is refused with a reason that is counted, and nothing moves.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test on a real network has a real clock"
)]

mod common;

use common::{Lab, lab, udp};
use herald_election::{Action, Election, Event, Key, Link, NodeId, Settings, Timing, Wanted, Witness};
use herald_tests::{capture::send_raw, herald::PATIENCE};
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

/// The value of a counter with one label on a node's speaker; zero before it is first counted.
fn count(lab: &Lab, node: usize, name: &str, reason: &str) -> f64 {
    let text = lab.metrics(node).unwrap();
    let series = format!("{name}_total{{reason=\"{reason}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&series)?.parse().ok()).unwrap_or_default()
}

fn wait_for_count(lab: &Lab, node: usize, name: &str, reason: &str, above: f64) {
    let deadline = Instant::now() + PATIENCE;
    while count(lab, node, name, reason) <= above {
        assert!(Instant::now() < deadline, "{name} with reason {reason} does not count on node {node}");
    }
}

/// Everybody's owners and moves: what an intruder must not change.
fn ownership(lab: &Lab) -> (BTreeMap<IpAddr, usize>, Vec<Option<f64>>) {
    let ips = lab.addresses("default", "echo", 2).unwrap();
    let owners = ips.into_iter().map(|ip| (ip, lab.wait_for_owner(ip).unwrap())).collect();
    let gains = (1..=3).map(|node| lab.metric(node, "herald_election_gains_total").unwrap()).collect();
    (owners, gains)
}

#[test]
fn garbage_on_the_heartbeat_port_is_counted_and_moves_nothing() {
    let lab = lab();
    let before = ownership(&lab);
    const NAME: &str = "herald_election_heartbeats_rejected";
    for ip in lab.node(1).addresses() {
        // The speaker listens on the node's first address; the other family's port is closed, which is as good.
        let garbage = |length: usize| (0..length).map(|i| (i * 7919 % 251) as u8).collect::<Vec<_>>();
        let client = lab.outside();
        client
            .namespace
            .enter(|| {
                let socket = UdpSocket::bind(SocketAddr::new(client.address_like(ip), 0)).unwrap();
                for length in [0, 1, 43, 60, 500, 1200, 1201, 1400] {
                    let _closed = socket.send_to(&garbage(length), SocketAddr::new(ip, 7790));
                }
            })
            .unwrap();
    }
    wait_for_count(&lab, 1, NAME, "too-short", 0.0);
    wait_for_count(&lab, 1, NAME, "not-herald", 0.0);
    assert_eq!(ownership(&lab), before);
}

#[test]
fn heartbeats_sealed_with_another_key_are_counted_and_move_nothing() {
    let lab = lab();
    let before = ownership(&lab);
    const NAME: &str = "herald_election_heartbeats_rejected";
    let refused = || ["forged", "other-key"].iter().map(|reason| count(&lab, 1, NAME, reason)).sum::<f64>();
    let counted = refused();
    // A second speaker on node2 that has everything but the key: it claims what is owned, as loudly as it can.
    let now = Instant::now();
    let mut intruder = Election::new(
        Settings {
            node: NodeId::of(&lab.node(2).name),
            incarnation: u64::MAX,
            timing: Timing::DEFAULT,
            key: Key::from_secret(b"not the key of this cluster").unwrap(),
            seed: 7,
            witness: Witness::Link,
        },
        now,
    );
    let target = SocketAddr::new(lab.node(1).v4.into(), 7790);
    let addresses = before.0.keys().map(|ip| {
        let address = herald_election::Address {
            candidates: [NodeId::of(&lab.node(2).name)].into(),
            preference: BTreeMap::new(),
            order_by: *ip,
        };
        (*ip, address)
    });
    intruder
        .set(now, Wanted { members: [(NodeId::of(&lab.node(1).name), target)].into(), addresses: addresses.collect() });
    let mut datagrams = Vec::new();
    for step in 0..100 {
        let then = now + step * Duration::from_millis(20);
        intruder.handle(then, Event::Link(Link::Up));
        intruder.handle(then, Event::Tick);
        while let Some(action) = intruder.poll() {
            if let Action::Send { datagram, .. } = action {
                datagrams.push(datagram);
            }
        }
    }
    assert!(datagrams.len() > 2, "the intruder speaks");
    let node = lab.node(2);
    node.namespace
        .enter(|| {
            let socket = UdpSocket::bind(SocketAddr::new(node.v4.into(), 0)).unwrap();
            for datagram in &datagrams {
                socket.send_to(datagram, target).unwrap();
            }
        })
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    while refused() <= counted {
        assert!(Instant::now() < deadline, "nothing is refused");
    }
    assert_eq!(ownership(&lab), before);
}

#[test]
fn malformed_frames_are_counted_and_answered_by_nobody() {
    let lab = lab();
    let before = ownership(&lab);
    const NAME: &str = "herald_layer2_frames_ignored";
    let (&ip, _) = before.0.iter().find(|(ip, _)| ip.is_ipv4()).unwrap();
    let IpAddr::V4(vip) = ip else { unreachable!() };
    let client = lab.outside();
    let request = |hardware: u16, length: u8| {
        let mut frame = vec![0xff; 6];
        frame.extend(client.mac.0);
        frame.extend([0x08, 0x06]);
        frame.extend(hardware.to_be_bytes());
        frame.extend([0x08, 0x00, length, 4, 0, 1]);
        frame.extend(client.mac.0);
        frame.extend(client.v4.octets());
        frame.extend([0; 6]);
        frame.extend(vip.octets());
        frame
    };
    let truncated = request(1, 6)[..30].to_vec();
    let frames = [truncated, request(6, 6), request(1, 8)];
    send_raw(&client, &frames).unwrap();
    for node in 1..=3 {
        for reason in ["hardware-type", "address-length"] {
            wait_for_count(&lab, node, NAME, reason, 0.0);
        }
    }
    assert_eq!(ownership(&lab), before);
}

#[test]
fn a_packet_for_a_port_that_no_service_has_does_not_circle() {
    let lab = lab();
    for ip in lab.addresses("default", "echo", 2).unwrap() {
        let owner = lab.node(lab.wait_for_owner(ip).unwrap());
        let received = || {
            let path = "/sys/class/net/eth0/statistics/rx_packets";
            let output = owner.namespace.command("cat").arg(path).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().parse::<u64>().unwrap()
        };
        let client = lab.outside();
        let before = received();
        client
            .namespace
            .enter(|| {
                let socket = UdpSocket::bind(SocketAddr::new(client.address_like(ip), 0)).unwrap();
                let target = SocketAddr::new(ip, 4242);
                for _ in 0..100 {
                    socket.send_to(b"nobody listens here", target).unwrap();
                }
            })
            .unwrap();
        // What is sent after them on the same wire has come back: they are where they were going.
        let probe = herald_tests::probe::UdpProbe::start(&client.namespace, udp(ip), Duration::from_millis(5)).unwrap();
        assert!(probe.wait_for_answers(10, PATIENCE));
        probe.stop().unwrap();
        let frames = received() - before;
        // Unguarded each would pass 63 times. Heartbeats, probes and the API server's watches are the rest.
        assert!(frames < 100 * 30, "{frames} frames reached the owner of {ip} for 100 packets");
        let table = owner.namespace.command("nft").args(["list", "table", "inet", "herald"]).output().unwrap();
        let table = String::from_utf8_lossy(&table.stdout).into_owned();
        assert!(table.contains(&ip.to_string()), "{table}");
        assert!(table.contains("packets 100 "), "the guard dropped each once:\n{table}");
    }
}
