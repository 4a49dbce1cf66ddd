//! Two nodes: each is the other's only witness among the speakers.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test on a real network has a real clock"
)]

use herald_tests::{
    cluster::{Cluster, Options},
    fault,
    herald::PATIENCE,
};
use std::time::Instant;

#[test]
fn the_survivor_of_two_takes_over_and_the_isolated_one_claims_nothing() {
    let cluster = Cluster::start(Options::nodes(2)).unwrap();
    cluster.install_herald().unwrap();
    for manifest in ["config/samples/pool.yaml", "config/samples/advertisement.yaml", "config/samples/web.yaml"] {
        cluster.apply(manifest).unwrap();
    }
    cluster.wait_for_speakers().unwrap();
    for ip in cluster.addresses("default", "web", 2).unwrap() {
        let owner = cluster.wait_for_owner(ip).unwrap();
        let survivor = 3 - owner;
        let cut = fault::cut(cluster.wire(), &cluster.node(owner)).unwrap();
        let deadline = Instant::now() + PATIENCE;
        // The control plane's host answers the survivor, so that it knows that the segment lives.
        while !cluster.owner(ip).is_ok_and(|owner| owner == survivor) {
            assert!(Instant::now() < deadline, "node {survivor} does not take {ip} over");
        }
        cut.heal().unwrap();
        cluster.wait_for_speakers().unwrap();
        assert_eq!(cluster.owner(ip).unwrap(), survivor, "{ip} stays");
    }
}
