//! From MetalLB to Herald and back, as docs/migration.md says it: on a cluster where the real MetalLB gave the addresses.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test on a real network has a real clock"
)]

use herald_tests::{
    cluster::{Cluster, Options, repository},
    herald::{PATIENCE, ips},
};
use k8s_openapi::api::core::v1::Service;
use kube::{Api, ResourceExt, api::ListParams};
use std::{
    collections::BTreeMap,
    fs,
    net::IpAddr,
    path::PathBuf,
    process::{Command, Stdio},
    time::Instant,
};

const NAMESPACE: &str = "metallb-system";

/// What a user of MetalLB has.
const OBJECTS: &str = r#"
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: lan, namespace: metallb-system}
spec:
  addresses: [10.66.100.10-10.66.100.99, "fd00:10:66::100:10-fd00:10:66::100:99"]
---
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: special, namespace: metallb-system}
spec:
  autoAssign: false
  avoidBuggyIPs: true
  addresses: [10.66.101.0/24]
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: all, namespace: metallb-system}
---
apiVersion: metallb.io/v1beta1
kind: Community
metadata: {name: names, namespace: metallb-system}
spec:
  communities: [{name: quiet, value: "65535:65281"}]
---
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {name: tor, namespace: metallb-system}
spec: {myASN: 64500, peerASN: 64501, peerAddress: 10.66.0.250, nodeSelectors: [{matchLabels: {rack: none}}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: "nginx:stable", ports: [{containerPort: 80}]}]
"#;

/// A Service with these annotations and lines of its spec.
fn service(name: &str, annotations: &str, spec: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, annotations: {{{annotations}}}}}\nspec:\n  type: LoadBalancer\n  \
         selector: {{app: web}}\n  {spec}\n"
    )
}

const PORT: &str = "ports: [{port: 80}]";

/// Every way to ask for an address, old names among them.
fn services() -> String {
    let more = |spec: &str| format!("{spec}\n  {PORT}");
    [
        service("plain", "", PORT),
        service("dual", "", &more("ipFamilyPolicy: RequireDualStack")),
        service("six", "", &more("ipFamilies: [IPv6]")),
        service("local", "", &more("externalTrafficPolicy: Local")),
        service("pooled", "metallb.io/address-pool: special", PORT),
        service("asked", "metallb.io/loadBalancerIPs: 10.66.100.77", PORT),
        service("old-words", "metallb.universe.tf/loadBalancerIPs: 10.66.100.78", PORT),
        service("field", "", &more("loadBalancerIP: 10.66.100.79")),
        service("shared-a", "metallb.io/allow-shared-ip: key, metallb.io/loadBalancerIPs: 10.66.100.80", PORT),
        service(
            "shared-b",
            "metallb.universe.tf/allow-shared-ip: key, metallb.io/loadBalancerIPs: 10.66.100.80",
            "ports: [{port: 81}]",
        ),
        // Waits: the address is somebody's.
        service("waits", "metallb.io/loadBalancerIPs: 10.66.100.77", PORT),
    ]
    .join("---\n")
}

/// The real MetalLB: a directory with its programs and its manifest.
fn metallb() -> PathBuf {
    let build = repository().join("tests/metallb/build");
    let output = Command::new(&build).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{} failed", build.display());
    String::from_utf8(output.stdout).unwrap().trim().into()
}

/// The commands under a heading of the page.
fn commands(heading: &str) -> Vec<Vec<String>> {
    let page = fs::read_to_string(repository().join("docs/migration.md")).unwrap();
    let section = page.split("\n## ").find_map(|section| section.strip_prefix(heading)).unwrap();
    let blocks = section.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let lines = blocks.flat_map(str::lines).map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    let found: Vec<_> = lines.collect();
    assert!(!found.is_empty() && found.iter().all(|words| words[0] == "kubectl"), "{found:?}");
    found
}

fn follow(cluster: &Cluster, heading: &str) {
    for words in commands(heading) {
        let words: Vec<&str> = words[1..].iter().map(String::as_str).collect();
        let done = match words[..] {
            ["apply", "-k", path] => cluster.apply(path),
            _ => cluster.kubectl(&words),
        };
        done.unwrap_or_else(|error| {
            panic!("kubectl {}: {error:#}\n{}", words.join(" "), cluster.last_words(NAMESPACE))
        });
    }
}

/// The Services of the story by name.
fn seen(cluster: &Cluster) -> BTreeMap<String, Service> {
    let client = cluster.client();
    let list = async move { Api::<Service>::default_namespaced(client).list(&ListParams::default()).await };
    let mut services: BTreeMap<String, Service> =
        cluster.run(list).unwrap().unwrap().items.into_iter().map(|service| (service.name_any(), service)).collect();
    services.remove("kubernetes");
    services
}

/// What is addressed, in words of the user: names and addresses.
fn shown(services: &BTreeMap<String, Service>) -> BTreeMap<String, Vec<IpAddr>> {
    services.iter().map(|(name, service)| (name.clone(), ips(service))).collect()
}

fn wait_until_each_address_is_answered_for(cluster: &Cluster, services: &BTreeMap<String, Service>) {
    for (name, service) in services {
        for ip in ips(service) {
            let deadline = Instant::now() + PATIENCE;
            while let Err(error) = cluster.owner(ip) {
                assert!(Instant::now() < deadline, "{name}: {error:#}\n{}", cluster.last_words(NAMESPACE));
            }
        }
    }
}

/// Applies again until it is taken: webhooks come up after the pods are Ready.
fn apply_when_taken(cluster: &Cluster, manifest: &str) {
    let deadline = Instant::now() + 2 * PATIENCE;
    while let Err(error) = cluster.apply(manifest) {
        assert!(Instant::now() < deadline, "{error:#}\n{}", cluster.last_words(NAMESPACE));
    }
}

#[test]
fn herald_takes_over_from_metallb_and_gives_back_without_a_change_of_addresses() {
    let metallb = metallb();
    let cluster = Cluster::start(Options { programs: vec![metallb.clone()], ..Options::nodes(3) }).unwrap();
    let manifest = metallb.join("metallb-native.yaml");
    cluster.apply(manifest.to_str().unwrap()).unwrap();
    cluster.wait_for_pods(NAMESPACE).unwrap();
    apply_when_taken(&cluster, OBJECTS);
    cluster.apply(&services()).unwrap();
    let expected = services().matches("kind: Service").count() - 1;
    let deadline = Instant::now() + PATIENCE;
    let before = loop {
        let services = seen(&cluster);
        if services.values().filter(|service| !ips(service).is_empty()).count() == expected {
            break services;
        }
        assert!(Instant::now() < deadline, "{:?}\n{}", shown(&services), cluster.last_words(NAMESPACE));
    };
    wait_until_each_address_is_answered_for(&cluster, &before);

    follow(&cluster, "Replace");
    wait_until_each_address_is_answered_for(&cluster, &before);

    // Herald acts: it gives new addresses, none that is in use.
    cluster.apply(&service("new", "", &format!("ipFamilyPolicy: RequireDualStack\n  {PORT}"))).unwrap();
    let new = cluster.addresses("default", "new", 2).unwrap();
    assert!(shown(&before).values().flatten().all(|ip| !new.contains(ip)), "{new:?}");
    let mut after = seen(&cluster);
    let given = after.remove("new").unwrap();
    assert_eq!(shown(&after), shown(&before));
    for (name, service) in &before {
        let (was, is) = (&service.metadata.resource_version, &after[name].metadata.resource_version);
        assert_eq!(was, is, "{name} was written: {:?}", after[name]);
    }

    // Its webhooks judge, and read both versions of a peer.
    let bad = "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: bad, namespace: metallb-system}\nspec: {addresses: [10.66.100.300/32]}\n";
    let deadline = Instant::now() + PATIENCE;
    loop {
        match cluster.apply(bad).map_err(|error| format!("{error:#}")) {
            Err(error) if error.contains("IPAddressPool bad: ") => break,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
            Ok(_) => {
                // Stored unchecked while nobody answered yet.
                cluster.kubectl(&["delete", "ipaddresspool", "bad", "--namespace", NAMESPACE]).unwrap();
            }
        }
        assert!(Instant::now() < deadline, "nobody judges");
    }
    let path = "--output=jsonpath={.apiVersion} {.spec.peerAddress}";
    for version in ["v1beta1", "v1beta2"] {
        let kind = format!("bgppeers.{version}.metallb.io");
        let text = cluster.kubectl(&["get", &kind, "tor", "--namespace", NAMESPACE, path]).unwrap();
        assert_eq!(text, format!("metallb.io/{version} 10.66.0.250"));
    }

    // What waited under MetalLB waits under Herald, and gets its address when that is free.
    cluster.kubectl(&["delete", "service", "asked"]).unwrap();
    assert_eq!(cluster.addresses("default", "waits", 1).unwrap(), ips(&before["asked"]));

    let now = seen(&cluster);
    assert_eq!(ips(&given), ips(&now["new"]));
    follow(&cluster, "Back");
    cluster.apply(manifest.to_str().unwrap()).unwrap();
    cluster.wait_for_pods(NAMESPACE).unwrap();
    wait_until_each_address_is_answered_for(&cluster, &now);
    assert_eq!(shown(&seen(&cluster)), shown(&now));
}
