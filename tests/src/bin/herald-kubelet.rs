//! The lab's stand-in for the kubelet: see `herald_tests::kubelet`.

use std::{collections::BTreeMap, io::IsTerminal as _, net::IpAddr, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};
use herald_tests::kubelet;
use ipnet::IpNet;

/// Runs a node of the lab, inside the node's network namespace.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Keeps the Node and runs the Pods bound to it.
    Run(Box<Run>),
    /// Becomes one container; the kubelet calls this.
    Container {
        /// What the container is.
        plan: PathBuf,
    },
}

#[derive(Args)]
struct Run {
    /// Name of the node.
    #[arg(long)]
    node: String,
    /// The node's kubeconfig.
    #[arg(long)]
    kubeconfig: PathBuf,
    /// Directory for pods' files.
    #[arg(long)]
    directory: PathBuf,
    /// Directory for containers' logs.
    #[arg(long)]
    logs: PathBuf,
    /// Directories with the programs that stand for images.
    #[arg(long, value_delimiter = ',', required = true)]
    programs: Vec<PathBuf>,
    /// Name of the node's network namespace.
    #[arg(long)]
    namespace: String,
    /// Addresses of the node, the preferred family first.
    #[arg(long, value_delimiter = ',', required = true)]
    addresses: Vec<IpAddr>,
    /// Pod networks of the node.
    #[arg(long, value_delimiter = ',', required = true)]
    pod_networks: Vec<IpNet>,
    /// More labels, KEY=VALUE.
    #[arg(long, value_delimiter = ',')]
    labels: Vec<String>,
    /// Wait before a container's second restart.
    #[arg(long, default_value_t = 10_000)]
    restart_delay_ms: u64,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        // Before there is any thread: the process becomes the container.
        Verb::Container { plan } => Err(kubelet::root::become_container(&plan)),
        Verb::Run(run) => run.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("herald-kubelet: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Run {
    fn run(self) -> Result<()> {
        // The client tells of every refused connection at the start; what fails for good is told here.
        let filter = tracing_subscriber::EnvFilter::new("info,kube_client=off,kube_runtime=off");
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .init();
        let labels = self
            .labels
            .iter()
            .map(|label| {
                let (key, value) =
                    label.split_once('=').with_context(|| format!("the label {label} is not KEY=VALUE"))?;
                Ok((key.to_owned(), value.to_owned()))
            })
            .collect::<Result<BTreeMap<_, _>>>()?;
        let settings = kubelet::Settings {
            node: self.node,
            kubeconfig: self.kubeconfig,
            directory: self.directory,
            logs: self.logs,
            programs: self.programs,
            namespace: self.namespace,
            addresses: self.addresses,
            pod_networks: self.pod_networks,
            labels,
            restart_delay: Duration::from_millis(self.restart_delay_ms),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(kubelet::run(settings))
    }
}
