//! What the stories share: one cluster with Herald on it, used by one test at a time.

#![allow(dead_code, clippy::disallowed_types, reason = "each story uses some of it, one at a time")]

use herald_tests::cluster::{Cluster, Options};
use std::{
    net::{IpAddr, SocketAddr},
    ops::Deref,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

/// The cluster, for as long as a test has it to itself.
pub(crate) struct Lab(MutexGuard<'static, ()>, &'static Cluster);

impl Deref for Lab {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        self.1
    }
}

/// Waits for its turn and returns the cluster: three nodes, Herald installed as users do, a pool, an advertisement and `echo.yaml` applied and served by every
/// node's kube-proxy, every speaker hearing every other one. The first test to ask builds it; it is removed when the process ends, however it ends.
pub(crate) fn lab() -> Lab {
    static TURN: Mutex<()> = Mutex::new(());
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let cluster = CLUSTER.get_or_init(|| {
        let cluster = Cluster::start(Options::nodes(3)).expect("a cluster comes up");
        cluster.install_herald().expect("Herald comes up");
        for manifest in ["config/samples/pool.yaml", "config/samples/advertisement.yaml", "tests/e2e/echo.yaml"] {
            cluster.apply(manifest).expect("manifests are accepted");
        }
        cluster.kubectl(&["rollout", "status", "deployment/echo", "--timeout=60s"]).expect("the backend comes up");
        cluster
    });
    cluster.wait_for_speakers().expect("the test before left the cluster whole");
    for ip in cluster.addresses("default", "echo", 2).expect("the Service gets its addresses") {
        cluster.wait_until_served(udp(ip)).expect("every node serves the Service");
    }
    Lab(turn, cluster)
}

/// A Service of type LoadBalancer for the backend of `echo.yaml`, with more lines of its `spec` and of its `metadata`.
pub(crate) fn service(name: &str, metadata: &str, spec: &str) -> String {
    let indent = |text: &str| text.lines().map(|line| format!("  {line}\n")).collect::<String>();
    format!(
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\n{}spec:\n  type: LoadBalancer\n  selector: {{app: echo}}\n{}  \
         ports:\n  - {{name: http, port: 80, targetPort: 8080}}\n  - {{name: udp, port: 81, protocol: UDP, targetPort: 8081}}\n",
        indent(metadata),
        indent(spec)
    )
}

/// The backend's UDP port at an address.
pub(crate) fn udp(ip: IpAddr) -> SocketAddr {
    SocketAddr::new(ip, 81)
}

/// The backend's HTTP port at an address.
pub(crate) fn http(ip: IpAddr) -> SocketAddr {
    SocketAddr::new(ip, 80)
}
