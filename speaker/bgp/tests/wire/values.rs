//! Values of every kind that the wire can hold, for properties.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use herald_bgp::iana::{AttributeCode, CapabilityCode, Origin, SegmentType};
use herald_bgp::wire::{
    AddPathFamily, AddPathMode, AfiSafi, Aggregator, AsPath, Asn, Attributes, Capability, Community, Encoding,
    ExtendedCommunity, ExtendedNextHop, Families, Family, GracefulFamily, GracefulRestart, LargeCommunity, Message,
    NextHop, Nlri, Notification, Open, PathId, PeerKind, Prefix, Reach, RefreshSubtype, Role, RouteRefresh, Segment,
    UnknownAttribute, Unreach, Update,
};
use ipnet::IpNet;
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;

pub(crate) fn families() -> impl Strategy<Value = Families> {
    vec(family(), 0..3).prop_map(|families| families.into_iter().collect())
}

pub(crate) fn family() -> impl Strategy<Value = Family> {
    prop_oneof![Just(Family::V4Unicast), Just(Family::V6Unicast)]
}

pub(crate) fn encodings() -> impl Strategy<Value = Encoding> {
    (any::<[bool; 4]>(), families()).prop_map(|([four, extended, v4_over_v6, internal], add_path)| Encoding {
        four_octet_as: four,
        extended_message: extended,
        add_path,
        extended_next_hop: v4_over_v6.then_some(Family::V4Unicast).into_iter().collect(),
        peer: if internal { PeerKind::Internal } else { PeerKind::External },
    })
}

fn afi_safi() -> impl Strategy<Value = AfiSafi> {
    prop_oneof![
        family().prop_map(AfiSafi::from),
        (any::<u16>(), any::<u8>()).prop_map(|(afi, safi)| AfiSafi { afi, safi })
    ]
}

pub(crate) fn asn() -> impl Strategy<Value = Asn> {
    prop_oneof![(1..=65_535u32), (1..=u32::MAX)].prop_map(Asn)
}

fn v4() -> impl Strategy<Value = Ipv4Addr> {
    any::<u32>().prop_map(Ipv4Addr::from)
}

fn v6() -> impl Strategy<Value = Ipv6Addr> {
    any::<u128>().prop_map(Ipv6Addr::from)
}

fn link_local() -> impl Strategy<Value = Ipv6Addr> {
    any::<u64>().prop_map(|host| Ipv6Addr::from((0xfe80 << 112) | u128::from(host)))
}

fn capability() -> impl Strategy<Value = Capability> {
    let graceful = (any::<[bool; 2]>(), 0..4096u16, vec((afi_safi(), any::<bool>()), 0..5)).prop_map(
        |([restart_state, notification_bit], time, families)| {
            let family = |(family, forwarding)| GracefulFamily { family, forwarding };
            let families = families.into_iter().map(family).collect();
            Capability::GracefulRestart(GracefulRestart { restart_state, notification_bit, time, families })
        },
    );
    let next_hops = vec((afi_safi(), any::<u16>()), 0..4).prop_map(|pairs| {
        let pair = |(family, next_hop_afi)| ExtendedNextHop { family, next_hop_afi };
        Capability::ExtendedNextHop(pairs.into_iter().map(pair).collect())
    });
    let mode = prop_oneof![Just(AddPathMode::Receive), Just(AddPathMode::Send), Just(AddPathMode::Both)];
    let paths = vec((afi_safi(), mode), 0..4).prop_map(|families| {
        let family = |(family, mode)| AddPathFamily { family, mode };
        Capability::AddPath(families.into_iter().map(family).collect())
    });
    let code = any::<u8>().prop_filter("a code of its own", |code| CapabilityCode::of(*code).is_none());
    prop_oneof![
        afi_safi().prop_map(Capability::MultiProtocol),
        Just(Capability::RouteRefresh),
        Just(Capability::EnhancedRouteRefresh),
        Just(Capability::ExtendedMessage),
        asn().prop_map(Capability::FourOctetAs),
        any::<u8>().prop_map(|number| Capability::Role(Role::of(number))),
        graceful,
        next_hops,
        paths,
        (code, vec(any::<u8>(), 0..60)).prop_map(|(code, bytes)| Capability::Unknown { code, bytes }),
    ]
}

pub(crate) fn open() -> impl Strategy<Value = Open> {
    let hold = prop_oneof![Just(0), 3..=u16::MAX];
    let identifier = (1..=u32::MAX).prop_map(Ipv4Addr::from);
    // Few stay below 255 octets of parameters, many do not.
    (asn(), hold, identifier, vec(capability(), 0..24))
        .prop_map(|(asn, hold, id, capabilities)| Open::new(asn, hold, id, capabilities))
}

pub(crate) fn nlri(family: Family, encoding: Encoding) -> impl Strategy<Value = Nlri> {
    let bits = family.max_prefix_bits();
    let with_id = encoding.add_path.contains(family);
    (any::<u128>(), 0..=bits, any::<u32>()).prop_map(move |(address, bits, id)| {
        let ip = match family {
            Family::V4Unicast => IpAddr::V4(Ipv4Addr::from((address >> 96) as u32)),
            Family::V6Unicast => IpAddr::V6(Ipv6Addr::from(address)),
        };
        let prefix = Prefix::new(IpNet::new(ip, bits).unwrap());
        Nlri { prefix, path_id: with_id.then_some(PathId(id)) }
    })
}

fn as_path() -> impl Strategy<Value = AsPath> {
    let kind = prop_oneof![4 => Just(SegmentType::Sequence), 1 => Just(SegmentType::Set)];
    let confederation = prop_oneof![Just(SegmentType::ConfedSequence), Just(SegmentType::ConfedSet)];
    let segment = |kind, asns| Segment { kind, asns };
    let plain = (kind, vec(asn(), 1..6)).prop_map(move |(kind, asns)| segment(kind, asns));
    // AS4_PATH leaves it out: in two octets, a wide number of it is lost.
    let confederation =
        (confederation, vec((1..=65_535u32).prop_map(Asn), 1..4)).prop_map(move |(kind, asns)| segment(kind, asns));
    (option::weighted(0.1, confederation), vec(plain, 0..4))
        .prop_map(|(first, others)| AsPath { segments: first.into_iter().chain(others).collect() })
}

fn attributes(encoding: Encoding) -> impl Strategy<Value = Attributes> {
    let internal = encoding.peer == PeerKind::Internal;
    let origin = prop_oneof![Just(Origin::Igp), Just(Origin::Egp), Just(Origin::Incomplete)];
    let aggregator = (asn(), v4()).prop_map(|(asn, identifier)| Aggregator { asn, identifier });
    let large = any::<[u32; 3]>().prop_map(|[global, local1, local2]| LargeCommunity { global, local1, local2 });
    let code = any::<u8>().prop_filter("a code of its own", |code| AttributeCode::of(*code).is_none());
    let flags = prop_oneof![Just(0x80), Just(0xc0), Just(0xe0)];
    let unknown = (code, flags, vec(any::<u8>(), 0..300)).prop_map(|(code, flags, bytes)| UnknownAttribute {
        code,
        flags,
        bytes,
    });
    let numbers = (origin, as_path(), v4(), option::of(any::<u32>()), any::<u32>(), option::of(aggregator));
    let marks = (
        btree_set(any::<u32>().prop_map(Community), 0..80),
        btree_set(any::<[u8; 8]>().prop_map(ExtendedCommunity), 0..40),
        btree_set(large, 0..30),
    );
    let rest = (any::<bool>(), option::of(v4()), vec(v4(), 0..4), option::of(asn()), vec(unknown, 0..3));
    (numbers, marks, rest).prop_map(move |(numbers, marks, rest)| {
        let (origin, as_path, next_hop, med, local_pref, aggregator) = numbers;
        let (communities, extended_communities, large_communities) = marks;
        let (atomic_aggregate, originator_id, cluster_list, only_to_customer, mut unknown) = rest;
        unknown.sort();
        unknown.dedup_by_key(|attribute| attribute.code);
        Attributes {
            origin: Some(origin),
            as_path: Some(as_path),
            next_hop: Some(next_hop),
            med,
            local_pref: internal.then_some(local_pref),
            atomic_aggregate,
            aggregator,
            communities,
            originator_id: originator_id.filter(|_| internal),
            cluster_list: if internal { cluster_list } else { Vec::new() },
            extended_communities,
            large_communities,
            only_to_customer,
            unknown,
        }
    })
}

fn next_hop(family: Family, encoding: Encoding) -> BoxedStrategy<NextHop> {
    let six = (v6(), option::of(link_local())).prop_map(|(global, link_local)| NextHop::V6 { global, link_local });
    match family {
        Family::V6Unicast => six.boxed(),
        Family::V4Unicast if encoding.extended_next_hop.contains(family) => {
            prop_oneof![v4().prop_map(NextHop::V4), six].boxed()
        }
        Family::V4Unicast => v4().prop_map(NextHop::V4).boxed(),
    }
}

pub(crate) fn update(encoding: Encoding) -> impl Strategy<Value = Update> {
    let many = |family| vec(nlri(family, encoding), 0..20);
    let reach = family().prop_flat_map(move |family| {
        (next_hop(family, encoding), vec(nlri(family, encoding), 1..20)).prop_map(move |(next_hop, nlri)| Reach {
            family,
            next_hop,
            nlri,
        })
    });
    let unreach = family()
        .prop_flat_map(move |family| vec(nlri(family, encoding), 0..20).prop_map(move |nlri| Unreach { family, nlri }));
    let v4 = Family::V4Unicast;
    (many(v4), attributes(encoding), many(v4), option::of(reach), option::of(unreach)).prop_map(
        |(withdrawn, attributes, nlri, reach, unreach)| Update {
            withdrawn,
            attributes,
            nlri,
            reach,
            unreach,
            ..Update::default()
        },
    )
}

pub(crate) fn message(encoding: Encoding) -> impl Strategy<Value = Message> {
    let notification = (any::<u8>(), any::<u8>(), vec(any::<u8>(), 0..300))
        .prop_map(|(code, subcode, data)| Message::Notification(Notification { code, subcode, data }));
    let refresh = (afi_safi(), any::<u8>()).prop_map(|(family, number)| {
        Message::RouteRefresh(RouteRefresh { family, subtype: RefreshSubtype::of(number) })
    });
    prop_oneof![
        3 => open().prop_map(Message::Open),
        6 => update(encoding).prop_map(Message::Update),
        1 => notification,
        1 => Just(Message::Keepalive),
        1 => refresh,
    ]
}

pub(crate) fn agreed() -> impl Strategy<Value = (Encoding, Message)> {
    encodings().prop_flat_map(|encoding| message(encoding).prop_map(move |message| (encoding, message)))
}
