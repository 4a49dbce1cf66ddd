//! A pod's volumes as directories of this machine, ServiceAccount tokens among them.
//!
//! Secrets are followed, ConfigMaps written once, tokens renewed before they end. The rest of what Kubernetes mounts is refused by name.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::{
    ByteString,
    api::{
        authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec},
        core::v1::{
            ConfigMap, ConfigMapVolumeSource, DownwardAPIVolumeFile, KeyToPath, Pod, Secret, SecretVolumeSource,
            ServiceAccount, ServiceAccountTokenProjection, Volume,
        },
    },
};
use kube::{Api, Client, api::PostParams};

use super::env::{self, Sources};

/// How often a mounted Secret is looked at; a kubelet needs up to a minute.
const FOLLOW: Duration = Duration::from_secs(2);

/// Where a pod's volumes are, by their names, and the tokens and Secrets among them.
#[derive(Debug, Default)]
pub(super) struct Volumes {
    pub(super) paths: BTreeMap<String, PathBuf>,
    pub(super) tokens: Vec<Token>,
    pub(super) secrets: Vec<MountedSecret>,
}

/// A Secret that is a volume.
#[derive(Debug, Clone)]
pub(super) struct MountedSecret {
    path: PathBuf,
    source: SecretVolumeSource,
    /// As it was written.
    version: Option<String>,
}

/// A token in a file.
#[derive(Debug, Clone)]
pub(super) struct Token {
    file: PathBuf,
    source: ServiceAccountTokenProjection,
}

/// Makes the volumes of `pod` below `directory`.
///
/// # Errors
///
/// Says which volume is not there yet, or not supported.
pub(super) async fn make(client: &Client, pod: &Pod, sources: &Sources, directory: &Path) -> Result<Volumes> {
    let mut volumes = Volumes::default();
    let Some(spec) = &pod.spec else { return Ok(volumes) };
    for volume in spec.volumes.iter().flatten() {
        let path = directory.join(&volume.name);
        let path = volume_at(client, pod, sources, volume, path, &mut volumes.tokens)
            .await
            .with_context(|| format!("volume \"{}\"", volume.name))?;
        if let Some(source) = &volume.secret {
            volumes.secrets.push(MountedSecret { path: path.clone(), source: source.clone(), version: None });
        }
        volumes.paths.insert(volume.name.clone(), path);
    }
    Ok(volumes)
}

/// Keeps `tokens` fresh, for ever.
pub(super) async fn renew(client: Client, pod: Pod, tokens: Vec<Token>) {
    let Some(shortest) = tokens.iter().map(|token| token.lifetime()).min() else { return };
    loop {
        tokio::time::sleep(shortest * 4 / 5).await;
        for token in &tokens {
            while let Err(error) = token.write(&client, &pod).await {
                tracing::warn!(error = format!("{error:#}"), "renewing a token failed");
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
        }
    }
}

/// Writes Secrets again when they change, for ever.
pub(super) async fn follow(client: Client, pod: Pod, mut secrets: Vec<MountedSecret>) {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace(&pod));
    while !secrets.is_empty() {
        tokio::time::sleep(FOLLOW).await;
        for mounted in &mut secrets {
            let name = mounted.source.secret_name.as_deref().unwrap_or_default();
            let Ok(Some(object)) = api.get_opt(name).await else { continue };
            if object.metadata.resource_version == mounted.version {
                continue;
            }
            match secret(&client, &pod, &mounted.source, &mounted.path).await {
                Ok(()) => mounted.version = object.metadata.resource_version,
                Err(error) => tracing::warn!(error = format!("{error:#}"), "following a Secret failed"),
            }
        }
    }
}

async fn volume_at(
    client: &Client,
    pod: &Pod,
    sources: &Sources,
    volume: &Volume,
    path: PathBuf,
    tokens: &mut Vec<Token>,
) -> Result<PathBuf> {
    if let Some(host) = &volume.host_path {
        let host_path = PathBuf::from(&host.path);
        match host.type_.as_deref() {
            Some("DirectoryOrCreate") => fs::create_dir_all(&host_path)?,
            Some("FileOrCreate") if !host_path.exists() => {
                fs::File::create(&host_path)?;
            }
            _ => {}
        }
        return Ok(host_path);
    }
    fs::create_dir_all(&path)?;
    if volume.empty_dir.is_some() {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777))?;
    } else if let Some(source) = &volume.secret {
        secret(client, pod, source, &path).await?;
    } else if let Some(source) = &volume.config_map {
        config_map(client, pod, source, &path).await?;
    } else if let Some(source) = &volume.downward_api {
        downward(pod, sources, source.items.as_deref().unwrap_or_default(), &path)?;
    } else if let Some(projected) = &volume.projected {
        for source in projected.sources.iter().flatten() {
            if let Some(source) = &source.service_account_token {
                let token = Token { file: path.join(&source.path), source: source.clone() };
                token.write(client, pod).await?;
                tokens.push(token);
            } else if let Some(source) = &source.config_map {
                let source = ConfigMapVolumeSource {
                    name: source.name.clone(),
                    items: source.items.clone(),
                    optional: source.optional,
                    default_mode: projected.default_mode,
                };
                config_map(client, pod, &source, &path).await?;
            } else if let Some(source) = &source.secret {
                let source = SecretVolumeSource {
                    secret_name: Some(source.name.clone()),
                    items: source.items.clone(),
                    optional: source.optional,
                    default_mode: projected.default_mode,
                };
                secret(client, pod, &source, &path).await?;
            } else if let Some(source) = &source.downward_api {
                downward(pod, sources, source.items.as_deref().unwrap_or_default(), &path)?;
            } else {
                bail!("the lab's kubelet does not know this projected source");
            }
        }
    } else {
        bail!("the lab's kubelet knows emptyDir, secret, configMap, downwardAPI, projected and hostPath only");
    }
    Ok(path)
}

async fn secret(client: &Client, pod: &Pod, source: &SecretVolumeSource, path: &Path) -> Result<()> {
    let name = source.secret_name.as_deref().unwrap_or_default();
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace(pod));
    match secrets.get_opt(name).await? {
        Some(secret) => {
            let data =
                secret.data.unwrap_or_default().into_iter().map(|(key, ByteString(value))| (key, value)).collect();
            write_items(path, &data, source.items.as_deref(), source.default_mode)
        }
        None if source.optional == Some(true) => Ok(()),
        None => bail!("secret \"{name}\" not found"),
    }
}

async fn config_map(client: &Client, pod: &Pod, source: &ConfigMapVolumeSource, path: &Path) -> Result<()> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace(pod));
    match maps.get_opt(&source.name).await? {
        Some(map) => {
            let mut data: BTreeMap<String, Vec<u8>> =
                map.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.into_bytes())).collect();
            data.extend(map.binary_data.unwrap_or_default().into_iter().map(|(key, ByteString(value))| (key, value)));
            write_items(path, &data, source.items.as_deref(), source.default_mode)
        }
        None if source.optional == Some(true) => Ok(()),
        None => bail!("configmap \"{}\" not found", source.name),
    }
}

fn downward(pod: &Pod, sources: &Sources, items: &[DownwardAPIVolumeFile], path: &Path) -> Result<()> {
    for item in items {
        let Some(field) = &item.field_ref else { bail!("the lab's kubelet knows fieldRef only") };
        write(&path.join(&item.path), env::field(pod, &field.field_path, sources)?.as_bytes(), item.mode)?;
    }
    Ok(())
}

fn write_items(
    directory: &Path,
    data: &BTreeMap<String, Vec<u8>>,
    items: Option<&[KeyToPath]>,
    mode: Option<i32>,
) -> Result<()> {
    let Some(items) = items else {
        return data.iter().try_for_each(|(key, value)| write(&directory.join(key), value, mode));
    };
    for item in items {
        let value = data.get(&item.key).with_context(|| format!("there is no key \"{}\"", item.key))?;
        write(&directory.join(&item.path), value, item.mode.or(mode))?;
    }
    Ok(())
}

/// Writes a file under another name first, so that a reader sees the old content or the new one.
fn write(path: &Path, content: &[u8], mode: Option<i32>) -> Result<()> {
    let what = || format!("writing {}", path.display());
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(what)?;
    }
    let fresh = path.with_extension("fresh");
    fs::write(&fresh, content).with_context(what)?;
    fs::set_permissions(&fresh, fs::Permissions::from_mode(mode.unwrap_or(0o644).unsigned_abs())).with_context(what)?;
    fs::rename(&fresh, path).with_context(what)
}

impl Token {
    fn lifetime(&self) -> Duration {
        Duration::from_secs(self.source.expiration_seconds.unwrap_or(3600).max(600).unsigned_abs())
    }

    /// Asks for a token bound to the pod and writes it.
    async fn write(&self, client: &Client, pod: &Pod) -> Result<()> {
        let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref()).unwrap_or("default");
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace(pod));
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: self.source.audience.clone().into_iter().collect(),
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Pod".to_owned()),
                    name: pod.metadata.name.clone(),
                    uid: pod.metadata.uid.clone(),
                }),
                expiration_seconds: self.source.expiration_seconds,
            },
            ..TokenRequest::default()
        };
        let answer = accounts
            .create_token_request(account, &PostParams::default(), &request)
            .await
            .with_context(|| format!("asking for a token of the ServiceAccount {account}"))?;
        let token = answer.status.context("the API server gave no token")?.token;
        // Readable by every user of the pod, which is what the file's mode is with a group for the pod.
        write(&self.file, token.as_bytes(), None)
    }
}

fn namespace(pod: &Pod) -> &str {
    pod.metadata.namespace.as_deref().unwrap_or("default")
}
