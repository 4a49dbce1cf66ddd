//! What becomes of open TCP connections when an address moves, as the client sees it; kube-proxy in nftables mode.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test on a real network has a real clock"
)]

mod common;
#[path = "common/flows.rs"]
mod flows;

use common::{lab, service};
use flows::{EVERY, close, every_connection_survives, new_owner, open, tables};
use herald_tests::{fault, herald::PATIENCE};
use std::time::Instant;

#[test]
fn connections_survive_planned_moves_and_the_death_of_a_speaker() {
    every_connection_survives(&lab());
}

#[test]
fn connections_through_a_dead_node_are_reset_and_do_not_stall() {
    let lab = lab();
    lab.apply(&service("dead", "", "externalTrafficPolicy: Cluster\nipFamilyPolicy: RequireDualStack")).unwrap();
    for ip in lab.addresses("default", "dead", 2).unwrap() {
        let owner = lab.wait_for_owner(ip).unwrap();
        let flows = open(&lab, ip);
        let cut = fault::cut(lab.wire(), &lab.node(owner)).unwrap();
        let heir = new_owner(&lab, ip, owner);
        let deadline = Instant::now() + PATIENCE;
        while !flows.iter().all(|flow| !flow.report().resets.is_empty()) {
            assert!(Instant::now() < deadline, "some connection stalls:\n{}", tables(&lab, heir));
            std::thread::sleep(EVERY);
        }
        assert!(tables(&lab, heir).contains(&ip.to_string()));
        let resets: Vec<_> = close(flows).iter().map(|report| report.resets[0] - cut.when.in_force).collect();
        eprintln!("{ip}: reset {:?} after the cut", resets.iter().max());
        cut.heal().unwrap();
        lab.wait_for_speakers().unwrap();
    }
    lab.kubectl(&["delete", "service", "dead"]).unwrap();
}
