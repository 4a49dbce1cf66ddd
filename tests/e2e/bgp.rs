//! BGP as users have it: three nodes, a router that runs BIRD, and a client behind it that knows nothing but its default route.
//!
//! ```text
//!   node1 ┐
//!   node2 ├── switch ── router (BIRD, ECMP) ── outside (the client)
//!   node3 ┘
//! ```
//!
//! The Services' addresses are on no network: whoever reaches them was sent there by a route that a speaker announced.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test on a real network has a real clock"
)]

use herald_tests::{
    cluster::{Cluster, HERALD, Options},
    fault,
    herald::{PATIENCE, metrics_of_alerts},
    probe::UdpProbe,
    router::Bird,
    wire::{Member, WireOptions, plan},
};
use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

/// What happens to nodes and Services while a client behind the router goes on asking.
#[test]
fn a_client_behind_a_router_reaches_services_whatever_happens_to_nodes() {
    let wire = WireOptions { nodes: 3, clients: 1, router: true };
    let cluster = Cluster::start(Options { wire, ..Options::default() }).unwrap();
    cluster.install_herald().unwrap();
    let router = cluster.wire().router.clone().unwrap();
    let bird = Bird::start(&router.namespace, &cluster.directory().join("bird"), &configuration()).unwrap();
    cluster.apply("config/samples/bgp.yaml").unwrap();
    cluster.apply("tests/e2e/echo.yaml").unwrap();
    cluster.kubectl(&["rollout", "status", "deployment/echo", "--timeout=60s"]).unwrap();
    let ips = cluster.addresses("default", "echo", 2).unwrap();
    let story = Story { cluster: &cluster, bird: &bird, ips: &ips };

    // Every node has a pod and announces: the router balances over three.
    story.next_hops(&[1, 2, 3]);
    for ip in &ips {
        let shown = bird.show(&format!("route for {ip} all")).unwrap();
        assert!(shown.contains("BGP.community: (64512,7)"), "{shown}");
    }
    let outside = cluster.wire().outside.clone().unwrap();
    let probes: Vec<UdpProbe> = ips
        .iter()
        .map(|ip| {
            UdpProbe::start_flows(&outside.namespace, SocketAddr::new(*ip, 81), Duration::from_millis(10), 16).unwrap()
        })
        .collect();
    for probe in &probes {
        assert!(probe.wait_for_answers(100, PATIENCE), "{:?}", probe.report().gaps());
    }
    for node in 1..=3 {
        for ip in &ips {
            let name = format!(
                "metallb_speaker_announced{{service=\"default/echo\",protocol=\"bgp\",node=\"node{node}\",ip=\"{ip}\"}}"
            );
            assert_eq!(cluster.metric(node, &name).unwrap(), Some(1.0), "{name}");
        }
    }

    story.a_port_that_no_service_has(&outside);

    // What the alerts ask for by peer is there, and 1 with each of the two.
    let exported = cluster.metrics(1).unwrap();
    let of_peers: Vec<_> =
        metrics_of_alerts().unwrap().into_iter().filter(|name| name.starts_with("metallb_bgp_")).collect();
    assert_eq!(of_peers, ["metallb_bgp_session_up"]);
    for peer in ["10.66.0.1:179", "[fd00:10:66::ff]:179"] {
        let line = format!("metallb_bgp_session_up{{peer=\"{peer}\",vrf=\"default\"}} 1");
        assert!(exported.lines().any(|shown| shown == line), "no {line} in\n{exported}");
    }

    let told = cluster
        .kubectl(&["get", "events", "--field-selector=reason=nodeAssigned", "-o=custom-columns=:note,:message"])
        .unwrap();
    assert!(told.contains("announcing from node \"node1\" with protocol \"bgp\""), "{told}");

    story.statuses(&[1, 2, 3]);

    // A pod that is not ready takes its node out: externalTrafficPolicy is Local.
    story.ready(2, false);
    story.next_hops(&[1, 3]);
    story.statuses(&[1, 3]);
    story.ready(2, true);
    story.next_hops(&[1, 2, 3]);

    // The speaker learns of the pod when kube-proxy does and is quicker: what comes in between is dropped.
    for ip in &ips {
        cluster.wait_until_served(SocketAddr::new(*ip, 81)).unwrap();
    }
    std::thread::sleep(Duration::from_millis(500));

    // A speaker that is stopped says so; its node forwards on until the router has turned away, so that nothing is lost.
    let began = Instant::now();
    story.stop_speaker(1);
    story.next_hops(&[1, 2, 3]);
    let until = Instant::now();
    std::thread::sleep(Duration::from_millis(500));
    for probe in &probes {
        let report = probe.report().between(began, until);
        assert_eq!(report.lost(), 0, "{:?}", report.gaps());
    }

    // A node that is cut off is found dead by BFD; the hold time would be 90 s.
    let began = Instant::now();
    let cut = fault::cut(cluster.wire(), &cluster.node(3)).unwrap();
    story.next_hops(&[1, 2]);
    std::thread::sleep(Duration::from_millis(500));
    let until = Instant::now();
    std::thread::sleep(Duration::from_millis(500));
    for probe in &probes {
        let report = probe.report().between(began, until);
        assert!(report.outage() < Duration::from_secs(2), "{:?}", report.gaps());
    }
    cut.heal().unwrap();
    story.next_hops(&[1, 2, 3]);

    // An administrator who keeps load balancers away from a node.
    let label = "node.kubernetes.io/exclude-from-external-load-balancers";
    cluster.kubectl(&["label", "node", "node2", &format!("{label}=")]).unwrap();
    story.next_hops(&[1, 3]);
    cluster.kubectl(&["label", "node", "node2", &format!("{label}-")]).unwrap();
    story.next_hops(&[1, 2, 3]);

    // No advertisement, no route; the sessions stay.
    cluster.kubectl(&["delete", "bgpadvertisement", "routed", "-n", HERALD]).unwrap();
    story.next_hops(&[]);
    for node in 1..=3 {
        let name = "metallb_bgp_session_up{peer=\"10.66.0.1:179\",vrf=\"default\"}";
        assert_eq!(cluster.metric(node, name).unwrap(), Some(1.0));
    }

    // A router that refuses one session: the number that wakes somebody is 0, and the other session stays.
    bird.control(&["disable", "ipv4_1"]).unwrap();
    let up =
        |peer: &str| cluster.metric(1, &format!("metallb_bgp_session_up{{peer=\"{peer}\",vrf=\"default\"}}")).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while up("10.66.0.1:179") != Some(0.0) {
        assert!(Instant::now() < deadline, "{}", cluster.last_words(HERALD));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(up("[fd00:10:66::ff]:179"), Some(1.0));
}

struct Story<'a> {
    cluster: &'a Cluster,
    bird: &'a Bird,
    ips: &'a [IpAddr],
}

impl Story<'_> {
    /// Packets for a port that no Service has are dropped by the first node that they reach: the router would send them back again and again.
    fn a_port_that_no_service_has(&self, outside: &Member) {
        for ip in self.ips {
            let before = self.dropped();
            outside
                .namespace
                .enter(|| {
                    let any: IpAddr =
                        if ip.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
                    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).unwrap();
                    for _ in 0..100 {
                        socket.send_to(b"nobody listens here", SocketAddr::new(*ip, 4242)).unwrap();
                    }
                })
                .unwrap();
            let deadline = Instant::now() + PATIENCE;
            while self.dropped() - before < 100 {
                assert!(Instant::now() < deadline, "{} of 100 packets for {ip} dropped", self.dropped() - before);
            }
            assert_eq!(self.dropped() - before, 100, "each for {ip} once");
        }
    }

    /// Packets that the guards of all nodes dropped.
    fn dropped(&self) -> u64 {
        let of = |node: usize| {
            let table = ["list", "chain", "inet", "herald", "guard"];
            let output = self.cluster.node(node).namespace.command("nft").args(table).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let counts =
                text.split("counter packets ").skip(1).filter_map(|rest| rest.split(' ').next()?.parse::<u64>().ok());
            counts.sum::<u64>()
        };
        (1..=3).map(of).sum()
    }

    /// Waits until the router's routes to the Service lead to exactly these nodes.
    #[track_caller]
    fn next_hops(&self, nodes: &[usize]) {
        let deadline = Instant::now() + PATIENCE;
        for ip in self.ips {
            let expected: Vec<String> =
                nodes.iter().map(|node| self.cluster.node(*node).address_like(*ip).to_string()).collect();
            loop {
                // Without a route, birdc says so and fails.
                let shown = self.bird.show(&format!("route for {ip}")).unwrap_or_default();
                let mut found: Vec<String> = shown
                    .lines()
                    .filter_map(|line| line.trim().strip_prefix("via ")?.split(' ').next().map(str::to_owned))
                    .collect();
                found.sort();
                if found == expected {
                    break;
                }
                if Instant::now() > deadline {
                    panic!("{ip}: the router has\n{shown}\n{}", self.cluster.last_words(HERALD));
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    /// Waits until exactly these nodes say that they announce the Service, each to both peers.
    #[track_caller]
    fn statuses(&self, nodes: &[usize]) {
        let selector = "-lmetallb.io/service-name=echo,metallb.io/service-namespace=default";
        let columns = "-o=custom-columns=:.status.node,:.status.peers";
        let expected: String = nodes.iter().map(|node| format!("node{node} [router-v4 router-v6]\n")).collect();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let shown = self.cluster.kubectl(&["get", "servicebgpstatuses", "-n", HERALD, selector, columns]).unwrap();
            let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
            let mut lines: Vec<String> = shown.lines().map(words).filter(|line| !line.is_empty()).collect();
            lines.sort();
            if lines.iter().map(|line| format!("{line}\n")).collect::<String>() == expected {
                return;
            }
            assert!(Instant::now() < deadline, "{shown}\n{}", self.cluster.last_words(HERALD));
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Makes the pod on a node ready or not.
    fn ready(&self, node: usize, set: bool) {
        let pods = self.cluster.pods("default", "app=echo").unwrap();
        let name = format!("node{node}");
        let on = pods.iter().find(|pod| pod.spec.as_ref().unwrap().node_name.as_deref() == Some(&name)).unwrap();
        let ip = on.status.as_ref().unwrap().pod_ip.clone().unwrap();
        let url = format!("http://{ip}:8080/readyz?set={set}");
        self.cluster.node(1).namespace.output("curl", &["--silent", "--fail", &url]).unwrap();
    }

    /// Ends the speaker of a node as a roll-out does, and waits for the next one.
    fn stop_speaker(&self, node: usize) {
        let pods = self.cluster.pods(HERALD, "component=speaker").unwrap();
        let name = format!("node{node}");
        let on = pods.iter().find(|pod| pod.spec.as_ref().unwrap().node_name.as_deref() == Some(&name)).unwrap();
        self.cluster.kubectl(&["delete", "pod", on.metadata.name.as_ref().unwrap(), "-n", HERALD]).unwrap();
        self.cluster.wait_for_pods(HERALD).unwrap();
    }
}

fn configuration() -> String {
    let mut text = format!("router id {};\nprotocol device {{ scan time 1; }}\n", plan::ROUTER_V4);
    text += "protocol kernel { ipv4 { export all; }; merge paths on; }\nprotocol kernel { ipv6 { export all; }; merge paths on; }\n";
    text += "protocol bfd { interface \"*\" { interval 50 ms; multiplier 3; }; }\n";
    for node in 1..=3 {
        let (v4, v6) = (plan::node_v4(node), plan::node_v6(node));
        for (family, own, herald) in
            [("ipv4", IpAddr::from(plan::ROUTER_V4), IpAddr::from(v4)), ("ipv6", plan::ROUTER_V6.into(), v6.into())]
        {
            writeln!(
                text,
                "protocol bgp {family}_{node} {{ local {own} as 64513; neighbor {herald} as 64512; password \"between-friends\"; bfd on; \
                 error wait time 1, 2; connect delay time 1; {family} {{ import all; export none; }}; }}"
            )
            .unwrap();
        }
    }
    text
}
