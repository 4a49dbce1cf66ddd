//! Why something happened, as Events say it. Text is made from these enums, never the other way round.

use std::fmt;

/// The reason of an Event written by the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ControllerReason {
    /// Addresses were assigned to the Service.
    IpAllocated,
    /// The addresses of the Service are no longer allowed and were taken back.
    ClearAssignment,
    /// The second family of a PreferDualStack Service is not to be had.
    AdditionalAssignFailed,
    /// The Service got no address.
    AllocationFailed,
    /// The request of a Service that holds an address cannot be read; it keeps what it has.
    LoadBalancerFailed,
    /// A RequireDualStack Service has fewer than two cluster IPs.
    NotEnoughClusterIps,
    /// The families of the addresses in the Service's status cannot be told.
    NoLbIpsFamily,
    /// The families of the Service's cluster IPs cannot be told.
    NoClusterIpsFamily,
    /// An annotation of the metallb.universe.tf group is in use.
    DeprecatedAnnotation,
    /// An object of the configuration was set aside; written on that object.
    ConfigurationError,
    /// An invariant is broken.
    InternalError,
}

impl ControllerReason {
    /// The `reason` field of the Event.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IpAllocated => "IPAllocated",
            Self::ClearAssignment => "ClearAssignment",
            Self::AdditionalAssignFailed => "AdditionalAssignFailed",
            Self::AllocationFailed => "AllocationFailed",
            Self::LoadBalancerFailed => "LoadBalancerFailed",
            Self::NotEnoughClusterIps => "not enough clusterips",
            Self::NoLbIpsFamily => "nolbIPsIPFamily",
            Self::NoClusterIpsFamily => "noclusterIPsIPFamily",
            Self::DeprecatedAnnotation => "deprecatedAnnotation",
            Self::ConfigurationError => "ConfigurationError",
            Self::InternalError => "InternalError",
        }
    }

    /// Whether the Event is a Warning rather than Normal.
    pub fn is_warning(self) -> bool {
        !matches!(self, Self::IpAllocated | Self::ClearAssignment | Self::AdditionalAssignFailed)
    }
}

impl fmt::Display for ControllerReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The reason in the condition of a ConfigurationState.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConfigurationReason {
    /// Every object makes sense.
    Reconciled,
    /// Some object was set aside.
    ConfigurationError,
    /// Not every object is known.
    UnknownError,
}

impl ConfigurationReason {
    /// The `reason` field of the condition.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reconciled => "Reconciled",
            Self::ConfigurationError => "ConfigurationError",
            Self::UnknownError => "UnknownError",
        }
    }
}

/// The reason of an Event written by a speaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SpeakerReason {
    /// The Service is announced from this node.
    NodeAssigned,
    /// The node won the Service but has none of the interfaces it is to be announced on.
    AnnounceFailed,
    /// A host that is no node of the cluster has the address, or claims it.
    AddressConflict,
}

impl SpeakerReason {
    /// The `reason` field of the Event.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NodeAssigned => "nodeAssigned",
            Self::AnnounceFailed => "announceFailed",
            Self::AddressConflict => "addressConflict",
        }
    }

    /// Whether the Event is a Warning rather than Normal.
    pub fn is_warning(self) -> bool {
        matches!(self, Self::AnnounceFailed | Self::AddressConflict)
    }
}

impl fmt::Display for SpeakerReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
