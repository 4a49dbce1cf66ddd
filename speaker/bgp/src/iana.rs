//! The numbers of BGP as IANA has registered them, each with the document that defines it.
//!
//! Enums hold what this speaker gives a meaning to. A number that is not listed is not an error here: the types in
//! [`crate::wire`] keep it as they found it.

/// Declares an enum of registered numbers with the way back from a number and the registered name.
macro_rules! registry {
    ($(#[$doc:meta])* $name:ident: $repr:ty { $($(#[$item_doc:meta])* $item:ident = $value:literal, $text:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr($repr)]
        pub enum $name {
            $($(#[$item_doc])* $item = $value,)+
        }

        impl $name {
            /// Every registered value, in the order of the numbers.
            pub const ALL: &[Self] = &[$(Self::$item),+];

            /// Returns the meaning of a number, nothing if it has none here.
            pub fn of(number: $repr) -> Option<Self> {
                match number {
                    $($value => Some(Self::$item),)+
                    _ => None,
                }
            }

            /// Returns the number as it travels.
            pub const fn number(self) -> $repr {
                self as $repr
            }

            /// Returns the name as the document writes it, for logs and statuses.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$item => $text,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

/// The TCP port that a BGP speaker listens on (RFC 4271 §4.2).
pub const PORT: u16 = 179;

/// The only version of the protocol in use (RFC 4271 §4.2).
pub const VERSION: u8 = 4;

/// Stands in two octets for a number that needs four (RFC 6793 §9).
pub const AS_TRANS: u16 = 23_456;

registry! {
    /// Type of a message (RFC 4271 §4.1).
    MessageType: u8 {
        /// RFC 4271 §4.2.
        Open = 1, "OPEN";
        /// RFC 4271 §4.3.
        Update = 2, "UPDATE";
        /// RFC 4271 §4.5.
        Notification = 3, "NOTIFICATION";
        /// RFC 4271 §4.4.
        Keepalive = 4, "KEEPALIVE";
        /// RFC 2918 §3.
        RouteRefresh = 5, "ROUTE-REFRESH";
    }
}

registry! {
    /// Type of an optional parameter of OPEN.
    ParameterType: u8 {
        /// Capabilities (RFC 5492 §4).
        Capabilities = 2, "Capabilities";
        /// As the first one, it says that all lengths have two octets (RFC 9072 §2).
        ExtendedLength = 255, "Extended Length";
    }
}

registry! {
    /// Code of a capability (RFC 5492 §4).
    CapabilityCode: u8 {
        /// RFC 4760 §8.
        MultiProtocol = 1, "Multiprotocol Extensions";
        /// RFC 2918 §2.
        RouteRefresh = 2, "Route Refresh";
        /// RFC 8950 §4.
        ExtendedNextHop = 5, "Extended Next Hop Encoding";
        /// RFC 8654 §3.
        ExtendedMessage = 6, "Extended Message";
        /// RFC 9234 §4.1.
        Role = 9, "BGP Role";
        /// RFC 4724 §3.
        GracefulRestart = 64, "Graceful Restart";
        /// RFC 6793 §3.
        FourOctetAs = 65, "Four-Octet AS Number";
        /// RFC 7911 §4.
        AddPath = 69, "ADD-PATH";
        /// RFC 7313 §3.1.
        EnhancedRouteRefresh = 70, "Enhanced Route Refresh";
    }
}

registry! {
    /// Type code of a path attribute (RFC 4271 §4.3).
    AttributeCode: u8 {
        /// RFC 4271 §5.1.1.
        Origin = 1, "ORIGIN";
        /// RFC 4271 §5.1.2.
        AsPath = 2, "AS_PATH";
        /// RFC 4271 §5.1.3.
        NextHop = 3, "NEXT_HOP";
        /// RFC 4271 §5.1.4.
        MultiExitDisc = 4, "MULTI_EXIT_DISC";
        /// RFC 4271 §5.1.5.
        LocalPref = 5, "LOCAL_PREF";
        /// RFC 4271 §5.1.6.
        AtomicAggregate = 6, "ATOMIC_AGGREGATE";
        /// RFC 4271 §5.1.7.
        Aggregator = 7, "AGGREGATOR";
        /// RFC 1997.
        Communities = 8, "COMMUNITIES";
        /// RFC 4456 §8.
        OriginatorId = 9, "ORIGINATOR_ID";
        /// RFC 4456 §8.
        ClusterList = 10, "CLUSTER_LIST";
        /// RFC 4760 §3.
        MpReachNlri = 14, "MP_REACH_NLRI";
        /// RFC 4760 §4.
        MpUnreachNlri = 15, "MP_UNREACH_NLRI";
        /// RFC 4360 §2.
        ExtendedCommunities = 16, "EXTENDED COMMUNITIES";
        /// RFC 6793 §3.
        As4Path = 17, "AS4_PATH";
        /// RFC 6793 §3.
        As4Aggregator = 18, "AS4_AGGREGATOR";
        /// RFC 8092 §3.
        LargeCommunities = 32, "LARGE_COMMUNITY";
        /// RFC 9234 §5.
        OnlyToCustomer = 35, "OTC";
    }
}

/// The flag octet of a path attribute (RFC 4271 §4.3).
pub mod flags {
    /// Optional; clear means well-known.
    pub const OPTIONAL: u8 = 0x80;
    /// Transitive; set on every well-known attribute.
    pub const TRANSITIVE: u8 = 0x40;
    /// Somebody on the path did not know this optional transitive attribute.
    pub const PARTIAL: u8 = 0x20;
    /// The length has two octets.
    pub const EXTENDED_LENGTH: u8 = 0x10;
    /// Zero when sent, ignored when received.
    pub const UNUSED: u8 = 0x0f;
}

/// Address family identifiers (RFC 4760 §3).
pub mod afi {
    /// IPv4.
    pub const IPV4: u16 = 1;
    /// IPv6.
    pub const IPV6: u16 = 2;
}

/// Subsequent address family identifiers (RFC 4760 §6).
pub mod safi {
    /// Unicast forwarding.
    pub const UNICAST: u8 = 1;
}

registry! {
    /// Value of the ORIGIN attribute (RFC 4271 §4.3 a).
    Origin: u8 {
        /// Interior to the originating AS.
        Igp = 0, "IGP";
        /// Learned by the EGP protocol.
        Egp = 1, "EGP";
        /// Learned by other means.
        Incomplete = 2, "INCOMPLETE";
    }
}

registry! {
    /// Type of a segment of AS_PATH (RFC 4271 §4.3 b, RFC 5065 §3).
    SegmentType: u8 {
        /// Unordered.
        Set = 1, "AS_SET";
        /// Ordered.
        Sequence = 2, "AS_SEQUENCE";
        /// Ordered, inside the local confederation.
        ConfedSequence = 3, "AS_CONFED_SEQUENCE";
        /// Unordered, inside the local confederation.
        ConfedSet = 4, "AS_CONFED_SET";
    }
}

registry! {
    /// Error code of a NOTIFICATION (RFC 4271 §4.5).
    ErrorCode: u8 {
        /// RFC 4271 §6.1.
        MessageHeader = 1, "Message Header Error";
        /// RFC 4271 §6.2.
        Open = 2, "OPEN Message Error";
        /// RFC 4271 §6.3.
        Update = 3, "UPDATE Message Error";
        /// RFC 4271 §6.5.
        HoldTimerExpired = 4, "Hold Timer Expired";
        /// RFC 4271 §6.6.
        FiniteStateMachine = 5, "Finite State Machine Error";
        /// RFC 4271 §6.7.
        Cease = 6, "Cease";
        /// RFC 7313 §5.
        RouteRefresh = 7, "ROUTE-REFRESH Message Error";
        /// RFC 9687 §5.
        SendHoldTimerExpired = 8, "Send Hold Timer Expired";
    }
}

registry! {
    /// Subcode of a Message Header Error (RFC 4271 §6.1).
    HeaderSubcode: u8 {
        /// The marker is not all ones.
        ConnectionNotSynchronized = 1, "Connection Not Synchronized";
        /// The data field holds the length.
        BadMessageLength = 2, "Bad Message Length";
        /// The data field holds the type.
        BadMessageType = 3, "Bad Message Type";
    }
}

registry! {
    /// Subcode of an OPEN Message Error (RFC 4271 §6.2).
    OpenSubcode: u8 {
        /// The optional parameters are malformed.
        Unspecific = 0, "Unspecific";
        /// The data field holds the version we speak, in two octets.
        UnsupportedVersionNumber = 1, "Unsupported Version Number";
        /// Also for AS 0 (RFC 7607 §2).
        BadPeerAs = 2, "Bad Peer AS";
        /// Zero, or our own on an internal session (RFC 6286 §2.2).
        BadBgpIdentifier = 3, "Bad BGP Identifier";
        /// Neither capabilities nor an extended length.
        UnsupportedOptionalParameter = 4, "Unsupported Optional Parameter";
        /// One or two seconds, or refused by configuration.
        UnacceptableHoldTime = 6, "Unacceptable Hold Time";
        /// The data field lists the capabilities that we require (RFC 5492 §5).
        UnsupportedCapability = 7, "Unsupported Capability";
        /// RFC 9234 §4.2.
        RoleMismatch = 11, "Role Mismatch";
    }
}

registry! {
    /// Subcode of an UPDATE Message Error (RFC 4271 §6.3).
    UpdateSubcode: u8 {
        /// Lengths contradict each other.
        MalformedAttributeList = 1, "Malformed Attribute List";
        /// The data field holds the attribute.
        UnrecognizedWellKnownAttribute = 2, "Unrecognized Well-known Attribute";
        /// The data field holds the type code.
        MissingWellKnownAttribute = 3, "Missing Well-known Attribute";
        /// The data field holds the attribute.
        AttributeFlagsError = 4, "Attribute Flags Error";
        /// The data field holds the attribute.
        AttributeLengthError = 5, "Attribute Length Error";
        /// The data field holds the attribute.
        InvalidOriginAttribute = 6, "Invalid ORIGIN Attribute";
        /// The data field holds the attribute.
        InvalidNextHopAttribute = 8, "Invalid NEXT_HOP Attribute";
        /// The data field holds the attribute.
        OptionalAttributeError = 9, "Optional Attribute Error";
        /// A prefix of the NLRI field does not parse.
        InvalidNetworkField = 10, "Invalid Network Field";
        /// AS_PATH does not parse.
        MalformedAsPath = 11, "Malformed AS_PATH";
    }
}

registry! {
    /// Subcode of a Finite State Machine Error (RFC 6608 §3).
    FsmSubcode: u8 {
        /// No more is known.
        Unspecified = 0, "Unspecified Error";
        /// The data field holds the type of the message.
        OpenSent = 1, "Receive Unexpected Message in OpenSent State";
        /// The data field holds the type of the message.
        OpenConfirm = 2, "Receive Unexpected Message in OpenConfirm State";
        /// The data field holds the type of the message.
        Established = 3, "Receive Unexpected Message in Established State";
    }
}

registry! {
    /// Subcode of a Cease (RFC 4486 §3).
    CeaseSubcode: u8 {
        /// The data field may hold AFI, SAFI and the limit.
        MaximumPrefixes = 1, "Maximum Number of Prefixes Reached";
        /// The data field may hold a text for the operator (RFC 9003 §2).
        AdministrativeShutdown = 2, "Administrative Shutdown";
        /// The peer was removed from the configuration.
        PeerDeconfigured = 3, "Peer De-configured";
        /// The data field may hold a text for the operator (RFC 9003 §2).
        AdministrativeReset = 4, "Administrative Reset";
        /// The peer is not wanted, after TCP accepted it.
        ConnectionRejected = 5, "Connection Rejected";
        /// The configuration of the peer changed in another way.
        OtherConfigurationChange = 6, "Other Configuration Change";
        /// RFC 4271 §6.8.
        ConnectionCollisionResolution = 7, "Connection Collision Resolution";
        /// Memory or another resource ran out.
        OutOfResources = 8, "Out of Resources";
        /// The data field holds the real code, subcode and data (RFC 8538 §3.1).
        HardReset = 9, "Hard Reset";
        /// RFC 9384 §2.
        BfdDown = 10, "BFD Down";
    }
}

registry! {
    /// Subcode of a ROUTE-REFRESH Message Error (RFC 7313 §5).
    RefreshSubcode: u8 {
        /// The data field holds the whole message.
        InvalidMessageLength = 1, "Invalid Message Length";
    }
}

/// Communities that every router knows.
pub mod community {
    /// Lowers the preference of a path that is about to go away (RFC 8326 §6).
    pub const GRACEFUL_SHUTDOWN: u32 = 0xffff_0000;
    /// Asks the router to drop the traffic (RFC 7999 §5).
    pub const BLACKHOLE: u32 = 0xffff_029a;
    /// Not to be advertised beyond the AS, or the confederation (RFC 1997).
    pub const NO_EXPORT: u32 = 0xffff_ff01;
    /// Not to be advertised to any peer (RFC 1997).
    pub const NO_ADVERTISE: u32 = 0xffff_ff02;
    /// Not to be advertised to any external peer (RFC 1997).
    pub const NO_EXPORT_SUBCONFED: u32 = 0xffff_ff03;
    /// Not to be advertised to bilateral peers (RFC 3765 §2).
    pub const NO_PEER: u32 = 0xffff_ff04;
}
