//! Why a frame led to nothing: one variant per reason, for one counter with a label.

/// Why a frame was ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Drop {
    /// It lay in the queue longer than [`Settings::stale_after`](crate::Settings::stale_after).
    Stale,
    /// It came in on an interface that does not announce.
    UnknownInterface,
    /// It ends before its headers do.
    Truncated,
    /// It carries a VLAN tag: it is for another segment.
    VlanTagged,
    /// It is neither ARP nor IPv6.
    Ethertype,
    /// It is our own, seen again.
    Own,
    /// Its source, or the sender it names, is a group, broadcast or zero MAC address.
    SenderMac,
    /// The IPv4 address of an ARP sender is multicast, broadcast or loopback.
    SenderIp,
    /// The link-layer destination is another station's.
    NotForUs,
    /// ARP for other hardware than Ethernet.
    HardwareType,
    /// ARP for another protocol than IPv4.
    ProtocolType,
    /// ARP whose address lengths are not 6 and 4.
    AddressLength,
    /// ARP that is neither request nor reply.
    Operation,
    /// IPv6 with another version number, or a length beyond the frame.
    Ipv6Header,
    /// IPv6 whose next header is not ICMPv6; RFC 6980 §5 forbids fragments here too.
    NotIcmpv6,
    /// A hop limit below 255: it came through a router (RFC 4861 §7.1).
    HopLimit,
    /// The ICMPv6 checksum is wrong.
    Checksum,
    /// ICMPv6, but no neighbour solicitation or advertisement, or one with a code other than 0.
    Icmpv6Type,
    /// The target is a multicast address.
    Target,
    /// An option of length 0 or beyond the message, or a link-layer address of another size.
    NdpOption,
    /// Addresses or flags that RFC 4861 §7.1.1 and §7.1.2 rule out.
    NdpRule,
    /// About an address that is not ours.
    NotOurAddress,
    /// About an address of ours, on an interface it may not be announced on.
    OtherInterface,
    /// A reply or advertisement that asks nothing and claims nothing of ours: a neighbour's, or the owner's.
    NothingAsked,
    /// A claim that was reported less than `defend_interval` ago.
    RepeatedClaim,
}

impl Drop {
    /// Every reason, in order.
    pub const ALL: [Self; 25] = [
        Self::Stale,
        Self::UnknownInterface,
        Self::Truncated,
        Self::VlanTagged,
        Self::Ethertype,
        Self::Own,
        Self::SenderMac,
        Self::SenderIp,
        Self::NotForUs,
        Self::HardwareType,
        Self::ProtocolType,
        Self::AddressLength,
        Self::Operation,
        Self::Ipv6Header,
        Self::NotIcmpv6,
        Self::HopLimit,
        Self::Checksum,
        Self::Icmpv6Type,
        Self::Target,
        Self::NdpOption,
        Self::NdpRule,
        Self::NotOurAddress,
        Self::OtherInterface,
        Self::NothingAsked,
        Self::RepeatedClaim,
    ];

    /// Word for logs and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stale => "stale",
            Self::UnknownInterface => "unknown-interface",
            Self::Truncated => "truncated",
            Self::VlanTagged => "vlan-tagged",
            Self::Ethertype => "ethertype",
            Self::Own => "own",
            Self::SenderMac => "sender-mac",
            Self::SenderIp => "sender-ip",
            Self::NotForUs => "not-for-us",
            Self::HardwareType => "hardware-type",
            Self::ProtocolType => "protocol-type",
            Self::AddressLength => "address-length",
            Self::Operation => "operation",
            Self::Ipv6Header => "ipv6-header",
            Self::NotIcmpv6 => "not-icmpv6",
            Self::HopLimit => "hop-limit",
            Self::Checksum => "checksum",
            Self::Icmpv6Type => "icmpv6-type",
            Self::Target => "target",
            Self::NdpOption => "ndp-option",
            Self::NdpRule => "ndp-rule",
            Self::NotOurAddress => "not-our-address",
            Self::OtherInterface => "other-interface",
            Self::NothingAsked => "nothing-asked",
            Self::RepeatedClaim => "repeated-claim",
        }
    }
}
