//! One pod's life, from bound to gone.
//!
//! ```text
//!   bound ─> network ─> volumes and environment ─> init containers, one by one ─> containers ─> deleted or ended for good
//!              (each is tried again until it works or the pod is deleted)            │             │
//!                                                          reports ──> status <──────┘   SIGTERM, grace, SIGKILL
//!                                                                                        network removed, object deleted
//! ```

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use k8s_openapi::{
    api::core::v1::{ConfigMap, Container, Pod, PodCondition, Secret},
    apimachinery::pkg::apis::meta::v1::Time,
    jiff::Timestamp,
};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use super::{
    Kubelet, Wish,
    container::{self, Stop},
    env::{self, Sources},
    network::Network,
    spec::{self, Ground},
    status::{self, Report, View},
    volumes::{self, Volumes},
};

/// Between tries of something that is not there yet, such as a Secret.
const RETRY: Duration = Duration::from_millis(250);

/// Longest wait for an answer of the API server.
const ANSWER: Duration = Duration::from_secs(10);

/// Runs a pod until it is gone from the API server.
pub(super) async fn run(kubelet: Arc<Kubelet>, pod: Pod, wishes: watch::Receiver<Wish>) {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending");
    let over = matches!(phase, "Succeeded" | "Failed");
    let mut life = Life::new(kubelet, pod, wishes);
    if !over {
        let network = life.live().await;
        if let Some(network) = network
            && let Ok(Err(error)) = tokio::task::spawn_blocking(move || network.remove()).await
        {
            tracing::warn!(error = format!("{error:#}"), "removing a pod's network failed");
        }
    }
    life.leave().await;
}

struct Life {
    kubelet: Arc<Kubelet>,
    pod: Pod,
    wishes: watch::Receiver<Wish>,
    directory: PathBuf,
    addresses: Vec<IpAddr>,
    since: Time,
    init: Vec<Report>,
    containers: Vec<Report>,
    told: Vec<PodCondition>,
    /// The newest status; a task of its own writes it, because a server that does not answer must not keep a pod from ending.
    status: watch::Sender<Value>,
    writer: tokio::task::JoinHandle<()>,
}

impl Life {
    fn new(kubelet: Arc<Kubelet>, pod: Pod, wishes: watch::Receiver<Wish>) -> Self {
        let directory = kubelet.settings.directory.join(format!(
            "{}_{}_{}",
            namespace(&pod),
            name(&pod),
            pod.metadata.uid.as_deref().unwrap_or_default()
        ));
        let spec = pod.spec.as_ref();
        let reports = |count: usize| vec![Report::waiting("ContainerCreating", ""); count];
        let init = reports(spec.and_then(|spec| spec.init_containers.as_ref()).map_or(0, Vec::len));
        let containers = reports(spec.map_or(0, |spec| spec.containers.len()));
        let (status, values) = watch::channel(Value::Null);
        let writer = tokio::spawn(write_statuses(Arc::clone(&kubelet), pod.clone(), values));
        let since = pod.status.as_ref().and_then(|status| status.start_time.clone()).unwrap_or_else(now);
        Self {
            kubelet,
            pod,
            wishes,
            directory,
            addresses: Vec::new(),
            since,
            init,
            containers,
            told: Vec::new(),
            status,
            writer,
        }
    }

    /// From network to the last container's end; returns the network, if the pod has one of its own.
    async fn live(&mut self) -> Option<Network> {
        let mut network = None;
        if host_network(&self.pod) {
            self.addresses = self.kubelet.settings.addresses.clone();
        } else {
            let kubelet = Arc::clone(&self.kubelet);
            let made = tokio::task::spawn_blocking(move || kubelet.networks.add()).await;
            match made.map_err(anyhow::Error::from).and_then(|made| made) {
                Ok(made) => {
                    self.addresses = made.addresses.clone();
                    if self.kubelet.settings.addresses.first().is_some_and(IpAddr::is_ipv6) {
                        self.addresses.reverse();
                    }
                    network = Some(made);
                }
                Err(error) => {
                    self.fail("CreatePodSandboxError", &format!("{error:#}"));
                    self.asked_to_end().await;
                    return None;
                }
            }
        }
        self.tell();
        let Some((sources, volumes)) = self.prepare().await else { return network };
        let client = &self.kubelet.client;
        let renewal = tokio::spawn(volumes::renew(client.clone(), self.pod.clone(), volumes.tokens.clone()));
        let following = tokio::spawn(volumes::follow(client.clone(), self.pod.clone(), volumes.secrets.clone()));
        let namespace = network.as_ref().map(|network| PathBuf::from("/run/netns").join(network.namespace.name()));
        if self.run_containers(true, &sources, &volumes, namespace.as_deref()).await {
            self.run_containers(false, &sources, &volumes, namespace.as_deref()).await;
        }
        renewal.abort();
        following.abort();
        network
    }

    /// Volumes and what environments refer to; nothing when the pod is deleted before they are there.
    async fn prepare(&mut self) -> Option<(Sources, Volumes)> {
        loop {
            let made = tokio::time::timeout(ANSWER, self.fetch()).await;
            match made.unwrap_or_else(|_| Err(anyhow::anyhow!("the API server does not answer"))) {
                Ok(made) => return Some(made),
                Err(error) => {
                    tracing::info!(pod = name(&self.pod), error = format!("{error:#}"), "the pod cannot start yet");
                    self.fail("CreateContainerConfigError", &format!("{error:#}"));
                }
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                () = self.asked_to_end() => return None,
            }
        }
    }

    async fn fetch(&self) -> Result<(Sources, Volumes)> {
        let kubelet = &self.kubelet;
        let spec = self.pod.spec.as_ref().context("the pod has no spec")?;
        let all: Vec<Container> = spec.init_containers.iter().flatten().chain(&spec.containers).cloned().collect();
        let (secret_names, map_names) = env::references(&all);
        let mut sources = Sources {
            host_ips: kubelet.settings.addresses.clone(),
            pod_ips: self.addresses.clone(),
            api_server: kubelet.api_server().await?,
            node: kubelet.settings.node.clone(),
            ..Sources::default()
        };
        let secrets: Api<Secret> = Api::namespaced(kubelet.client.clone(), namespace(&self.pod));
        for name in secret_names {
            if let Some(secret) = secrets.get_opt(&name).await? {
                sources.secrets.insert(name, secret);
            }
        }
        let maps: Api<ConfigMap> = Api::namespaced(kubelet.client.clone(), namespace(&self.pod));
        for name in map_names {
            if let Some(map) = maps.get_opt(&name).await? {
                sources.config_maps.insert(name, map);
            }
        }
        for container in &all {
            env::environment(&self.pod, container, &sources)?;
        }
        let volumes = volumes::make(&kubelet.client, &self.pod, &sources, &self.directory.join("volumes")).await?;
        Ok((sources, volumes))
    }

    /// Runs the init containers, or the others, to their end. Says whether the pod goes on.
    async fn run_containers(
        &mut self,
        init: bool,
        sources: &Sources,
        volumes: &Volumes,
        network: Option<&Path>,
    ) -> bool {
        let spec = self.pod.spec.clone().unwrap_or_default();
        let containers = if init { spec.init_containers.unwrap_or_default() } else { spec.containers };
        let (stop, stops) = watch::channel::<Stop>(None);
        let (tell, mut reports) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        for (index, container) in containers.iter().enumerate() {
            let ground = Ground {
                settings: &self.kubelet.settings,
                pod: &self.pod,
                directory: &self.directory,
                addresses: &self.addresses,
                network,
                sources,
                volumes,
            };
            let made = match spec::decide(&ground, container, init) {
                Ok(made) => made,
                Err(error) => {
                    tracing::warn!(
                        pod = name(&self.pod),
                        container = container.name,
                        error = format!("{error:#}"),
                        "the container cannot start"
                    );
                    self.reports(init)[index] = Report::waiting("CreateContainerError", &format!("{error:#}"));
                    self.tell();
                    let mut stops = stops.clone();
                    // Others of the pod run on; this one waits for the end.
                    tasks.spawn(async move { drop(stops.wait_for(Option::is_some).await) });
                    continue;
                }
            };
            let (one, mut many) = mpsc::unbounded_channel();
            let tell = tell.clone();
            tasks.spawn(container::run(made, stops.clone(), one));
            tasks.spawn(async move {
                while let Some(report) = many.recv().await {
                    let _ = tell.send((index, report));
                }
            });
            if init {
                // One after the other.
                self.follow(true, &mut tasks, &mut reports, &stop).await;
                if !self.init[index].succeeded() {
                    return false;
                }
            }
        }
        drop(tell);
        if !init {
            self.follow(false, &mut tasks, &mut reports, &stop).await;
        }
        !self.ending()
    }

    /// Tells what the containers report, and stops them when asked to, until all tasks have ended.
    async fn follow(
        &mut self,
        init: bool,
        tasks: &mut JoinSet<()>,
        reports: &mut mpsc::UnboundedReceiver<(usize, Report)>,
        stop: &watch::Sender<Stop>,
    ) {
        loop {
            if stop.borrow().is_none()
                && let Some(grace) = self.grace()
            {
                stop.send_replace(Some(grace));
            }
            tokio::select! {
                biased;
                Some((index, report)) = reports.recv() => {
                    self.reports(init)[index] = report;
                    self.tell();
                }
                changed = self.wishes.changed() => {
                    if changed.is_err() {
                        stop.send_replace(Some(Duration::ZERO));
                    }
                    if let Wish::Object(pod) = &*self.wishes.borrow_and_update() {
                        self.pod = (**pod).clone();
                    }
                    self.tell();
                }
                ended = tasks.join_next() => if ended.is_none() {
                    return;
                },
            }
        }
    }

    /// Writes the last status and removes the object once it may go.
    async fn leave(mut self) {
        self.asked_to_end().await;
        let Self { kubelet, pod, wishes, directory, status, writer, .. } = self;
        // The writer ends when it has written what it was given last.
        drop(status);
        let _ = tokio::time::timeout(ANSWER, writer).await;
        let _ = std::fs::remove_dir_all(&directory);
        let pods: Api<Pod> = Api::namespaced(kubelet.client.clone(), namespace(&pod));
        let mut params = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        params.preconditions = Some(Preconditions { uid: pod.metadata.uid.clone(), resource_version: None });
        while !matches!(&*wishes.borrow(), Wish::Gone) {
            match tokio::time::timeout(ANSWER, pods.delete(name(&pod), &params)).await {
                Ok(Ok(_)) => return,
                Ok(Err(kube::Error::Api(status))) if status.is_not_found() || status.is_conflict() => return,
                Ok(Err(error)) => tracing::warn!(%error, "deleting a pod that ended failed"),
                Err(_) => {}
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Waits until the pod shall end.
    async fn asked_to_end(&mut self) {
        while !self.ending() {
            if self.wishes.changed().await.is_err() {
                return;
            }
            if let Wish::Object(pod) = &*self.wishes.borrow_and_update() {
                self.pod = (**pod).clone();
            }
        }
    }

    fn ending(&self) -> bool {
        self.grace().is_some()
    }

    /// How much time the pod has to end, if it shall.
    fn grace(&self) -> Option<Duration> {
        match &*self.wishes.borrow() {
            Wish::Gone => Some(Duration::ZERO),
            Wish::Object(pod) => {
                pod.metadata.deletion_timestamp.as_ref()?;
                let seconds = pod.metadata.deletion_grace_period_seconds.unwrap_or(30).max(0).unsigned_abs();
                Some(Duration::from_secs(seconds))
            }
        }
    }

    fn reports(&mut self, init: bool) -> &mut Vec<Report> {
        if init { &mut self.init } else { &mut self.containers }
    }

    fn fail(&mut self, reason: &'static str, message: &str) {
        for report in self.init.iter_mut().chain(&mut self.containers) {
            *report = Report::waiting(reason, message);
        }
        self.tell();
    }

    /// Hands the newest status to the writer.
    fn tell(&mut self) {
        let (status, conditions) = status::status(&View {
            pod: &self.pod,
            host_ips: &self.kubelet.settings.addresses,
            pod_ips: &self.addresses,
            since: &self.since,
            now: &now(),
            init: &self.init,
            containers: &self.containers,
            told: &self.told,
        });
        self.told = conditions;
        self.status.send_if_modified(|told| {
            let changed = *told != status;
            *told = status;
            changed
        });
    }
}

async fn write_statuses(kubelet: Arc<Kubelet>, pod: Pod, mut values: watch::Receiver<Value>) {
    let pods: Api<Pod> = Api::namespaced(kubelet.client.clone(), namespace(&pod));
    while values.changed().await.is_ok() {
        loop {
            let status = values.borrow_and_update().clone();
            // With the uid, so that it never lands on another pod of the same name.
            let patch = json!({"metadata": {"uid": pod.metadata.uid}, "status": status});
            let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
            let written = pods.patch_status(name(&pod), &params, &patch);
            match tokio::time::timeout(ANSWER, written).await {
                Ok(Ok(_)) => break,
                Ok(Err(kube::Error::Api(status))) if status.is_not_found() || status.is_conflict() => return,
                Ok(Err(error)) => tracing::warn!(%error, pod = name(&pod), "writing a pod's status failed"),
                Err(_) => {}
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}

fn host_network(pod: &Pod) -> bool {
    pod.spec.as_ref().and_then(|spec| spec.host_network) == Some(true)
}

pub(super) fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

pub(super) fn namespace(pod: &Pod) -> &str {
    pod.metadata.namespace.as_deref().unwrap_or("default")
}

fn now() -> Time {
    Time(Timestamp::now())
}
