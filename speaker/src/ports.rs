//! The ports of health and metrics: opened, and given up to another process on the same node.

use crate::args::Args;
use herald_runtime::admin::{self, Readiness};
use prometheus_client::registry::Registry;
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};
use tokio::task::JoinHandle;

/// Health and metrics, beside everything else. A port that is taken is said and costs only that endpoint.
pub(crate) struct Ports {
    args: Arc<Args>,
    readiness: Readiness,
    registry: Arc<Registry>,
    open: Vec<JoinHandle<()>>,
}

impl Ports {
    /// Closed.
    pub(crate) fn new(args: Arc<Args>, readiness: Readiness, registry: Registry) -> Self {
        Self { args, readiness, registry: Arc::new(registry), open: Vec::new() }
    }

    pub(crate) fn open(&mut self) {
        let health = SocketAddr::from((Ipv4Addr::LOCALHOST, self.args.health_probe_port));
        let readiness = self.readiness.clone();
        self.open.push(tokio::spawn(async move {
            if let Err(error) = admin::serve_health(health, readiness).await {
                tracing::error!(%error, address = %health, "cannot serve health; choose another --health-probe-port");
            }
        }));
        if self.args.port == 0 {
            return;
        }
        let metrics = SocketAddr::from((admin::any(), self.args.port));
        let certificates = self.args.metrics.certificates(self.args.tls_min_version);
        let registry = Arc::clone(&self.registry);
        self.open.push(tokio::spawn(async move {
            if let Err(error) = admin::serve_metrics(metrics, certificates, registry).await {
                tracing::error!(error = format!("{error:#}"), address = %metrics, "cannot serve metrics; choose another --port");
            }
        }));
    }

    /// Free for another process when this returns.
    pub(crate) async fn close(&mut self) {
        for task in self.open.drain(..) {
            task.abort();
            // It was cancelled, or had ended before.
            let _ = task.await;
        }
    }
}
