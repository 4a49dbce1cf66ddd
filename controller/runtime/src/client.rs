//! The way to the API server.

use std::{path::Path, time::Duration};

/// Where a pod finds the namespace it runs in.
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// A client from the pod's ServiceAccount, or from the user's kubeconfig outside a cluster.
///
/// # Errors
/// Neither is there, or it cannot be used.
pub async fn connect() -> anyhow::Result<kube::Client> {
    let mut config = kube::Config::infer().await?;
    // A dead API server must not hold a write for minutes; watches have their own idle time-out.
    config.connect_timeout = Some(Duration::from_secs(5));
    config.write_timeout = Some(Duration::from_secs(10));
    Ok(kube::Client::try_from(config)?)
}

/// The namespace that Herald's own objects live in: the flag, else the ServiceAccount's, else `default`.
pub fn own_namespace(flag: Option<String>, default: &str) -> String {
    flag.filter(|name| !name.is_empty())
        .or_else(|| std::fs::read_to_string(Path::new(NAMESPACE_FILE)).ok().map(|text| text.trim().to_owned()))
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| default.to_owned())
}
