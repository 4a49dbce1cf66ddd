//! What `heraldlb.io/deletion-protection: "true"` forbids on a pool: to delete it, and to edit it so that an address in use lies outside it. That a
//! Service with it is not deleted is a rule of the API server's own, in `config/webhook/protected-services.yaml`.
//!
//! For admission: an edit is judged by the annotation as it was before, so that protection ends with one edit that only takes it off.

use herald_crds::{
    keys,
    model::{Pool, Service, ServiceKey},
};
use std::{collections::BTreeMap, fmt, net::IpAddr};

/// How many Services a text names before it says how many more there are.
const NAMED: usize = 10;

/// Why something protected may not be deleted or edited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protection {
    what: String,
    attempt: Attempt,
    in_use: BTreeMap<ServiceKey, Vec<IpAddr>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    Delete,
    Edit,
}

/// Whether the annotations of an object protect it.
pub fn is_protected(annotations: Option<&BTreeMap<String, String>>) -> bool {
    annotations.and_then(|all| all.get(keys::PROTECTION_ANNOTATION)).is_some_and(|value| value.trim() == "true")
}

/// Whether a pool with these annotations may be deleted, with all Services there are.
///
/// # Errors
/// It is protected.
pub fn may_delete_pool<'a>(
    pool: &Pool,
    annotations: Option<&BTreeMap<String, String>>,
    services: impl IntoIterator<Item = &'a Service>,
) -> Result<(), Protection> {
    if !is_protected(annotations) {
        return Ok(());
    }
    let in_use = holders(services, |ip| pool.contains(ip));
    Err(Protection { what: format!("pool {}", pool.name), attempt: Attempt::Delete, in_use })
}

/// Whether a pool with these annotations may be changed to another one of its name, with all Services there are.
///
/// # Errors
/// It is protected, and addresses in use would lie outside it.
pub fn may_edit_pool<'a>(
    before: &Pool,
    annotations: Option<&BTreeMap<String, String>>,
    after: &Pool,
    services: impl IntoIterator<Item = &'a Service>,
) -> Result<(), Protection> {
    if !is_protected(annotations) {
        return Ok(());
    }
    let in_use = holders(services, |ip| before.contains(ip) && !after.contains(ip));
    if in_use.is_empty() {
        return Ok(());
    }
    Err(Protection { what: format!("pool {}", before.name), attempt: Attempt::Edit, in_use })
}

fn holders<'a>(
    services: impl IntoIterator<Item = &'a Service>,
    counts: impl Fn(IpAddr) -> bool,
) -> BTreeMap<ServiceKey, Vec<IpAddr>> {
    let held = |service: &Service| service.assigned.iter().copied().filter(|ip| counts(*ip)).collect::<Vec<_>>();
    services
        .into_iter()
        .map(|service| (service.key.clone(), held(service)))
        .filter(|(_, ips)| !ips.is_empty())
        .collect()
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = &self.what;
        match self.attempt {
            Attempt::Delete => write!(f, "{what} is protected from deletion")?,
            Attempt::Edit => write!(f, "{what} is protected and the edit leaves out addresses in use")?,
        }
        for (index, (key, ips)) in self.in_use.iter().take(NAMED).enumerate() {
            let ips: Vec<String> = ips.iter().map(ToString::to_string).collect();
            write!(f, "{}{key} ({})", if index == 0 { ": in use by " } else { ", " }, ips.join(", "))?;
        }
        if self.in_use.len() > NAMED {
            write!(f, " and {} more services", self.in_use.len() - NAMED)?;
        }
        write!(f, "; take the annotation {} off first if you mean it", keys::PROTECTION_ANNOTATION)
    }
}
