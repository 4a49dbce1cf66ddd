//! Which addresses a Service gets that holds none, or may give up what it holds.
//!
//! ```text
//!   asks for addresses   exactly those, all in one pool that admits it, free or shared on its terms
//!   asks for a pool      the first that fit there, whether or not the pool gives unasked
//!   asks for nothing     what is reserved for it, else pinned pools that admit it by rank, then pools for everybody by name;
//!                        in each list: dual stack needs both families in one pool; PreferDualStack then settles for one,
//!                        the primary first. A single-family pinned pool beats a dual pool for everybody.
//! ```

use crate::{
    book::{Assignment, Book, Room},
    refusal::{Families, Lack, NotAllowed, Refusal},
    share::Terms,
};
use herald_crds::model::{Family, Pool, Service};
use std::net::IpAddr;

/// What a Service gets, as if it held nothing.
pub(crate) fn pick(service: &Service, families: Families, book: &Book) -> Result<Assignment, Refusal> {
    let requested = match &service.requested_ips {
        Ok(ips) => ips,
        Err(error) => return Err(Refusal::InvalidRequest(error.clone())),
    };
    if !requested.is_empty() {
        return exactly(requested, service, families, book);
    }
    if book.pools().is_empty() && service.requested_pool.is_none() {
        return Err(Refusal::NoPools);
    }
    match &service.requested_pool {
        Some(name) => from_pool(name, service, families, book),
        None => automatic(service, families, book),
    }
}

fn exactly(requested: &[IpAddr], service: &Service, families: Families, book: &Book) -> Result<Assignment, Refusal> {
    let mut ips = requested.to_vec();
    ips.sort();
    let fits = match families {
        Families::One(family) => ips.len() == 1 && Family::of(ips[0]) == family,
        Families::Both { .. } => ips.len() == 2 && ips[0].is_ipv4() && ips[1].is_ipv6(),
    };
    if !fits {
        return Err(Refusal::FamilyMismatch { requested: requested.to_vec(), families });
    }
    let not_allowed = |because| Refusal::NotAllowed { requested: requested.to_vec(), because };
    let mut pools = Vec::new();
    for ip in &ips {
        pools.push(book.pool_of(*ip).ok_or_else(|| not_allowed(NotAllowed::OutsidePools(*ip)))?);
    }
    let pool = pools[0];
    if let Some(other) = pools.iter().find(|other| other.name != pool.name) {
        return Err(not_allowed(NotAllowed::SeveralPools(pool.name.clone(), other.name.clone())));
    }
    if let Some(name) = service.requested_pool.as_ref().filter(|name| **name != pool.name) {
        return Err(not_allowed(NotAllowed::OtherPool { found: pool.name.clone(), requested: name.clone() }));
    }
    if !admits(pool, service) {
        return Err(Refusal::NotAdmitted { pool: pool.name.clone() });
    }
    let terms = Terms::of(service);
    for ip in &ips {
        if let Some(reservation) = book.kept_from(*ip, service) {
            return Err(Refusal::Reserved { ip: *ip, reservation: reservation.to_owned() });
        }
        if let Some(clash) = book.clash(*ip, terms.as_ref(), &service.key) {
            return Err(Refusal::InUse { ip: *ip, service: service.key.to_string(), clash });
        }
    }
    let new = ips.iter().filter(|ip| !book.counts_already(**ip, &service.key)).count();
    if let Some(Room { left, used, quota }) = book.room(&pool.name, service)
        && new > left as usize
    {
        return Err(Refusal::Quota { pool: pool.name.clone(), used, quota });
    }
    Ok(Assignment { pool: pool.name.clone(), ips })
}

fn from_pool(name: &str, service: &Service, families: Families, book: &Book) -> Result<Assignment, Refusal> {
    let Some(pool) = book.pools().get(name) else {
        return Err(Refusal::UnknownPool { pool: name.to_owned(), some_set_aside: book.some_set_aside() });
    };
    if !admits(pool, service) {
        return Err(Refusal::NotAdmitted { pool: name.to_owned() });
    }
    let terms = Terms::of(service);
    choose(&[pool], service, families, terms.as_ref(), book, Supply::Free)
        .or_else(|lacks| choose(&[pool], service, families, terms.as_ref(), book, Supply::Yielded).map_err(|_| lacks))
        .map_err(|tried| Refusal::Exhausted { requested_pool: Some(name.to_owned()), tried })
}

fn automatic(service: &Service, families: Families, book: &Book) -> Result<Assignment, Refusal> {
    let terms = Terms::of(service);
    let mut tried = Vec::new();
    let mut admitted = Vec::new();
    for pool in book.ranks.pinned.iter().filter_map(|name| book.pools().get(name)) {
        if admits(pool, service) { admitted.push(pool) } else { tried.push((pool.name.clone(), Lack::Admission)) }
    }
    let default: Vec<&Pool> = book.ranks.default.iter().filter_map(|name| book.pools().get(name)).collect();
    let kept: Vec<&Pool> = book.pools_reserved_for(service).filter(|pool| admits(pool, service)).collect();
    if let Ok(assignment) = choose(&kept, service, families, terms.as_ref(), book, Supply::Reserved) {
        return Ok(assignment);
    }
    let mut lacking = Vec::new();
    for list in [&admitted, &default] {
        match choose(list, service, families, terms.as_ref(), book, Supply::Free) {
            Ok(assignment) => return Ok(assignment),
            Err(lacks) => lacking.extend(lacks),
        }
    }
    for list in [&admitted, &default] {
        if let Ok(assignment) = choose(list, service, families, terms.as_ref(), book, Supply::Yielded) {
            return Ok(assignment);
        }
    }
    // What came close is named first: pools that admit the Service but are full, then the others.
    lacking.append(&mut tried);
    let manual = book.pools().values().filter(|pool| !pool.auto_assign);
    lacking.extend(manual.map(|pool| (pool.name.clone(), Lack::AutoAssign)));
    Err(Refusal::Exhausted { requested_pool: None, tried: lacking })
}

/// Which addresses are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Supply {
    /// Those that are kept for the Service.
    Reserved,
    /// Those, and the ones that are free for all.
    Free,
    /// All these, and the ones whose reservations yield.
    Yielded,
}

/// The first pool of a list that has what the families need, or what each of them lacked.
fn choose(
    pools: &[&Pool],
    service: &Service,
    families: Families,
    terms: Option<&Terms>,
    book: &Book,
    supply: Supply,
) -> Result<Assignment, Vec<(String, Lack)>> {
    let fit = |pool: &Pool, family| match supply {
        Supply::Reserved => book.first_reserved(&pool.name, family, terms, service),
        Supply::Free => book.first_fit(&pool.name, family, terms, service),
        Supply::Yielded => {
            let free = book.first_fit(&pool.name, family, terms, service);
            free.or_else(|| book.first_yielded(&pool.name, family, terms, service))
        }
    };
    // A namespace that may take nothing new still shares what it has.
    let within = |pool: &Pool, family, room: Option<Room>| match room {
        Some(Room { left: 0, .. }) => book.first_counted(&pool.name, family, terms, service),
        _ => fit(pool, family),
    };
    let single = |family| {
        pools.iter().find_map(|pool| {
            let ip = within(pool, family, book.room(&pool.name, service))?;
            Some(Assignment { pool: pool.name.clone(), ips: vec![ip] })
        })
    };
    let double = |pool: &Pool| {
        let room = book.room(&pool.name, service);
        let first = within(pool, Family::V4, room)?;
        let rest = room.map(|room| room.after(!book.counts_already(first, &service.key)));
        if let Some(second) = within(pool, Family::V6, rest) {
            return Some(vec![first, second]);
        }
        let shared = book.first_counted(&pool.name, Family::V4, terms, service).filter(|_| room.is_some())?;
        Some(vec![shared, within(pool, Family::V6, room)?])
    };
    let (found, needed): (_, &[Family]) = match families {
        Families::One(Family::V4) => (single(Family::V4), &[Family::V4]),
        Families::One(Family::V6) => (single(Family::V6), &[Family::V6]),
        Families::Both { primary, required } => {
            let both = pools.iter().find_map(|pool| {
                let ips = double(pool)?;
                Some(Assignment { pool: pool.name.clone(), ips })
            });
            let found = match both {
                None if !required => single(primary).or_else(|| single(primary.other())),
                both => both,
            };
            (found, &[Family::V4, Family::V6])
        }
    };
    found.ok_or_else(|| {
        let lack = |pool: &Pool| {
            let missing = needed.iter().find(|family| fit(pool, **family).is_none());
            let full = || book.room(&pool.name, service).map(|Room { used, quota, .. }| Lack::Quota { used, quota });
            missing.map(|family| lack_of(pool, *family)).or_else(full)
        };
        pools.iter().filter_map(|pool| Some((pool.name.clone(), lack(pool)?))).collect()
    })
}

/// What a pool without an address to give of this family lacks.
pub(crate) fn lack_of(pool: &Pool, family: Family) -> Lack {
    if pool.has_family(family) { Lack::Free(family) } else { Lack::Family(family) }
}

pub(crate) fn admits(pool: &Pool, service: &Service) -> bool {
    pool.admits(&service.key.namespace, &service.labels)
}
