//! Webhooks with certificates of cert-manager, `config/cert-manager`. The test is cert-manager: it does for the Certificate and the annotations that it
//! finds what that does.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test on a real network has a real clock"
)]

use herald_tests::{
    cluster::{Cluster, HERALD, Options},
    herald::PATIENCE,
};
use k8s_openapi::{
    api::admissionregistration::v1::ValidatingWebhookConfiguration,
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, Patch, PatchParams},
    discovery::ApiResource,
};
use rcgen::{CertificateParams, KeyPair};
use serde_json::json;
use std::time::Instant;

const INJECT: &str = "cert-manager.io/inject-ca-from";

/// The kinds as far as anything is read of them.
fn kinds() -> String {
    let kind = |kind: &str, plural: &str| {
        format!(
            "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{name: {plural}.cert-manager.io}}\nspec:\n  \
             group: cert-manager.io\n  scope: Namespaced\n  names: {{kind: {kind}, plural: {plural}, singular: {singular}}}\n  versions:\n  \
             - {{name: v1, served: true, storage: true, schema: {{openAPIV3Schema: {{type: object, \
             x-kubernetes-preserve-unknown-fields: true}}}}}}\n",
            singular = kind.to_lowercase()
        )
    };
    [kind("Issuer", "issuers"), kind("Certificate", "certificates")].join("---\n")
}

/// Signs what the Certificate asks for, stores it, and has it trusted where the annotations say.
fn issue(cluster: &Cluster) {
    let client = cluster.client();
    cluster
        .run(async move {
            let resource = ApiResource {
                group: "cert-manager.io".into(),
                version: "v1".into(),
                api_version: "cert-manager.io/v1".into(),
                kind: "Certificate".into(),
                plural: "certificates".into(),
            };
            let certificate = Api::<DynamicObject>::namespaced_with(client.clone(), HERALD, &resource).get("webhook").await?;
            let spec = &certificate.data["spec"];
            let names: Vec<String> = serde_json::from_value(spec["dnsNames"].clone()).unwrap();
            let key = KeyPair::generate().unwrap();
            let signed = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
            let secret = json!({
                "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": { "name": spec["secretName"] },
                "stringData": { "tls.crt": signed.pem(), "tls.key": key.serialize_pem(), "ca.crt": signed.pem() },
            });
            let secrets: Api<k8s_openapi::api::core::v1::Secret> = Api::namespaced(client.clone(), HERALD);
            let apply = PatchParams::apply("cert-manager").force();
            secrets.patch(spec["secretName"].as_str().unwrap(), &apply, &Patch::Apply(secret)).await?;

            let bundle = serde_json::to_value(k8s_openapi::ByteString(signed.pem().into_bytes())).unwrap();
            let from = format!("{HERALD}/{}", certificate.name_any());
            let configurations: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
            for configuration in configurations.list(&<_>::default()).await? {
                if configuration.annotations().get(INJECT) == Some(&from) {
                    let webhooks = configuration.webhooks.iter().flatten();
                    let webhooks: Vec<_> = webhooks.map(|webhook| json!({ "name": webhook.name, "clientConfig": { "caBundle": bundle } })).collect();
                    let patch = Patch::Strategic(json!({ "webhooks": webhooks }));
                    configurations.patch(&configuration.name_any(), &PatchParams::default(), &patch).await?;
                }
            }
            let definitions: Api<CustomResourceDefinition> = Api::all(client);
            for definition in definitions.list(&<_>::default()).await? {
                if definition.annotations().get(INJECT) == Some(&from) {
                    let patch = json!({ "spec": { "conversion": { "webhook": { "clientConfig": { "caBundle": bundle } } } } });
                    definitions.patch(&definition.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await?;
                }
            }
            Ok::<_, kube::Error>(())
        })
        .unwrap()
        .unwrap();
}

/// Waits until the API server trusts what the webhooks show: a bad pool is refused by name, and a peer is read in its old version.
fn wait_until_asked(cluster: &Cluster) {
    let bad = "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: bad, namespace: herald-system}\nspec: {addresses: [10.66.103.300/32]}\n";
    let deadline = Instant::now() + 2 * PATIENCE;
    loop {
        let refused = cluster.apply(bad).map_err(|error| format!("{error:#}"));
        let read = cluster.kubectl(&["get", "bgppeers.v1beta1.metallb.io", "tor", "-n=herald-system"]);
        match (refused, read) {
            (Err(error), Ok(_)) if error.contains("IPAddressPool bad: ") => return,
            (refused, read) => {
                assert!(Instant::now() < deadline, "{refused:?}\n{read:?}\n{}", cluster.last_words(HERALD));
                let _ = cluster.kubectl(&["delete", "ipaddresspool", "bad", "-n=herald-system", "--ignore-not-found"]);
            }
        }
    }
}

#[test]
fn webhooks_serve_the_certificate_of_cert_manager_and_the_next_one() {
    let cluster = Cluster::start(Options::nodes(1)).unwrap();
    cluster.apply(&kinds()).unwrap();
    cluster
        .kubectl(&[
            "wait",
            "crd",
            "--for=condition=Established",
            "--timeout=30s",
            "issuers.cert-manager.io",
            "certificates.cert-manager.io",
        ])
        .unwrap();
    cluster.apply("config/cert-manager").unwrap();
    cluster
        .apply("apiVersion: metallb.io/v1beta2\nkind: BGPPeer\nmetadata: {name: tor, namespace: herald-system}\nspec: {myASN: 64500, peerASN: 64501, peerAddress: 10.66.0.250}\n")
        .unwrap();
    issue(&cluster);
    cluster.wait_for_pods(HERALD).unwrap();
    wait_until_asked(&cluster);
    // Another key, and only that is trusted from now on.
    issue(&cluster);
    wait_until_asked(&cluster);
    let secrets = cluster.kubectl(&["get", "secrets", "-n=herald-system", "-o=name"]).unwrap();
    assert!(!secrets.contains("metallb-webhook-cert"), "Herald makes none of its own: {secrets}");
}
