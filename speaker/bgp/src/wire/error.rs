//! What is wrong with a message of a peer: where, what stands there, which rule it breaks and what the peer is told.

use std::fmt;

use super::{MAX_MESSAGE, Notification};
use crate::iana::{AttributeCode, ErrorCode, HeaderSubcode, OpenSubcode, RefreshSubcode, UpdateSubcode, VERSION};

/// Why a message, or a part of it, is not what the rules say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// Where, in octets from the first one of the marker.
    pub offset: usize,
    /// What.
    pub problem: Problem,
    /// What the data field of a NOTIFICATION about it holds, at most [`DecodeError::MAX_DATA`] octets.
    data: Vec<u8>,
}

impl DecodeError {
    /// What fits the data field of the shortest longest NOTIFICATION (RFC 4271 §4.5).
    pub const MAX_DATA: usize = MAX_MESSAGE - 21;

    pub(super) fn new(offset: usize, problem: Problem) -> Self {
        Self::with_data(offset, problem, &[])
    }

    /// Keeps the octets that the problem is about, for the peer to read.
    pub(super) fn with_data(offset: usize, problem: Problem, octets: &[u8]) -> Self {
        let data = match problem {
            Problem::Version { .. } => u16::from(VERSION).to_be_bytes().to_vec(),
            Problem::Type { found } => vec![found],
            Problem::Length { found, .. } => found.to_be_bytes().to_vec(),
            Problem::Missing { code } => vec![code.number()],
            _ => octets.get(..Self::MAX_DATA).unwrap_or(octets).to_vec(),
        };
        Self { offset, problem, data }
    }

    /// Returns the message that tells the peer, if the session has to end for it.
    pub fn notification(&self) -> Notification {
        let (code, subcode) = self.problem.codes();
        Notification { data: self.data.clone(), ..Notification::new(code, subcode) }
    }
}

impl std::error::Error for DecodeError {}

impl fmt::Display for DecodeError {
    /// `octet 19: a version of 3, expected 4 (RFC 4271 §6.2)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "octet {}: {} ({})", self.offset, self.problem, self.problem.rule())
    }
}

/// In which field a prefix stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PrefixField {
    /// The withdrawn IPv4 routes.
    Withdrawn,
    /// The reachable IPv4 routes.
    Nlri,
    /// MP_REACH_NLRI.
    Reach,
    /// MP_UNREACH_NLRI.
    Unreach,
}

impl fmt::Display for PrefixField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Withdrawn => "the withdrawn routes",
            Self::Nlri => "the NLRI",
            Self::Reach => AttributeCode::MpReachNlri.name(),
            Self::Unreach => AttributeCode::MpUnreachNlri.name(),
        })
    }
}

/// What is wrong, with the value found and the one expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Not the begin of a message: another protocol, or a stream that lost its step.
    #[error("the marker holds {found:#04x}, expected 0xff")]
    Marker {
        /// The first octet that is wrong.
        found: u8,
    },
    /// The header says a length that a message of this type cannot have.
    #[error("a length of {found}, expected {min} to {max}")]
    Length {
        /// In octets, header included.
        found: u16,
        /// The shortest message of the type.
        min: u16,
        /// The longest one that was agreed on.
        max: u16,
    },
    /// The header names a type that is not known.
    #[error("a message of type {found}, expected 1 to 5")]
    Type {
        /// The number.
        found: u8,
    },
    /// OPEN speaks another version.
    #[error("a version of {found}, expected 4")]
    Version {
        /// The number.
        found: u8,
    },
    /// OPEN says an AS of 0, in two octets or in four.
    #[error("an AS number of 0, expected another")]
    ZeroAs,
    /// OPEN proposes a hold time that the protocol forbids.
    #[error("a hold time of {found} s, expected 0, or 3 and more")]
    HoldTime {
        /// In seconds.
        found: u16,
    },
    /// OPEN says an identifier of 0.0.0.0.
    #[error("an identifier of 0.0.0.0, expected another")]
    ZeroIdentifier,
    /// The optional parameters of OPEN are longer or shorter than the message.
    #[error("optional parameters of {found} octets in {left} that are there")]
    ParametersLength {
        /// What the length field says.
        found: usize,
        /// What the message holds.
        left: usize,
    },
    /// An optional parameter is longer than what holds it.
    #[error("an optional parameter of {found} octets in {left} that are there")]
    ParameterLength {
        /// What it says, its header included.
        found: usize,
        /// What there is.
        left: usize,
    },
    /// An optional parameter that holds no capabilities.
    #[error("an optional parameter of type {found}, expected capabilities (2)")]
    ParameterType {
        /// The number.
        found: u8,
    },
    /// A capability is longer than what holds it.
    #[error("a capability of {found} octets in {left} that are there")]
    CapabilityLength {
        /// What it says, its header included.
        found: usize,
        /// What there is.
        left: usize,
    },
    /// A capability that is known has a value of another length than it must.
    #[error("a value of {found} octets of capability {code}, expected {expected}")]
    CapabilityValue {
        /// Code of the capability.
        code: u8,
        /// In octets.
        found: usize,
        /// In words.
        expected: &'static str,
    },
    /// UPDATE says more withdrawn routes than it holds.
    #[error("withdrawn routes of {found} octets in {left} that are there")]
    WithdrawnLength {
        /// What the length field says.
        found: usize,
        /// What there is, without the length of the attributes.
        left: usize,
    },
    /// UPDATE says more attributes than it holds.
    #[error("attributes of {found} octets in {left} that are there")]
    AttributesLength {
        /// What the length field says.
        found: usize,
        /// What there is.
        left: usize,
    },
    /// A prefix is longer than its family allows.
    #[error("a prefix of {found} bits in {field}, expected at most {max}")]
    PrefixBits {
        /// Where.
        field: PrefixField,
        /// In bits.
        found: u8,
        /// In bits.
        max: u8,
    },
    /// A prefix has fewer octets than it says.
    #[error("a prefix of {found} octets in {field}, in {left} that are there")]
    PrefixOverrun {
        /// Where.
        field: PrefixField,
        /// With its length and its path identifier.
        found: usize,
        /// What there is.
        left: usize,
    },
    /// The attribute ends before its fixed fields do.
    #[error("{code} of {found} octets, expected at least {min}")]
    MultiProtocolShort {
        /// Which of the two.
        code: AttributeCode,
        /// In octets.
        found: usize,
        /// In octets.
        min: usize,
    },
    /// A next hop in MP_REACH_NLRI of a length that the family does not have.
    #[error("a next hop of {found} octets, expected {expected}")]
    NextHopLength {
        /// In octets.
        found: u8,
        /// In words.
        expected: &'static str,
    },
    /// MP_REACH_NLRI or MP_UNREACH_NLRI stands there more than once.
    #[error("{code} a second time")]
    MultiProtocolTwice {
        /// Which of the two.
        code: AttributeCode,
    },
    /// An attribute that everyone has to know, and nobody does.
    #[error("a well-known attribute of code {code}, which is not known")]
    UnrecognizedWellKnown {
        /// Type code.
        code: u8,
    },
    /// An attribute is longer than what holds it.
    #[error("an attribute of {found} octets in {left} that are there")]
    AttributeOverrun {
        /// What it says, its header included.
        found: usize,
        /// What there is.
        left: usize,
    },
    /// An attribute that is known says of itself that it is of another kind.
    #[error("flags {found:#04x} of {code}, expected {expected:#04x} in the two high bits")]
    AttributeFlags {
        /// Which.
        code: AttributeCode,
        /// The octet.
        found: u8,
        /// Optional and transitive.
        expected: u8,
    },
    /// An attribute of a length that it cannot have.
    #[error("{code} of {found} octets, expected {expected}")]
    AttributeLength {
        /// Which.
        code: AttributeCode,
        /// In octets.
        found: usize,
        /// In words.
        expected: &'static str,
    },
    /// An attribute stands there again.
    #[error("attribute {code} a second time")]
    Repeated {
        /// Type code.
        code: u8,
    },
    /// An attribute that this peer must not send: LOCAL_PREF, ORIGINATOR_ID and CLUSTER_LIST across the border of an AS,
    /// AS4_PATH and AS4_AGGREGATOR where all numbers have four octets.
    #[error("{code}, which has no place in this session")]
    Unwelcome {
        /// Which.
        code: AttributeCode,
    },
    /// A reachable prefix without an attribute that it must have.
    #[error("no {code} beside reachable prefixes")]
    Missing {
        /// Which.
        code: AttributeCode,
    },
    /// An ORIGIN that is none.
    #[error("an ORIGIN of {found}, expected 0 to 2")]
    OriginValue {
        /// The number.
        found: u8,
    },
    /// A segment of a path of an unknown type.
    #[error("a segment of type {found} in {code}, expected 1 to 4")]
    SegmentType {
        /// AS_PATH or AS4_PATH.
        code: AttributeCode,
        /// The number.
        found: u8,
    },
    /// A segment of a path without a number.
    #[error("a segment of no AS in {code}")]
    SegmentEmpty {
        /// AS_PATH or AS4_PATH.
        code: AttributeCode,
    },
    /// A segment of a path is longer than the attribute.
    #[error("a segment of {found} octets in {code}, in {left} that are there")]
    SegmentOverrun {
        /// AS_PATH or AS4_PATH.
        code: AttributeCode,
        /// With its header.
        found: usize,
        /// What there is.
        left: usize,
    },
    /// A path or an aggregator of AS 0.
    #[error("an AS number of 0 in {code}, expected another")]
    ZeroAsIn {
        /// AS_PATH, AS4_PATH, AGGREGATOR or AS4_AGGREGATOR.
        code: AttributeCode,
    },
    /// ROUTE-REFRESH with another length than its four octets.
    #[error("a ROUTE-REFRESH of {found} octets, expected 23")]
    RefreshLength {
        /// Of the message.
        found: usize,
    },
}

impl Problem {
    /// Returns the code and subcode of a NOTIFICATION about it.
    fn codes(self) -> (ErrorCode, u8) {
        let header = |subcode: HeaderSubcode| (ErrorCode::MessageHeader, subcode.number());
        let open = |subcode: OpenSubcode| (ErrorCode::Open, subcode.number());
        let update = |subcode: UpdateSubcode| (ErrorCode::Update, subcode.number());
        match self {
            Self::Marker { .. } => header(HeaderSubcode::ConnectionNotSynchronized),
            Self::Length { .. } => header(HeaderSubcode::BadMessageLength),
            Self::Type { .. } => header(HeaderSubcode::BadMessageType),
            Self::Version { .. } => open(OpenSubcode::UnsupportedVersionNumber),
            Self::ZeroAs => open(OpenSubcode::BadPeerAs),
            Self::HoldTime { .. } => open(OpenSubcode::UnacceptableHoldTime),
            Self::ZeroIdentifier => open(OpenSubcode::BadBgpIdentifier),
            Self::ParameterType { .. } => open(OpenSubcode::UnsupportedOptionalParameter),
            Self::ParametersLength { .. }
            | Self::ParameterLength { .. }
            | Self::CapabilityLength { .. }
            | Self::CapabilityValue { .. } => open(OpenSubcode::Unspecific),
            Self::WithdrawnLength { .. }
            | Self::AttributesLength { .. }
            | Self::AttributeOverrun { .. }
            | Self::MultiProtocolTwice { .. }
            | Self::Repeated { .. } => update(UpdateSubcode::MalformedAttributeList),
            Self::PrefixBits { field, .. } | Self::PrefixOverrun { field, .. } => match field {
                PrefixField::Withdrawn | PrefixField::Nlri => update(UpdateSubcode::InvalidNetworkField),
                PrefixField::Reach | PrefixField::Unreach => update(UpdateSubcode::OptionalAttributeError),
            },
            Self::ZeroAsIn { code: AttributeCode::AsPath | AttributeCode::As4Path } => {
                update(UpdateSubcode::MalformedAsPath)
            }
            Self::MultiProtocolShort { .. }
            | Self::NextHopLength { .. }
            | Self::Unwelcome { .. }
            | Self::ZeroAsIn { .. } => update(UpdateSubcode::OptionalAttributeError),
            Self::UnrecognizedWellKnown { .. } => update(UpdateSubcode::UnrecognizedWellKnownAttribute),
            Self::AttributeFlags { .. } => update(UpdateSubcode::AttributeFlagsError),
            Self::AttributeLength { .. } => update(UpdateSubcode::AttributeLengthError),
            Self::Missing { .. } => update(UpdateSubcode::MissingWellKnownAttribute),
            Self::OriginValue { .. } => update(UpdateSubcode::InvalidOriginAttribute),
            Self::SegmentType { .. } | Self::SegmentEmpty { .. } | Self::SegmentOverrun { .. } => {
                update(UpdateSubcode::MalformedAsPath)
            }
            Self::RefreshLength { .. } => (ErrorCode::RouteRefresh, RefreshSubcode::InvalidMessageLength.number()),
        }
    }

    /// Returns what kind of error it is.
    pub fn error_code(self) -> ErrorCode {
        self.codes().0
    }

    /// Returns the rule that is broken.
    pub fn rule(self) -> &'static str {
        match self {
            Self::Marker { .. } | Self::Type { .. } => "RFC 4271 §6.1",
            Self::Length { .. } => "RFC 4271 §6.1, RFC 8654 §5",
            Self::Version { .. } | Self::HoldTime { .. } | Self::ParameterType { .. } => "RFC 4271 §6.2",
            Self::ZeroAs | Self::ZeroAsIn { .. } => "RFC 7607 §2",
            Self::ZeroIdentifier => "RFC 6286 §2.2",
            Self::ParametersLength { .. } | Self::ParameterLength { .. } => "RFC 4271 §4.2, RFC 9072 §2",
            Self::CapabilityLength { .. } => "RFC 5492 §4",
            Self::CapabilityValue { code, .. } => match code {
                1 => "RFC 4760 §8",
                2 => "RFC 2918 §2",
                5 => "RFC 8950 §4",
                6 => "RFC 8654 §3",
                9 => "RFC 9234 §4.1",
                64 => "RFC 4724 §3",
                65 => "RFC 6793 §3",
                69 => "RFC 7911 §4",
                _ => "RFC 7313 §3.1",
            },
            Self::WithdrawnLength { .. } | Self::AttributesLength { .. } | Self::UnrecognizedWellKnown { .. } => {
                "RFC 4271 §6.3"
            }
            Self::PrefixBits { .. } | Self::PrefixOverrun { .. } => "RFC 7606 §5.3",
            Self::MultiProtocolShort { .. } => "RFC 4760 §7",
            Self::NextHopLength { .. } => "RFC 7606 §7.11, RFC 8950 §3",
            Self::MultiProtocolTwice { .. } | Self::Repeated { .. } => "RFC 7606 §3 g",
            Self::AttributeOverrun { .. } => "RFC 7606 §4",
            Self::AttributeFlags { .. } => "RFC 7606 §3 c",
            Self::AttributeLength { code, .. } => match code {
                AttributeCode::LargeCommunities => "RFC 8092 §6",
                AttributeCode::OnlyToCustomer => "RFC 9234 §5",
                AttributeCode::As4Path | AttributeCode::As4Aggregator => "RFC 6793 §6",
                _ => "RFC 7606 §7",
            },
            Self::Unwelcome { code } => match code {
                AttributeCode::As4Path | AttributeCode::As4Aggregator => "RFC 6793 §4.1",
                _ => "RFC 7606 §7",
            },
            Self::Missing { .. } => "RFC 7606 §3 d",
            Self::OriginValue { .. } => "RFC 7606 §7.1",
            Self::SegmentType { code, .. } | Self::SegmentEmpty { code } | Self::SegmentOverrun { code, .. } => {
                match code {
                    AttributeCode::As4Path => "RFC 6793 §6",
                    _ => "RFC 7606 §7.2",
                }
            }
            Self::RefreshLength { .. } => "RFC 7313 §5",
        }
    }
}

/// What becomes of an UPDATE that is wrong in a way that does not end the session (RFC 7606 §2), the milder first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Treatment {
    /// The attribute is left out, the rest counts.
    AttributeDiscard,
    /// The routes of the message are taken as withdrawn.
    TreatAsWithdraw,
}

impl fmt::Display for Treatment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AttributeDiscard => "the attribute is discarded",
            Self::TreatAsWithdraw => "its routes are taken as withdrawn",
        })
    }
}

/// What was wrong with an UPDATE that could be read nevertheless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// The first error among those with the strongest treatment (RFC 7606 §3 h).
    pub error: DecodeError,
    /// What became of the message.
    pub treatment: Treatment,
    /// How many errors there were in all.
    pub errors: usize,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.error, self.treatment)
    }
}
