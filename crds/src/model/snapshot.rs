//! The configuration as read, before anything is made of it.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::core::v1;

use super::NodeFacts;
use super::select::Labels;
use crate::api::{BFDProfile, BGPAdvertisement, BGPPeer, Community, IPAddressPool, L2Advertisement};

/// The small part of a snapshot, resolved whole: everything but Services and endpoints.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// The pools of Herald's namespace, by name.
    pub pools: BTreeMap<String, IPAddressPool>,
    /// The layer-2 advertisements of Herald's namespace, by name.
    pub l2_advertisements: BTreeMap<String, L2Advertisement>,
    /// The BGP advertisements of Herald's namespace, by name.
    pub bgp_advertisements: BTreeMap<String, BGPAdvertisement>,
    /// The BGP peers of Herald's namespace, by name.
    pub bgp_peers: BTreeMap<String, BGPPeer>,
    /// The BFD profiles of Herald's namespace, by name.
    pub bfd_profiles: BTreeMap<String, BFDProfile>,
    /// The Community objects of Herald's namespace, by name.
    pub communities: BTreeMap<String, Community>,
    /// The Secrets of Herald's namespace that peers name, by name. Peers whose Secret is not here wait for it.
    pub secrets: BTreeMap<String, SecretFacts>,
    /// The labels of every namespace, by name.
    pub namespaces: BTreeMap<String, Labels>,
    /// Every node, by name.
    pub nodes: BTreeMap<String, NodeFacts>,
}

/// What matters of a Secret that may hold the password of a peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretFacts {
    /// Its type.
    pub kind: String,
    /// The text under the key `password`; nothing where there is none, or where it is no text.
    pub password: Option<Password>,
}

impl From<&v1::Secret> for SecretFacts {
    fn from(secret: &v1::Secret) -> Self {
        let bytes = secret.data.as_ref().and_then(|data| data.get("password"));
        let text = bytes.and_then(|bytes| String::from_utf8(bytes.0.clone()).ok());
        Self { kind: secret.type_.clone().unwrap_or_default(), password: text.map(Password::new) }
    }
}

/// A password, which no log and no message shows.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Password(String);

impl Password {
    /// Hides a password.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The password itself, for whoever opens the connection.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}
