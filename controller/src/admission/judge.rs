//! Whether an object would be set aside, or put others aside, if it were stored.
//!
//! The rules are those of [`resolve`]: this only asks it twice, before and after. An object that is on its way out, and the deletion of any, is
//! never refused.

use herald_crds::{
    IPAddressPool, L2Advertisement,
    model::{Config, Kind, ObjectRef, Problem, resolve},
};
use kube::Resource;
use std::collections::BTreeSet;

/// An object that somebody wants to store.
#[derive(Clone, Debug)]
pub(super) enum Candidate {
    Pool(Box<IPAddressPool>),
    L2Advertisement(Box<L2Advertisement>),
}

impl Candidate {
    fn object(&self) -> ObjectRef {
        let (kind, meta) = match self {
            Self::Pool(object) => (Kind::IPAddressPool, object.meta()),
            Self::L2Advertisement(object) => (Kind::L2Advertisement, object.meta()),
        };
        ObjectRef { kind, name: meta.name.clone().unwrap_or_default() }
    }

    pub(super) fn is_leaving(&self) -> bool {
        match self {
            Self::Pool(object) => object.meta().deletion_timestamp.is_some(),
            Self::L2Advertisement(object) => object.meta().deletion_timestamp.is_some(),
        }
    }

    fn put_into(self, config: &mut Config) {
        let name = self.object().name;
        match self {
            Self::Pool(object) => drop(config.pools.insert(name, *object)),
            Self::L2Advertisement(object) => drop(config.l2_advertisements.insert(name, *object)),
        }
    }
}

/// Every reason to refuse a candidate that replaces the object of its name in `config`, if there is one. Objects that had problems before
/// are no reason.
pub(super) fn judge(config: &Config, candidate: Candidate) -> Vec<Problem> {
    let object = candidate.object();
    let before: BTreeSet<ObjectRef> = resolve(config).1.into_iter().map(|problem| problem.object).collect();
    let mut after = config.clone();
    candidate.put_into(&mut after);
    let problems = resolve(&after).1.into_iter();
    problems.filter(|problem| problem.object == object || !before.contains(&problem.object)).collect()
}
