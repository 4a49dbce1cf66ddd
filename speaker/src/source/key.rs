//! The key that heartbeats are sealed with.

use anyhow::{Context, bail};
use herald_crds::keys;
use herald_election::Key;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use std::{path::PathBuf, time::Duration};
use tokio::time::sleep;

/// Wait before the next look for a key that is not there yet: at first start, the controller makes it while speakers wait.
const RETRY: Duration = Duration::from_millis(500);

/// Where the key is.
pub(crate) enum Place {
    /// A Secret that the API server gives.
    Secret { api: Box<Api<Secret>>, name: String },
    /// A directory in which the Secret is mounted.
    Directory(PathBuf),
}

/// Waits until there is a usable key, and says once why it waits.
pub(crate) async fn wait(place: &Place) -> Key {
    let mut said = String::new();
    loop {
        match read(place).await {
            Ok(key) => return key,
            Err(error) => {
                let error = format!("{error:#}");
                if error != said {
                    tracing::warn!(error, "waiting for the heartbeat key");
                    said = error;
                }
            }
        }
        sleep(RETRY).await;
    }
}

async fn read(place: &Place) -> anyhow::Result<Key> {
    let bytes = match place {
        Place::Secret { api, name } => {
            let secret = api.get_opt(name).await.context("cannot read the Secret")?;
            let Some(secret) = secret else { bail!("no Secret {name}; the controller makes it when it starts") };
            let Some(bytes) = secret.data.and_then(|mut data| data.remove(keys::SECRET_KEY)) else {
                bail!("Secret {name} has no data key {}", keys::SECRET_KEY)
            };
            bytes.0
        }
        Place::Directory(directory) => {
            let path = directory.join(keys::SECRET_KEY);
            std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?
        }
    };
    Key::from_secret(&bytes).context("delete the Secret and restart the controller, it makes a new one")
}
