//! Each fault does what its name says, in each direction, and ends when healed.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    os::unix::process::ExitStatusExt as _,
    process::Stdio,
    time::{Duration, Instant},
};

use herald_tests::{
    fault::{self, Loss, Target, Way},
    probe::{Echo, UdpProbe, ping},
    wire::{Member, Wire, WireOptions},
};
use nix::sys::signal::Signal;

#[test]
fn a_silent_cut_stops_both_directions_and_leaves_the_carrier() {
    let wire = wire();
    let (node, other) = (wire.node(1), wire.node(2));
    assert_eq!((true, true), (passes(&node, &other), passes(&other, &node)));
    let cut = fault::cut(&wire, &node).unwrap();
    assert!(cut.when.asked < cut.when.in_force);
    assert_eq!((false, false), (passes(&node, &other), passes(&other, &node)));
    assert!(has_carrier(&node));
    assert!(passes(&wire.node(3), &other));
    cut.heal().unwrap();
    assert_eq!((true, true), (passes(&node, &other), passes(&other, &node)));
}

#[test]
fn a_pulled_cable_takes_the_carrier_and_addresses_and_routes_survive_it() {
    let wire = wire();
    let (node, other) = (wire.node(1), wire.node(2));
    let pod = other.add_pod().unwrap();
    let down = fault::link_down(&wire, &node).unwrap();
    super::eventually("the carrier is gone", || !has_carrier(&node));
    assert!(!pings(&node, other.v4.into()));
    down.heal().unwrap();
    for address in [other.addresses(), pod.addresses()].concat() {
        super::eventually("addresses and routes are back", || pings(&node, address));
    }
}

#[test]
fn a_blocked_direction_leaves_the_other_open() {
    let wire = wire();
    let (node, other, third) = (wire.node(1), wire.node(2), wire.node(3));
    assert!(passes(&node, &other) && passes(&other, &node));
    let block = fault::block(&wire, &[&node], &[&other]).unwrap();
    assert_eq!((false, true), (passes(&node, &other), passes(&other, &node)));
    assert_eq!((true, true), (passes(&node, &third), passes(&third, &node)));
    block.heal().unwrap();
    assert!(passes(&node, &other));
}

#[test]
fn groups_of_a_partition_reach_only_themselves_and_those_in_no_group() {
    let wire = wire();
    let (first, second, third, client) = (wire.node(1), wire.node(2), wire.node(3), wire.client());
    let apart = fault::partition(&wire, &[&[&first], &[&second, &third]]).unwrap();
    for (from, to, expected) in
        [(&first, &second, false), (&third, &first, false), (&second, &third, true), (&third, &second, true)]
    {
        assert_eq!(expected, pings(from, to.v4.into()), "{} to {}", from.name, to.name);
        assert_eq!(expected, pings(from, to.v6.into()), "{} to {}", from.name, to.name);
    }
    assert!(pings(&client, first.v4.into()) && pings(&client, third.v6.into()));
    apart.heal().unwrap();
    super::eventually("they are together again", || pings(&first, second.v4.into()));
    assert!(fault::partition(&wire, &[&[&first], &[]]).is_err());
}

#[test]
fn about_the_asked_share_of_frames_is_lost_and_others_lose_none() {
    let wire = wire();
    let (node, other) = (wire.node(1), wire.node(2));
    let (lossy, whole) = (Echo::start(&node.namespace, at(&node), "1"), Echo::start(&other.namespace, at(&other), "2"));
    let (_lossy, _whole) = (lossy.unwrap(), whole.unwrap());
    let loss = fault::lose(&wire, &[&node], Loss::Percent(20.0), Way::Received).unwrap();
    let client = wire.client();
    let probes =
        [&node, &other].map(|to| UdpProbe::start(&client.namespace, at(to), Duration::from_millis(1)).unwrap());
    super::eventually("a thousand probes are sent", || probes.iter().all(|probe| probe.report().sent() >= 1000));
    let [lossy, whole] = probes.map(|probe| probe.stop().unwrap());
    assert_eq!(0, whole.lost());
    let share = lossy.lost() as f64 / lossy.sent() as f64;
    // Twelve standard deviations of a thousand draws at 0.2.
    assert!((0.05..0.35).contains(&share), "{share}");

    loss.heal().unwrap();
    let healed = UdpProbe::start(&client.namespace, at(&node), Duration::from_millis(1)).unwrap();
    assert!(healed.wait_for_answers(100, Duration::from_secs(5)));
    assert_eq!(0, healed.stop().unwrap().lost());
}

#[test]
fn a_burst_loses_that_many_frames_in_a_row() {
    let wire = wire();
    let node = wire.node(1);
    let _echo = Echo::start(&node.namespace, at(&node), "1").unwrap();
    assert!(pings(&wire.client(), node.v4.into()));
    let _loss = fault::lose(&wire, &[&node], Loss::Burst { frames: 3, of: 50 }, Way::Received).unwrap();
    let probe = UdpProbe::start(&wire.client().namespace, at(&node), Duration::from_millis(1)).unwrap();
    super::eventually("200 probes are sent", || probe.report().sent() >= 200);
    let lost: Vec<usize> = probe.stop().unwrap().gaps().into_iter().map(|gap| gap.lost).collect();
    // What else the node hears, as a neighbour check, may be one of the three.
    assert!(lost.len() >= 3 && lost.contains(&3) && lost.iter().all(|lost| *lost <= 3), "{lost:?}");
}

#[test]
fn a_black_out_stops_everybody() {
    let wire = wire();
    let dark = fault::black_out(&wire).unwrap();
    assert!(!pings(&wire.node(1), wire.node(2).v4.into()) && !pings(&wire.client(), wire.node(3).v6.into()));
    dark.heal().unwrap();
    super::eventually("there is light", || pings(&wire.node(1), wire.node(2).v4.into()));
}

#[test]
fn faults_add_up_and_heal_one_by_one() {
    let wire = wire();
    let (first, second, third) = (wire.node(1), wire.node(2), wire.node(3));
    let one = fault::partition(&wire, &[&[&first], &[&second]]).unwrap();
    let other = fault::partition(&wire, &[&[&first], &[&third]]).unwrap();
    assert!(!pings(&first, second.v4.into()) && !pings(&first, third.v4.into()));
    one.heal().unwrap();
    super::eventually("the first is healed", || pings(&first, second.v4.into()));
    assert!(!pings(&first, third.v4.into()));
    other.heal().unwrap();
    super::eventually("the other is healed", || pings(&first, third.v4.into()));
}

#[test]
fn a_stopped_group_stands_still_until_it_is_continued_and_a_killed_one_is_dead() {
    let wire = Wire::build(WireOptions { nodes: 1, ..WireOptions::default() }).unwrap();
    let mut command = wire.node(1).namespace.command("sh");
    // A child that counts, and a shell that waits for it: both are in the group.
    command.args(["-c", "while :; do echo; sleep 0.005; done | cat"]).stdout(Stdio::piped());
    let mut shell = command.spawn().unwrap();
    let lines = count_lines(shell.stdout.take().unwrap());
    let grows = || {
        let before = lines.load(std::sync::atomic::Ordering::Relaxed);
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(500) {
            if lines.load(std::sync::atomic::Ordering::Relaxed) > before + 3 {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    };
    let group = Target::Group(shell.id());
    assert!(grows());
    fault::strike(group, Signal::SIGSTOP).unwrap();
    assert!(!grows());
    fault::strike(group, Signal::SIGCONT).unwrap();
    assert!(grows());
    fault::strike(group, Signal::SIGKILL).unwrap();
    assert_eq!(Some(9), shell.wait().unwrap().signal());
    super::eventually("its children are dead too", || wire.node(1).namespace.processes().unwrap().is_empty());
    assert!(fault::strike(Target::Process(shell.id()), Signal::SIGKILL).is_err());
}

fn wire() -> Wire {
    Wire::build(WireOptions::default()).unwrap()
}

fn at(member: &Member) -> SocketAddr {
    (member.v4, 7000).into()
}

/// Whether a datagram gets through in this direction alone: with a permanent neighbour entry nothing needs to come back.
fn passes(from: &Member, to: &Member) -> bool {
    from.namespace.ip(&format!("neigh replace {} lladdr {} dev eth0 nud permanent\n", to.v6, to.mac)).unwrap();
    let target = SocketAddr::from((to.v6, 7001));
    let receiver = to.namespace.enter(|| UdpSocket::bind(target)).unwrap().unwrap();
    receiver.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    from.namespace.enter(|| UdpSocket::bind((from.v6, 0)).unwrap().send_to(b"hello", target)).unwrap().unwrap();
    let passed = receiver.recv(&mut [0; 16]).is_ok();
    from.namespace.ip(&format!("neigh del {} dev eth0\n", to.v6)).unwrap();
    passed
}

fn pings(from: &Member, address: IpAddr) -> bool {
    ping(&from.namespace, address, Duration::from_millis(300)).unwrap().is_some()
}

fn has_carrier(member: &Member) -> bool {
    member.namespace.output("ip", &["link", "show", "dev", "eth0"]).unwrap().contains("LOWER_UP")
}

fn count_lines(mut from: std::process::ChildStdout) -> std::sync::Arc<std::sync::atomic::AtomicUsize> {
    let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let theirs = std::sync::Arc::clone(&count);
    std::thread::spawn(move || {
        let mut byte = [0];
        while std::io::Read::read(&mut from, &mut byte).is_ok_and(|read| read > 0) {
            theirs.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    });
    count
}
