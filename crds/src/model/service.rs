//! One Service, as both binaries need it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use k8s_openapi::api::core::v1;
use thiserror::Error;

use super::range::{Family, parse_ip};
use super::select::Labels;
use crate::keys;

/// The name of a Service. Displays as `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ServiceKey {
    /// The Service of this name.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What a Service asks for, what it holds, and what decides whether and where it is announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub key: ServiceKey,
    /// Its labels.
    pub labels: Labels,
    /// Whether it wants a load balancer.
    pub kind: ServiceKind,
    /// Its load-balancer class.
    pub class: Option<String>,
    /// Its cluster IPs; none for a headless Service.
    pub cluster_ips: Vec<IpAddr>,
    /// Whether it wants one family or two.
    pub family_policy: FamilyPolicy,
    /// The family it prefers.
    pub primary_family: Family,
    /// The addresses it asks for, in the order written and at most one of each family; none where it asks for none.
    pub requested_ips: Result<Vec<IpAddr>, RequestError>,
    /// The pool it asks for.
    pub requested_pool: Option<String>,
    /// The addresses in its status, in their order. Entries without a readable address are left out.
    pub assigned: Vec<IpAddr>,
    /// The pool its addresses came from, as the annotation on it says.
    pub allocated_from: Option<String>,
    /// Whether only nodes with an endpoint may take its traffic.
    pub traffic_policy: TrafficPolicy,
    /// Its pod selector.
    pub selector: BTreeMap<String, String>,
    /// Its ports.
    pub ports: BTreeSet<Port>,
    /// The key of the Services it may share an address with; nothing where it may not share.
    pub sharing_key: Option<String>,
    /// Whether it carries the sharing annotation, with whatever value.
    pub sharing_annotated: bool,
    /// The deprecated annotation keys it carries.
    pub deprecated_annotations: BTreeSet<&'static str>,
    /// Whether it is on its way out.
    pub deleting: bool,
}

impl Service {
    /// Whether it is of the class that this installation handles. Without a class of its own an installation handles the Services that
    /// have none; with one, only those of exactly that class.
    pub fn handled_by(&self, class: Option<&str>) -> bool {
        self.class.as_deref() == class.filter(|class| !class.is_empty())
    }

    /// The families of its cluster IPs.
    pub fn families(&self) -> BTreeSet<Family> {
        self.cluster_ips.iter().map(|&ip| Family::of(ip)).collect()
    }
}

/// Whether a Service wants a load balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceKind {
    /// `type: LoadBalancer`
    LoadBalancer,
    /// Any other type.
    Other,
}

/// `spec.ipFamilyPolicy`; nothing written means one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FamilyPolicy {
    /// One family.
    SingleStack,
    /// Two families where they are to be had.
    PreferDualStack,
    /// Two families or nothing.
    RequireDualStack,
}

/// `spec.externalTrafficPolicy`; nothing written means Cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrafficPolicy {
    /// Every node takes traffic.
    Cluster,
    /// Only nodes with an endpoint take traffic.
    Local,
}

/// A port of a Service. Displays as `tcp/80`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    /// Its protocol.
    pub protocol: Protocol,
    /// Its number.
    pub port: u16,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.protocol.as_str(), self.port)
    }
}

/// A transport protocol; nothing written means TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP
    Tcp,
    /// UDP
    Udp,
    /// SCTP
    Sctp,
}

impl Protocol {
    /// Its name in small letters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// Why the addresses that a Service asks for make no sense.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// Both ways of asking are used.
    #[error("both the annotation {annotation} and spec.loadBalancerIP ask for an address: remove spec.loadBalancerIP")]
    TwoRequests {
        /// The annotation.
        annotation: &'static str,
    },
    /// An address cannot be read.
    #[error("\"{text}\" in {place} is not an IP address")]
    NotAnAddress {
        /// Where it is written.
        place: &'static str,
        /// What is written.
        text: String,
    },
    /// Two addresses of one family.
    #[error("{place} asks for {first} and {second}: at most one {family} address is possible")]
    SameFamilyTwice {
        /// Where they are written.
        place: &'static str,
        /// The family of both.
        family: Family,
        /// The one before.
        first: IpAddr,
        /// The one after.
        second: IpAddr,
    },
}

impl From<&v1::Service> for Service {
    fn from(service: &v1::Service) -> Self {
        let nothing = v1::ServiceSpec::default();
        let spec = service.spec.as_ref().unwrap_or(&nothing);
        let annotations = Annotations(service.metadata.annotations.as_ref());
        let cluster_ips = cluster_ips(spec);
        let sharing = annotations.get(keys::SHARING_ANNOTATION, keys::SHARING_ANNOTATION_DEPRECATED);
        Self {
            key: ServiceKey::new(
                service.metadata.namespace.as_deref().unwrap_or_default(),
                service.metadata.name.as_deref().unwrap_or_default(),
            ),
            labels: service.metadata.labels.clone().unwrap_or_default(),
            kind: match spec.type_.as_deref() {
                Some("LoadBalancer") => ServiceKind::LoadBalancer,
                _ => ServiceKind::Other,
            },
            class: spec.load_balancer_class.clone(),
            family_policy: match spec.ip_family_policy.as_deref() {
                Some("PreferDualStack") => FamilyPolicy::PreferDualStack,
                Some("RequireDualStack") => FamilyPolicy::RequireDualStack,
                _ => FamilyPolicy::SingleStack,
            },
            primary_family: primary_family(spec, &cluster_ips),
            cluster_ips,
            requested_ips: requested_ips(spec, &annotations),
            requested_pool: annotations.filled(keys::POOL_ANNOTATION, keys::POOL_ANNOTATION_DEPRECATED),
            assigned: assigned(service),
            allocated_from: annotations
                .filled(keys::ALLOCATED_FROM_ANNOTATION, keys::ALLOCATED_FROM_ANNOTATION_DEPRECATED),
            traffic_policy: match spec.external_traffic_policy.as_deref() {
                Some("Local") => TrafficPolicy::Local,
                _ => TrafficPolicy::Cluster,
            },
            selector: spec.selector.clone().unwrap_or_default(),
            ports: spec.ports.iter().flatten().filter_map(port).collect(),
            sharing_key: sharing.map(|(_, key)| key.to_owned()).filter(|key| !key.is_empty()),
            sharing_annotated: sharing.is_some(),
            deprecated_annotations: annotations.deprecated(),
            deleting: service.metadata.deletion_timestamp.is_some(),
        }
    }
}

/// The annotations of a Service, where every key has an old spelling that counts only in the absence of the new one.
struct Annotations<'a>(Option<&'a BTreeMap<String, String>>);

impl<'a> Annotations<'a> {
    fn get(&self, key: &'static str, deprecated: &'static str) -> Option<(&'static str, &'a str)> {
        let map = self.0?;
        let of = |key: &'static str| map.get(key).map(|value| (key, value.as_str()));
        of(key).or_else(|| of(deprecated))
    }

    fn filled(&self, key: &'static str, deprecated: &'static str) -> Option<String> {
        self.get(key, deprecated).map(|(_, value)| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn deprecated(&self) -> BTreeSet<&'static str> {
        let inputs = [
            keys::POOL_ANNOTATION_DEPRECATED,
            keys::ADDRESSES_ANNOTATION_DEPRECATED,
            keys::SHARING_ANNOTATION_DEPRECATED,
        ];
        inputs.into_iter().filter(|key| self.0.is_some_and(|map| map.contains_key(*key))).collect()
    }
}

fn cluster_ips(spec: &v1::ServiceSpec) -> Vec<IpAddr> {
    let many = spec.cluster_ips.as_deref().unwrap_or_default();
    let one = spec.cluster_ip.as_slice();
    let texts = if many.is_empty() { one } else { many };
    texts.iter().filter_map(|text| parse_ip(text)).collect()
}

fn primary_family(spec: &v1::ServiceSpec, cluster_ips: &[IpAddr]) -> Family {
    match spec.ip_families.iter().flatten().next().map(String::as_str) {
        Some("IPv4") => Family::V4,
        Some("IPv6") => Family::V6,
        _ => cluster_ips.first().map_or(Family::V4, |&ip| Family::of(ip)),
    }
}

fn requested_ips(spec: &v1::ServiceSpec, annotations: &Annotations<'_>) -> Result<Vec<IpAddr>, RequestError> {
    let annotation = annotations
        .get(keys::ADDRESSES_ANNOTATION, keys::ADDRESSES_ANNOTATION_DEPRECATED)
        .filter(|(_, value)| !value.trim().is_empty());
    let field = spec.load_balancer_ip.as_deref().filter(|value| !value.is_empty());
    let (place, texts) = match (annotation, field) {
        (Some((annotation, _)), Some(_)) => return Err(RequestError::TwoRequests { annotation }),
        (Some((annotation, value)), None) => (annotation, value.split(',').collect()),
        (None, Some(value)) => ("spec.loadBalancerIP", vec![value]),
        (None, None) => return Ok(Vec::new()),
    };
    let mut ips: Vec<IpAddr> = Vec::new();
    for text in texts {
        let ip = parse_ip(text).ok_or_else(|| RequestError::NotAnAddress { place, text: text.trim().to_owned() })?;
        if let Some(&first) = ips.iter().find(|&&other| Family::of(other) == Family::of(ip)) {
            return Err(RequestError::SameFamilyTwice { place, family: Family::of(ip), first, second: ip });
        }
        ips.push(ip);
    }
    Ok(ips)
}

fn assigned(service: &v1::Service) -> Vec<IpAddr> {
    let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = balancer.and_then(|balancer| balancer.ingress.as_deref()).unwrap_or_default();
    ingress.iter().filter_map(|entry| entry.ip.as_deref()).filter_map(parse_ip).collect()
}

fn port(port: &v1::ServicePort) -> Option<Port> {
    let protocol = match port.protocol.as_deref() {
        Some("UDP") => Protocol::Udp,
        Some("SCTP") => Protocol::Sctp,
        _ => Protocol::Tcp,
    };
    Some(Port { protocol, port: u16::try_from(port.port).ok()? })
}

#[cfg(test)]
mod tests;
