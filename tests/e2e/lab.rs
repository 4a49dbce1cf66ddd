//! The lab itself: a real control plane, nodes that run pods, Services that reach them, and nothing left afterwards.
#![allow(clippy::disallowed_methods, missing_docs, reason = "a test: it has a clock")]

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use herald_tests::{
    cluster::{Cluster, Options},
    kubelet::READY_ANNOTATION,
};
use k8s_openapi::api::{core::v1::Pod, discovery::v1::EndpointSlice};
use kube::{Api, ResourceExt as _, api::ListParams};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn pods_are_real_and_services_reach_them() -> Result<()> {
    let cluster = Cluster::start(Options::nodes(2))?;
    let lab = cluster.wire().lab().id().to_owned();
    cluster.apply(WEB)?;
    if let Err(error) = both_addresses_reach_both_pods(&cluster) {
        eprintln!("{error:#}");
        println!("{}", cluster.keep()?);
        return Ok(());
    }
    a_pod_that_is_not_ready_leaves_the_service(&cluster)?;
    a_killed_pod_is_started_again(&cluster)?;
    its_log_can_be_read(&cluster)?;
    a_deleted_pod_ends_and_another_takes_its_place(&cluster)?;
    a_token_reaches_the_api_server_with_its_own_rights_only(&cluster)?;
    a_pod_may_do_what_its_spec_gives_it_and_nothing_else(&cluster)?;
    a_pod_that_is_not_alive_is_started_again(&cluster)?;
    the_api_server_stops_and_comes_back(&cluster)?;
    drop(cluster);
    nothing_is_left_of(&lab)
}

fn both_addresses_reach_both_pods(cluster: &Cluster) -> Result<()> {
    wait_for_endpoints(cluster, 2).with_context(|| cluster.last_words("default"))?;
    let nodes: Vec<_> =
        cluster.pods("default", "app=web")?.iter().filter_map(|pod| pod.spec.as_ref()?.node_name.clone()).collect();
    ensure!(nodes.len() == 2 && nodes[0] != nodes[1], "the pods are spread over the nodes: {nodes:?}");
    for address in cluster_addresses(cluster)? {
        // kube-proxy hears of the endpoints at the same time as we do.
        let deadline = Instant::now() + PATIENCE;
        while curl(cluster, &address).is_err() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..40 {
            let answer = curl(cluster, &address)?;
            let node =
                answer.lines().next().and_then(|name| name.rsplit(' ').next()).context("no node in the answer")?;
            seen.insert(node.to_owned());
        }
        ensure!(seen.len() == 2, "{address} reached only {seen:?}");
    }
    Ok(())
}

fn a_pod_that_is_not_ready_leaves_the_service(cluster: &Cluster) -> Result<()> {
    let pods = cluster.pods("default", "app=web")?;
    let name = pods[0].name_any();
    cluster.kubectl(&["annotate", "pod", &name, &format!("{READY_ANNOTATION}=false")])?;
    wait_for_endpoints(cluster, 1)?;
    cluster.kubectl(&["annotate", "pod", &name, &format!("{READY_ANNOTATION}-")])?;
    wait_for_endpoints(cluster, 2)?;
    // The same from inside: its own readiness probe fails.
    let address = pods[1].status.as_ref().and_then(|status| status.pod_ip.clone()).context("the pod has no address")?;
    curl(cluster, &format!("{address}:8080/readyz?set=false"))?;
    wait_for_endpoints(cluster, 1)?;
    curl(cluster, &format!("{address}:8080/readyz?set=true"))?;
    wait_for_endpoints(cluster, 2)
}

fn a_killed_pod_is_started_again(cluster: &Cluster) -> Result<()> {
    let name = cluster.pods("default", "app=web")?[0].name_any();
    let before = cluster.pod_pid("default", &name)?;
    kill(before, Signal::SIGKILL)?;
    let pod = cluster.wait_for("the restart to be told", PATIENCE, move |client| {
        let name = name.clone();
        async move {
            let pod = Api::<Pod>::default_namespaced(client).get(&name).await?;
            let status = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref()?.first());
            let restarted = status.is_some_and(|status| status.restart_count == 1 && status.ready);
            Ok(restarted.then_some(pod))
        }
    })?;
    ensure!(cluster.pod_pid("default", &pod.name_any())? != before, "the process is another one");
    let last = pod.status.and_then(|status| status.container_statuses?.first()?.last_state.clone()?.terminated);
    ensure!(
        last.as_ref().is_some_and(|last| last.exit_code == 137 && last.signal == Some(9)),
        "how it ended is told: {last:?}"
    );
    wait_for_endpoints(cluster, 2)
}

fn its_log_can_be_read(cluster: &Cluster) -> Result<()> {
    let name = cluster.pods("default", "app=web")?[0].name_any();
    let log = cluster.kubectl(&["logs", "--tail=1", &name])?;
    ensure!(log == "listening on 8080/tcp\n", "the log through the API server: {log:?}");
    Ok(())
}

fn a_deleted_pod_ends_and_another_takes_its_place(cluster: &Cluster) -> Result<()> {
    let pod = cluster.pods("default", "app=web")?[0].clone();
    cluster.kubectl(&["delete", "pod", &pod.name_any()])?;
    wait_for_endpoints(cluster, 2)?;
    let left = cluster.pods("default", "app=web")?;
    ensure!(left.len() == 2 && left.iter().all(|other| other.uid() != pod.uid()), "the old pod is gone");
    ensure!(
        cluster.logs("default", &pod.name_any())?.contains("told to end"),
        "the program was asked to end before it was killed"
    );
    Ok(())
}

fn a_token_reaches_the_api_server_with_its_own_rights_only(cluster: &Cluster) -> Result<()> {
    let pid = cluster.pod_pid("default", "web-")?;
    // In the pod's network and root directory, with the file that the kubelet put there.
    let ask = |path: &str| {
        let script = format!(
            "d=/var/run/secrets/kubernetes.io/serviceaccount; curl -sS --max-time 5 --cacert $d/ca.crt -H \"Authorization: Bearer $(cat $d/token)\" \
             -w ' %{{http_code}}' https://kubernetes.default.svc{path} --connect-to ::10.96.0.1:443"
        );
        in_container(pid, &script)
    };
    let version = ask("/version")?;
    ensure!(version.ends_with(" 200"), "the token is accepted: {version}");
    let nodes = ask("/api/v1/nodes")?;
    ensure!(
        nodes.ends_with(" 403") && nodes.contains("system:serviceaccount:default:default"),
        "and may nothing more: {nodes}"
    );
    Ok(())
}

fn a_pod_may_do_what_its_spec_gives_it_and_nothing_else(cluster: &Cluster) -> Result<()> {
    cluster.apply(RIGHTS)?;
    cluster.kubectl(&["wait", "--for=condition=Ready", "--timeout=30s", "pod/host", "pod/nobody"])?;
    let host = cluster.pod_pid("default", "host")?;
    let (bits, user, locked) = rights(host)?;
    // CAP_NET_RAW is number 13.
    ensure!(
        (bits, user, locked) == (1 << 13, 0, true),
        "the host pod: {bits:#x}, user {user}, no new privileges {locked}"
    );
    ensure!(
        cluster.wire().nodes.iter().any(|node| node.namespace.processes().is_ok_and(|inside| inside.contains(&host))),
        "it is in a node's network"
    );
    let write = |pid: Pid, path: &str| in_container(pid, &format!("touch {path} 2>&1 || true"));
    ensure!(write(host, "/file")?.contains("Read-only file system"), "its root directory is read-only");
    ensure!(write(host, "/data/file")?.is_empty(), "but not its volume");

    let nobody = cluster.pod_pid("default", "nobody")?;
    let (bits, user, locked) = rights(nobody)?;
    ensure!(
        bits != 0 && (user, locked) == (65534, false),
        "the other pod: {bits:#x}, user {user}, no new privileges {locked}"
    );
    let seen = in_container(nobody, "cat /secret/a /config/b")?;
    let environment = fs::read_to_string(format!("/proc/{nobody}/environ"))?;
    ensure!(seen == "fromsecretfromconfig", "its volumes have the objects' content: {seen}");
    let variables: Vec<&str> = environment.split('\0').collect();
    for expected in ["SECRET=fromsecret", "BOTH=fromsecret on nobody", "KUBERNETES_SERVICE_HOST=10.96.0.1"] {
        ensure!(variables.contains(&expected), "{expected} is not in its environment: {variables:?}");
    }
    Ok(())
}

fn a_pod_that_is_not_alive_is_started_again(cluster: &Cluster) -> Result<()> {
    let before = cluster.pod_pid("default", "nobody")?;
    in_container(before, "curl -sS http://127.0.0.1:8080/healthz?set=false")?;
    cluster.wait_for("the restart to be told", PATIENCE, |client| async move {
        let pod = Api::<Pod>::default_namespaced(client).get("nobody").await?;
        let status = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref()?.first());
        Ok(status.is_some_and(|status| status.restart_count == 1 && status.ready).then_some(()))
    })?;
    ensure!(cluster.pod_pid("default", "nobody")? != before, "the process is another one");
    Ok(())
}

/// The capabilities that a process can ever have, its user, and whether it can gain no privileges.
fn rights(pid: Pid) -> Result<(u64, u32, bool)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let word = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|line| line.split_whitespace().next()).with_context(|| format!("no {key} in {status}"))
    };
    Ok((u64::from_str_radix(word("CapBnd:")?, 16)?, word("Uid:")?.parse()?, word("NoNewPrivs:")? == "1"))
}

/// Runs a script in a container's root directory and network.
fn in_container(pid: Pid, script: &str) -> Result<String> {
    let target = pid.to_string();
    let arguments = ["--target", &target, "--mount", "--net", "--root", "--", "sh", "-c", script];
    let output = std::process::Command::new("nsenter").args(arguments).output()?;
    Ok(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

fn the_api_server_stops_and_comes_back(cluster: &Cluster) -> Result<()> {
    cluster.stop_api_server();
    for address in cluster_addresses_of(SERVICE_ADDRESSES.get().context("no addresses yet")?) {
        curl(cluster, address).context("Services work without the API server")?;
    }
    cluster.start_api_server()?;
    wait_for_endpoints(cluster, 2)
}

fn nothing_is_left_of(lab: &str) -> Result<()> {
    let namespaces: Vec<_> = fs::read_dir("/run/netns")?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(&format!("{lab}-")))
        .collect();
    ensure!(namespaces.is_empty(), "namespaces are left: {namespaces:?}");
    ensure!(!fs::exists(format!("/run/herald-lab/{lab}"))?, "the lab's directory is left");
    let mentions: Vec<_> = fs::read_dir("/proc")?
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("cmdline")).ok())
        .filter(|command| command.contains(&format!("{lab}/")) || command.contains(&format!("{lab}-")))
        .collect();
    ensure!(mentions.is_empty(), "processes are left: {mentions:?}");
    Ok(())
}

static SERVICE_ADDRESSES: std::sync::OnceLock<Vec<String>> = std::sync::OnceLock::new();

/// The Service's addresses in both families, as `curl` wants them.
fn cluster_addresses(cluster: &Cluster) -> Result<Vec<String>> {
    let text = cluster.kubectl(&["get", "service", "web", "--output", "jsonpath={.spec.clusterIPs[*]}"])?;
    let addresses: Vec<String> = text
        .split_whitespace()
        .map(|address| if address.contains(':') { format!("[{address}]") } else { address.to_owned() })
        .collect();
    ensure!(addresses.len() == 2, "the Service has an address of each family: {text}");
    Ok(SERVICE_ADDRESSES.get_or_init(|| addresses).clone())
}

fn cluster_addresses_of(addresses: &[String]) -> impl Iterator<Item = &str> {
    addresses.iter().map(String::as_str)
}

/// Asks from the first node.
fn curl(cluster: &Cluster, address: &str) -> Result<String> {
    cluster.node(1).namespace.output("curl", &["-sS", "--max-time", "5", &format!("http://{address}")])
}

fn wait_for_endpoints(cluster: &Cluster, count: usize) -> Result<()> {
    cluster.wait_for(&format!("{count} ready endpoints per family"), PATIENCE, move |client| async move {
        let slices = Api::<EndpointSlice>::default_namespaced(client)
            .list(&ListParams::default().labels("kubernetes.io/service-name=web"))
            .await?;
        let ready = |family: &str| {
            let of_family = slices.items.iter().filter(|slice| slice.address_type == family);
            of_family
                .flat_map(|slice| &slice.endpoints)
                .filter(|endpoint| endpoint.conditions.as_ref().and_then(|conditions| conditions.ready) == Some(true))
                .count()
        };
        Ok((ready("IPv4") == count && ready("IPv6") == count).then_some(()))
    })
}

const WEB: &str = "
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 2
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: DoNotSchedule
          labelSelector:
            matchLabels: {app: web}
      containers:
        - name: web
          image: example/web:1
          ports:
            - containerPort: 8080
          readinessProbe:
            httpGet: {path: /readyz, port: 8080}
            periodSeconds: 1
            failureThreshold: 1
---
apiVersion: v1
kind: Service
metadata:
  name: web
spec:
  ipFamilyPolicy: RequireDualStack
  selector: {app: web}
  ports:
    - port: 80
      targetPort: 8080
";

const RIGHTS: &str = "
apiVersion: v1
kind: Secret
metadata: {name: s}
stringData: {a: fromsecret}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
data: {b: fromconfig}
---
apiVersion: v1
kind: Pod
metadata: {name: host}
spec:
  hostNetwork: true
  volumes:
    - name: data
      emptyDir: {}
  containers:
    - name: c
      image: x
      volumeMounts:
        - {name: data, mountPath: /data}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL], add: [NET_RAW]}
---
apiVersion: v1
kind: Pod
metadata: {name: nobody}
spec:
  securityContext: {runAsNonRoot: true, runAsUser: 65534, runAsGroup: 65534}
  volumes:
    - name: s
      secret: {secretName: s}
    - name: c
      configMap: {name: c}
  containers:
    - name: c
      image: x
      env:
        - name: SECRET
          valueFrom:
            secretKeyRef: {name: s, key: a}
        - name: BOTH
          value: $(SECRET) on $(HOSTNAME)
      volumeMounts:
        - {name: s, mountPath: /secret, readOnly: true}
        - {name: c, mountPath: /config}
      livenessProbe:
        httpGet: {path: /healthz, port: 8080}
        periodSeconds: 1
        failureThreshold: 1
";
