//! The Node object and its Lease.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::Result;
use k8s_openapi::{
    api::{
        coordination::v1::{Lease, LeaseSpec},
        core::v1::{Node, NodeCondition},
    },
    apimachinery::pkg::apis::meta::v1::{MicroTime, Time},
    jiff::Timestamp,
};
use kube::{
    Api,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use serde_json::json;

use super::{Kubelet, server};

/// The kubelet's own: a quarter of the lease.
const RENEWAL: Duration = Duration::from_secs(10);
const LEASE_SECONDS: i32 = 40;
/// While something does not work yet: at the start the API server comes up at the same time as its nodes.
const RETRY: Duration = Duration::from_millis(100);

/// Registers the node and keeps it Ready, for ever.
pub(super) async fn keep(kubelet: Arc<Kubelet>) {
    let kubelet = &*kubelet;
    retry("registering the node failed", || register(kubelet)).await;
    loop {
        retry("renewing the node's lease failed", || renew(kubelet)).await;
        retry("writing the node's status failed", || report(kubelet)).await;
        tokio::time::sleep(RENEWAL).await;
    }
}

async fn retry<F: Future<Output = Result<()>>>(what: &'static str, work: impl Fn() -> F) {
    let mut told = false;
    loop {
        // A request on a connection whose other end is cut off would wait for minutes.
        match tokio::time::timeout(RENEWAL, work()).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) if !told => {
                tracing::warn!(error = format!("{error:#}"), "{what}");
                told = true;
            }
            Ok(Err(_)) => {}
            Err(_) => tracing::warn!(error = "no answer", "{what}"),
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn register(kubelet: &Kubelet) -> Result<()> {
    let nodes: Api<Node> = Api::all(kubelet.client.clone());
    let settings = &kubelet.settings;
    let mut labels: BTreeMap<String, String> = [
        ("kubernetes.io/hostname", settings.node.as_str()),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    labels.extend(settings.labels.clone());
    let networks: Vec<String> = settings.pod_networks.iter().map(ToString::to_string).collect();
    let node: Node = serde_json::from_value(json!({
        "metadata": {"name": settings.node, "labels": labels},
        "spec": {"podCIDR": networks.first(), "podCIDRs": networks},
        "status": status(kubelet, None),
    }))?;
    match nodes.create(&PostParams::default(), &node).await {
        Ok(_) => {
            tracing::info!(node = settings.node, "node registered");
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn report(kubelet: &Kubelet) -> Result<()> {
    let nodes: Api<Node> = Api::all(kubelet.client.clone());
    let name = &kubelet.settings.node;
    let now = nodes.get(name).await?;
    let ready = now
        .status
        .and_then(|status| status.conditions)
        .and_then(|conditions| conditions.into_iter().find(|condition| condition.type_ == "Ready"));
    // The whole status, because a strategic merge of the addresses trips over two of the same type.
    let patch = json!({"status": status(kubelet, ready.as_ref())});
    nodes.patch_status(name, &PatchParams::default(), &Patch::Merge(patch)).await?;
    Ok(())
}

fn status(kubelet: &Kubelet, ready: Option<&NodeCondition>) -> serde_json::Value {
    let now = Time(Timestamp::now());
    let since = ready.filter(|ready| ready.status == "True").and_then(|ready| ready.last_transition_time.clone());
    let condition = |kind: &str, status: &str, reason: &str| {
        json!({
            "type": kind, "status": status, "reason": reason, "message": reason,
            "lastHeartbeatTime": now, "lastTransitionTime": since.as_ref().unwrap_or(&now),
        })
    };
    let settings = &kubelet.settings;
    let addresses: Vec<_> = settings
        .addresses
        .iter()
        .map(|address| json!({"type": "InternalIP", "address": address}))
        .chain([json!({"type": "Hostname", "address": settings.node})])
        .collect();
    let room = json!({"cpu": "16", "memory": "64Gi", "pods": "140", "ephemeral-storage": "100Gi"});
    json!({
        "addresses": addresses,
        "daemonEndpoints": {"kubeletEndpoint": {"Port": server::PORT}},
        "capacity": room,
        "allocatable": room,
        "conditions": [
            condition("MemoryPressure", "False", "KubeletHasSufficientMemory"),
            condition("DiskPressure", "False", "KubeletHasNoDiskPressure"),
            condition("PIDPressure", "False", "KubeletHasSufficientPID"),
            condition("NetworkUnavailable", "False", "RouteCreated"),
            condition("Ready", "True", "KubeletReady"),
        ],
        "nodeInfo": {
            "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
            "bootID": "", "machineID": "", "systemUUID": "",
            "containerRuntimeVersion": "processes://1", "kernelVersion": "lab", "kubeProxyVersion": "",
            "kubeletVersion": concat!("v", env!("CARGO_PKG_VERSION"), "-herald-lab"),
            "operatingSystem": "linux", "osImage": "herald lab",
        },
    })
}

async fn renew(kubelet: &Kubelet) -> Result<()> {
    let leases: Api<Lease> = Api::namespaced(kubelet.client.clone(), "kube-node-lease");
    let name = &kubelet.settings.node;
    let now = MicroTime(Timestamp::now());
    let patch = json!({"spec": {"holderIdentity": name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": now}});
    match leases.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() => {
            let lease = Lease {
                metadata: ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() },
                spec: Some(LeaseSpec {
                    holder_identity: Some(name.clone()),
                    lease_duration_seconds: Some(LEASE_SECONDS),
                    renew_time: Some(now),
                    ..LeaseSpec::default()
                }),
            };
            leases.create(&PostParams::default(), &lease).await?;
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}
