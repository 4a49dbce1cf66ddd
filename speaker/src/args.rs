//! Flags and environment. Where the meaning is MetalLB's, so is the name, so that its manifests keep working.
//!
//! A flag of MetalLB that has nothing to act on here is read, so that the pod starts, and named in a warning.

use crate::pulse::OnConflict;
use clap::{ArgAction, Args as Group, Parser, ValueEnum};
use herald_crds::keys;
use herald_election::Timing;
use herald_runtime::{
    admin::MetricsArgs,
    flags::{Ignored, switch},
    log::LogArgs,
    tls::TlsVersion,
};
use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

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

    /// UID of this pod, so that what the speaker shows of itself goes with it. Without one it stays.
    #[arg(long, env = "HERALD_POD_UID")]
    pub(crate) pod_uid: Option<String>,

    /// Handle only Services of this loadBalancerClass; by default only those without one.
    #[arg(long)]
    pub(crate) lb_class: Option<String>,

    /// Announce also from nodes with the label node.kubernetes.io/exclude-from-external-load-balancers.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_parser = switch, action = ArgAction::Set)]
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

    /// Where kube-proxy answers at /healthz, as 127.0.0.1:10256: an address goes to another node while it is not healthy here. Without it, kube-proxy
    /// is not asked.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) kube_proxy_healthz: Option<SocketAddr>,

    /// What to do when a host that is no node claims an address that this node announces.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) on_conflict: OnConflict,

    /// Port of /metrics on the node's addresses; 0 serves none.
    #[arg(long, default_value_t = keys::METRICS_PORT)]
    pub(crate) port: u16,

    /// Port of /healthz and /readyz on the loopback address.
    #[arg(long, default_value_t = keys::HEALTH_PORT)]
    pub(crate) health_probe_port: u16,

    #[command(flatten)]
    pub(crate) metrics: MetricsArgs,

    /// The oldest TLS that metrics speak.
    #[arg(long, value_enum, default_value = "VersionTLS13")]
    pub(crate) tls_min_version: TlsVersion,

    #[command(flatten)]
    pub(crate) log: LogArgs,

    #[command(flatten)]
    pub(crate) unused: Unused,
}

/// What MetalLB's manifests may say and nothing here needs.
#[derive(Group, Debug)]
#[command(next_help_heading = "Flags of MetalLB without effect here (a warning names those that are given)")]
pub(crate) struct Unused {
    /// Address of the node; MetalLB ignores it as well.
    #[arg(long)]
    host: Option<String>,
    /// How MetalLB's speakers find each other's pods.
    #[arg(long, env = "METALLB_ML_LABELS")]
    ml_labels: Option<String>,
    /// Slower membership, for networks that lose much.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = switch)]
    ml_wan_config: Option<bool>,
    /// Which BGP MetalLB uses.
    #[arg(long = "bgp-type", env = "METALLB_BGP_TYPE", hide = true)]
    bgp_type: Option<String>,
    /// Profiling of Go programs.
    #[arg(long)]
    pprof_bind_address: Option<String>,
    /// Namespace of frr-k8s.
    #[arg(long, env = "FRRK8S_NAMESPACE")]
    frrk8s_namespace: Option<String>,
    /// Hands passwords to frr-k8s as references.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = switch)]
    frrk8s_secret_passthrough: Option<bool>,
    /// How long changes for FRR are gathered, in milliseconds.
    #[arg(long, env = "METALLB_BGP_DEBOUNCE_TIMEOUT")]
    bgp_debounce_timeout: Option<String>,
    /// FRR's configuration.
    #[arg(long, env = "FRR_CONFIG_FILE", hide = true)]
    frr_config_file: Option<String>,
    /// FRR's reloader.
    #[arg(long, env = "FRR_RELOADER_PID_FILE", hide = true)]
    frr_reloader_pid_file: Option<String>,
    /// FRR's log level.
    #[arg(long, env = "FRR_LOGGING_LEVEL", hide = true)]
    frr_logging_level: Option<String>,
    /// Cipher suites of TLS 1.2.
    #[arg(long)]
    tls_cipher_suites: Option<String>,
    /// Curves of TLS.
    #[arg(long)]
    tls_curve_preferences: Option<String>,
}

impl Unused {
    /// The flags and variables that were given and do nothing.
    pub(crate) fn given(&self) -> Vec<Ignored> {
        const NO_FRR: &str = "BGP is built in: there is no FRR";
        let some = |value: &Option<String>| value.as_ref().is_some_and(|value| !value.is_empty());
        let other_bgp = some(&self.bgp_type) && self.bgp_type.as_deref() != Some("native");
        Ignored::given(&[
            ("--host", some(&self.host), "health is served on the loopback address, metrics on all addresses"),
            (
                "--ml-labels, METALLB_ML_LABELS",
                some(&self.ml_labels),
                "speakers find each other by their Node objects, not by labels of pods",
            ),
            ("--ml-wan-config", self.ml_wan_config == Some(true), "set --failover-profile=slow instead"),
            ("METALLB_BGP_TYPE", other_bgp, "BGP is built in: there is no FRR, and no kind of BGP to choose"),
            ("--pprof-bind-address", some(&self.pprof_bind_address), "this is no Go program: it has no pprof"),
            ("--frrk8s-namespace, FRRK8S_NAMESPACE", some(&self.frrk8s_namespace), NO_FRR),
            ("--frrk8s-secret-passthrough", self.frrk8s_secret_passthrough == Some(true), NO_FRR),
            (
                "--bgp-debounce-timeout, METALLB_BGP_DEBOUNCE_TIMEOUT",
                some(&self.bgp_debounce_timeout),
                "changes are announced at once",
            ),
            ("FRR_CONFIG_FILE", some(&self.frr_config_file), NO_FRR),
            ("FRR_RELOADER_PID_FILE", some(&self.frr_reloader_pid_file), NO_FRR),
            ("FRR_LOGGING_LEVEL", some(&self.frr_logging_level), NO_FRR),
            ("--tls-cipher-suites", some(&self.tls_cipher_suites), "only suites that are safe are offered"),
            ("--tls-curve-preferences", some(&self.tls_curve_preferences), "only curves that are safe are offered"),
        ])
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use herald_runtime::{flags, log::Level};

    fn parse(args: &[&str]) -> Args {
        let args = [&["--node-name=node1"], args].concat();
        flags::try_parse("herald-speaker", &args).unwrap_or_else(|error| panic!("{args:?}: {error}"))
    }

    fn warned(args: &[&str]) -> Vec<&'static str> {
        parse(args).unused.given().iter().map(|ignored| ignored.flag).collect()
    }

    #[test]
    fn the_flags_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn without_flags_the_defaults_are_metallbs() {
        let args = parse(&[]);
        assert_eq!((args.port, args.health_probe_port), (9120, 17472));
        assert_eq!((args.namespace, args.lb_class, args.pod_name), (None, None, None));
        assert!(!args.ignore_exclude_lb);
        assert_eq!((args.ml_bindaddr, args.ml_secret_key_path), (None, None));
        assert_eq!((args.ml_bindport, args.ml_secret_name.as_str()), (keys::HEARTBEAT_PORT, "memberlist"));
        assert_eq!(args.log.log_level, Level::Info);
        assert!(args.metrics.certificates(args.tls_min_version).is_none());
        assert_eq!(args.unused.given(), []);
    }

    #[test]
    fn every_flag_of_metallbs_speaker_is_read() {
        assert_eq!(parse(&[]).node_name, "node1");
        assert_eq!(parse(&["--port=7472"]).port, 7472);
        assert_eq!(parse(&["-port", "0"]).port, 0);
        assert_eq!(parse(&["--namespace=metallb-system"]).namespace.as_deref(), Some("metallb-system"));
        assert_eq!(parse(&["--pod-name=speaker-1"]).pod_name.as_deref(), Some("speaker-1"));
        assert_eq!(parse(&["--lb-class=example.com/lb"]).lb_class.as_deref(), Some("example.com/lb"));
        assert_eq!(parse(&["--health-probe-port=1"]).health_probe_port, 1);
        assert!(parse(&["--ignore-exclude-lb"]).ignore_exclude_lb);
        assert!(parse(&["--ignore-exclude-lb=true"]).ignore_exclude_lb);
        assert!(!parse(&["--ignore-exclude-lb=false"]).ignore_exclude_lb);
        for address in ["10.0.0.1", "fd00::1"] {
            assert_eq!(parse(&["--ml-bindaddr", address]).ml_bindaddr, address.parse().ok());
        }
        assert_eq!(parse(&["--ml-bindport=7946"]).ml_bindport, 7946);
        assert_eq!(parse(&["--ml-secret-key-path=/key"]).ml_secret_key_path, Some(PathBuf::from("/key")));
        assert_eq!(parse(&["--log-level=none"]).log.log_level, Level::None);
        assert_eq!(parse(&["--log-level=all"]).log.log_level, Level::All);
        assert_eq!(parse(&["--tls-min-version=VersionTLS12"]).tls_min_version, TlsVersion::Tls12);
        assert!(parse(&["--metrics-cert-dir=/certs"]).metrics.certificates(TlsVersion::Tls13).is_some());
    }

    #[test]
    fn a_flag_without_effect_is_named_once() {
        for (arg, name) in [
            ("--host=10.0.0.1", "--host"),
            ("--ml-labels=app=metallb,component=speaker", "--ml-labels, METALLB_ML_LABELS"),
            ("--ml-wan-config", "--ml-wan-config"),
            ("--pprof-bind-address=:6060", "--pprof-bind-address"),
            ("--frrk8s-namespace=frr-k8s-system", "--frrk8s-namespace, FRRK8S_NAMESPACE"),
            ("--frrk8s-secret-passthrough", "--frrk8s-secret-passthrough"),
            ("--bgp-debounce-timeout=3000", "--bgp-debounce-timeout, METALLB_BGP_DEBOUNCE_TIMEOUT"),
            ("--bgp-type=frr", "METALLB_BGP_TYPE"),
            ("--frr-config-file=/etc/frr_reloader/frr.conf", "FRR_CONFIG_FILE"),
            ("--frr-reloader-pid-file=/etc/frr_reloader/reloader.pid", "FRR_RELOADER_PID_FILE"),
            ("--frr-logging-level=debug", "FRR_LOGGING_LEVEL"),
            ("--tls-cipher-suites=A,B", "--tls-cipher-suites"),
            ("--tls-curve-preferences=29,23", "--tls-curve-preferences"),
        ] {
            assert_eq!(warned(&[arg]), [name]);
        }
        let what_asks_for_nothing: [&[&str]; 3] =
            [&["--ml-wan-config=false"], &["--pprof-bind-address="], &["--bgp-type=native"]];
        for args in what_asks_for_nothing {
            assert!(warned(args).is_empty(), "{args:?}");
        }
    }

    #[test]
    fn every_variable_of_metallbs_speaker_is_read() {
        let read: Vec<_> = Args::command()
            .get_arguments()
            .filter_map(|arg| arg.get_env().and_then(|name| name.to_str()).map(str::to_owned))
            .collect();
        for name in [
            "METALLB_NODE_NAME",
            "METALLB_NAMESPACE",
            "METALLB_POD_NAME",
            "METALLB_ML_BIND_ADDR",
            "METALLB_ML_BIND_PORT",
            "METALLB_ML_LABELS",
            "METALLB_ML_SECRET_KEY_PATH",
            "METALLB_BGP_TYPE",
            "METALLB_BGP_DEBOUNCE_TIMEOUT",
            "FRRK8S_NAMESPACE",
            "FRR_CONFIG_FILE",
            "FRR_RELOADER_PID_FILE",
            "FRR_LOGGING_LEVEL",
        ] {
            assert!(read.iter().any(|other| other == name), "{name} is not among {read:?}");
        }
    }
}
