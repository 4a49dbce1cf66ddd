//! The webhooks, asked by a real API server: what is refused and how, what happens without them, and certificates that change under way.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test on a real network has a real clock"
)]

mod common;

use common::{Lab, lab, service};
use herald_tests::herald::PATIENCE;
use k8s_openapi::api::{
    admissionregistration::v1::ValidatingWebhookConfiguration, apps::v1::Deployment, core::v1::Secret,
};
use kube::{Api, Client};
use std::time::{Duration, Instant};

const CONFIGURATION: &str = "metallb-webhook-configuration";
const SECRET: &str = "metallb-webhook-cert";

fn pool(name: &str, namespace: &str, addresses: &str) -> String {
    format!(
        "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  addresses: [\"{addresses}\"]\n"
    )
}

fn apply(lab: &Lab, manifest: &str) -> Result<String, String> {
    lab.apply(manifest).map_err(|error| format!("{error:#}"))
}

async fn trusted(client: Client) -> anyhow::Result<Option<Vec<u8>>> {
    let object = Api::<ValidatingWebhookConfiguration>::all(client).get(CONFIGURATION).await?;
    let mut bundles = object.webhooks.unwrap_or_default().into_iter().map(|webhook| webhook.client_config.ca_bundle);
    let first = bundles.next().flatten().map(|bytes| bytes.0);
    Ok(first.filter(|first| bundles.all(|other| other.is_some_and(|other| other.0 == *first))))
}

/// Waits until the API server asks the webhooks: it hears of what it shall trust a moment after it was written.
fn wait_until_asked(lab: &Lab) {
    lab.wait_for("the webhooks to be trusted", PATIENCE, trusted).unwrap();
    let bad = pool("probe", "herald-system", "10.66.103.300/32");
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) | Ok(error) = dry_run(lab, &bad)
        && !error.contains("10.66.103.300")
    {
        assert!(Instant::now() < deadline, "the webhooks are not asked: {error}");
    }
}

#[test]
fn a_bgp_peer_is_read_and_written_in_both_versions() {
    let lab = lab();
    wait_until_asked(&lab);
    let peer = |version: &str, name: &str| {
        format!(
            "apiVersion: metallb.io/{version}\nkind: BGPPeer\nmetadata: {{name: {name}, namespace: herald-system}}\nspec:\n  \
             {{myASN: 64500, peerASN: 64501, peerAddress: 10.66.0.1, ebgpMultiHop: true}}\n"
        )
    };
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = apply(&lab, &peer("v1beta1", "old")) {
        assert!(Instant::now() < deadline, "v1beta1 is not taken: {error}");
    }
    apply(&lab, &peer("v1beta2", "new")).unwrap();
    for name in ["old", "new"] {
        for version in ["v1beta1", "v1beta2"] {
            let kind = format!("bgppeers.{version}.metallb.io");
            let path = "--output=jsonpath={.apiVersion} {.spec.peerAddress} {.spec.ebgpMultiHop}";
            let text = lab.kubectl(&["get", &kind, name, "--namespace=herald-system", path]).unwrap();
            assert_eq!(text, format!("metallb.io/{version} 10.66.0.1 true"));
        }
    }
    lab.kubectl(&["delete", "bgppeer", "old", "new", "--namespace=herald-system"]).unwrap();
}

/// Asks without storing anything.
fn dry_run(lab: &Lab, manifest: &str) -> Result<String, String> {
    use std::io::Write as _;
    let mut command = lab.kubectl_command(&["create", "--dry-run=server", "-f", "-"]);
    command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(manifest.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[test]
fn every_kind_is_judged_and_a_used_bfd_profile_is_not_deleted() {
    let lab = lab();
    wait_until_asked(&lab);
    let object = |kind: &str, version: &str, name: &str, spec: &str| {
        format!(
            "apiVersion: metallb.io/{version}\nkind: {kind}\nmetadata: {{name: {name}, namespace: herald-system}}\nspec: {{{spec}}}\n"
        )
    };
    for (kind, version, spec, found) in [
        ("L2Advertisement", "v1beta1", "ipAddressPools: [a, a]", "\"a\""),
        ("BGPAdvertisement", "v1beta1", "aggregationLength: 33", "33"),
        ("BGPPeer", "v1beta1", "myASN: 1, peerASN: 2, peerAddress: 10.66.0.300", "10.66.0.300"),
        ("BGPPeer", "v1beta2", "myASN: 1, peerASN: 2, peerAddress: \"fd00::g\", disableMP: true", "fd00::g"),
        (
            "BGPPeer",
            "v1beta2",
            "myASN: 1, peerASN: 2, peerAddress: 10.66.0.1, password: p, passwordSecret: {name: s}",
            "passwordSecret",
        ),
        ("Community", "v1beta1", "communities: [{name: a, value: \"1\"}]", "\"1\""),
    ] {
        let error = apply(&lab, &object(kind, version, "bad", spec)).unwrap_err();
        assert!(error.contains(&format!("{kind} bad: ")) && error.contains(found), "{error}");
    }

    // What may come later is no reason to refuse.
    let peer = "myASN: 64500, peerASN: 64501, peerAddress: 10.66.0.1, bfdProfile: fast";
    apply(&lab, &object("BGPPeer", "v1beta2", "tor", peer)).unwrap();
    apply(&lab, &object("BFDProfile", "v1beta1", "fast", "receiveInterval: 100")).unwrap();
    let delete = |kind: &str, name: &str| lab.kubectl(&["delete", kind, name, "--namespace=herald-system"]);
    let error = format!("{:#}", delete("bfdprofile", "fast").unwrap_err());
    assert!(error.contains("BGPPeer tor uses it"), "{error}");
    delete("bgppeer", "tor").unwrap();
    delete("bfdprofile", "fast").unwrap();
}

#[test]
fn a_bad_pool_is_refused_with_what_was_found_and_a_good_one_is_stored() {
    let lab = lab();
    wait_until_asked(&lab);
    for bad in ["10.66.103.300-10.66.103.310", "fd00:66::g/120", "10.66.103.9-10.66.103.1"] {
        let error = apply(&lab, &pool("bad", "herald-system", bad)).unwrap_err();
        assert!(error.contains("IPAddressPool bad") && error.contains(bad), "{error}");
    }
    let error = apply(&lab, &pool("bad", "herald-system", "10.66.100.0/25")).unwrap_err();
    assert!(error.contains("IPAddressPool bad") && error.contains("lan"), "names the pool it overlaps: {error}");
    let error = apply(&lab, &pool("bad", "default", "10.66.103.0/28")).unwrap_err();
    assert!(error.contains("herald-system"), "says where it belongs: {error}");

    apply(&lab, &pool("good", "herald-system", "10.66.103.0/28")).unwrap();
    let error = apply(&lab, &pool("good", "herald-system", "10.66.103.0/33")).unwrap_err();
    assert!(error.contains("10.66.103.0/33"), "an edit is judged like a new object: {error}");
    lab.kubectl(&["delete", "ipaddresspool", "good", "--namespace=herald-system"]).unwrap();
}

#[test]
fn what_is_protected_is_not_deleted_and_a_pool_keeps_what_is_in_use() {
    let lab = lab();
    wait_until_asked(&lab);
    lab.apply("config/samples/protected.yaml").unwrap();
    let [v4, v6] = lab.addresses("default", "protected", 2).unwrap()[..] else { panic!("two addresses") };
    let kubectl = |words: &[&str]| lab.kubectl(words).map_err(|error| format!("{error:#}"));
    let service = ["delete", "service", "protected", "--dry-run=server"];
    let deadline = Instant::now() + PATIENCE;
    // The API server takes a policy up a moment after it was written.
    let refused = loop {
        match kubectl(&service) {
            Err(error) => break error,
            Ok(_) => assert!(Instant::now() < deadline, "the policy is not in force"),
        }
    };
    assert!(
        refused.contains(&format!("service default/protected is protected from deletion: it holds {v4}, {v6}")),
        "{refused}"
    );
    let refused = kubectl(&["delete", "ipaddresspool", "protected", "-n=herald-system"]).unwrap_err();
    assert!(refused.contains(&format!("in use by default/protected ({v4}, {v6})")), "{refused}");
    let edit = |addresses: &str| {
        let patch = format!("{{\"spec\":{{\"addresses\":[{addresses}]}}}}");
        kubectl(&["patch", "ipaddresspool", "protected", "-n=herald-system", "--type=merge", "-p", &patch])
    };
    for (without, stranded) in [("\"10.66.122.0/29\"", v6), ("\"fd00:10:66::122:0/125\"", v4)] {
        let refused = edit(without).unwrap_err();
        assert!(refused.contains(&format!("default/protected ({stranded})")), "{refused}");
    }
    edit("\"10.66.122.0/28\", \"fd00:10:66::122:0/124\"").unwrap();

    let off = "heraldlb.io/deletion-protection-";
    kubectl(&["annotate", "service", "protected", off]).unwrap();
    kubectl(&["delete", "service", "protected"]).unwrap();
    // Nobody uses it any more, and still it is protected.
    let refused = kubectl(&["delete", "ipaddresspool", "protected", "-n=herald-system"]).unwrap_err();
    assert!(refused.contains("pool protected is protected from deletion; take the annotation"), "{refused}");
    kubectl(&["annotate", "ipaddresspool", "protected", "-n=herald-system", off]).unwrap();
    kubectl(&["delete", "ipaddresspool", "protected", "-n=herald-system"]).unwrap();
}

#[test]
fn a_reservation_that_nobody_could_go_by_is_refused() {
    let lab = lab();
    wait_until_asked(&lab);
    let reservation = |spec: &str| {
        format!(
            "apiVersion: heraldlb.io/v1alpha1\nkind: AddressReservation\nmetadata: {{name: r, namespace: herald-system}}\nspec: {{{spec}}}\n"
        )
    };
    for (bad, found) in [("addresses: [10.66.103.300/32]", "10.66.103.300"), ("addresses: [\"fd00::g/64\"]", "fd00::g")]
    {
        let refused = dry_run(&lab, &reservation(bad)).unwrap_err();
        assert!(refused.contains("AddressReservation r: ") && refused.contains(found), "{refused}");
    }
    dry_run(&lab, &reservation("addresses: [10.66.103.3/32, \"fd00::/64\"]")).unwrap();
}

#[test]
fn without_the_webhooks_objects_are_stored_and_services_work() {
    let lab = lab();
    wait_until_asked(&lab);
    let scale =
        |replicas: &str| lab.kubectl(&["scale", "deployment/controller", replicas, "--namespace=herald-system"]);
    scale("--replicas=0").unwrap();
    lab.kubectl(&[
        "wait",
        "pod",
        "--for=delete",
        "--selector=component=controller",
        "--namespace=herald-system",
        "--timeout=60s",
    ])
    .unwrap();
    apply(&lab, &pool("unseen", "herald-system", "10.66.103.0/28")).unwrap();
    lab.apply(&service("unseen", "", "")).unwrap();
    scale("--replicas=2").unwrap();
    lab.addresses("default", "unseen", 1).unwrap();
    lab.wait_for("both replicas to be ready", PATIENCE, |client| async move {
        let object = Api::<Deployment>::namespaced(client, "herald-system").get("controller").await?;
        Ok((object.status.and_then(|status| status.ready_replicas) == Some(2)).then_some(()))
    })
    .unwrap();
    wait_until_asked(&lab);
    lab.kubectl(&["delete", "service", "unseen"]).unwrap();
    lab.kubectl(&["delete", "ipaddresspool", "unseen", "--namespace=herald-system"]).unwrap();
}

#[test]
fn no_request_fails_while_the_certificates_are_made_anew() {
    let lab = lab();
    wait_until_asked(&lab);
    let served = |client: Client| async move {
        let secret = Api::<Secret>::namespaced(client, "herald-system").get(SECRET).await?;
        let data = secret.data.unwrap_or_default();
        Ok(data.get("tls.crt").zip(data.get("ca.crt")).map(|(tls, ca)| (tls.0.clone(), ca.0.clone())))
    };
    let (certificate, authority) = lab.wait_for("a certificate", PATIENCE, served).unwrap();
    lab.kubectl(&["delete", "secret", SECRET, "--namespace=herald-system"]).unwrap();

    // A request that fails is let through, so a bad pool that is always refused proves that none did.
    let bad = pool("probe", "herald-system", "10.66.103.300/32");
    let good = pool("probe", "herald-system", "10.66.103.0/28");
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut asked = 0;
    let mut renewed = None;
    loop {
        let error = dry_run(&lab, &bad).unwrap_err();
        assert!(error.contains("10.66.103.300"), "after {asked} questions: {error}");
        dry_run(&lab, &good).unwrap();
        asked += 1;
        let now = lab.run({
            let client = lab.client();
            async move { served(client).await }
        });
        if let Ok(Ok(Some((tls, ca)))) = now
            && tls != certificate
        {
            assert_ne!(ca, authority);
            let since = *renewed.get_or_insert_with(Instant::now);
            if since.elapsed() > Duration::from_secs(3) {
                break;
            }
        }
        assert!(Instant::now() < deadline, "no new certificate");
    }
    assert!(asked > 10, "{asked}");
}
