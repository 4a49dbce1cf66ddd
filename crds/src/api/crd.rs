//! The CRDs the types stand for.

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::{CustomResourceExt, Resource};

use super::{IPAddressPool, L2Advertisement};

/// Every CRD, in the order of their files.
pub fn crds() -> Vec<CustomResourceDefinition> {
    let mut crds = vec![IPAddressPool::crd(), L2Advertisement::crd()];
    for crd in &mut crds {
        let kind = crd.spec.names.kind.clone();
        for version in &mut crd.spec.versions {
            let schema = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut());
            let Some(root) = schema else { continue };
            selectors_are_atomic(root);
            if kind == L2Advertisement::kind(&()) {
                root.required = None; // an advertisement without a spec is one of everything
            }
        }
    }
    crds
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

/// Marks label selectors as values that are replaced whole, as Kubernetes does in its own kinds: half of one selector merged into half of
/// another selects what nobody wanted.
fn selectors_are_atomic(schema: &mut JSONSchemaProps) {
    if let Some(properties) = &mut schema.properties {
        if properties.contains_key("matchLabels") && properties.contains_key("matchExpressions") {
            schema.x_kubernetes_map_type = Some("atomic".to_owned());
        }
        properties.values_mut().for_each(selectors_are_atomic);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        selectors_are_atomic(items);
    }
}
