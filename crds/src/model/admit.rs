//! Whether an object that somebody wants to write would be set aside, and what else they should know.
//!
//! ```text
//!   Config --resolve--> problems before
//!   Config + candidate --resolve--> problems after
//!   refused: the candidate has a problem, or somebody else has one who had none before
//!   warned:  what waits because of it, and what is legal but surely not meant
//! ```
//!
//! The rules are those of [`resolve`](super::resolve()): this only asks it twice. References to objects that may come later are no reason to refuse.

use std::collections::BTreeSet;
use std::fmt;

use kube::Resource;

use super::problem::{Kind, ObjectRef, Problem, ProblemReason};
use super::waiting::{Missing, Waiting};
use super::{Config, resolve};
use crate::api::{BFDProfile, BGPAdvertisement, BGPPeer, Community, IPAddressPool, L2Advertisement};

/// An object that somebody wants to write or delete.
#[derive(Clone, Debug, PartialEq)]
pub enum Candidate {
    /// `IPAddressPool`
    IPAddressPool(Box<IPAddressPool>),
    /// `L2Advertisement`
    L2Advertisement(Box<L2Advertisement>),
    /// `BGPAdvertisement`
    BGPAdvertisement(Box<BGPAdvertisement>),
    /// `BGPPeer`, as v1beta2
    BGPPeer(Box<BGPPeer>),
    /// `BFDProfile`
    BFDProfile(Box<BFDProfile>),
    /// `Community`
    Community(Box<Community>),
}

/// What is to be done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Create,
    /// It replaces the one of its name.
    Update,
    /// It goes; the candidate is the object as it was.
    Delete,
}

/// What the one who writes an object should know, though it is accepted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Warning {
    /// What was found, and what comes of it.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Judges a change of one object, before it is made. `config` holds every object as it is now (the candidate's old self included), and
/// `namespace` is Herald's own.
///
/// An object that is on its way out is never refused, nor is the deletion of anything but a BFDProfile that a peer uses.
///
/// # Errors
///
/// Every reason to refuse. The objects named are the candidate or those that it would put out of force.
pub fn admit(
    config: &Config,
    namespace: &str,
    change: Change,
    candidate: &Candidate,
) -> Result<Vec<Warning>, Vec<Problem>> {
    let object = candidate.object();
    if change == Change::Delete {
        return deletion(config, candidate, object);
    }
    if candidate.is_leaving() {
        return Ok(Vec::new());
    }
    let found = candidate.namespace();
    if change == Change::Create && found != namespace {
        let message = format!("the namespace is \"{found}\", where Herald does not look: create it in \"{namespace}\"");
        return Err(vec![Problem { object, reason: ProblemReason::WrongNamespace, message }]);
    }
    let mut after = config.clone();
    candidate.clone().put_into(&mut after);
    let (was, problems_before) = resolve(config);
    let (is, problems_after) = resolve(&after);
    let bad_before: BTreeSet<&ObjectRef> = problems_before.iter().map(|problem| &problem.object).collect();
    let refused: Vec<Problem> = problems_after
        .into_iter()
        .filter(|problem| problem.object == object || !bad_before.contains(&problem.object))
        .collect();
    if !refused.is_empty() {
        return Err(refused);
    }
    let waited: BTreeSet<&ObjectRef> = was.waiting.iter().map(|waiting| &waiting.object).collect();
    let waits = is.waiting.iter().filter(|waiting| waiting.object == object || !waited.contains(&waiting.object));
    let mut warnings: Vec<Warning> = waits.filter_map(without_secrets).map(|message| Warning { message }).collect();
    warnings.extend(candidate.oddities(&after).into_iter().map(|message| Warning { message }));
    Ok(warnings)
}

/// What an object waits for, in words. Who judges has no right to see Secrets, so they are not said to be missing.
fn without_secrets(waiting: &Waiting) -> Option<String> {
    let missing = waiting.missing.iter().filter(|missing| !matches!(missing, Missing::Secret(_))).cloned();
    let waiting = Waiting { object: waiting.object.clone(), missing: missing.collect() };
    (!waiting.missing.is_empty()).then(|| waiting.to_string())
}

fn deletion(config: &Config, candidate: &Candidate, object: ObjectRef) -> Result<Vec<Warning>, Vec<Problem>> {
    if !matches!(candidate, Candidate::BFDProfile(_)) {
        return Ok(Vec::new());
    }
    let users = config.bgp_peers.iter().filter(|(_, peer)| peer.spec.bfd_profile == object.name);
    let users: Vec<&str> = users.map(|(name, _)| name.as_str()).collect();
    if users.is_empty() {
        return Ok(Vec::new());
    }
    let message =
        format!("BGPPeer {} uses it: change spec.bfdProfile there before deleting it", users.join(", BGPPeer "));
    Err(vec![Problem { object, reason: ProblemReason::InUse, message }])
}

/// Does the same with the object that a candidate holds, whatever its kind.
macro_rules! each_kind {
    ($candidate:expr, $object:ident => $body:expr) => {
        match $candidate {
            Candidate::IPAddressPool($object) => $body,
            Candidate::L2Advertisement($object) => $body,
            Candidate::BGPAdvertisement($object) => $body,
            Candidate::BGPPeer($object) => $body,
            Candidate::BFDProfile($object) => $body,
            Candidate::Community($object) => $body,
        }
    };
}

impl Candidate {
    /// Its kind and name.
    pub fn object(&self) -> ObjectRef {
        let name = each_kind!(self, object => object.meta().name.clone()).unwrap_or_default();
        ObjectRef { kind: self.kind(), name }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::IPAddressPool(_) => Kind::IPAddressPool,
            Self::L2Advertisement(_) => Kind::L2Advertisement,
            Self::BGPAdvertisement(_) => Kind::BGPAdvertisement,
            Self::BGPPeer(_) => Kind::BGPPeer,
            Self::BFDProfile(_) => Kind::BFDProfile,
            Self::Community(_) => Kind::Community,
        }
    }

    fn namespace(&self) -> &str {
        each_kind!(self, object => object.meta().namespace.as_deref()).unwrap_or_default()
    }

    fn is_leaving(&self) -> bool {
        each_kind!(self, object => object.meta().deletion_timestamp.is_some())
    }

    fn put_into(self, config: &mut Config) {
        let name = self.object().name;
        match self {
            Self::IPAddressPool(object) => drop(config.pools.insert(name, *object)),
            Self::L2Advertisement(object) => drop(config.l2_advertisements.insert(name, *object)),
            Self::BGPAdvertisement(object) => drop(config.bgp_advertisements.insert(name, *object)),
            Self::BGPPeer(object) => drop(config.bgp_peers.insert(name, *object)),
            Self::BFDProfile(object) => drop(config.bfd_profiles.insert(name, *object)),
            Self::Community(object) => drop(config.communities.insert(name, *object)),
        }
    }

    /// What is legal but surely not meant.
    fn oddities(&self, config: &Config) -> Vec<String> {
        let mut found = Vec::new();
        let mut unknown_pools = |names: &[String]| {
            for name in names.iter().filter(|name| !config.pools.contains_key(*name)) {
                found.push(format!("spec.ipAddressPools names \"{name}\", and there is no such IPAddressPool yet"));
            }
        };
        match self {
            Self::L2Advertisement(object) => unknown_pools(&object.spec.ip_address_pools),
            Self::BGPAdvertisement(object) => {
                unknown_pools(&object.spec.ip_address_pools);
                for name in object.spec.peers.iter().filter(|name| !config.bgp_peers.contains_key(*name)) {
                    found.push(format!("spec.peers names \"{name}\", and there is no such BGPPeer yet"));
                }
            }
            Self::BGPPeer(object) => {
                if object.spec.disable_mp {
                    found.push("spec.disableMP is deprecated: use spec.dualStackAddressFamily".to_owned());
                }
                if !object.spec.interface.is_empty() {
                    found.push(
                        "spec.interface: peers behind an interface are not supported yet, no session comes up: give the router's address in \
                         spec.peerAddress"
                            .to_owned(),
                    );
                }
                let secret = object.spec.password_secret.as_ref();
                let elsewhere = secret.map(|secret| secret.namespace.as_str()).unwrap_or_default();
                let own = object.metadata.namespace.as_deref().unwrap_or_default();
                if !elsewhere.is_empty() && elsewhere != own {
                    found.push(format!(
                        "spec.passwordSecret.namespace is \"{elsewhere}\", but the Secret is looked for in \"{own}\""
                    ));
                }
            }
            _ => {}
        }
        found
    }
}
