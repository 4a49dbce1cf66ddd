//! A stand-in for the kubelet: one process per node that makes the Pods bound to it real, without containers' images.
//!
//! It promises what other parts of Kubernetes and the programs in the Pods can see of a kubelet:
//!
//! - the Node object with its addresses and pod networks, `Ready`, and a Lease that is renewed;
//! - every bound Pod runs as real processes, in a network of its own behind the node or in the node's, each container with its own
//!   root directory, environment, user, capabilities and volumes, its ServiceAccount's token among them;
//! - probes, restarts with back-off, `Ready`, and a graceful end;
//! - `kubectl logs`, also with `-f`;
//! - it acts with the token of `system:node:NAME` and runs inside the node's network namespace, so that a node that is cut off is cut
//!   off as a whole, and a kubelet that is stopped stops alone.
//!
//! It does not run images: an image is a name, for which [`image`] has a local program. It limits no processor or memory, runs no
//! `exec` or `grpc` probe, and knows no process namespace: a container's processes are this machine's.
//!
//! ```text
//!   watch of Pods ──> one task a pod ──> one task a container ──> process (herald-kubelet container PLAN, then the program)
//!      (this node)       │  network, volumes    │  start, probes, restart, end
//!                        └──────── status <─────┘  what happened
//! ```

mod container;
mod env;
pub mod image;
mod network;
mod node;
mod pod;
mod probe;
pub mod root;
mod server;
mod spec;
mod status;
mod volumes;

pub use status::READY_ANNOTATION;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::PathBuf,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use ipnet::IpNet;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::{
    Api, Client,
    runtime::watcher::{self, Event, watcher},
};
use tokio::{sync::watch, task::JoinHandle};

/// What a kubelet is told when it starts.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The node's name.
    pub node: String,
    /// The node's own kubeconfig.
    pub kubeconfig: PathBuf,
    /// Directory for pods' files; empty at the start.
    pub directory: PathBuf,
    /// Directory for the containers' logs.
    pub logs: PathBuf,
    /// The certificate authority of the API server is in the kubeconfig; this is where local programs for images are.
    pub programs: Vec<PathBuf>,
    /// Name of the node's network namespace; those of pods begin with it.
    pub namespace: String,
    /// The node's addresses; the first one decides which family of a pod's addresses comes first.
    pub addresses: Vec<IpAddr>,
    /// The node's pod networks, one per family.
    pub pod_networks: Vec<IpNet>,
    /// Labels beyond the usual ones.
    pub labels: BTreeMap<String, String>,
    /// The wait before the second restart of a container; doubled each time up to five minutes. The first restart is at once.
    pub restart_delay: Duration,
}

/// What every pod's task needs.
struct Kubelet {
    settings: Settings,
    client: Client,
    networks: network::Networks,
}

/// Runs the node until the process ends.
///
/// # Errors
///
/// When the kubeconfig cannot be used. A server that is not there is waited for.
pub async fn run(settings: Settings) -> Result<()> {
    let client = crate::control_plane::client(&settings.kubeconfig).await?;
    let networks = network::Networks::new(&settings.namespace, &settings.pod_networks)?;
    let kubelet = Arc::new(Kubelet { settings, client, networks });
    tokio::spawn(node::keep(Arc::clone(&kubelet)));
    tokio::spawn(server::serve(kubelet.settings.logs.clone()));

    let pods: Api<Pod> = Api::all(kubelet.client.clone());
    // Ended by the server every minute, so that a watch on a connection that died silently does not stay for ever.
    let mine = watcher::Config::default().fields(&format!("spec.nodeName={}", kubelet.settings.node)).timeout(60);
    let mut events = pin!(watcher(pods, mine));
    let mut workers = Workers { kubelet, running: BTreeMap::new(), listed: BTreeSet::new() };
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => workers.handle(event),
            Err(error) => {
                tracing::warn!(%error, "watching pods failed");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
    Ok(())
}

impl Kubelet {
    /// Address and port under which pods find the API server.
    async fn api_server(&self) -> Result<(String, String)> {
        let services: Api<Service> = Api::namespaced(self.client.clone(), "default");
        let service = services.get("kubernetes").await.context("reading the Service of the API server")?;
        let address =
            service.spec.and_then(|spec| spec.cluster_ip).context("the Service of the API server has no address")?;
        Ok((address, "443".to_owned()))
    }
}

/// What a pod should do, as its worker sees it.
#[derive(Debug, Clone)]
enum Wish {
    /// The newest object; it may say that the pod shall end.
    Object(Box<Pod>),
    /// The object is gone: end at once.
    Gone,
}

struct Worker {
    wish: watch::Sender<Wish>,
    task: JoinHandle<()>,
}

struct Workers {
    kubelet: Arc<Kubelet>,
    /// By the pod's uid: a pod of the same name that comes after another one is another pod.
    running: BTreeMap<String, Worker>,
    listed: BTreeSet<String>,
}

impl Workers {
    fn handle(&mut self, event: Event<Pod>) {
        self.running.retain(|_, worker| !worker.task.is_finished());
        match event {
            Event::Init => self.listed.clear(),
            Event::InitApply(pod) => {
                self.listed.extend(pod.metadata.uid.clone());
                self.want(pod);
            }
            Event::InitDone => {
                for (uid, worker) in &self.running {
                    if !self.listed.contains(uid) {
                        worker.wish.send_replace(Wish::Gone);
                    }
                }
            }
            Event::Apply(pod) => self.want(pod),
            Event::Delete(pod) => {
                if let Some(worker) = pod.metadata.uid.as_ref().and_then(|uid| self.running.get(uid)) {
                    worker.wish.send_replace(Wish::Gone);
                }
            }
        }
    }

    fn want(&mut self, pod: Pod) {
        let Some(uid) = pod.metadata.uid.clone() else { return };
        if let Some(worker) = self.running.get(&uid) {
            worker.wish.send_replace(Wish::Object(Box::new(pod)));
            return;
        }
        let (wish, wishes) = watch::channel(Wish::Object(Box::new(pod.clone())));
        let task = tokio::spawn(pod::run(Arc::clone(&self.kubelet), pod, wishes));
        self.running.insert(uid, Worker { wish, task });
    }
}
