//! Path attributes: what is said about all prefixes of one UPDATE (RFC 4271 §4.3, §5).

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::{AsPath, Asn, Community, ExtendedCommunity, LargeCommunity, Treatment};
use crate::iana::{AttributeCode, Origin, flags};

/// The attributes of an UPDATE, without the two that hold prefixes ([`super::Reach`] and [`super::Unreach`]).
///
/// A value has one form only, so that equal attributes compare equal and may be grouped by: communities are sets, and an
/// empty set or list is an absent attribute. The order of the fields is the order of the type codes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attributes {
    /// Where the route comes from.
    pub origin: Option<Origin>,
    /// The systems that it went through. With peers that know two octets only, AS4_PATH is made from it and merged into it.
    pub as_path: Option<AsPath>,
    /// Next hop of the IPv4 prefixes in [`super::Update::nlri`].
    pub next_hop: Option<Ipv4Addr>,
    /// MULTI_EXIT_DISC: among several links to the same AS, the lowest is preferred.
    pub med: Option<u32>,
    /// Inside an AS, the highest is preferred.
    pub local_pref: Option<u32>,
    /// A less specific prefix was chosen, and its path may be incomplete.
    pub atomic_aggregate: bool,
    /// Who made the aggregate.
    pub aggregator: Option<Aggregator>,
    /// RFC 1997.
    pub communities: BTreeSet<Community>,
    /// Who brought the route into the AS; only inside of it (RFC 4456 §8).
    pub originator_id: Option<Ipv4Addr>,
    /// The route reflectors that it went through; only inside an AS (RFC 4456 §8).
    pub cluster_list: Vec<Ipv4Addr>,
    /// RFC 4360.
    pub extended_communities: BTreeSet<ExtendedCommunity>,
    /// RFC 8092.
    pub large_communities: BTreeSet<LargeCommunity>,
    /// The AS beyond which only customers may learn the route (RFC 9234 §5).
    pub only_to_customer: Option<Asn>,
    /// Attributes without a meaning here, in ascending order of their codes.
    pub unknown: Vec<UnknownAttribute>,
}

/// The AGGREGATOR attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Aggregator {
    /// AS of the router that made the aggregate.
    pub asn: Asn,
    /// Identifier of that router.
    pub identifier: Ipv4Addr,
}

/// An optional attribute that has no meaning here, kept as it came.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnknownAttribute {
    /// Type code.
    pub code: u8,
    /// Optional, transitive and partial as in [`crate::iana::flags`], no other bit; the one for the length's size follows
    /// from the value.
    pub flags: u8,
    /// Value.
    pub bytes: Vec<u8>,
}

/// Returns the two high flags of an attribute that is known.
pub(super) const fn kind(code: AttributeCode) -> u8 {
    match code {
        AttributeCode::Origin
        | AttributeCode::AsPath
        | AttributeCode::NextHop
        | AttributeCode::LocalPref
        | AttributeCode::AtomicAggregate => flags::TRANSITIVE,
        AttributeCode::MultiExitDisc
        | AttributeCode::OriginatorId
        | AttributeCode::ClusterList
        | AttributeCode::MpReachNlri
        | AttributeCode::MpUnreachNlri => flags::OPTIONAL,
        AttributeCode::Aggregator
        | AttributeCode::Communities
        | AttributeCode::ExtendedCommunities
        | AttributeCode::As4Path
        | AttributeCode::As4Aggregator
        | AttributeCode::LargeCommunities
        | AttributeCode::OnlyToCustomer => flags::OPTIONAL | flags::TRANSITIVE,
    }
}

/// Returns what becomes of an UPDATE in which the attribute is malformed (RFC 7606 §7, RFC 6793 §6): what no router decides
/// by is left out.
pub(super) const fn treatment(code: AttributeCode) -> Treatment {
    match code {
        AttributeCode::AtomicAggregate
        | AttributeCode::Aggregator
        | AttributeCode::As4Path
        | AttributeCode::As4Aggregator => Treatment::AttributeDiscard,
        _ => Treatment::TreatAsWithdraw,
    }
}
