//! What a Service may keep of what it holds.
//!
//! All of its addresses must lie in one pool that admits it, be of families that it has, and be shared only with those who agree. What does
//! not, goes; what does, stays. A pool whose selectors match no namespace at all admits nobody and still takes nothing away. While an object is set aside because of a configuration error, addresses outside all pools stay too.

use crate::{
    book::{Assignment, Book},
    refusal::Families,
    share::{Clash, Terms},
};
use herald_crds::model::{Family, Pool, Service};
use std::{fmt, net::IpAddr};

/// What a Service holds: by the book, else, when the book is young, by its own status.
pub(crate) struct Held {
    pub(crate) ips: Vec<IpAddr>,
    pool: Option<String>,
}

/// What a Service may keep of what it holds.
pub(crate) enum Keepable {
    /// It holds nothing.
    Nothing,
    /// All of it.
    All(Assignment),
    /// Some of it, and why not the rest.
    Part(Assignment, ReleaseReason),
    /// None of it.
    Lost(ReleaseReason),
}

impl Held {
    pub(crate) fn of(service: &Service, book: &Book) -> Self {
        match book.allocation(&service.key) {
            Some(assignment) => Self { ips: assignment.ips.clone(), pool: Some(assignment.pool.clone()) },
            None => Self { ips: service.assigned.clone(), pool: service.allocated_from.clone() },
        }
    }

    /// What of it the Service may keep; without `families` those do not matter.
    pub(crate) fn keepable(&self, service: &Service, families: Option<Families>, book: &Book) -> Keepable {
        let Some(first) = self.ips.first() else { return Keepable::Nothing };
        let terms = Terms::of(service);
        let clash = |ip: &IpAddr| book.clash(*ip, terms.as_ref(), &service.key);
        if book.some_set_aside() && self.ips.iter().any(|ip| book.pool_of(*ip).is_none()) {
            if let Some(clash) = self.ips.iter().find_map(clash) {
                return Keepable::Lost(ReleaseReason::Clash(clash));
            }
            let pool = self.pool.clone().or_else(|| service.allocated_from.clone()).unwrap_or_default();
            return Keepable::All(Assignment { pool, ips: self.ips.clone() });
        }
        let mut ips = Vec::new();
        let mut lost = None;
        let mut pool: Option<&Pool> = None;
        for ip in &self.ips {
            let why = match book.pool_of(*ip) {
                None => ReleaseReason::OutsidePools,
                Some(_) if families.is_some_and(|families| !families.include(Family::of(*ip))) => {
                    ReleaseReason::FamilyChanged
                }
                Some(_) if ips.iter().any(|other| Family::of(*other) == Family::of(*ip)) => {
                    ReleaseReason::FamilyChanged
                }
                Some(other) if pool.is_some_and(|pool| pool.name != other.name) => ReleaseReason::SeveralPools,
                Some(other) if !other.lets_keep(&service.key.namespace, &service.labels) => {
                    ReleaseReason::NotAdmitted { pool: other.name.clone() }
                }
                Some(other) => match clash(ip) {
                    Some(clash) => ReleaseReason::Clash(clash),
                    None => {
                        pool = Some(other);
                        ips.push(*ip);
                        continue;
                    }
                },
            };
            lost.get_or_insert(why);
        }
        match (pool, lost) {
            (Some(pool), None) => Keepable::All(Assignment { pool: pool.name.clone(), ips }),
            (Some(pool), Some(because)) => Keepable::Part(Assignment { pool: pool.name.clone(), ips }, because),
            (None, Some(because)) => Keepable::Lost(because),
            (None, None) => {
                debug_assert!(false, "{first} is kept or lost");
                Keepable::Nothing
            }
        }
    }
}

/// Why a Service may not keep what it held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReleaseReason {
    /// It is no longer of type LoadBalancer.
    NotLoadBalancer,
    /// It has no cluster IP any more.
    NoClusterIps,
    /// No pool holds the addresses any more.
    OutsidePools,
    /// The addresses no longer lie in one pool.
    SeveralPools,
    /// The pool no longer admits the Service.
    NotAdmitted {
        /// The pool.
        pool: String,
    },
    /// The families of the Service are not those of the addresses.
    FamilyChanged,
    /// It can no longer share the address with the others who hold it.
    Clash(Clash),
}

impl ReleaseReason {
    /// A short fixed word for logs, in MetalLB's vocabulary where it has one.
    pub fn label(&self) -> &'static str {
        match self {
            Self::NotLoadBalancer => "notLoadBalancer",
            Self::NoClusterIps => "noClusterIPs",
            Self::OutsidePools => "notAllowedByConfig",
            Self::SeveralPools => "severalPools",
            Self::NotAdmitted { .. } => "poolNotCompatible",
            Self::FamilyChanged => "familyChanged",
            Self::Clash(_) => "sharingNotAllowed",
        }
    }
}

impl fmt::Display for ReleaseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLoadBalancer => f.write_str("the service is not of type LoadBalancer"),
            Self::NoClusterIps => f.write_str("the service has no cluster IP"),
            Self::OutsidePools => f.write_str("current IP not allowed by config: no pool holds it"),
            Self::SeveralPools => f.write_str("current IPs not allowed by config: they lie in different pools"),
            Self::NotAdmitted { pool } => write!(
                f,
                "current IP not allowed by config: the serviceAllocation of pool {pool} does not match the namespace and labels of the service"
            ),
            Self::FamilyChanged => f.write_str("the IP families of the service changed"),
            Self::Clash(Clash { with, why }) => write!(f, "the address is also in use by {with}: {why}"),
        }
    }
}
