//! kube-proxy, the real one, in a node's namespace.

use std::{path::Path, time::Duration};

use anyhow::Result;
use serde_json::json;

use crate::{netns::Namespace, pki, process::Process};

/// How kube-proxy programs the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// nftables.
    #[default]
    Nftables,
    /// iptables; the distribution's `iptables` must be installed.
    Iptables,
}

impl Mode {
    fn as_str(self) -> &'static str {
        match self {
            Self::Nftables => "nftables",
            Self::Iptables => "iptables",
        }
    }
}

/// The port on which it tells that its rules are in force.
pub const HEALTH_PORT: u16 = 10256;

/// What kube-proxy on one node is started with.
#[derive(Debug)]
pub struct Settings<'a> {
    /// Directory with the binary.
    pub binaries: &'a Path,
    /// The node's name.
    pub node: &'a str,
    /// The node's namespace.
    pub namespace: &'a Namespace,
    /// For its configuration.
    pub directory: &'a Path,
    /// kube-proxy's own kubeconfig.
    pub kubeconfig: &'a Path,
    /// Pod networks of the whole cluster.
    pub pod_networks: &'a [String],
    /// How it programs the kernel.
    pub mode: Mode,
    /// Shortest time between two rounds. Kubernetes' default of one second is most of the time from a Service to its first answer.
    pub min_sync: Duration,
}

/// Starts it.
///
/// # Errors
///
/// When its configuration cannot be written or it cannot be started.
pub fn start(settings: &Settings<'_>) -> Result<Process> {
    let mode = settings.mode.as_str();
    let min_sync = format!("{}ms", settings.min_sync.as_millis());
    let configuration = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": settings.kubeconfig},
        "mode": mode,
        "hostnameOverride": settings.node,
        "detectLocalMode": "ClusterCIDR",
        "clusterCIDR": settings.pod_networks.join(","),
        "healthzBindAddress": format!("0.0.0.0:{HEALTH_PORT}"),
        "metricsBindAddress": "127.0.0.1:10249",
        mode: {"minSyncPeriod": min_sync, "syncPeriod": "30s"},
        // It may not set these in a namespace, and ends when it cannot.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    });
    let file = settings.directory.join(format!("{}-kube-proxy.json", settings.node));
    pki::file(&file, &serde_json::to_string_pretty(&configuration)?)?;
    let mut command = settings.namespace.command(settings.binaries.join("kube-proxy"));
    command.arg(format!("--config={}", file.display()));
    Process::start(
        "kube-proxy",
        command,
        &settings.directory.join("logs").join(format!("{}-kube-proxy.log", settings.node)),
    )
}
