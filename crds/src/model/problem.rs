//! What is wrong with an object, in words its owner can act on.

use std::fmt;

/// One object that was set aside, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The object that was set aside, and that has to be edited.
    pub object: ObjectRef,
    /// The kind of mistake.
    pub reason: ProblemReason,
    /// What was found, what was expected, and what to change.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.object, self.message)
    }
}

/// An object of Herald's namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.as_str(), self.name)
    }
}

/// The kinds that can have problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `IPAddressPool`
    IPAddressPool,
    /// `L2Advertisement`
    L2Advertisement,
    /// `BGPAdvertisement`
    BGPAdvertisement,
    /// `BGPPeer`
    BGPPeer,
    /// `BFDProfile`
    BFDProfile,
    /// `Community`
    Community,
}

impl Kind {
    /// The name of the kind, as manifests write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IPAddressPool => "IPAddressPool",
            Self::L2Advertisement => "L2Advertisement",
            Self::BGPAdvertisement => "BGPAdvertisement",
            Self::BGPPeer => "BGPPeer",
            Self::BFDProfile => "BFDProfile",
            Self::Community => "Community",
        }
    }
}

/// The kind of mistake; a metric label and part of the log vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProblemReason {
    /// A pool without any address.
    NoAddresses,
    /// An entry of a pool cannot be read as a CIDR or a range.
    BadAddresses,
    /// Two entries of one pool hold the same address.
    OverlapInPool,
    /// The pool holds addresses of an older pool.
    OverlapsPool,
    /// A label selector is not valid.
    BadSelector,
    /// The same name or selector is listed twice.
    Duplicate,
    /// A weight is outside 1 to 100.
    BadWeight,
    /// A number is outside what is possible.
    BadNumber,
    /// A duration cannot be read, or is outside what is possible.
    BadTimer,
    /// A text holds a line break.
    BadText,
    /// Nothing is written where one of two fields must be.
    Missing,
    /// Two fields that exclude each other are written.
    Contradiction,
    /// An aggregation length reaches beyond a pool, or is no prefix length.
    BadAggregation,
    /// A community cannot be read, has no name, or is one too many.
    BadCommunity,
    /// The name of a community is defined by an older object.
    AliasTaken,
    /// The Secret that is named is of another type, or holds no password.
    BadSecret,
    /// Its LOCAL_PREF is not that of an older advertisement of the same prefixes.
    ContradictsAdvertisement,
    /// Its BFD echo does not go together with the IPv6 addresses announced to it.
    EchoWithIpv6,
    /// A limit of addresses by namespace cannot be read.
    BadQuota,
    /// The API server holds something under this name that is no object of the kind.
    Unreadable,
    /// Refused on writing only: it is not in Herald's namespace.
    WrongNamespace,
    /// Refused on deleting only: somebody uses it.
    InUse,
}

impl ProblemReason {
    /// The reason in CamelCase.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoAddresses => "NoAddresses",
            Self::BadAddresses => "BadAddresses",
            Self::OverlapInPool => "OverlapInPool",
            Self::OverlapsPool => "OverlapsPool",
            Self::BadSelector => "BadSelector",
            Self::Duplicate => "Duplicate",
            Self::BadWeight => "BadWeight",
            Self::BadNumber => "BadNumber",
            Self::BadTimer => "BadTimer",
            Self::BadText => "BadText",
            Self::Missing => "Missing",
            Self::Contradiction => "Contradiction",
            Self::BadAggregation => "BadAggregation",
            Self::BadCommunity => "BadCommunity",
            Self::AliasTaken => "AliasTaken",
            Self::BadSecret => "BadSecret",
            Self::ContradictsAdvertisement => "ContradictsAdvertisement",
            Self::EchoWithIpv6 => "EchoWithIPv6",
            Self::BadQuota => "BadQuota",
            Self::Unreadable => "Unreadable",
            Self::WrongNamespace => "WrongNamespace",
            Self::InUse => "InUse",
        }
    }
}

impl fmt::Display for ProblemReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Collects what is wrong with one object.
pub(super) struct Mistakes {
    object: ObjectRef,
    found: Vec<Problem>,
}

impl Mistakes {
    pub(super) fn of(kind: Kind, name: &str) -> Self {
        Self { object: ObjectRef { kind, name: name.to_owned() }, found: Vec::new() }
    }

    pub(super) fn add(&mut self, reason: ProblemReason, message: impl Into<String>) {
        self.found.push(Problem { object: self.object.clone(), reason, message: message.into() });
    }

    /// Gives the value if nothing is wrong with its object.
    pub(super) fn or<T>(self, value: T) -> Result<T, Vec<Problem>> {
        if self.found.is_empty() { Ok(value) } else { Err(self.found) }
    }
}
