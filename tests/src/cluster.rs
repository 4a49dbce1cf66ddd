//! A whole Kubernetes cluster in network namespaces: what tests, the demonstration and the benchmarks start with.
//!
//! ```no_run
//! use herald_tests::cluster::{Cluster, Options};
//!
//! # fn main() -> anyhow::Result<()> {
//! let cluster = Cluster::start(Options::default())?;
//! cluster.install_herald()?;
//! cluster.apply("config/samples/web.yaml")?;
//! println!("{}", cluster.kubectl(&["get", "services"])?);
//! # Ok(())
//! # }
//! ```
//!
//! ```text
//!   control: etcd, kube-apiserver, kube-controller-manager, kube-scheduler          client1
//!      │                                                                              │
//!   ───┴──────────┬──────────────────────┬──────────────────────┬──────────── switch ─┴──
//!              node1                  node2                  node3
//!              kubelet, kube-proxy    ...
//!              pods behind it
//! ```
//!
//! Dropped, everything is gone, whatever runs in it; the same when this process is killed. See [`crate::cleanup`].

mod look;
mod start;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use kube::{Api, Client, api::ListParams};
use tokio::runtime::Runtime;

pub use start::programs;

use crate::{
    control_plane::ControlPlane,
    kube_proxy,
    kubectl::Kubectl,
    kubelet::image,
    process::Process,
    wire::{Member, Node, Wire, WireOptions},
};

/// How often something that is waited for is looked at.
const POLL: Duration = Duration::from_millis(50);

/// What bringing the cluster's parts up may take each on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Herald's namespace as `config/default` has it.
pub const HERALD: &str = "herald-system";

const SERVICES_V4: &str = "10.96.0.0/16";
const SERVICES_V6: &str = "fd00:10:96::/112";

/// What cluster to start.
#[derive(Debug, Clone)]
pub struct Options {
    /// The wiring: how many nodes and clients, with a router or not.
    pub wire: WireOptions,
    /// How kube-proxy programs the nodes' kernels.
    pub proxy: kube_proxy::Mode,
    /// Shortest time between two rounds of kube-proxy.
    pub proxy_min_sync: Duration,
    /// Ports for Services of type NodePort.
    pub node_ports: String,
    /// How long a silent node stays Ready; Kubernetes' own is 50 s.
    pub node_grace: Duration,
    /// The wait before a container's second restart; the first is at once.
    pub restart_delay: Duration,
    /// Directories with programs of images beside those that were built here.
    pub programs: Vec<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            wire: WireOptions::default(),
            proxy: kube_proxy::Mode::default(),
            proxy_min_sync: Duration::from_millis(10),
            node_ports: "30000-32767".to_owned(),
            node_grace: Duration::from_secs(50),
            restart_delay: Duration::from_secs(10),
            programs: Vec::new(),
        }
    }
}

impl Options {
    /// The usual cluster with so many nodes.
    #[must_use]
    pub fn nodes(nodes: u8) -> Self {
        Self { wire: WireOptions { nodes, ..WireOptions::default() }, ..Self::default() }
    }
}

/// A running cluster.
pub struct Cluster {
    /// Nothing once the cluster is kept.
    parts: Option<Parts>,
    kubectl: Kubectl,
    client: Client,
    directory: PathBuf,
    programs: Vec<PathBuf>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("directory", &self.directory).finish_non_exhaustive()
    }
}

/// In the order in which they go.
#[derive(Debug)]
struct Parts {
    nodes: Vec<NodeProcesses>,
    control_plane: Arc<Mutex<ControlPlane>>,
    runtime: Runtime,
    wire: Wire,
}

#[derive(Debug)]
struct NodeProcesses {
    kubelet: Process,
    _proxy: Process,
}

impl Cluster {
    /// The wiring: namespaces, addresses, faults' targets.
    ///
    /// # Panics
    ///
    /// After [`Self::keep`], which takes the cluster.
    #[must_use]
    pub fn wire(&self) -> &Wire {
        &self.parts().wire
    }

    fn parts(&self) -> &Parts {
        self.parts.as_ref().expect(KEPT)
    }

    /// Node `number`, from 1.
    #[must_use]
    pub fn node(&self, number: usize) -> Arc<Node> {
        self.wire().node(number)
    }

    /// The first client, outside the cluster.
    #[must_use]
    pub fn outside(&self) -> Arc<Member> {
        self.wire().client()
    }

    /// The lab's files: `logs/`, kubeconfigs, the script `kubectl`.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// An administrator's client. Use it in futures that [`Self::run`] runs: from elsewhere there is no way to the server.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The runtime whose threads are inside the control plane's namespace; see [`Self::run`].
    #[must_use]
    pub fn runtime(&self) -> &Runtime {
        &self.parts().runtime
    }

    /// Runs a future inside the control plane's namespace.
    ///
    /// # Errors
    ///
    /// When the future panicked.
    pub fn run<F>(&self, future: F) -> Result<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        inside(self.runtime(), future)
    }

    /// Runs kubectl and returns what it printed.
    ///
    /// # Errors
    ///
    /// When it fails.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.kubectl.run(arguments)
    }

    /// kubectl as a command that is not started yet, for output as it comes.
    #[must_use]
    pub fn kubectl_command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = self.kubectl.command();
        command.args(arguments);
        command
    }

    /// `kubectl apply`s manifests: the text itself, a file, or a directory (with `-k` where it has a kustomization). Relative paths
    /// are those of the repository.
    ///
    /// # Errors
    ///
    /// When kubectl refuses.
    pub fn apply(&self, manifests: &str) -> Result<String> {
        if manifests.contains('\n') {
            return self.kubectl.run_on(&["apply", "-f", "-"], manifests);
        }
        let path = repository().join(manifests);
        let flag = if path.join("kustomization.yaml").exists() { "-k" } else { "-f" };
        self.kubectl.run(&["apply", flag, &path.display().to_string()])
    }

    /// Looks until there is something, and returns it. An error of the look is a "not yet" that is told if the time is over.
    ///
    /// # Errors
    ///
    /// When `patience` is over.
    pub fn wait_for<T, F>(
        &self,
        what: &str,
        patience: Duration,
        look: impl Fn(Client) -> F + Send + 'static,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<Option<T>>> + Send + 'static,
    {
        let client = self.client();
        let what = what.to_owned();
        self.run(async move {
            let deadline = Instant::now() + patience;
            let mut last = "not yet".to_owned();
            loop {
                // One look may hang on a server that is stopped; the next one finds it running again.
                match tokio::time::timeout(Duration::from_secs(5), look(client.clone())).await {
                    Ok(Ok(Some(found))) => return Ok(found),
                    Ok(Ok(None)) => "not yet".clone_into(&mut last),
                    Ok(Err(error)) => last = format!("{error:#}"),
                    Err(_) => "no answer".clone_into(&mut last),
                }
                if Instant::now() > deadline {
                    bail!("waited {patience:?} for {what}: {last}");
                }
                tokio::time::sleep(POLL).await;
            }
        })?
    }

    /// Installs Herald as users do, `kubectl apply -k config/default`, and waits until its pods are Ready.
    ///
    /// # Errors
    ///
    /// When its programs were not built, the manifests are refused or a pod does not become Ready; with the pods' last words.
    pub fn install_herald(&self) -> Result<()> {
        for image in ["herald-controller", "herald-speaker"] {
            image::resolve(&self.programs, image)?;
        }
        self.apply("config/default")?;
        self.wait_for_pods(HERALD)
    }

    /// Waits until the pods of every Deployment and DaemonSet of a namespace are Ready.
    ///
    /// # Errors
    ///
    /// When one does not become Ready; with the pods' last words.
    pub fn wait_for_pods(&self, namespace: &str) -> Result<()> {
        let of = namespace.to_owned();
        self.wait_for(&format!("the pods of {namespace} to be Ready"), PATIENCE, move |client| {
            let of = of.clone();
            async move {
                let deployments =
                    Api::<Deployment>::namespaced(client.clone(), &of).list(&ListParams::default()).await?;
                let daemons = Api::<DaemonSet>::namespaced(client, &of).list(&ListParams::default()).await?;
                let deployed = deployments.items.iter().all(|deployment| {
                    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
                    deployment.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0) >= wanted
                });
                let spread = daemons.items.iter().all(|daemon| {
                    daemon.status.as_ref().is_some_and(|status| {
                        status.desired_number_scheduled > 0 && status.number_ready >= status.desired_number_scheduled
                    })
                });
                Ok((!deployments.items.is_empty() && !daemons.items.is_empty() && deployed && spread).then_some(()))
            }
        })
        .with_context(|| self.last_words(namespace))
    }

    /// Kills the API server. Clients see their connections end.
    pub fn stop_api_server(&self) {
        lock(&self.parts().control_plane).stop_api_server();
    }

    /// Starts the API server again and waits until it is ready.
    ///
    /// # Errors
    ///
    /// When it does not come up.
    pub fn start_api_server(&self) -> Result<()> {
        let control_plane = Arc::clone(&self.parts().control_plane);
        let runtime = self.runtime().handle().clone();
        // The runtime's threads are inside; this closure only holds the lock for them.
        self.run(async move {
            tokio::task::spawn_blocking(move || runtime.block_on(lock(&control_plane).start_api_server())).await
        })??
    }

    /// Leaves everything running when this process ends, and returns how to use and remove it.
    ///
    /// # Errors
    ///
    /// When the lab cannot be marked.
    pub fn keep(mut self) -> Result<String> {
        let mut parts = self.parts.take().context(KEPT)?;
        parts.wire.keep()?;
        let Parts { nodes, control_plane, runtime, wire } = parts;
        // Dropping a process kills it.
        std::mem::forget((nodes, control_plane));
        runtime.shutdown_background();
        let id = wire.lab().id();
        Ok(format!(
            "The lab {id} stays up.\n  kubectl:   {}/kubectl get pods -A\n  a client:  ip netns exec {} curl ...\n  a node:    ip netns exec {} nft list ruleset\n  logs:      {}/logs\n",
            self.directory.display(),
            wire.client().namespace.name(),
            wire.node(1).namespace.name(),
            self.directory.display(),
        ))
    }
}

const KEPT: &str = "a kept cluster was given away";

/// The repository's root: manifests are found from there.
#[must_use]
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/"))
}

/// Runs a future on a runtime's own threads: the calling thread is not inside.
fn inside<F>(runtime: &Runtime, future: F) -> Result<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let task = runtime.spawn(future);
    match runtime.block_on(task) {
        Ok(output) => Ok(output),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(error).context("running a future in the control plane's namespace"),
        },
    }
}

fn lock(control_plane: &Mutex<ControlPlane>) -> std::sync::MutexGuard<'_, ControlPlane> {
    control_plane.lock().unwrap_or_else(PoisonError::into_inner)
}
