//! The Secret that the speakers' heartbeats are sealed with.
//!
//! Made once if it is missing, with 256 random bits; one that exists is never changed, because every speaker would have to change with it. The
//! key is never logged.

use anyhow::{Context, anyhow};
use herald_crds::keys;
use herald_runtime::error::say;
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{Api, api::PostParams};
use ring::rand::{SecureRandom, SystemRandom};
use std::{collections::BTreeMap, time::Duration};

/// Bytes of the key.
const KEY_BYTES: usize = 32;
/// How long until the next try: speakers cannot start without the key.
const PAUSE: Duration = Duration::from_secs(2);

/// Sees to it that the Secret exists, however long the API server is away.
pub(crate) async fn ensure(api: Api<Secret>, name: String) {
    let mut said = String::new();
    loop {
        match try_ensure(&api, &name).await {
            Ok(()) => return,
            Err(error) => {
                let text = format!("{error:#}");
                if text != said {
                    tracing::error!(secret = name, error = text, "no key for the heartbeats, trying again");
                    said = text;
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn try_ensure(api: &Api<Secret>, name: &str) -> anyhow::Result<()> {
    let existing = api.get_opt(name).await.map_err(|error| anyhow!(say(&error))).context("cannot read the Secret")?;
    if let Some(secret) = existing {
        let filled = secret.data.unwrap_or_default().get(keys::SECRET_KEY).is_some_and(|key| !key.0.is_empty());
        return if filled {
            Ok(())
        } else {
            Err(anyhow!("the Secret exists without the key {}; delete it, and it is made anew", keys::SECRET_KEY))
        };
    }
    match api.create(&PostParams::default(), &fresh(name)?).await {
        Ok(_) => {
            tracing::info!(secret = name, "made the key for the heartbeats");
            Ok(())
        }
        // The other replica was faster.
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        Err(error) => Err(anyhow!(say(&error)).context("cannot make the Secret")),
    }
}

/// The value is the text of the key in base64, as MetalLB makes it, so that either can use the other's.
fn fresh(name: &str) -> anyhow::Result<Secret> {
    let mut key = vec![0; KEY_BYTES];
    SystemRandom::new().fill(&mut key).map_err(|_| anyhow!("the system has no randomness"))?;
    let text = match serde_json::to_value(ByteString(key)) {
        Ok(serde_json::Value::String(text)) => text,
        _ => return Err(anyhow!("bytes have a form in base64")),
    };
    Ok(Secret {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        data: Some(BTreeMap::from([(keys::SECRET_KEY.to_owned(), ByteString(text.into_bytes()))])),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_44_characters_of_base64_and_another_one() {
        let key = || fresh("memberlist").unwrap().data.unwrap().remove(keys::SECRET_KEY).unwrap().0;
        let (a, b) = (key(), key());
        assert_eq!((a.len(), b.len()), (44, 44));
        assert!(a.iter().all(u8::is_ascii) && a.ends_with(b"="));
        assert_ne!(a, b);
    }
}
