//! `/healthz`, `/readyz` and `/metrics`.
//!
//! Alive means that the process answers. Ready means that every [`Readiness`] condition holds; `/readyz` names those that do
//! not, so that `kubectl describe pod` shows why a pod is not ready.

use crate::tls::{self, TlsListener, TlsVersion};
use axum::{
    Router, extract::State, http::StatusCode, http::header::CONTENT_TYPE, response::IntoResponse, routing::get,
};
use clap::Args;
use prometheus_client::registry::Registry;
use std::{
    fmt::Write,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{net::TcpListener, sync::watch};

/// What must hold before a pod counts as ready. Clones share their state.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<[(&'static str, AtomicBool)]>);

impl Readiness {
    /// Names the conditions; none holds yet.
    pub fn new(conditions: &[&'static str]) -> Self {
        Self(conditions.iter().map(|name| (*name, AtomicBool::new(false))).collect())
    }

    /// Says whether a condition holds now. A name that [`Readiness::new`] was not given changes nothing.
    pub fn set(&self, condition: &str, holds: bool) {
        if let Some((_, state)) = self.0.iter().find(|(name, _)| *name == condition) {
            state.store(holds, Ordering::Relaxed);
        }
    }

    /// The conditions that do not hold, in the order they were named.
    pub fn missing(&self) -> Vec<&'static str> {
        self.0.iter().filter(|(_, state)| !state.load(Ordering::Relaxed)).map(|(name, _)| *name).collect()
    }
}

/// Serves `/healthz` and `/readyz` until the listener fails.
///
/// # Errors
/// The address cannot be bound.
pub async fn serve_health(address: SocketAddr, readiness: Readiness) -> io::Result<()> {
    let router =
        Router::new().route("/healthz", get(|| async { "ok\n" })).route("/readyz", get(readyz)).with_state(readiness);
    axum::serve(TcpListener::bind(address).await?, router).await
}

/// The flags of `/metrics` beside its port.
#[derive(Args, Debug)]
pub struct MetricsArgs {
    /// Serves /metrics as HTTPS with the certificate of this directory (tls.crt and tls.key, followed when they change); without it, as plain HTTP.
    #[arg(long)]
    metrics_cert_dir: Option<String>,
}

/// Where the certificate of `/metrics` is, and the oldest TLS to speak with it.
#[derive(Debug)]
pub struct Certificates {
    directory: PathBuf,
    oldest: TlsVersion,
}

impl MetricsArgs {
    /// The certificate to serve with; none for plain HTTP.
    pub fn certificates(&self, oldest: TlsVersion) -> Option<Certificates> {
        let directory = self.metrics_cert_dir.as_ref().filter(|directory| !directory.is_empty())?;
        Some(Certificates { directory: directory.into(), oldest })
    }
}

/// Serves `/metrics` in the OpenMetrics text format until the listener fails. Port 0 in MetalLB's flag means "do not": callers check.
///
/// With certificates, it speaks TLS and nothing else; handshakes fail until there is one in the directory.
///
/// # Errors
/// The address cannot be bound.
pub async fn serve_metrics(
    address: SocketAddr,
    certificates: Option<Certificates>,
    registry: impl Into<Arc<Registry>>,
) -> anyhow::Result<()> {
    let router = Router::new().route("/metrics", get(metrics)).with_state(registry.into());
    let Some(Certificates { directory, oldest }) = certificates else {
        return Ok(axum::serve(TcpListener::bind(address).await?, router).await?);
    };
    let (current, shown) = watch::channel(None);
    let listener = TlsListener::bind(address, &oldest.versions(), shown).await?;
    tokio::spawn(tls::follow_files("metrics", directory, current));
    Ok(axum::serve(listener, router).await?)
}

async fn readyz(State(readiness): State<Readiness>) -> impl IntoResponse {
    let missing = readiness.missing();
    if missing.is_empty() {
        return (StatusCode::OK, "ok\n".to_owned());
    }
    let mut text = String::new();
    for name in missing {
        let _ = writeln!(text, "not yet: {name}");
    }
    (StatusCode::SERVICE_UNAVAILABLE, text)
}

async fn metrics(State(registry): State<Arc<Registry>>) -> impl IntoResponse {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &registry) {
        Ok(()) => {
            (StatusCode::OK, [(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
        }
        Err(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, [(CONTENT_TYPE, "text/plain")], "cannot encode metrics\n".to_owned())
        }
    }
}

/// One socket for both families; a kernel without IPv6 has no such file and no such socket.
pub fn any() -> IpAddr {
    if Path::new("/proc/net/if_inet6").exists() {
        IpAddr::from(Ipv6Addr::UNSPECIFIED)
    } else {
        IpAddr::from(Ipv4Addr::UNSPECIFIED)
    }
}
