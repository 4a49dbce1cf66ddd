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

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment},
    core::v1::{Node as NodeObject, Pod, ServiceAccount},
};
use kube::{Api, Client, api::ListParams};
use nix::unistd::Pid;
use tokio::runtime::Runtime;

use crate::{
    control_plane::{self, ControlPlane},
    kube_proxy,
    kubectl::Kubectl,
    kubelet::image,
    process::{Process, tail},
    wire::{Member, Node, Wire, WireOptions, plan},
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
    programs: PathBuf,
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
    /// Builds what is missing, brings everything up and returns when every node is Ready and forwards to Services.
    ///
    /// # Errors
    ///
    /// Without root or namespaces, without Herald's programs built, or when a part does not come up; says which and why.
    pub fn start(options: Options) -> Result<Self> {
        possible()?;
        let programs = programs()?;
        let binaries = control_plane::binaries()?;
        let started = Instant::now();
        let wire = Wire::build(options.wire.clone())?;
        tracing::debug!(elapsed = ?started.elapsed(), "the lab is wired");
        let runtime = wire.control_plane.namespace.runtime()?;
        let directory = wire.lab().dir();
        let settings = control_plane::Settings {
            binaries: binaries.clone(),
            namespace: wire.control_plane.namespace.clone(),
            directory: directory.clone(),
            addresses: wire.control_plane.addresses().to_vec(),
            pod_networks: vec![plan::PODS_V4.to_owned(), plan::PODS_V6.to_owned()],
            service_networks: vec![SERVICES_V4.to_owned(), SERVICES_V6.to_owned()],
            service_addresses: vec!["10.96.0.1".parse()?, "fd00:10:96::1".parse()?],
            node_ports: options.node_ports.clone(),
            nodes: wire.nodes.iter().map(|node| node.name.clone()).collect(),
            node_grace: options.node_grace,
        };
        settings.write()?;
        for node in &wire.nodes {
            // What a node's default route does elsewhere: a Service's address must have a way out before it is rewritten.
            node.namespace.ip(&format!(
                "route add {SERVICES_V4} dev {eth}\nroute add {SERVICES_V6} dev {eth}\n",
                eth = plan::INTERFACE
            ))?;
        }
        let kubelets: Vec<Process> = wire
            .nodes
            .iter()
            .map(|node| start_kubelet(node, &options, &directory, &programs))
            .collect::<Result<_>>()?;
        let control_plane = inside(&runtime, ControlPlane::start(settings))??;
        tracing::debug!(elapsed = ?started.elapsed(), "the control plane is ready");
        let kubeconfig = control_plane.kubeconfig("admin");
        let client = {
            let kubeconfig = kubeconfig.clone();
            inside(&runtime, async move { control_plane::client(&kubeconfig).await })??
        };
        let kubectl = Kubectl::new(&wire.control_plane.namespace, &binaries, &directory, kubeconfig);
        kubectl.write_script(directory.join("kubectl"))?;
        let control_plane = Arc::new(Mutex::new(control_plane));
        let parts = Parts { nodes: Vec::new(), control_plane, runtime, wire };
        let mut this = Self { parts: Some(parts), kubectl, client, directory, programs };
        this.start_proxies(kubelets, &options, &binaries)?;
        this.settled()?;
        tracing::debug!(elapsed = ?started.elapsed(), "the cluster is up");
        Ok(this)
    }

    /// kube-proxy asks for its Node once and then waits long: it is started when the Node is there.
    fn start_proxies(&mut self, kubelets: Vec<Process>, options: &Options, binaries: &Path) -> Result<()> {
        let count = kubelets.len();
        let networks = [plan::PODS_V4.to_owned(), plan::PODS_V6.to_owned()];
        let kubeconfig = self.directory.join("kube-proxy.kubeconfig");
        let mut kubelets = kubelets;
        self.wait_for("the nodes to be registered", PATIENCE, move |client| async move {
            let nodes = Api::<NodeObject>::all(client).list(&ListParams::default()).await?;
            Ok((nodes.items.len() == count).then_some(()))
        })
        .inspect_err(|_| kubelets.iter_mut().for_each(|kubelet| drop(kubelet.check())))?;
        let directory = self.directory.clone();
        let parts = self.parts.as_mut().context(KEPT)?;
        for (node, kubelet) in parts.wire.nodes.iter().zip(kubelets) {
            let proxy = kube_proxy::start(&kube_proxy::Settings {
                binaries,
                node: &node.name,
                namespace: &node.namespace,
                directory: &directory,
                kubeconfig: &kubeconfig,
                pod_networks: &networks,
                mode: options.proxy,
                min_sync: options.proxy_min_sync,
            })?;
            parts.nodes.push(NodeProcesses { kubelet, _proxy: proxy });
        }
        Ok(())
    }

    /// Waits until pods can be made, scheduled and reached.
    fn settled(&self) -> Result<()> {
        let addresses: Vec<_> = self.wire().nodes.iter().map(|node| node.v4).collect();
        let ask = move |client: Client| {
            let addresses = addresses.clone();
            async move {
                Api::<ServiceAccount>::namespaced(client.clone(), "default").get("default").await?;
                let nodes = Api::<NodeObject>::all(client).list(&ListParams::default()).await?;
                let tainted =
                    |node: &NodeObject| node.spec.iter().flat_map(|spec| spec.taints.iter().flatten()).next().is_some();
                if nodes.items.iter().any(tainted) {
                    return Ok(None);
                }
                for address in addresses {
                    if !healthy((address, kube_proxy::HEALTH_PORT)).await {
                        return Ok(None);
                    }
                }
                Ok(Some(()))
            }
        };
        self.wait_for("nodes and their kube-proxies to be ready", PATIENCE, ask)
    }

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

    /// kubectl as a command that is not started yet, for output as it comes or for input.
    #[must_use]
    pub fn kubectl_command(&self) -> &Kubectl {
        &self.kubectl
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
        self.wait_for("Herald's pods to be Ready", PATIENCE, |client| async move {
            let deployments =
                Api::<Deployment>::namespaced(client.clone(), HERALD).list(&ListParams::default()).await?;
            let daemons = Api::<DaemonSet>::namespaced(client, HERALD).list(&ListParams::default()).await?;
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
        })
        .with_context(|| self.last_words(HERALD))
    }

    /// What a namespace's pods look like and the end of each of their logs: for the error of a test.
    #[must_use]
    pub fn last_words(&self, namespace: &str) -> String {
        let pods = self.kubectl(&["get", "pods", "--namespace", namespace, "--output", "wide"]);
        let mut text = pods.unwrap_or_else(|error| format!("{error:#}\n"));
        for (name, log) in self.log_files(namespace, "").unwrap_or_default() {
            text += &format!("--- {name}\n{}\n", tail(&log, 8));
        }
        text
    }

    /// Everything that the containers of the pods whose names begin with `pod` wrote, pod by pod.
    ///
    /// # Errors
    ///
    /// When there is no such log.
    pub fn logs(&self, namespace: &str, pod: &str) -> Result<String> {
        let files = self.log_files(namespace, pod)?;
        if files.is_empty() {
            bail!("no pod {namespace}/{pod}* has written anything");
        }
        files
            .into_iter()
            .map(|(_, path)| fs::read_to_string(&path).with_context(|| format!("reading {}", path.display())))
            .collect()
    }

    /// Names and log files of containers, as `POD_CONTAINER`.
    fn log_files(&self, namespace: &str, pod: &str) -> Result<Vec<(String, PathBuf)>> {
        let directory = self.directory.join("logs/containers");
        let prefix = format!("{namespace}_");
        let mut found = Vec::new();
        for entry in fs::read_dir(&directory).into_iter().flatten() {
            let path = entry?.path();
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if let Some(name) = name.strip_prefix(&prefix)
                && name.starts_with(pod)
            {
                found.push((name.to_owned(), path));
            }
        }
        found.sort();
        Ok(found)
    }

    /// The pods of a namespace that match a label selector, by name.
    ///
    /// # Errors
    ///
    /// When the API server does not answer.
    pub fn pods(&self, namespace: &str, selector: &str) -> Result<Vec<Pod>> {
        let api: Api<Pod> = Api::namespaced(self.client(), namespace);
        let params = ListParams::default().labels(selector);
        let mut pods = self.run(async move { api.list(&params).await })??.items;
        pods.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        Ok(pods)
    }

    /// The process of the pod whose name begins with `pod`, on node `number`: for faults. Asks the kubelet's files, not the API
    /// server. Of several containers it is the first by name.
    ///
    /// # Errors
    ///
    /// When no such pod runs there.
    pub fn pid_on(&self, number: usize, namespace: &str, pod: &str) -> Result<Pid> {
        let node = self.node(number);
        let directory = self.directory.join("nodes").join(&node.name);
        let prefix = format!("{namespace}_{pod}");
        let mut files: Vec<PathBuf> = fs::read_dir(&directory)
            .with_context(|| format!("reading {}", directory.display()))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix)))
            .flat_map(|path| fs::read_dir(path).into_iter().flatten())
            .filter_map(|container| Some(container.ok()?.path().join("pid")))
            .collect();
        files.sort();
        let pid = files.iter().find_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok());
        pid.map(Pid::from_raw).with_context(|| format!("no pod {namespace}/{pod}* runs on {}", node.name))
    }

    /// The process of a pod, on whichever node it is.
    ///
    /// # Errors
    ///
    /// When it does not run.
    pub fn pod_pid(&self, namespace: &str, pod: &str) -> Result<Pid> {
        (1..=self.wire().nodes.len())
            .find_map(|number| self.pid_on(number, namespace, pod).ok())
            .with_context(|| format!("no pod {namespace}/{pod}* runs anywhere"))
    }

    /// The process of Herald's speaker on node `number`.
    ///
    /// # Errors
    ///
    /// When it does not run.
    pub fn speaker_pid(&self, number: usize) -> Result<Pid> {
        self.pid_on(number, HERALD, "speaker-")
    }

    /// The process of the kubelet on node `number`: stopped, its pods go on and nobody tells about them.
    #[must_use]
    pub fn kubelet_pid(&self, number: usize) -> Pid {
        self.parts().nodes[number - 1].kubelet.pid()
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

/// The directory with the programs that stand for images: `HERALD_BIN_DIR`, or where the running program was built.
///
/// # Errors
///
/// When the lab's own programs are not there.
pub fn programs() -> Result<PathBuf> {
    let directory = match std::env::var_os("HERALD_BIN_DIR") {
        Some(directory) => PathBuf::from(directory),
        None => {
            let this = std::env::current_exe().context("finding the running program")?;
            let directory = this.parent().context("the running program has no directory")?;
            // Tests lie one level deeper.
            if directory.ends_with("deps") {
                directory.parent().unwrap_or(directory).to_owned()
            } else {
                directory.to_owned()
            }
        }
    };
    for program in ["herald-kubelet", image::STAND_IN] {
        if !directory.join(program).is_file() {
            bail!(
                "{} does not exist: build it with `cargo build -p herald-tests --bins`, or set HERALD_BIN_DIR",
                directory.join(program).display()
            );
        }
    }
    fs::canonicalize(&directory).with_context(|| format!("finding {}", directory.display()))
}

/// Whether this machine can hold a lab.
fn possible() -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!("the lab needs root: it makes network namespaces; run it as root, or with sudo -E");
    }
    for tool in ["ip", "nft", "nsenter", "setpriv", "bridge"] {
        let found = std::env::var_os("PATH")
            .is_some_and(|path| std::env::split_paths(&path).any(|directory| directory.join(tool).is_file()));
        if !found {
            bail!("the program {tool} is missing (Debian: apt-get install iproute2 nftables util-linux)");
        }
    }
    nix::sched::unshare(nix::sched::CloneFlags::empty()).ok();
    Ok(())
}

fn start_kubelet(node: &Node, options: &Options, directory: &Path, programs: &Path) -> Result<Process> {
    let join = |all: &[String]| all.join(",");
    let home = directory.join("nodes").join(&node.name);
    fs::create_dir_all(&home)?;
    let mut command = node.namespace.command(programs.join("herald-kubelet"));
    command.args([
        "run".to_owned(),
        format!("--node={}", node.name),
        format!("--kubeconfig={}", directory.join(format!("{}.kubeconfig", node.name)).display()),
        format!("--directory={}", home.display()),
        format!("--logs={}", directory.join("logs/containers").display()),
        format!("--programs={}", programs.display()),
        format!("--namespace={}", node.namespace.name()),
        format!("--addresses={}", join(&node.addresses().map(|address| address.to_string()))),
        format!("--pod-networks={}", join(&[node.pod_v4.to_string(), node.pod_v6.to_string()])),
        format!("--restart-delay-ms={}", options.restart_delay.as_millis()),
    ]);
    Process::start("herald-kubelet", command, &directory.join("logs").join(format!("{}-kubelet.log", node.name)))
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

/// Whether an HTTP server says 200 to `/healthz`.
async fn healthy(address: impl tokio::net::ToSocketAddrs) -> bool {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let ask = async {
        let mut stream = tokio::net::TcpStream::connect(address).await?;
        stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").await?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>(answer.ends_with(b" 200"))
    };
    matches!(tokio::time::timeout(Duration::from_secs(1), ask).await, Ok(Ok(true)))
}

fn lock(control_plane: &Mutex<ControlPlane>) -> std::sync::MutexGuard<'_, ControlPlane> {
    control_plane.lock().unwrap_or_else(PoisonError::into_inner)
}
