//! Flags and environment. Where the meaning is MetalLB's, so is the name, so that its manifests keep working.

use clap::{Parser, ValueEnum};
use herald_crds::keys;
use herald_election::Timing;
use herald_runtime::log::LogArgs;
use std::{net::IpAddr, path::PathBuf};

/// Announces addresses of LoadBalancer Services from this node.
#[derive(Parser, Debug)]
#[command(name = "herald-speaker", version)]
pub(crate) struct Args {
    /// Name of the Node object that this speaker runs on.
    #[arg(long, env = "METALLB_NODE_NAME")]
    pub(crate) node_name: String,

    /// Namespace of Herald's objects; by default the pod's own.
    #[arg(long, env = "METALLB_NAMESPACE")]
    pub(crate) namespace: Option<String>,

    /// Name of this pod, for events.
    #[arg(long, env = "METALLB_POD_NAME")]
    pub(crate) pod_name: Option<String>,

    /// Handle only Services of this loadBalancerClass; by default only those without one.
    #[arg(long)]
    pub(crate) lb_class: Option<String>,

    /// Announce also from nodes with the label node.kubernetes.io/exclude-from-external-load-balancers.
    #[arg(long)]
    pub(crate) ignore_exclude_lb: bool,

    /// Own address for heartbeats; by default the Node's first InternalIP.
    #[arg(long, env = "METALLB_ML_BIND_ADDR")]
    pub(crate) ml_bindaddr: Option<IpAddr>,

    /// UDP port for heartbeats, the same on every node.
    #[arg(long, env = "METALLB_ML_BIND_PORT", default_value_t = keys::HEARTBEAT_PORT)]
    pub(crate) ml_bindport: u16,

    /// Name of the Secret with the key that heartbeats are sealed with.
    #[arg(long, env = "METALLB_ML_SECRET_NAME", default_value = keys::DEFAULT_KEY_SECRET)]
    pub(crate) ml_secret_name: String,

    /// Directory in which that Secret is mounted; by default it is read from the API server.
    #[arg(long, env = "METALLB_ML_SECRET_KEY_PATH")]
    pub(crate) ml_secret_key_path: Option<PathBuf>,

    /// How fast a silent node is given up. The same on every node.
    #[arg(long, value_enum, default_value_t = Profile::Default)]
    pub(crate) failover_profile: Profile,

    /// For how many seconds connections that were made through the old owner of an address go on after it moved; 0 switches that off.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub(crate) drain: u32,

    /// Port of /metrics on the node's addresses; 0 serves none.
    #[arg(long, default_value_t = 9120)]
    pub(crate) port: u16,

    /// Port of /healthz and /readyz on the loopback address.
    #[arg(long, default_value_t = 17472)]
    pub(crate) health_probe_port: u16,

    #[command(flatten)]
    pub(crate) log: LogArgs,
}

/// How fast a silent node is given up.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// After 30 ms: bare metal whose nodes never pause.
    Fast,
    /// After 80 ms.
    Default,
    /// After 200 ms: virtual machines that their host pauses now and then.
    Calm,
    /// After 1 s: networks that lose traffic for a while.
    Slow,
}

impl Profile {
    pub(crate) const fn timing(self) -> Timing {
        match self {
            Self::Fast => Timing::FAST,
            Self::Default => Timing::DEFAULT,
            Self::Calm => Timing::CALM,
            Self::Slow => Timing::SLOW,
        }
    }
}
