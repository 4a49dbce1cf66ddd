//! Bringing a cluster up: what can be done at the same time is, what waits is polled.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::{Node as NodeObject, ServiceAccount};
use kube::{Api, Client, api::ListParams};

use super::{Cluster, KEPT, NodeProcesses, Options, PATIENCE, Parts, SERVICES_V4, SERVICES_V6, inside};
use crate::{
    control_plane::{self, ControlPlane},
    kube_proxy,
    kubectl::Kubectl,
    kubelet::image,
    process::Process,
    wire::{Node, Wire, plan},
};

impl Cluster {
    /// Builds what is missing, brings everything up and returns when every node is Ready and forwards to Services.
    ///
    /// # Errors
    ///
    /// Without root or namespaces, without Herald's programs built, or when a part does not come up; says which and why.
    pub fn start(options: Options) -> Result<Self> {
        possible()?;
        let mut programs = vec![programs()?];
        programs.extend(options.programs.iter().cloned());
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
    Ok(())
}

fn start_kubelet(node: &Node, options: &Options, directory: &Path, programs: &[PathBuf]) -> Result<Process> {
    let join = |all: &[String]| all.join(",");
    let kubelet = programs.iter().map(|directory| directory.join("herald-kubelet")).find(|path| path.is_file());
    let home = directory.join("nodes").join(&node.name);
    fs::create_dir_all(&home)?;
    let mut command = node.namespace.command(kubelet.context("the program herald-kubelet was not built")?);
    command.args([
        "run".to_owned(),
        format!("--node={}", node.name),
        format!("--kubeconfig={}", directory.join(format!("{}.kubeconfig", node.name)).display()),
        format!("--directory={}", home.display()),
        format!("--logs={}", directory.join("logs/containers").display()),
        format!("--programs={}", join(&programs.iter().map(|path| path.display().to_string()).collect::<Vec<_>>())),
        format!("--namespace={}", node.namespace.name()),
        format!("--addresses={}", join(&node.addresses().map(|address| address.to_string()))),
        format!("--pod-networks={}", join(&[node.pod_v4.to_string(), node.pod_v6.to_string()])),
        format!("--restart-delay-ms={}", options.restart_delay.as_millis()),
    ]);
    Process::start("herald-kubelet", command, &directory.join("logs").join(format!("{}-kubelet.log", node.name)))
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
