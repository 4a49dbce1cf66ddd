//! The CRDs the types stand for.

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceConversion, CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, ServiceReference,
    WebhookClientConfig, WebhookConversion,
};
use kube::core::crd::merge_crds;
use kube::{CustomResourceExt, Resource};

use super::bgp_peer::{v1beta1, v1beta2};
use super::herald::AddressReservation;
use super::{
    BFDProfile, BGPAdvertisement, Community, ConfigurationState, IPAddressPool, L2Advertisement, ServiceBGPStatus,
    ServiceL2Status,
};
use crate::keys;

/// Every CRD, in the order of their files.
pub fn crds() -> Vec<CustomResourceDefinition> {
    let mut crds = vec![
        AddressReservation::crd(),
        BFDProfile::crd(),
        BGPAdvertisement::crd(),
        bgp_peer(),
        Community::crd(),
        ConfigurationState::crd(),
        IPAddressPool::crd(),
        L2Advertisement::crd(),
        ServiceBGPStatus::crd(),
        ServiceL2Status::crd(),
    ];
    for crd in &mut crds {
        let kind = crd.spec.names.kind.clone();
        for version in &mut crd.spec.versions {
            let schema = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut());
            let Some(root) = schema else { continue };
            as_kubernetes_writes_it(root);
            if kind != IPAddressPool::kind(&()) && kind != AddressReservation::kind(&()) {
                root.required = None; // an object without a spec has every default
            }
        }
    }
    crds
}

/// Both versions, with the webhook that converts between them.
///
/// Objects are stored as `v1beta2`, which is also what Herald and every current manifest use. The API server calls the webhook only for
/// `v1beta1`, or for objects stored as that: while it is away, nothing else suffers. Its CA is filled in at run time.
fn bgp_peer() -> CustomResourceDefinition {
    let versions = vec![v1beta1::BGPPeer::crd(), v1beta2::BGPPeer::crd()];
    let mut crd = merge_crds(versions, "v1beta2").expect("the versions differ in nothing but their schemas");
    for version in &mut crd.spec.versions {
        let fields: &[&str] = if version.name == "v1beta2" { &["myASN"] } else { &["myASN", "peerASN", "peerAddress"] };
        let root = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut());
        let spec = root.and_then(|root| root.properties.as_mut()).and_then(|properties| properties.get_mut("spec"));
        if let Some(spec) = spec {
            require(spec, fields);
        }
    }
    let service = ServiceReference {
        name: keys::WEBHOOK_SERVICE.to_owned(),
        namespace: keys::DEFAULT_NAMESPACE.to_owned(),
        path: Some(keys::CONVERT_PATH.to_owned()),
        port: None,
    };
    crd.spec.conversion = Some(CustomResourceConversion {
        strategy: "Webhook".to_owned(),
        webhook: Some(WebhookConversion {
            client_config: Some(WebhookClientConfig { service: Some(service), ..WebhookClientConfig::default() }),
            conversion_review_versions: vec!["v1".to_owned()],
        }),
    });
    crd
}

/// Makes fields required that Rust reads as their default where they are missing, as it does for an object without a spec.
fn require(spec: &mut JSONSchemaProps, fields: &[&str]) {
    spec.required = Some(fields.iter().map(|&field| field.to_owned()).collect());
    for (_, property) in spec.properties.iter_mut().flatten().filter(|(name, _)| fields.contains(&name.as_str())) {
        property.default = None;
    }
}

/// The files of `config/crd`: text by file name, one CRD each, and a kustomization that lists them.
pub fn manifests() -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for crd in crds() {
        let name = crd.metadata.name.as_deref().unwrap_or_default();
        let body = serde_yaml::to_string(&crd).expect("a CRD is made of maps, lists and text");
        files.insert(format!("{name}.yaml"), format!("{HEADER}{body}"));
    }
    let resources: String = files.keys().map(|name| format!("  - {name}\n")).collect();
    let kustomization =
        format!("{HEADER}apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n{resources}");
    files.insert("kustomization.yaml".to_owned(), kustomization);
    files
}

const HEADER: &str = "# Generated from crds/src/api by `make crds`. Do not edit.\n";

/// Says what Rust types say in the words of Kubernetes.
///
/// * Label selectors are replaced whole, as in the kinds of Kubernetes: half of one selector merged into half of another selects what nobody
///   wanted.
/// * Kubernetes knows no unsigned formats.
/// * A key without a value is the same as no key; the API server drops it, and fills in the default.
fn as_kubernetes_writes_it(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    match schema.format.as_deref() {
        Some("uint32") => schema.format = Some("int64".to_owned()),
        Some("uint16") => schema.format = Some("int32".to_owned()),
        _ => {}
    }
    if let Some(properties) = &mut schema.properties {
        if properties.contains_key("matchLabels") && properties.contains_key("matchExpressions") {
            schema.x_kubernetes_map_type = Some("atomic".to_owned());
        }
        properties.values_mut().for_each(as_kubernetes_writes_it);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        as_kubernetes_writes_it(items);
    }
}
