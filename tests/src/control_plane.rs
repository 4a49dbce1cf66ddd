//! A real Kubernetes control plane: etcd, API server, controller manager and scheduler, in one network namespace of a lab.
//!
//! The binaries come from `tests/controlplane/build`, which builds them once and caches them outside the clone. State lies in
//! the lab's directory in memory, so everything may be killed hard at any time.
//!
//! ```text
//!   control-plane namespace                               the lab's switch
//!   +------------------------------------------------+
//!   |  etcd <- kube-apiserver :6443 -----------------+----- nodes (kubelet, kube-proxy, speakers)
//!   |           ^   ^                                |
//!   |  kube-controller-manager, kube-scheduler       |
//!   +------------------------------------------------+
//! ```
//!
//! Everybody has a bearer token of their own and no more rights than in a cluster: a node is `system:node:NAME` under the Node
//! authorizer and NodeRestriction, kube-proxy is `system:kube-proxy`, the controllers use ServiceAccounts.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use axum::http::Request;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;

use crate::{netns::Namespace, pki, process::Process};

/// How often a component is asked whether it is ready: short beside the second or more that each needs.
const POLL: Duration = Duration::from_millis(50);

/// What a cold start may take on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(90);

const API_PORT: u16 = 6443;

/// Where etcd answers, inside the control plane's namespace. Plain HTTP, so that tests can store what the API server then shows.
pub const ETCD: &str = "http://127.0.0.1:2379";

/// What a control plane is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Directory with the component's binaries, as [`binaries`] finds it.
    pub binaries: PathBuf,
    /// The network namespace.
    pub namespace: Namespace,
    /// The lab's directory, in memory: etcd's data, secrets, kubeconfigs and logs go there.
    pub directory: PathBuf,
    /// The namespace's addresses on the switch; the first one is advertised.
    pub addresses: Vec<IpAddr>,
    /// Pod networks of the whole cluster, one per family.
    pub pod_networks: Vec<String>,
    /// Service networks, one per family; the first decides the primary family.
    pub service_networks: Vec<String>,
    /// First address of each Service network, which the `kubernetes` Service gets.
    pub service_addresses: Vec<IpAddr>,
    /// Ports for `NodePort`, for example `30000-32767`.
    pub node_ports: String,
    /// Names of the nodes that will join.
    pub nodes: Vec<String>,
    /// How long a silent node stays Ready.
    pub node_grace: Duration,
}

impl Settings {
    /// Writes the certificates, tokens and kubeconfigs: before [`ControlPlane::start`], so that nodes may start at the same time.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn write(&self) -> Result<()> {
        fs::create_dir_all(self.directory.join("pki"))?;
        fs::create_dir_all(self.directory.join("logs"))?;
        write_secrets(self, &self.server()?)
    }

    fn server(&self) -> Result<String> {
        let advertised = self.addresses.first().context("a control plane needs an address")?;
        Ok(format!("https://{}", SocketAddr::new(*advertised, API_PORT)))
    }
}

/// A running control plane.
#[derive(Debug)]
pub struct ControlPlane {
    settings: Settings,
    server: String,
    etcd: Process,
    api_server: Option<Process>,
    controllers: Process,
    scheduler: Process,
}

impl ControlPlane {
    /// Starts all components and waits until the API server answers that it is ready. The settings have been written.
    ///
    /// Must run on a runtime whose threads are inside the control plane's namespace.
    ///
    /// # Errors
    ///
    /// When a component ends or is not ready in time; the end of its log is part of the error.
    pub async fn start(settings: Settings) -> Result<Self> {
        let server = settings.server()?;
        let mut etcd = start(&settings, "etcd", etcd_command(&settings))?;
        answers("127.0.0.1:2379".parse()?, &mut etcd).await?;
        let api_server = start(&settings, "kube-apiserver", api_server_command(&settings))?;
        let controllers = start(&settings, "kube-controller-manager", controllers_command(&settings))?;
        let scheduler = start(&settings, "kube-scheduler", scheduler_command(&settings))?;
        let mut this = Self { settings, server, etcd, api_server: Some(api_server), controllers, scheduler };
        this.ready().await?;
        Ok(this)
    }

    /// The kubeconfig of one user: `admin`, `kube-proxy`, or a node's name.
    #[must_use]
    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        kubeconfig_path(&self.settings.directory, user)
    }

    /// Where the API server listens.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// A client that may do everything. It only reaches the server from inside the control plane's namespace.
    ///
    /// # Errors
    ///
    /// When the kubeconfig cannot be used.
    pub async fn admin(&self) -> Result<Client> {
        client(&self.kubeconfig("admin")).await
    }

    /// Kills the API server, connections and all.
    pub fn stop_api_server(&mut self) {
        // Dropping kills.
        self.api_server = None;
    }

    /// Starts the API server again and waits until it is ready.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub async fn start_api_server(&mut self) -> Result<()> {
        if self.api_server.is_none() {
            self.api_server = Some(start(&self.settings, "kube-apiserver", api_server_command(&self.settings))?);
        }
        self.ready().await
    }

    async fn ready(&mut self) -> Result<()> {
        let client = self.admin().await?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.etcd.check()?;
            self.controllers.check()?;
            self.scheduler.check()?;
            let Some(server) = self.api_server.as_mut() else { bail!("the API server was stopped") };
            server.check()?;
            let request = http_get("/readyz")?;
            let answer = tokio::time::timeout(Duration::from_secs(2), client.request_text(request)).await;
            if matches!(&answer, Ok(Ok(text)) if text == "ok") {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("the API server is not ready after {PATIENCE:?}: {answer:?}; see {}", server.log().display());
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// A client for a kubeconfig file.
///
/// # Errors
///
/// When the file cannot be read or says something that does not fit together.
pub async fn client(kubeconfig: &Path) -> Result<Client> {
    let file = Kubeconfig::read_from(kubeconfig).with_context(|| format!("reading {}", kubeconfig.display()))?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// The directory of the control plane's binaries; builds them, with progress on standard error, when they are missing.
///
/// # Errors
///
/// When the build fails: its last words are on standard error.
pub fn binaries() -> Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("controlplane/build");
    let output = Command::new(&script)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("running {}", script.display()))?;
    if !output.status.success() {
        bail!("{} failed ({})", script.display(), output.status);
    }
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}

fn start(settings: &Settings, name: &str, command: Command) -> Result<Process> {
    Process::start(name, command, &settings.directory.join("logs").join(format!("{name}.log")))
}

fn etcd_command(settings: &Settings) -> Command {
    let mut command = settings.namespace.command(settings.binaries.join("etcd"));
    command.arg(format!("--data-dir={}", settings.directory.join("etcd").display()));
    command.arg(format!("--listen-client-urls={ETCD}"));
    command.arg(format!("--advertise-client-urls={ETCD}"));
    command.args([
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--initial-advertise-peer-urls=http://127.0.0.1:2380",
        "--initial-cluster=default=http://127.0.0.1:2380",
        "--unsafe-no-fsync",
        "--quota-backend-bytes=4294967296",
        "--log-level=warn",
    ]);
    command
}

fn api_server_command(settings: &Settings) -> Command {
    let pki = settings.directory.join("pki");
    let file = |name: &str| pki.join(name).display().to_string();
    let mut command = settings.namespace.command(settings.binaries.join("kube-apiserver"));
    command.args([
        format!("--etcd-servers={ETCD}"),
        format!("--secure-port={API_PORT}"),
        format!("--advertise-address={}", settings.addresses[0]),
        format!("--tls-cert-file={}", file("apiserver.crt")),
        format!("--tls-private-key-file={}", file("apiserver.key")),
        format!("--token-auth-file={}", file("tokens.csv")),
        "--anonymous-auth=true".to_owned(),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        "--allow-privileged=true".to_owned(),
        // For the logs of pods; nobody knows the nodes' names.
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
        format!("--service-account-key-file={}", file("service-account.pub")),
        format!("--service-account-signing-key-file={}", file("service-account.key")),
        format!("--service-cluster-ip-range={}", settings.service_networks.join(",")),
        format!("--service-node-port-range={}", settings.node_ports),
        // Webhooks are reached at their pods: no kube-proxy runs here.
        "--enable-aggregator-routing=true".to_owned(),
        format!("--requestheader-client-ca-file={}", file("front-proxy-ca.crt")),
        "--requestheader-allowed-names=front-proxy-client".to_owned(),
        "--requestheader-username-headers=X-Remote-User".to_owned(),
        "--requestheader-group-headers=X-Remote-Group".to_owned(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".to_owned(),
        format!("--proxy-client-cert-file={}", file("front-proxy.crt")),
        format!("--proxy-client-key-file={}", file("front-proxy.key")),
        "--profiling=false".to_owned(),
    ]);
    command
}

fn controllers_command(settings: &Settings) -> Command {
    let pki = settings.directory.join("pki");
    let mut command = settings.namespace.command(settings.binaries.join("kube-controller-manager"));
    command.args([
        format!("--kubeconfig={}", kubeconfig_path(&settings.directory, "kube-controller-manager").display()),
        "--use-service-account-credentials".to_owned(),
        format!("--service-account-private-key-file={}", pki.join("service-account.key").display()),
        format!("--root-ca-file={}", pki.join("ca.crt").display()),
        "--leader-elect=false".to_owned(),
        "--allocate-node-cidrs=false".to_owned(),
        format!("--cluster-cidr={}", settings.pod_networks.join(",")),
        format!("--service-cluster-ip-range={}", settings.service_networks.join(",")),
        format!("--node-monitor-grace-period={}s", settings.node_grace.as_secs()),
        // Its defaults throttle EndpointSlices as soon as there are hundreds of Services.
        "--kube-api-qps=500".to_owned(),
        "--kube-api-burst=1000".to_owned(),
        // No port: nobody asks it anything, and making its certificate costs half a second.
        "--secure-port=0".to_owned(),
    ]);
    command
}

fn scheduler_command(settings: &Settings) -> Command {
    let mut command = settings.namespace.command(settings.binaries.join("kube-scheduler"));
    command.args([
        format!("--kubeconfig={}", kubeconfig_path(&settings.directory, "kube-scheduler").display()),
        "--leader-elect=false".to_owned(),
        "--kube-api-qps=500".to_owned(),
        "--kube-api-burst=1000".to_owned(),
        "--secure-port=0".to_owned(),
    ]);
    command
}

/// One user of the lab: its name in files, its name and groups in Kubernetes.
struct User {
    file: String,
    name: String,
    groups: &'static str,
}

fn users(nodes: &[String]) -> Vec<User> {
    let component = |name: &str| User { file: name.to_owned(), name: format!("system:{name}"), groups: "" };
    let mut users = vec![
        User { file: "admin".to_owned(), name: "admin".to_owned(), groups: "system:masters" },
        component("kube-controller-manager"),
        component("kube-scheduler"),
        component("kube-proxy"),
    ];
    users.extend(nodes.iter().map(|node| User {
        file: node.clone(),
        name: format!("system:node:{node}"),
        groups: "system:nodes",
    }));
    users
}

fn write_secrets(settings: &Settings, server: &str) -> Result<()> {
    let directory = &settings.directory;
    let pki = directory.join("pki");
    let local = [IpAddr::from([127, 0, 0, 1])];
    let addresses: Vec<IpAddr> =
        settings.addresses.iter().chain(&settings.service_addresses).chain(&local).copied().collect();
    pki::write(&pki, &addresses)?;

    let mut tokens = String::new();
    for user in users(&settings.nodes) {
        let token = pki::token()?;
        tokens.push_str(&format!("{token},{},{},\"{}\"\n", user.name, user.name, user.groups));
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "lab", "cluster": {"server": server, "certificate-authority": pki.join("ca.crt")}}],
            "users": [{"name": user.name, "user": {"token": token}}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": user.name}}],
            "current-context": "lab",
        });
        pki::file(&kubeconfig_path(directory, &user.file), &serde_json::to_string_pretty(&kubeconfig)?)?;
    }
    pki::file(&pki.join("tokens.csv"), &tokens)
}

fn kubeconfig_path(directory: &Path, user: &str) -> PathBuf {
    directory.join(format!("{user}.kubeconfig"))
}

async fn answers(address: SocketAddr, process: &mut Process) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while tokio::net::TcpStream::connect(address).await.is_err() {
        process.check()?;
        if Instant::now() > deadline {
            bail!("nothing listens on {address} after {PATIENCE:?}; see {}", process.log().display());
        }
        tokio::time::sleep(POLL / 2).await;
    }
    Ok(())
}

fn http_get(path: &str) -> Result<Request<Vec<u8>>> {
    Ok(Request::get(path).body(Vec::new())?)
}
