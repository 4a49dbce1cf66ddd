//! Why an address is not announced.

use std::fmt;

/// Why a Service is announced by nobody, or why it is not announced by one node. In the order in which the gates are passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// It is not, or no longer, of type LoadBalancer.
    NotLoadBalancer,
    /// It has no address yet.
    NoIpAllocated,
    /// No one pool holds all its addresses.
    IpNotAllowed,
    /// None of its endpoints can take traffic.
    NoEndpoints,
    /// It may share its address, and an advertisement of its pool selects Services: the two do not go together, since the Services on one
    /// address could not all be selected alike.
    SharedIpWithServiceSelector,
    /// No advertisement of its pool selects it (on this node).
    NoMatchingAdvertisement,
    /// Advertisements that select it would have a peer told the same prefix with different LOCAL_PREF.
    ConflictingAdvertisements,
    /// The node has no network yet.
    NodeNetworkUnavailable,
    /// The node carries the label that keeps load balancers away.
    NodeExcluded,
    /// The node carries the annotation that keeps addresses away, or does so while it is cordoned.
    NodeDrained,
    /// Every node that an advertisement names is without network, excluded or drained.
    NoEligibleNode,
    /// Its traffic policy is Local and no endpoint that can take traffic is on (this) one of the nodes that may announce.
    NoLocalEndpoints,
    /// None of the peers that it is to be announced to is one of this node that takes routes of its families.
    NoPeer,
}

impl Refusal {
    /// The word for logs, metrics and statuses: MetalLB's, or where MetalLB says no more than `notOwner`, one that says why.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotLoadBalancer => "notLoadBalancer",
            Self::NoIpAllocated => "noIPAllocated",
            Self::IpNotAllowed => "ipNotAllowed",
            Self::NoEndpoints => "noEndpoints",
            Self::SharedIpWithServiceSelector => "sharedIPWithServiceSelector",
            Self::NoMatchingAdvertisement => "noMatchingAdvertisement",
            Self::ConflictingAdvertisements => "conflictingAdvertisements",
            Self::NodeNetworkUnavailable => "nodeNetworkUnavailable",
            Self::NodeExcluded => "nodeLabeledExcludeBalancers",
            Self::NodeDrained => "nodeDrained",
            Self::NoEligibleNode => "noEligibleNode",
            Self::NoLocalEndpoints => "noLocalEndpoints",
            Self::NoPeer => "noPeer",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
