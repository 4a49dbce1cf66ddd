//! What becomes of open TCP connections when an address moves; kube-proxy in iptables mode. And that nothing of it stays behind.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test on a real network has a real clock"
)]

mod common;
#[path = "common/flows.rs"]
mod flows;

use flows::{every_connection_survives, tables};
use herald_tests::{
    cluster::{Cluster, Options},
    herald::PATIENCE,
    kube_proxy::Mode,
};
use std::time::Instant;

#[test]
fn connections_survive_with_iptables_and_nothing_stays_behind() {
    let cluster = Cluster::start(Options { proxy: Mode::Iptables, ..Options::nodes(3) }).unwrap();
    cluster.install_herald().unwrap();
    for manifest in ["config/samples/pool.yaml", "config/samples/advertisement.yaml", "tests/e2e/echo.yaml"] {
        cluster.apply(manifest).unwrap();
    }
    cluster.kubectl(&["rollout", "status", "deployment/echo", "--timeout=60s"]).unwrap();
    let drain = r#"[{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "--drain=20"}]"#;
    let herald = "--namespace=herald-system";
    cluster.kubectl(&["patch", herald, "daemonset/speaker", "--type=json", "--patch", drain]).unwrap();
    cluster.kubectl(&["rollout", "status", herald, "daemonset/speaker", "--timeout=60s"]).unwrap();
    cluster.wait_for_speakers().unwrap();
    every_connection_survives(&cluster);

    let wait = |what: &str, over: &dyn Fn(&str) -> bool| {
        let deadline = Instant::now() + PATIENCE;
        for node in 1..=3 {
            while !over(&tables(&cluster, node)) {
                assert!(Instant::now() < deadline, "node {node} {what}:\n{}", tables(&cluster, node));
            }
        }
    };
    wait("still chains after the drain", &|tables| !tables.contains("expires"));
    cluster.kubectl(&["delete", "daemonset/speaker", herald]).unwrap();
    wait("keeps a table after the uninstall", &str::is_empty);
}
