//! What becomes of one Service, and of all.
//!
//! ```text
//!   not a LoadBalancer ............................ Release what it has, or Ignore
//!   on its way out ................................ Keep what it has, or Ignore
//!   holds addresses (book, else status)
//!     may keep all it needs, request satisfied .... Keep
//!     may keep some, the rest is to be had ........ Assign (Additional, or Reduced)
//!     asks for something else ..................... Assign (Requested), or Refuse and keep
//!     may not keep them ........................... Assign (Moved), or Release with the refusal
//!   holds nothing ................................. Assign (New), or Refuse
//! ```
//!
//! Where this differs from MetalLB it is on purpose: a request that cannot be satisfied loses nothing, PreferDualStack with one cluster IP wants
//! one address and so never flaps, a Service that goes from two families to one keeps the address of that one, and RequireDualStack first
//! tries to add the missing family.

use crate::{
    book::{Assignment, Book, Effect, Room},
    keep::{Held, Keepable, ReleaseReason},
    order,
    pick::{lack_of, pick},
    refusal::{Families, Lack, Refusal},
    share::Terms,
};
use herald_crds::model::{Family, FamilyPolicy, Service, ServiceKey, ServiceKind};
use std::{collections::BTreeMap, net::IpAddr};

/// What becomes of one Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It keeps what it holds.
    Keep(Assignment),
    /// It holds this from now on.
    Assign {
        /// Everything it holds, not only what is new.
        assignment: Assignment,
        /// Why now.
        cause: Cause,
    },
    /// It loses everything.
    Release {
        /// Why.
        because: ReleaseReason,
        /// Why it gets nothing instead, where it still wants something.
        refusal: Option<Refusal>,
    },
    /// It does not get what it wants.
    Refuse {
        /// Why.
        refusal: Refusal,
        /// What it holds all the same.
        keeps: Option<Assignment>,
    },
    /// It wants nothing and holds nothing.
    Ignore,
}

/// Why a Service holds something else than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It held nothing.
    New,
    /// It asked for another address or pool than it held.
    Requested,
    /// A second family joins the first.
    Additional(IpAddr),
    /// It keeps a part of what it held.
    Reduced(ReleaseReason),
    /// It may not keep what it held.
    Moved(ReleaseReason),
}

impl Decision {
    /// What the Service holds after it.
    pub fn holds(&self) -> Option<&Assignment> {
        match self {
            Self::Keep(assignment) | Self::Assign { assignment, .. } => Some(assignment),
            Self::Refuse { keeps, .. } => keeps.as_ref(),
            Self::Release { .. } | Self::Ignore => None,
        }
    }

    /// Why it does not get all it wants.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refuse { refusal, .. } => Some(refusal),
            Self::Release { refusal, .. } => refusal.as_ref(),
            Self::Keep(_) | Self::Assign { .. } | Self::Ignore => None,
        }
    }
}

impl Book {
    /// Notes down what was decided for a Service. What it loses is free after [`Book::settle`].
    pub fn apply(&mut self, service: &Service, decision: &Decision) -> Effect {
        match decision.holds() {
            Some(assignment) => self.hold(service, assignment),
            None => {
                self.give_up(&service.key);
                Effect::None
            }
        }
    }

    /// Takes over what the status of a Service shows, as far as the Service may keep it. To be done for all Services before any of them is planned,
    /// so that none is given what another one already has.
    pub fn adopt(&mut self, service: &Service) {
        if self.allocation(&service.key).is_some() || service.kind == ServiceKind::Other {
            return;
        }
        match Held::of(service, self).keepable(service, families(service).ok(), self) {
            Keepable::All(kept) | Keepable::Part(kept, _) => {
                let _nobody_waits_yet = self.hold(service, &kept);
            }
            Keepable::Lost(_) | Keepable::Nothing => {}
        }
    }
}

/// Plans all Services: adopts what they hold, then folds [`plan_one`] and [`Book::apply`] over them, those that hold addresses first, then
/// those that ask for some address, then the others, and goes through those that were refused again as long as something was freed.
/// Returns the last decision on each, in the order of keys.
pub fn plan<'a>(services: impl IntoIterator<Item = &'a Service>, book: &mut Book) -> Vec<(ServiceKey, Decision)> {
    let mut turn: Vec<&Service> = services.into_iter().collect();
    turn.sort_by(|a, b| a.key.cmp(&b.key));
    for service in &turn {
        book.adopt(service);
    }
    turn.sort_by_cached_key(|service| order::turn(service, book));
    let mut decisions = BTreeMap::new();
    while !turn.is_empty() {
        let mut freed = false;
        let mut waiting = Vec::new();
        for service in turn {
            let decision = plan_one(service, book);
            freed |= book.apply(service, &decision) == Effect::Freed;
            freed |= book.settle(&service.key) == Effect::Freed;
            if decision.refusal().is_some() {
                waiting.push(service);
            }
            decisions.insert(&service.key, decision);
        }
        turn = if freed { waiting } else { Vec::new() };
    }
    decisions.into_iter().map(|(key, decision)| (key.clone(), decision)).collect()
}

/// Says what becomes of one Service that this installation handles. Changes nothing.
pub fn plan_one(service: &Service, book: &Book) -> Decision {
    let held = Held::of(service, book);
    if service.kind == ServiceKind::Other {
        let clean = held.ips.is_empty() && service.assigned.is_empty() && service.allocated_from.is_none();
        return if clean { Decision::Ignore } else { release(ReleaseReason::NotLoadBalancer) };
    }
    let families = match families(service) {
        Ok(families) => families,
        Err(Refusal::NoClusterIps) if !held.ips.is_empty() => {
            return Decision::Release { because: ReleaseReason::NoClusterIps, refusal: Some(Refusal::NoClusterIps) };
        }
        Err(refusal) => return refuse(refusal, held.keepable(service, None, book)),
    };
    let keepable = held.keepable(service, Some(families), book);
    if service.deleting {
        return match keepable {
            Keepable::Nothing => Decision::Ignore,
            Keepable::Lost(because) => release(because),
            Keepable::All(kept) | Keepable::Part(kept, _) => Decision::Keep(kept),
        };
    }
    match keepable {
        Keepable::Nothing => match pick(service, families, book) {
            Ok(assignment) => Decision::Assign { assignment, cause: Cause::New },
            Err(refusal) => Decision::Refuse { refusal, keeps: None },
        },
        Keepable::Lost(because) => match pick(service, families, book) {
            Ok(assignment) => Decision::Assign { assignment, cause: Cause::Moved(because) },
            Err(refusal) => Decision::Release { because, refusal: Some(refusal) },
        },
        Keepable::All(kept) => go_on(service, families, kept, None, book),
        Keepable::Part(kept, because) => go_on(service, families, kept, Some(because), book),
    }
}

/// Plans a Service that may keep something; `lost` says why it is not all that it held.
fn go_on(
    service: &Service,
    families: Families,
    kept: Assignment,
    lost: Option<ReleaseReason>,
    book: &Book,
) -> Decision {
    if !satisfied(service, &kept) {
        return match pick(service, families, book) {
            Ok(assignment) => Decision::Assign { assignment, cause: Cause::Requested },
            Err(refusal) => refuse_part(refusal, kept),
        };
    }
    let asked_exactly = service.requested_ips.as_ref().is_ok_and(|ips| !ips.is_empty());
    let Some(missing) = missing(families, &kept).filter(|_| !asked_exactly) else {
        return match lost {
            Some(because) => Decision::Assign { assignment: kept, cause: Cause::Reduced(because) },
            None => Decision::Keep(kept),
        };
    };
    let terms = Terms::of(service);
    let costs = kept.ips.iter().any(|ip| !book.counts_already(*ip, &service.key));
    let room = book.room(&kept.pool, service).map(|room| room.after(costs));
    if let Some(ip) = additional(&kept.pool, missing, terms.as_ref(), room, service, book) {
        let mut assignment = kept;
        assignment.ips.push(ip);
        assignment.ips.sort();
        return Decision::Assign { assignment, cause: Cause::Additional(ip) };
    }
    match families {
        Families::Both { required: true, .. } => match pick(service, families, book) {
            Ok(assignment) => Decision::Assign { assignment, cause: Cause::Moved(ReleaseReason::FamilyChanged) },
            Err(refusal) => refuse_part(refusal, kept),
        },
        _ => match book.pools().get(&kept.pool) {
            Some(pool) => {
                let free = additional(&kept.pool, missing, terms.as_ref(), None, service, book).is_some();
                let lack = match room {
                    Some(Room { used, quota, .. }) if free => Lack::Quota { used, quota },
                    _ => lack_of(pool, missing),
                };
                refuse_part(Refusal::NoAdditional { pool: kept.pool.clone(), family: missing, lack }, kept)
            }
            // The pool is out of force; the address stays until that is mended.
            None => Decision::Keep(kept),
        },
    }
}

/// The address that joins what a Service keeps. What is kept for others is taken only where one family is not enough.
fn additional(
    pool: &str,
    family: Family,
    terms: Option<&Terms>,
    room: Option<Room>,
    service: &Service,
    book: &Book,
) -> Option<IpAddr> {
    if let Some(Room { left: 0, .. }) = room {
        return book.first_counted(pool, family, terms, service);
    }
    let required = service.family_policy == FamilyPolicy::RequireDualStack;
    let yielded = || required.then(|| book.first_yielded(pool, family, terms, service)).flatten();
    book.first_fit(pool, family, terms, service).or_else(yielded)
}

/// The families that a Service needs, by its cluster IPs and its policy.
fn families(service: &Service) -> Result<Families, Refusal> {
    let families = service.families();
    let required = service.family_policy == FamilyPolicy::RequireDualStack;
    match (families.contains(&Family::V4), families.contains(&Family::V6)) {
        (true, true) => Ok(Families::Both {
            primary: service.primary_family,
            required: service.family_policy != FamilyPolicy::PreferDualStack,
        }),
        (false, false) => Err(Refusal::NoClusterIps),
        _ if required => Err(Refusal::NotEnoughClusterIps),
        (true, false) => Ok(Families::One(Family::V4)),
        (false, true) => Ok(Families::One(Family::V6)),
    }
}

/// Whether what a Service keeps is what it asks for.
fn satisfied(service: &Service, kept: &Assignment) -> bool {
    let pool = service.requested_pool.as_ref().is_none_or(|pool| *pool == kept.pool);
    let ips = match &service.requested_ips {
        Err(_) => false,
        Ok(ips) if ips.is_empty() => true,
        Ok(ips) => ips.len() == kept.ips.len() && ips.iter().all(|ip| kept.ips.contains(ip)),
    };
    pool && ips
}

/// The family that a Service needs and does not hold.
fn missing(families: Families, kept: &Assignment) -> Option<Family> {
    let has = |family| kept.ips.iter().any(|ip| Family::of(*ip) == family);
    match families {
        Families::One(_) => None,
        Families::Both { .. } => [Family::V4, Family::V6].into_iter().find(|family| !has(*family)),
    }
}

fn release(because: ReleaseReason) -> Decision {
    Decision::Release { because, refusal: None }
}

fn refuse(refusal: Refusal, keepable: Keepable) -> Decision {
    match keepable {
        Keepable::Nothing => Decision::Refuse { refusal, keeps: None },
        Keepable::Lost(because) => Decision::Release { because, refusal: Some(refusal) },
        Keepable::All(kept) | Keepable::Part(kept, _) => refuse_part(refusal, kept),
    }
}

fn refuse_part(refusal: Refusal, kept: Assignment) -> Decision {
    Decision::Refuse { refusal, keeps: Some(kept) }
}
