//! Open connections and moves, for the tests of both kube-proxy modes.

#![allow(dead_code, reason = "each story uses some of it")]

use crate::common::{http, service};
use herald_tests::{
    cluster::{Cluster, HERALD},
    fault::strike,
    herald::PATIENCE,
    probe::{Ask, Report, TcpProbe},
};
use nix::sys::signal::Signal;
use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

/// Connections at once.
const FLOWS: usize = 10;
pub(crate) const EVERY: Duration = Duration::from_millis(20);
const EXCLUDE: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// Connections to an address, each answered some times.
pub(crate) fn open(lab: &Cluster, ip: IpAddr) -> Vec<TcpProbe> {
    let client = lab.outside();
    let start = || TcpProbe::start(&client.namespace, http(ip), EVERY, Ask::Flow).unwrap();
    let flows: Vec<_> = (0..FLOWS).map(|_| start()).collect();
    assert!(flows.iter().all(|flow| flow.wait_for_answers(5, PATIENCE)), "{ip} answers");
    flows
}

pub(crate) fn close(flows: Vec<TcpProbe>) -> Vec<Report> {
    flows.into_iter().map(|flow| flow.stop().unwrap()).collect()
}

pub(crate) fn new_owner(lab: &Cluster, ip: IpAddr, not: usize) -> usize {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match lab.owner(ip) {
            Ok(owner) if owner != not => return owner,
            other if Instant::now() > deadline => {
                panic!("{ip} did not leave node {not}: {other:?}\n{}", lab.last_words(HERALD))
            }
            _ => {}
        }
    }
}

/// All that the tables of a node hold; nothing where there are none.
pub(crate) fn tables(lab: &Cluster, node: usize) -> String {
    let list = |family| {
        let output = lab.node(node).namespace.command("nft").args(["list", "table", family, "herald_flows"]).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    list("ip") + &list("ip6")
}

/// How an address leaves a node whose kernel goes on.
#[derive(Clone, Copy, Debug)]
enum Move {
    /// The node is excluded from load balancers by its label, and later is not.
    Excluded,
    /// The speaker's pod is deleted, and another comes.
    Stopped,
    /// The speaker is killed.
    Killed,
}

fn begin(lab: &Cluster, owner: usize, how: Move) {
    let node = format!("node{owner}");
    match how {
        Move::Excluded => drop(lab.kubectl(&["label", "node", &node, &format!("{EXCLUDE}=")]).unwrap()),
        Move::Stopped => replace_pod(lab, &node),
        Move::Killed => drop(strike(lab.speaker(owner).unwrap(), Signal::SIGKILL).unwrap()),
    }
}

fn end(lab: &Cluster, owner: usize, how: Move) {
    let node = format!("node{owner}");
    match how {
        Move::Excluded => drop(lab.kubectl(&["label", "node", &node, &format!("{EXCLUDE}-")]).unwrap()),
        Move::Stopped => {}
        // Otherwise the next death would be waited out longer and longer.
        Move::Killed => replace_pod(lab, &node),
    }
    lab.wait_for_speakers().unwrap();
}

fn replace_pod(lab: &Cluster, node: &str) {
    let on = format!("--field-selector=spec.nodeName={node}");
    let which = ["delete", "pod", "--namespace=herald-system", "--selector=component=speaker", &on, "--wait=false"];
    lab.kubectl(&which).unwrap();
}

/// Moves an address and says how many of its connections were reset.
fn broken_by(lab: &Cluster, ip: IpAddr, how: Move) -> usize {
    let owner = lab.wait_for_owner(ip).unwrap();
    let flows = open(lab, ip);
    begin(lab, owner, how);
    let heir = new_owner(lab, ip, owner);
    assert!(flows.iter().all(|flow| flow.wait_for_answers(20, PATIENCE)), "connections go on");
    assert!(tables(lab, heir).contains(&format!("{ip} timeout")), "chained by the heir:\n{}", tables(lab, heir));
    let reports = close(flows);
    end(lab, owner, how);
    let worst = reports.iter().filter_map(Report::worst_round_trip).max();
    let resets: Vec<_> = reports.iter().map(|report| report.resets.len()).collect();
    let lost: Vec<_> = reports.iter().map(Report::lost).collect();
    eprintln!("{ip} {how:?}: worst answer {worst:?}, resets {resets:?}, requests unanswered {lost:?}");
    // A request without an answer is on a connection that ended; what the last ones lack is only time.
    resets.iter().filter(|count| **count > 0).count()
}

/// Every way in which an address leaves a node whose kernel goes on, with both traffic policies and both families: no connection ends.
pub(crate) fn every_connection_survives(lab: &Cluster) {
    lab.apply(&service("flows", "", "externalTrafficPolicy: Cluster\nipFamilyPolicy: RequireDualStack")).unwrap();
    for name in ["echo", "flows"] {
        for ip in lab.addresses("default", name, 2).unwrap() {
            for how in [Move::Excluded, Move::Stopped, Move::Killed] {
                assert_eq!(broken_by(lab, ip, how), 0, "{name}, {how:?}\n{}", lab.last_words(HERALD));
            }
        }
    }
    lab.kubectl(&["delete", "service", "flows"]).unwrap();
}
