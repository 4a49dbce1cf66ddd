//! Services by the thousand without asking the API server for each: written into its etcd, as it would have stored them.
//!
//! Creating a Service takes the API server longer the more there are (5,000 take a minute, 20,000 half an hour on two cores), and that is outside
//! everything measured here. What is written is what a creation leaves behind: the Service with its defaults, and the IPAddress that
//! holds its cluster address. The API server reads JSON from etcd as well as its own encoding, and its watches show what others write there.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, ensure};
use axum::http::Request;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use herald_tests::control_plane::ETCD;
use kube::{Client, Config};
use serde_json::{Value, json};

/// The first cluster address given here: far from those that the API server gives by itself.
const FIRST: u32 = u32::from_be_bytes([10, 96, 64, 0]);
/// Transactions under way at once.
const IN_FLIGHT: usize = 16;
/// Any fixed time.
const CREATED: &str = "2026-01-01T00:00:00Z";

/// Writes Services of these names, the first with this number. Must run inside the control plane's namespace.
///
/// # Errors
/// etcd does not answer, or refuses.
pub(crate) async fn services(namespace: &str, names: &[String], first: u32) -> Result<()> {
    let etcd = Client::try_from(Config::new(ETCD.parse()?))?;
    // One transaction each: a watch of the API server shows one object of a kind per revision and loses the others.
    let bodies: Vec<Value> =
        (first..).zip(names).map(|(number, name)| json!({ "success": stored(namespace, name, number) })).collect();
    stream::iter(bodies)
        .map(|body| put_all(etcd.clone(), body))
        .buffer_unordered(IN_FLIGHT)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(())
}

async fn put_all(etcd: Client, body: Value) -> Result<()> {
    let request =
        Request::post("/v3/kv/txn").header("content-type", "application/json").body(serde_json::to_vec(&body)?)?;
    let answer: Value = etcd.request(request).await.context("writing to etcd")?;
    ensure!(answer["succeeded"] == json!(true), "etcd refused: {answer}");
    Ok(())
}

/// What etcd holds of one Service.
fn stored(namespace: &str, name: &str, number: u32) -> [Value; 2] {
    let ip = Ipv4Addr::from_bits(FIRST + number).to_string();
    let uid = |kind: u32| format!("00000000-0000-4000-8{kind:03}-{number:012}");
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": name, "namespace": namespace, "uid": uid(1), "creationTimestamp": CREATED },
        "spec": {
            "type": "LoadBalancer",
            "allocateLoadBalancerNodePorts": false,
            "clusterIP": ip,
            "clusterIPs": [ip],
            "externalTrafficPolicy": "Cluster",
            "internalTrafficPolicy": "Cluster",
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "ports": [{ "port": 80, "protocol": "TCP", "targetPort": 8080 }],
            "sessionAffinity": "None",
        },
        "status": { "loadBalancer": {} },
    });
    let address = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IPAddress",
        "metadata": {
            "name": ip,
            "uid": uid(2),
            "creationTimestamp": CREATED,
            "labels": {
                "ipaddress.kubernetes.io/ip-family": "IPv4",
                "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
            },
        },
        "spec": { "parentRef": { "group": "", "resource": "services", "namespace": namespace, "name": name } },
    });
    [
        put(&format!("/registry/ipaddresses/{ip}"), &address),
        put(&format!("/registry/services/specs/{namespace}/{name}"), &service),
    ]
}

fn put(key: &str, value: &Value) -> Value {
    json!({ "requestPut": { "key": base64(key.as_bytes()), "value": base64(value.to_string().as_bytes()) } })
}

/// RFC 4648 §4, with padding: what etcd's JSON gateway takes, and Kubernetes in a Secret's data.
fn base64(bytes: &[u8]) -> Value {
    json!(k8s_openapi::ByteString(bytes.to_vec()))
}
