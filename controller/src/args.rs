//! Flags and environment. Where the meaning is MetalLB's, so is the name, so that its manifests keep working.
//!
//! A flag of MetalLB whose feature Herald does not have yet is read, so that the pod starts, and named in a warning; where ignoring it would
//! do something else than its user asked for, the start is refused with what to change.

use anyhow::bail;
use clap::{Args as Group, Parser, ValueEnum};
use herald_crds::keys;
use herald_runtime::log::LogArgs;
use std::path::PathBuf;

/// Gives addresses to Services of type LoadBalancer.
#[derive(Parser, Debug)]
#[command(name = "herald-controller", version)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) log: LogArgs,

    /// Port of /metrics, plain HTTP on all addresses; 0 serves none.
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
    #[arg(long, num_args = 0..=1, default_value_t = false, default_missing_value = "true", action = clap::ArgAction::Set)]
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

    /// The oldest TLS that the webhooks speak.
    #[arg(long, value_enum, default_value = "VersionTLS13")]
    pub(crate) tls_min_version: TlsVersion,
}

/// The versions of TLS, by the names of Go.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TlsVersion {
    #[value(name = "VersionTLS12")]
    Tls12,
    #[value(name = "VersionTLS13")]
    Tls13,
}

/// What MetalLB's manifests may say and nothing here needs.
#[derive(Group, Debug)]
#[command(next_help_heading = "Flags of MetalLB without effect here (a warning names those that are given)")]
pub(crate) struct Unused {
    /// Deployment of the controller; MetalLB makes it the owner of the Secret, Herald keeps the Secret when the Deployment goes.
    #[arg(long, env = "METALLB_DEPLOYMENT")]
    deployment: Option<String>,
    /// HTTP/2 of the webhooks: they speak HTTP/1.1.
    #[arg(long, num_args = 0..=1, default_missing_value = "true")]
    webhook_http2: Option<String>,
    /// Profiling of Go programs.
    #[arg(long)]
    pprof_bind_address: Option<String>,
    /// TLS of the webhooks and metrics.
    #[arg(long)]
    tls_cipher_suites: Option<String>,
    /// TLS of the webhooks and metrics.
    #[arg(long)]
    tls_curve_preferences: Option<String>,
    /// Certificate of /metrics; refused, because metrics are served as plain HTTP and somebody relies on TLS.
    #[arg(long)]
    metrics_cert_dir: Option<String>,
}

/// MetalLB's three ways of running webhooks.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WebhookMode {
    Enabled,
    Disabled,
    Onlywebhook,
}

impl Unused {
    /// The flags that were given and do nothing.
    ///
    /// # Errors
    /// One was given that must not be ignored.
    pub(crate) fn given(&self) -> anyhow::Result<Vec<&'static str>> {
        if self.metrics_cert_dir.as_deref().is_some_and(|directory| !directory.is_empty()) {
            bail!("--metrics-cert-dir: metrics are served as plain HTTP; remove the flag, or serve none with --port=0");
        }
        let texts = [
            ("--webhook-http2", &self.webhook_http2),
            ("--pprof-bind-address", &self.pprof_bind_address),
            ("--tls-cipher-suites", &self.tls_cipher_suites),
            ("--tls-curve-preferences", &self.tls_curve_preferences),
        ];
        // `--deployment` asks for nothing that is missing.
        Ok(texts.into_iter().filter(|(_, value)| value.is_some()).map(|(flag, _)| flag).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(args: &[&str]) -> Args {
        Args::try_parse_from([&["herald-controller"], args].concat()).expect("flags")
    }

    #[test]
    fn the_flags_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_arguments_of_metallbs_manifests_are_understood() {
        let args =
            parse(&["--port=9120", "--log-level=info", "--tls-min-version=VersionTLS12", "--webhook-mode", "disabled"]);
        assert_eq!(args.port, 9120);
        assert_eq!(args.webhooks.tls_min_version, TlsVersion::Tls12);
        assert_eq!(args.webhooks.webhook_mode, WebhookMode::Disabled);
        assert!(args.unused.given().expect("nothing to refuse").is_empty());
        let args = parse(&["--disable-cert-rotation", "--tls-cipher-suites=X", "--webhook-mode=onlywebhook"]);
        assert!(args.webhooks.disable_cert_rotation);
        assert_eq!(args.unused.given().expect("nothing to refuse"), ["--tls-cipher-suites"]);
        assert!(!parse(&["--disable-cert-rotation=false"]).webhooks.disable_cert_rotation);
    }

    #[test]
    fn what_must_not_be_ignored_is_refused() {
        assert!(parse(&["--metrics-cert-dir=/certs"]).unused.given().is_err());
    }
}
