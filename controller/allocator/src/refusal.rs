//! Why a Service gets no address, in words its owner can act on.
//!
//! The first words are MetalLB's, because people search for them; after the colon comes the why. A text holds no counts, so that
//! it changes only when the reason does, and names a few pools at most, so that it fits an Event.

use crate::share::{Clash, Why};
use herald_crds::{
    api::reason::ControllerReason,
    model::{Family, RequestError},
};
use std::{fmt, net::IpAddr};

/// How many pools a text names before it says how many more there are.
const NAMED_POOLS: usize = 5;

/// Why a Service gets no address, or not the one it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no pool at all.
    NoPools,
    /// The Service has no cluster IP, so nothing could be reached through an address.
    NoClusterIps,
    /// RequireDualStack, but the cluster gave the Service fewer than two cluster IPs.
    NotEnoughClusterIps,
    /// The request cannot be read.
    InvalidRequest(RequestError),
    /// The requested addresses are not one of each of the Service's families.
    FamilyMismatch {
        /// What was asked for.
        requested: Vec<IpAddr>,
        /// The families of the Service's cluster IPs.
        families: Families,
    },
    /// The requested pool does not exist, or is out of force.
    UnknownPool {
        /// Its name.
        pool: String,
        /// Some object is set aside because of a configuration error; it may be this one.
        some_set_aside: bool,
    },
    /// The pool does not take this Service.
    NotAdmitted {
        /// Its name.
        pool: String,
    },
    /// No pool has all of the requested addresses.
    NotAllowed {
        /// What was asked for.
        requested: Vec<IpAddr>,
        /// What stands in the way.
        because: NotAllowed,
    },
    /// A requested address is held by somebody who does not share it.
    InUse {
        /// The address.
        ip: IpAddr,
        /// Who asks.
        service: String,
        /// Who holds it.
        clash: Clash,
    },
    /// A requested address is kept for somebody else.
    Reserved {
        /// The address.
        ip: IpAddr,
        /// The AddressReservation.
        reservation: String,
    },
    /// The namespace would hold more addresses of the pool than it may.
    Quota {
        /// The pool.
        pool: String,
        /// How many the namespace uses.
        used: u32,
        /// How many it may use.
        quota: u32,
    },
    /// Nothing is left of what this Service may use.
    Exhausted {
        /// The pool that was asked for, if one was.
        requested_pool: Option<String>,
        /// Every pool that was looked at, and what it lacked.
        tried: Vec<(String, Lack)>,
    },
    /// PreferDualStack, and the pool of the first address has none of the other family. The Service keeps what it has.
    NoAdditional {
        /// The pool of the address it holds.
        pool: String,
        /// The missing family.
        family: Family,
        /// Whether the pool has that family at all.
        lack: Lack,
    },
}

/// The families a Service needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Families {
    /// Single stack.
    One(Family),
    /// Dual stack; `primary` comes first when only one is to be had and that is enough.
    Both {
        /// The family of `spec.ipFamilies[0]`.
        primary: Family,
        /// RequireDualStack: one family is not enough.
        required: bool,
    },
}

/// Why requested addresses are not to be had from the pools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotAllowed {
    /// No pool holds this one.
    OutsidePools(IpAddr),
    /// They lie in different pools.
    SeveralPools(String, String),
    /// They lie in one pool, but another one was asked for as well.
    OtherPool {
        /// Where they lie.
        found: String,
        /// What `metallb.io/address-pool` says.
        requested: String,
    },
}

/// What a pool lacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// It has no address of this family at all.
    Family(Family),
    /// All its addresses of this family are in use.
    Free(Family),
    /// It does not admit the Service's namespace or labels.
    Admission,
    /// It gives addresses only to those who ask for it.
    AutoAssign,
    /// The namespace would hold more of its addresses than it may.
    Quota {
        /// How many the namespace uses.
        used: u32,
        /// How many it may use.
        quota: u32,
    },
}

impl Families {
    /// Whether an address of this family is of use.
    pub(crate) fn include(self, family: Family) -> bool {
        match self {
            Self::One(one) => one == family,
            Self::Both { .. } => true,
        }
    }
}

impl Refusal {
    /// The reason of the Event; `holds` says whether the Service keeps an address all the same.
    pub fn event_reason(&self, holds: bool) -> ControllerReason {
        match self {
            Self::NotEnoughClusterIps => ControllerReason::NotEnoughClusterIps,
            Self::NoClusterIps => ControllerReason::NoClusterIpsFamily,
            Self::NoAdditional { .. } => ControllerReason::AdditionalAssignFailed,
            Self::InvalidRequest(_) if holds => ControllerReason::LoadBalancerFailed,
            _ => ControllerReason::AllocationFailed,
        }
    }

    /// A short fixed word for logs and metric labels.
    pub fn label(&self) -> &'static str {
        match self {
            Self::NoPools => "noPools",
            Self::NoClusterIps => "noClusterIPs",
            Self::NotEnoughClusterIps => "notEnoughClusterIPs",
            Self::InvalidRequest(_) => "invalidRequest",
            Self::FamilyMismatch { .. } => "familyMismatch",
            Self::UnknownPool { .. } => "unknownPool",
            Self::NotAdmitted { .. } => "poolNotCompatible",
            Self::NotAllowed { .. } => "notAllowed",
            Self::InUse { .. } => "inUse",
            Self::Reserved { .. } => "reserved",
            Self::Quota { .. } => "quota",
            Self::Exhausted { .. } => "exhausted",
            Self::NoAdditional { .. } => "noAdditional",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPools => f.write_str("no available IPs: there is no IPAddressPool"),
            Self::NoClusterIps => f.write_str("the service has no cluster IP"),
            Self::NotEnoughClusterIps => f.write_str(
                "ipFamilyPolicy RequireDualStack needs two cluster IPs and the service has fewer; the cluster may be single-stack",
            ),
            Self::InvalidRequest(error) => error.fmt(f),
            Self::FamilyMismatch { requested, families } => write!(
                f,
                "requested loadBalancer IP(s) {} does not match the ipFamily of the service: expected {families}",
                quoted(requested)
            ),
            Self::UnknownPool { pool, some_set_aside: false } => write!(f, "unknown pool {pool:?}"),
            Self::UnknownPool { pool, some_set_aside: true } => {
                write!(f, "unknown pool {pool:?}; if it exists, it is set aside because of an error in it: see its events")
            }
            Self::NotAdmitted { pool } => write!(
                f,
                "pool {pool} not compatible for ip assignment: its serviceAllocation does not match the namespace and labels of the service"
            ),
            Self::NotAllowed { requested, because } => {
                write!(f, "{} is not allowed in config: {because}", quoted(requested))
            }
            Self::InUse { ip, clash: Clash { with, why: Why::PortTaken(port) }, .. } => {
                write!(f, "port {port} is already in use on {:?} by {with}", ip.to_string())
            }
            Self::InUse { ip, service, clash: Clash { with, why } } => {
                write!(f, "can't change sharing key for {service:?}, address {ip} also in use by {with}: {why}")
            }
            Self::Reserved { ip, reservation } => {
                write!(f, "[\"{ip}\"] is not allowed in config: AddressReservation {reservation} keeps it for others")
            }
            Self::Quota { pool, used, quota } => {
                write!(f, "no available IPs in pool {pool}: {}", Lack::Quota { used: *used, quota: *quota })
            }
            Self::Exhausted { requested_pool: Some(pool), tried } => {
                write!(f, "no available IPs in pool {pool}{}", reasons(tried, false))
            }
            Self::Exhausted { requested_pool: None, tried } => write!(f, "no available IPs{}", reasons(tried, true)),
            Self::NoAdditional { pool, family, lack } => {
                write!(f, "no additional {family} address in pool {pool}: {lack}")
            }
        }
    }
}

impl fmt::Display for Families {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(family) => write!(f, "one {family} address"),
            Self::Both { .. } => f.write_str("one IPv4 and one IPv6 address"),
        }
    }
}

impl fmt::Display for NotAllowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutsidePools(ip) => write!(f, "no pool holds {ip}"),
            Self::SeveralPools(a, b) => write!(f, "pools {a} and {b} would both be needed"),
            Self::OtherPool { found, requested } => {
                write!(f, "it lies in pool {found}, but pool {requested} is requested")
            }
        }
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Family(family) => write!(f, "no {family} addresses"),
            Self::Free(family) => write!(f, "no free {family} address"),
            Self::Admission => f.write_str("not for this namespace and these labels"),
            Self::AutoAssign => f.write_str("autoAssign is off"),
            Self::Quota { used, quota } => write!(f, "the namespace holds {used} of its quota of {quota}"),
        }
    }
}

/// `["10.0.0.1" "fd00::1"]`, as MetalLB prints them.
fn quoted(ips: &[IpAddr]) -> String {
    let list: Vec<String> = ips.iter().map(|ip| format!("{:?}", ip.to_string())).collect();
    format!("[{}]", list.join(" "))
}

fn reasons(tried: &[(String, Lack)], named: bool) -> String {
    let mut text = String::new();
    for (index, (pool, lack)) in tried.iter().take(NAMED_POOLS).enumerate() {
        text.push_str(if index == 0 { ": " } else { ", " });
        text.push_str(&if named { format!("{pool} ({lack})") } else { lack.to_string() });
    }
    if tried.len() > NAMED_POOLS {
        text.push_str(&format!(" and {} more pools", tried.len() - NAMED_POOLS));
    }
    text
}
