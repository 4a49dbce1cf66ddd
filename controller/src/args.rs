//! Flags and environment. Where the meaning is MetalLB's, so is the name, so that its manifests keep working.
//!
//! A flag of MetalLB that has nothing to act on here is read, so that the pod starts, and named in a warning.

use clap::{ArgAction, Args as Group, Parser, ValueEnum};
use herald_crds::keys;
use herald_runtime::{
    admin::MetricsArgs,
    flags::{Ignored, switch},
    log::LogArgs,
    tls::TlsVersion,
};
use std::path::PathBuf;

/// Gives addresses to Services of type LoadBalancer.
#[derive(Parser, Debug)]
#[command(name = "herald-controller", version)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) log: LogArgs,

    /// Port of /metrics on all addresses; 0 serves none.
    #[arg(long, default_value_t = keys::METRICS_PORT)]
    pub(crate) port: u16,

    /// Port of /healthz and /readyz.
    #[arg(long, default_value_t = keys::HEALTH_PORT)]
    pub(crate) health_probe_port: u16,

    /// Namespace of Herald's objects; by default the pod's own.
    #[arg(long, env = "METALLB_NAMESPACE")]
    pub(crate) namespace: Option<String>,

    /// Handles the Services of this loadBalancerClass only; by default those without a class.
    #[arg(long)]
    pub(crate) lb_class: Option<String>,

    /// Secret with the key of the speakers' heartbeats; made if it is missing, never changed.
    #[arg(long, env = "METALLB_ML_SECRET_NAME", default_value = keys::DEFAULT_KEY_SECRET)]
    pub(crate) ml_secret_name: String,

    /// Name of this pod: its name in the Lease that says which replica acts. By default the host's name.
    #[arg(long, env = "METALLB_POD_NAME")]
    pub(crate) pod_name: Option<String>,

    /// UID of this pod, so that what the controller shows of itself goes with it. Without one it stays.
    #[arg(long, env = "HERALD_POD_UID")]
    pub(crate) pod_uid: Option<String>,

    #[command(flatten)]
    pub(crate) metrics: MetricsArgs,

    #[command(flatten)]
    pub(crate) webhooks: Webhooks,

    #[command(flatten)]
    pub(crate) unused: Unused,
}

/// The webhooks that the API server asks.
#[derive(Group, Debug)]
#[command(next_help_heading = "Webhooks")]
pub(crate) struct Webhooks {
    /// `enabled`: give addresses and serve webhooks; `disabled`: only the first; `onlywebhook`: only the second.
    #[arg(long, value_enum, default_value = "enabled")]
    pub(crate) webhook_mode: WebhookMode,

    /// The certificate is somebody else's, cert-manager's for example: it is read from --cert-dir and followed, and nothing is written into
    /// the webhook configuration or a CRD.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_parser = switch, action = ArgAction::Set)]
    pub(crate) disable_cert_rotation: bool,

    /// Directory with tls.crt and tls.key, read with --disable-cert-rotation only.
    #[arg(long, default_value = "/tmp/k8s-webhook-server/serving-certs")]
    pub(crate) cert_dir: PathBuf,

    /// Service that the API server reaches the webhooks through: the name in the certificate.
    #[arg(long, default_value = "webhook")]
    pub(crate) cert_service_name: String,

    /// Secret with the certificates; made if it is missing.
    #[arg(long, default_value = "metallb-webhook-cert")]
    pub(crate) webhook_secret: String,

    /// The oldest TLS that webhooks and metrics speak.
    #[arg(long, value_enum, default_value = "VersionTLS13")]
    pub(crate) tls_min_version: TlsVersion,
}

/// What MetalLB's manifests may say and nothing here needs.
#[derive(Group, Debug)]
#[command(next_help_heading = "Flags of MetalLB without effect here (a warning names those that are given)")]
pub(crate) struct Unused {
    /// Deployment of the controller: MetalLB makes it the owner of the Secret.
    #[arg(long, env = "METALLB_DEPLOYMENT")]
    deployment: Option<String>,
    /// Which BGP MetalLB uses.
    #[arg(long = "bgp-type", env = "METALLB_BGP_TYPE", hide = true)]
    bgp_type: Option<String>,
    /// HTTP/2 of the webhooks.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = switch)]
    webhook_http2: Option<bool>,
    /// Profiling of Go programs.
    #[arg(long)]
    pprof_bind_address: Option<String>,
    /// Cipher suites of TLS 1.2.
    #[arg(long)]
    tls_cipher_suites: Option<String>,
    /// Curves of TLS.
    #[arg(long)]
    tls_curve_preferences: Option<String>,
}

/// MetalLB's three ways of running webhooks.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WebhookMode {
    Enabled,
    Disabled,
    Onlywebhook,
}

impl Unused {
    /// The flags and variables that were given and do nothing.
    pub(crate) fn given(&self) -> Vec<Ignored> {
        let some = |value: &Option<String>| value.as_ref().is_some_and(|value| !value.is_empty());
        let other_bgp = some(&self.bgp_type) && self.bgp_type.as_deref() != Some("native");
        Ignored::given(&[
            (
                "--deployment, METALLB_DEPLOYMENT",
                some(&self.deployment),
                "the Secret with the heartbeats' key has no owner: it stays when the Deployment goes",
            ),
            ("METALLB_BGP_TYPE", other_bgp, "BGP is built in: there is no FRR, and no kind of BGP to choose"),
            ("--webhook-http2", self.webhook_http2 == Some(true), "the webhooks speak HTTP/1.1"),
            ("--pprof-bind-address", some(&self.pprof_bind_address), "this is no Go program: it has no pprof"),
            ("--tls-cipher-suites", some(&self.tls_cipher_suites), "only suites that are safe are offered"),
            ("--tls-curve-preferences", some(&self.tls_curve_preferences), "only curves that are safe are offered"),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use herald_runtime::{flags, log::Level};

    fn parse(args: &[&str]) -> Args {
        flags::try_parse("herald-controller", args).unwrap_or_else(|error| panic!("{args:?}: {error}"))
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
        assert_eq!(args.ml_secret_name, "memberlist");
        assert_eq!(args.log.log_level, Level::Info);
        assert_eq!(args.webhooks.webhook_mode, WebhookMode::Enabled);
        assert!(!args.webhooks.disable_cert_rotation);
        assert_eq!(args.webhooks.cert_dir, PathBuf::from("/tmp/k8s-webhook-server/serving-certs"));
        assert_eq!(args.webhooks.webhook_secret, "metallb-webhook-cert");
        assert_eq!(args.webhooks.tls_min_version, TlsVersion::Tls13);
        assert!(args.metrics.certificates(TlsVersion::Tls13).is_none());
        assert_eq!(args.unused.given(), []);
    }

    #[test]
    fn every_flag_of_metallbs_controller_is_read() {
        assert_eq!(parse(&["--port=7472"]).port, 7472);
        assert_eq!(parse(&["-port", "0"]).port, 0);
        assert_eq!(parse(&["--namespace=metallb-system"]).namespace.as_deref(), Some("metallb-system"));
        assert_eq!(parse(&["--ml-secret-name=key"]).ml_secret_name, "key");
        assert_eq!(parse(&["--health-probe-port=1"]).health_probe_port, 1);
        assert_eq!(parse(&["--lb-class=example.com/lb"]).lb_class.as_deref(), Some("example.com/lb"));
        assert_eq!(parse(&["--pod-name=controller-1"]).pod_name.as_deref(), Some("controller-1"));
        assert_eq!(parse(&["--cert-service-name=front"]).webhooks.cert_service_name, "front");
        assert_eq!(parse(&["--cert-dir=/certs"]).webhooks.cert_dir, PathBuf::from("/certs"));
        assert_eq!(parse(&["--webhook-secret=certs"]).webhooks.webhook_secret, "certs");
        assert!(parse(&["--disable-cert-rotation"]).webhooks.disable_cert_rotation);
        assert!(!parse(&["--disable-cert-rotation=false"]).webhooks.disable_cert_rotation);
        assert_eq!(parse(&["--tls-min-version=VersionTLS12"]).webhooks.tls_min_version, TlsVersion::Tls12);
        assert!(parse(&["--metrics-cert-dir=/certs"]).metrics.certificates(TlsVersion::Tls13).is_some());
        assert!(parse(&["--metrics-cert-dir="]).metrics.certificates(TlsVersion::Tls13).is_none());
        for (word, mode) in [
            ("enabled", WebhookMode::Enabled),
            ("disabled", WebhookMode::Disabled),
            ("onlywebhook", WebhookMode::Onlywebhook),
        ] {
            assert_eq!(parse(&["--webhook-mode", word]).webhooks.webhook_mode, mode);
        }
        for (word, level) in [
            ("all", Level::All),
            ("debug", Level::Debug),
            ("info", Level::Info),
            ("warn", Level::Warn),
            ("error", Level::Error),
            ("none", Level::None),
        ] {
            assert_eq!(parse(&["--log-level", word]).log.log_level, level);
        }
    }

    #[test]
    fn a_flag_without_effect_is_named_once() {
        assert_eq!(warned(&["--deployment=controller"]), ["--deployment, METALLB_DEPLOYMENT"]);
        assert_eq!(warned(&["--webhook-http2"]), ["--webhook-http2"]);
        assert_eq!(warned(&["--pprof-bind-address=:6060"]), ["--pprof-bind-address"]);
        assert_eq!(warned(&["--tls-cipher-suites=A,B"]), ["--tls-cipher-suites"]);
        assert_eq!(warned(&["--tls-curve-preferences=29,23"]), ["--tls-curve-preferences"]);
        assert_eq!(warned(&["--bgp-type=frr-k8s"]), ["METALLB_BGP_TYPE"]);
        let what_asks_for_nothing: [&[&str]; 4] =
            [&["--webhook-http2=false"], &["--pprof-bind-address="], &["--tls-cipher-suites="], &["--bgp-type=native"]];
        for args in what_asks_for_nothing {
            assert!(warned(args).is_empty(), "{args:?}");
        }
    }

    #[test]
    fn every_variable_of_metallbs_controller_is_read() {
        let read: Vec<_> = Args::command()
            .get_arguments()
            .filter_map(|arg| arg.get_env().and_then(|name| name.to_str()).map(str::to_owned))
            .collect();
        for name in [
            "METALLB_NAMESPACE",
            "METALLB_ML_SECRET_NAME",
            "METALLB_DEPLOYMENT",
            "METALLB_POD_NAME",
            "METALLB_BGP_TYPE",
        ] {
            assert!(read.iter().any(|other| other == name), "{name} is not among {read:?}");
        }
    }
}
