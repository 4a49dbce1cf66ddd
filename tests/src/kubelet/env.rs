//! A container's environment, command and arguments, with `$(NAME)` expanded. Pure but for the objects it is given.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVarSource, Pod, Secret};

/// What references in a container's environment may mean.
#[derive(Debug, Default)]
pub(super) struct Sources {
    pub(super) secrets: BTreeMap<String, Secret>,
    pub(super) config_maps: BTreeMap<String, ConfigMap>,
    pub(super) host_ips: Vec<IpAddr>,
    pub(super) pod_ips: Vec<IpAddr>,
    /// Address and port of the API server.
    pub(super) api_server: (String, String),
    pub(super) node: String,
}

/// Names of the Secrets and ConfigMaps that the containers' environments refer to.
pub(super) fn references(containers: &[Container]) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut secrets, mut config_maps) = (BTreeSet::new(), BTreeSet::new());
    for container in containers {
        for from in container.env_from.iter().flatten() {
            secrets.extend(from.secret_ref.as_ref().map(|secret| secret.name.clone()));
            config_maps.extend(from.config_map_ref.as_ref().map(|map| map.name.clone()));
        }
        for source in container.env.iter().flatten().filter_map(|variable| variable.value_from.as_ref()) {
            secrets.extend(source.secret_key_ref.as_ref().map(|key| key.name.clone()));
            config_maps.extend(source.config_map_key_ref.as_ref().map(|key| key.name.clone()));
        }
    }
    (secrets, config_maps)
}

/// The environment of `container`.
///
/// # Errors
///
/// Names what a variable refers to and is not there.
pub(super) fn environment(pod: &Pod, container: &Container, sources: &Sources) -> Result<BTreeMap<String, String>> {
    let mut variables: BTreeMap<String, String> = [
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("HOME", "/"),
        ("HOSTNAME", pod.metadata.name.as_deref().unwrap_or_default()),
        ("KUBERNETES_SERVICE_HOST", &sources.api_server.0),
        ("KUBERNETES_SERVICE_PORT", &sources.api_server.1),
        ("KUBERNETES_SERVICE_PORT_HTTPS", &sources.api_server.1),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    for from in container.env_from.iter().flatten() {
        let prefix = from.prefix.as_deref().unwrap_or_default();
        if let Some(reference) = &from.secret_ref {
            match sources.secrets.get(&reference.name) {
                Some(secret) => {
                    variables.extend(secret_values(secret).map(|(key, value)| (format!("{prefix}{key}"), value)));
                }
                None if reference.optional == Some(true) => {}
                None => bail!("secret \"{}\" not found", reference.name),
            }
        }
        if let Some(reference) = &from.config_map_ref {
            match sources.config_maps.get(&reference.name) {
                Some(map) => variables
                    .extend(map.data.iter().flatten().map(|(key, value)| (format!("{prefix}{key}"), value.clone()))),
                None if reference.optional == Some(true) => {}
                None => bail!("configmap \"{}\" not found", reference.name),
            }
        }
    }
    for variable in container.env.iter().flatten() {
        let value = match &variable.value_from {
            None => Some(expand(variable.value.as_deref().unwrap_or_default(), &variables)),
            Some(source) => from_source(pod, source, sources).with_context(|| format!("variable {}", variable.name))?,
        };
        if let Some(value) = value {
            variables.insert(variable.name.clone(), value);
        }
    }
    Ok(variables)
}

/// Replaces `$(NAME)` by the variable's value, leaves it where there is none, and makes `$$` a dollar.
pub(super) fn expand(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("$$") {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix("$(").and_then(|inner| inner.split_once(')'))
            && let Some(value) = variables.get(name)
        {
            out.push_str(value);
            rest = after;
        } else {
            out.push('$');
            rest = &rest[1..];
        }
    }
    out + rest
}

/// A field of the pod, as the downward API names it.
///
/// # Errors
///
/// When there is no such field.
pub(super) fn field(pod: &Pod, path: &str, sources: &Sources) -> Result<String> {
    let metadata = &pod.metadata;
    let spec = pod.spec.as_ref();
    let join = |all: &[IpAddr]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let first = |all: &[IpAddr]| all.first().map(ToString::to_string).unwrap_or_default();
    let keyed = |map: &Option<BTreeMap<String, String>>, inner: &str| {
        let key = inner.strip_suffix("']").unwrap_or(inner);
        map.as_ref().and_then(|map| map.get(key)).cloned().unwrap_or_default()
    };
    let lines = |map: &Option<BTreeMap<String, String>>| {
        map.iter().flatten().map(|(key, value)| format!("{key}={value:?}")).collect::<Vec<_>>().join("\n")
    };
    Ok(match path {
        "metadata.name" => metadata.name.clone().unwrap_or_default(),
        "metadata.namespace" => metadata.namespace.clone().unwrap_or_default(),
        "metadata.uid" => metadata.uid.clone().unwrap_or_default(),
        "metadata.labels" => lines(&metadata.labels),
        "metadata.annotations" => lines(&metadata.annotations),
        "spec.nodeName" => sources.node.clone(),
        "spec.serviceAccountName" => spec.and_then(|spec| spec.service_account_name.clone()).unwrap_or_default(),
        "status.hostIP" => first(&sources.host_ips),
        "status.hostIPs" => join(&sources.host_ips),
        "status.podIP" => first(&sources.pod_ips),
        "status.podIPs" => join(&sources.pod_ips),
        other => {
            if let Some(inner) = other.strip_prefix("metadata.labels['") {
                keyed(&metadata.labels, inner)
            } else if let Some(inner) = other.strip_prefix("metadata.annotations['") {
                keyed(&metadata.annotations, inner)
            } else {
                bail!("unknown field {other}");
            }
        }
    })
}

fn from_source(pod: &Pod, source: &EnvVarSource, sources: &Sources) -> Result<Option<String>> {
    if let Some(reference) = &source.field_ref {
        return field(pod, &reference.field_path, sources).map(Some);
    }
    if let Some(key) = &source.secret_key_ref {
        let value =
            sources.secrets.get(&key.name).and_then(|secret| secret_values(secret).find(|(name, _)| *name == key.key));
        return match value {
            Some((_, value)) => Ok(Some(value)),
            None if key.optional == Some(true) => Ok(None),
            None => bail!("couldn't find key {} in Secret {}", key.key, key.name),
        };
    }
    if let Some(key) = &source.config_map_key_ref {
        let value =
            sources.config_maps.get(&key.name).and_then(|map| map.data.as_ref()).and_then(|data| data.get(&key.key));
        return match value {
            Some(value) => Ok(Some(value.clone())),
            None if key.optional == Some(true) => Ok(None),
            None => bail!("couldn't find key {} in ConfigMap {}", key.key, key.name),
        };
    }
    bail!("the lab's kubelet knows fieldRef, secretKeyRef and configMapKeyRef only");
}

fn secret_values(secret: &Secret) -> impl Iterator<Item = (String, String)> + '_ {
    secret.data.iter().flatten().map(|(key, value)| (key.clone(), String::from_utf8_lossy(&value.0).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_dollar_parentheses_are_replaced_where_they_are_known() {
        let variables = BTreeMap::from([("A".to_owned(), "1".to_owned())]);
        for (text, expected) in
            [("x$(A)y", "x1y"), ("$(B)", "$(B)"), ("$$(A)", "$(A)"), ("$A $", "$A $"), ("$(A", "$(A")]
        {
            assert_eq!(expand(text, &variables), expected, "{text}");
        }
    }

    #[test]
    fn later_variables_see_earlier_ones_and_the_pods_fields() {
        let pod: Pod =
            serde_json::from_value(serde_json::json!({"metadata": {"name": "p", "labels": {"a/b": "c"}}})).unwrap();
        let container: Container = serde_json::from_value(serde_json::json!({"name": "c", "env": [
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "LABEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['a/b']"}}},
            {"name": "BOTH", "value": "$(NODE)-$(LABEL)"},
        ]}))
        .unwrap();
        let sources = Sources { node: "node1".to_owned(), ..Sources::default() };
        let variables = environment(&pod, &container, &sources).unwrap();
        assert_eq!(variables["BOTH"], "node1-c");
    }
}
