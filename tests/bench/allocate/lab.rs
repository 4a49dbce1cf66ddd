//! The cluster that is measured: Services by the thousand, a controller that comes and goes, and when each status was seen to change.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    path::PathBuf,
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use herald_crds::IPAddressPool;
use herald_tests::{
    cluster::{Cluster, HERALD, Options, repository},
    herald::ips,
};
use k8s_openapi::api::core::v1::Service;
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    runtime::watcher::{self, Event, watcher},
};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::seed;

/// Writes in flight, of the null writer as of Herald's controller.
pub(crate) const IN_FLIGHT: usize = 16;
/// Deletions in flight: more only wait in the API server.
const DELETING: usize = 10;
/// For everything that happens sooner or later on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(1);
const NAMESPACE: &str = "default";

const OBJECTS: &str = "\
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: bench}
spec:
  addresses: [10.80.0.0/16]
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: bench}
spec:
  ipAddressPools: [bench]
";

/// Whose controller and speakers run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Maker {
    Herald,
    MetalLb,
}

impl Maker {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Herald => "Herald",
            Self::MetalLb => "MetalLB",
        }
    }

    fn namespace(self) -> &'static str {
        match self {
            Self::Herald => HERALD,
            Self::MetalLb => "metallb-system",
        }
    }

    /// How the controller's process begins to be called.
    fn process(self) -> &'static str {
        match self {
            Self::Herald => "herald-contr",
            Self::MetalLb => "metallb-contr",
        }
    }
}

/// What is known of each Service's status and since when.
type Seen = Arc<Mutex<HashMap<String, (Vec<IpAddr>, Instant)>>>;

pub(crate) struct Lab {
    pub(crate) cluster: Cluster,
    maker: Maker,
    metallb: PathBuf,
    seen: Seen,
    watch: JoinHandle<()>,
}

impl Drop for Lab {
    fn drop(&mut self) {
        // It would tell that the API server goes away, which is no news here.
        self.watch.abort();
    }
}

impl Lab {
    /// One node, a maker's installation as users have it, a pool, pods that Services can select.
    pub(crate) fn start(nodes: u8, maker: Maker) -> Result<Self> {
        let built = Command::new(repository().join("tests/metallb/build")).stderr(Stdio::inherit()).output()?;
        let metallb = PathBuf::from(String::from_utf8(built.stdout)?.trim());
        let cluster = Cluster::start(Options { programs: vec![metallb.clone()], ..Options::nodes(nodes) })?;
        cluster.apply("tests/e2e/echo.yaml")?;
        cluster.kubectl(&["delete", "service", "echo"])?;
        cluster.kubectl(&["scale", "deployment", "echo", "--replicas=1"])?;
        cluster.kubectl(&["rollout", "status", "deployment/echo", "--timeout=60s"])?;
        let seen = Seen::default();
        let watch = cluster.runtime().spawn(follow(cluster.client(), Arc::clone(&seen)));
        let lab = Self { cluster, maker, metallb, seen, watch };
        lab.install()?;
        Ok(lab)
    }

    pub(crate) fn maker(&self) -> Maker {
        self.maker
    }

    /// Replaces one maker's workloads by the other's.
    pub(crate) fn switch(&mut self, maker: Maker) -> Result<()> {
        let namespace = format!("--namespace={}", self.maker.namespace());
        self.cluster.kubectl(&["delete", "deployment/controller", "daemonset/speaker", &namespace])?;
        self.cluster.kubectl(&["delete", "validatingwebhookconfiguration", "metallb-webhook-configuration"])?;
        self.cluster.kubectl(&["wait", "pod", "--for=delete", "--all", &namespace, "--timeout=60s"])?;
        self.maker = maker;
        self.install()
    }

    fn install(&self) -> Result<()> {
        let namespace = self.maker.namespace();
        match self.maker {
            Maker::Herald => self.cluster.install_herald()?,
            Maker::MetalLb => {
                let manifest = self.metallb.join("metallb-native.yaml");
                self.cluster.apply(manifest.to_str().context("the cache's path is text")?)?;
                self.cluster.wait_for_pods(namespace)?;
            }
        }
        let objects = OBJECTS.replace("{name: bench}", &format!("{{name: bench, namespace: {namespace}}}"));
        let deadline = Instant::now() + PATIENCE;
        // Webhooks are there some seconds after the pods.
        while let Err(error) = self.cluster.apply(&objects) {
            if Instant::now() > deadline {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Waits until every pod of the maker says that it is ready.
    pub(crate) fn ready(&self) -> Result<()> {
        self.cluster.wait_for_pods(self.maker.namespace())
    }

    /// Runs so many controllers and waits until the others are gone.
    pub(crate) fn controllers(&self, count: usize) -> Result<()> {
        let namespace = format!("--namespace={}", self.maker.namespace());
        self.cluster.kubectl(&["scale", "deployment", "controller", &namespace, &format!("--replicas={count}")])?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let running = self.cluster.pods(self.maker.namespace(), "component=controller")?;
            if running.len() == count {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{} controllers instead of {count}", running.len());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The process of the only controller, as soon as there is one.
    pub(crate) fn controller(&self) -> Result<Pid> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // The kubelet's program becomes the controller: before that it is not what is measured.
            if let Ok(pid) = self.cluster.pod_pid(self.maker.namespace(), "controller-")
                && std::fs::read_to_string(format!("/proc/{pid}/comm"))
                    .is_ok_and(|name| name.starts_with(self.maker.process()))
            {
                return Ok(pid);
            }
            if Instant::now() > deadline {
                bail!("no controller runs\n{}", self.cluster.last_words(self.maker.namespace()));
            }
            thread::sleep(POLL);
        }
    }

    /// Creates Services, some at a time, and returns when each was asked for and when the API server had answered.
    pub(crate) fn create(
        &self,
        names: Vec<String>,
        sort: Sort,
        at_once: usize,
    ) -> Result<BTreeMap<String, (Instant, Instant)>> {
        let api = self.api();
        let made = self.cluster.run(async move {
            stream::iter(names)
                .map(|name| {
                    let api = api.clone();
                    async move {
                        let began = Instant::now();
                        api.create(&PostParams::default(), &service(&name, sort)?).await?;
                        anyhow::Ok((name, (began, Instant::now())))
                    }
                })
                .buffer_unordered(at_once)
                .try_collect()
                .await
        })?;
        made.context("creating Services")
    }

    /// Makes many that select no pods, all at once; the first has this number.
    pub(crate) fn store(&self, names: Vec<String>, first: u32) -> Result<()> {
        self.cluster.run(async move { seed::services(NAMESPACE, &names, first).await })?
    }

    pub(crate) fn delete(&self, names: Vec<String>) -> Result<()> {
        let api = self.api();
        self.cluster
            .run(async move {
                stream::iter(names)
                    .map(|name| {
                        let api = api.clone();
                        async move { api.delete(&name, &DeleteParams::default()).await.map(drop) }
                    })
                    .buffer_unordered(DELETING)
                    .try_collect::<Vec<()>>()
                    .await
            })?
            .context("deleting Services")?;
        Ok(())
    }

    /// The null writer: patches statuses as Herald's controller does, without deciding anything. `None` takes addresses away.
    pub(crate) fn patch(&self, names: &[String], first: Option<u32>) -> Result<()> {
        let api = self.api();
        let patches: Vec<(String, Value)> = (0..)
            .zip(names)
            .map(|(number, name)| {
                let ip = first.map(|first| std::net::Ipv4Addr::from_bits(first + number));
                let pool = ip.map(|_| "bench");
                let ingress = ip.map(|ip| json!([{ "ip": ip }]));
                let annotations = json!({ "metallb.io/ip-allocated-from-pool": pool });
                let status = json!({ "loadBalancer": { "ingress": ingress } });
                (name.clone(), json!({ "metadata": { "annotations": annotations }, "status": status }))
            })
            .collect();
        self.cluster
            .run(async move {
                stream::iter(patches)
                    .map(|(name, patch)| {
                        let api = api.clone();
                        async move {
                            let params = PatchParams { field_manager: Some("null".to_owned()), ..Default::default() };
                            api.patch_status(&name, &params, &Patch::Merge(patch)).await.map(drop)
                        }
                    })
                    .buffer_unordered(IN_FLIGHT)
                    .try_collect::<Vec<()>>()
                    .await
            })?
            .context("patching statuses")?;
        Ok(())
    }

    /// Waits until each of these has an address, or none, and returns when the last was seen so.
    pub(crate) fn wait(&self, names: &[String], addressed: bool) -> Result<Instant> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut last = None;
            let missing = {
                let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                names.iter().find(|name| match seen.get(*name) {
                    Some((ips, at)) if ips.is_empty() != addressed => {
                        last = last.max(Some(*at));
                        false
                    }
                    _ => true,
                })
            };
            let Some(missing) = missing else { return last.context("nothing was waited for") };
            if Instant::now() > deadline {
                bail!("{missing} has not changed in {PATIENCE:?}\n{}", self.cluster.last_words(self.maker.namespace()));
            }
            thread::sleep(if names.len() > 100 { POLL * 20 } else { POLL });
        }
    }

    /// A Service's first address and when it was seen.
    pub(crate) fn address(&self, name: &str) -> Option<(IpAddr, Instant)> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(name).and_then(|(ips, at)| Some((*ips.first()?, *at)))
    }

    /// Creates or deletes a pool and returns when that was asked for. Not by kubectl, whose own start takes longer than what is measured.
    pub(crate) fn pool(&self, manifest: &str, there: bool) -> Result<Instant> {
        let pool: IPAddressPool = serde_yaml::from_str(manifest)?;
        let name = pool.metadata.name.clone().unwrap_or_default();
        let api: Api<IPAddressPool> = Api::namespaced(self.cluster.client(), self.maker.namespace());
        self.cluster.run(async move {
            let began = Instant::now();
            if there {
                api.create(&PostParams::default(), &pool).await?;
            } else {
                api.delete(&name, &DeleteParams::default()).await?;
            }
            anyhow::Ok(began)
        })?
    }

    fn api(&self) -> Api<Service> {
        Api::namespaced(self.cluster.client(), NAMESPACE)
    }
}

/// What a Service is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// It gets an address and is announced by nobody: it selects no pods.
    Bare,
    /// It is announced.
    Announced,
    /// It waits for the pool `late`.
    Late,
}

fn service(name: &str, sort: Sort) -> Result<Service> {
    let mut object = json!({
        "metadata": { "name": name },
        "spec": {
            "type": "LoadBalancer",
            // There are fewer node ports than Services.
            "allocateLoadBalancerNodePorts": false,
            "ports": [{ "port": 80, "targetPort": 8080 }],
        },
    });
    match sort {
        Sort::Bare => {}
        Sort::Announced => object["spec"]["selector"] = json!({ "app": "echo" }),
        Sort::Late => object["metadata"]["annotations"] = json!({ "metallb.io/address-pool": "late" }),
    }
    Ok(serde_json::from_value(object)?)
}

async fn follow(client: Client, seen: Seen) {
    let api: Api<Service> = Api::namespaced(client, NAMESPACE);
    let mut events = std::pin::pin!(watcher(api, watcher::Config::default()));
    while let Some(event) = events.next().await {
        let now = Instant::now();
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Ok(Event::Apply(service) | Event::InitApply(service)) => {
                let found = ips(&service);
                let known = seen.entry(service.metadata.name.unwrap_or_default()).or_insert((Vec::new(), now));
                if known.0 != found {
                    *known = (found, now);
                }
            }
            Ok(Event::Delete(service)) => drop(seen.remove(&service.metadata.name.unwrap_or_default())),
            Ok(Event::Init | Event::InitDone) => {}
            Err(error) => eprintln!("the watch of the benchmark failed: {error}"),
        }
    }
}
