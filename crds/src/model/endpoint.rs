//! The endpoints of a Service, as far as announcing it goes.

use std::net::IpAddr;

use k8s_openapi::api::discovery::v1::EndpointSlice;

use super::range::parse_ip;

/// One endpoint of a Service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// The node it runs on; nothing where the slice does not say.
    pub node: Option<String>,
    /// Whether traffic may be sent to it: ready (or not said), or serving while it terminates.
    pub can_serve: bool,
    /// Its address; nothing where it is a name.
    pub address: Option<IpAddr>,
}

/// Reads the endpoints of all slices of one Service, in the order of the slices.
pub fn endpoints_of<'a>(slices: impl IntoIterator<Item = &'a EndpointSlice>) -> Vec<Endpoint> {
    slices
        .into_iter()
        .flat_map(|slice| &slice.endpoints)
        .map(|endpoint| {
            let conditions = endpoint.conditions.as_ref();
            let ready = conditions.and_then(|c| c.ready).unwrap_or(true);
            let serving = conditions.and_then(|c| c.serving).unwrap_or(false);
            Endpoint {
                node: endpoint.node_name.clone().filter(|name| !name.is_empty()),
                can_serve: ready || serving,
                address: endpoint.addresses.first().and_then(|text| parse_ip(text)),
            }
        })
        .collect()
}
