//! Which pools come first, and which Services.
//!
//! Both orders are total, so that the same objects give the same plan: pools by priority (0 after all others), then by name; Services that
//! hold addresses before those that ask for some address, those before the rest, then by namespace and name.

use crate::book::Book;
use herald_crds::model::{Pool, Service};

/// The pools that give addresses unasked, in the order in which they are tried.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ranks {
    /// With a `serviceAllocation`: tried first, by the Services they admit.
    pub(crate) pinned: Vec<String>,
    /// Without one: for everybody, when no pinned pool has an address.
    pub(crate) default: Vec<String>,
}

impl Ranks {
    pub(crate) fn of<'a>(pools: impl Iterator<Item = &'a Pool>) -> Self {
        let mut pinned = Vec::new();
        let mut default = Vec::new();
        for pool in pools.filter(|pool| pool.auto_assign) {
            match &pool.allocation {
                Some(allocation) if allocation.pinned => pinned.push((allocation.rank(), pool.name.clone())),
                Some(_) => {}
                None => default.push(pool.name.clone()),
            }
        }
        pinned.sort();
        default.sort();
        Self { pinned: pinned.into_iter().map(|(_, name)| name).collect(), default }
    }
}

/// The order in which a whole plan goes through Services; equal only for one and the same Service.
pub fn turn<'a>(service: &'a Service, book: &Book) -> impl Ord + use<'a> {
    let asks_for_an_address = service.requested_ips.as_ref().is_ok_and(|ips| !ips.is_empty());
    let urgency = match book.allocation(&service.key) {
        Some(_) => 0,
        None if asks_for_an_address => 1,
        None => 2,
    };
    (urgency, &service.key)
}
