//! Two decoders that other people wrote read what this crate writes, and this crate reads what they write of it.
//!
//! ```text
//!   value -- encode --> octets -- NetGauze, bgpkit --> their value -- their encode --> octets -- decode --> the same value
//!                                                         |
//!                                                         +--> what it says of routes: compared with ours, field by field
//! ```
//!
//! Where they differ from the documents, and what is left out for it:
//!
//! | who | what | what the documents say |
//! |---|---|---|
//! | bgpkit | one switch for path identifiers in both families | RFC 7911 §4: one for each |
//! | bgpkit | AS4_PATH stands beside AS_PATH and is not merged; NetGauze alike | RFC 6793 §4.2.3 (left to their callers) |
//! | bgpkit | the N bit of graceful restart is lost | RFC 8538 §2 |
//! | NetGauze | optional parameters of the extended form are refused | RFC 9072 |
//! | NetGauze | segments of a confederation are refused | RFC 5065 §3 |
//! | NetGauze | identifiers and prefixes of multicast and reserved addresses are refused | RFC 6286 §2.1; RFC 4271 leaves prefixes to policy |
//! | NetGauze | capabilities that name unknown families or roles are refused | RFC 5492 §3: ignored |
//! | NetGauze | the value of some opaque extended communities is cleared | RFC 4360 §2 |
//! | both | unknown attributes and capabilities of codes with a meaning to them are judged by it | - |

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use bgpkit_parser::models::{self as kit, AsPathSegment, AsnLength, AttributeValue, MetaCommunity, NextHopAddress};
use herald_bgp::iana::SegmentType;
use herald_bgp::wire::{
    AfiSafi, Capability, Encoding, ExtendedCommunity, Families, Family, Message, NextHop, Nlri, Notification, Open,
    Prefix, RefreshSubtype, RouteRefresh, Update,
};
use ipnet::IpNet;
use netgauze_bgp_pkt::BgpMessage as Gauze;
use netgauze_bgp_pkt::nlri::{Ipv4UnicastAddress, Ipv6UnicastAddress, NlriAddressType};
use netgauze_bgp_pkt::path_attribute::{AsPath, MpReach, MpUnreach, PathAttributeValue};
use netgauze_bgp_pkt::wire::deserializer::BgpParsingContext;
use netgauze_parse_utils::WritablePdu;
use netgauze_parse_utils::reader::SliceReader;
use netgauze_parse_utils::traits::ParseFromWithOneInput;
use proptest::prelude::*;

use crate::values;

/// What an UPDATE says of routes, in nobody's types.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    withdrawn: BTreeSet<(IpNet, Option<u32>)>,
    announced: BTreeSet<(IpNet, Option<u32>)>,
    next_hops: BTreeSet<IpAddr>,
    path: Vec<u32>,
    med: Option<u32>,
    local_pref: Option<u32>,
    communities: BTreeSet<u32>,
    large: BTreeSet<[u32; 3]>,
    otc: Option<u32>,
}

fn ours(update: &Update) -> Said {
    let entry = |nlri: &Nlri| (nlri.prefix.net(), nlri.path_id.map(|id| id.0));
    let attributes = &update.attributes;
    let reach = update.reach.iter().flat_map(|reach| &reach.nlri);
    let unreach = update.unreach.iter().flat_map(|unreach| &unreach.nlri);
    let mut next_hops: BTreeSet<IpAddr> = attributes.next_hop.map(IpAddr::V4).into_iter().collect();
    match update.reach.as_ref().map(|reach| reach.next_hop) {
        Some(NextHop::V4(ip)) => next_hops.extend([IpAddr::V4(ip)]),
        Some(NextHop::V6 { global, link_local }) => {
            next_hops.extend(link_local.into_iter().chain([global]).map(IpAddr::V6));
        }
        None => {}
    }
    Said {
        withdrawn: update.withdrawn.iter().chain(unreach).map(entry).collect(),
        announced: update.nlri.iter().chain(reach).map(entry).collect(),
        next_hops,
        path: attributes.as_path.iter().flat_map(|path| path.asns()).map(|asn| asn.0).collect(),
        med: attributes.med,
        local_pref: attributes.local_pref,
        communities: attributes.communities.iter().map(|community| community.0).collect(),
        large: attributes.large_communities.iter().map(|it| [it.global, it.local1, it.local2]).collect(),
        otc: attributes.only_to_customer.map(|asn| asn.0),
    }
}

fn kits(update: &kit::BgpUpdateMessage) -> Said {
    let entry = |prefix: &kit::NetworkPrefix| (prefix.prefix, prefix.path_id);
    let attributes = &update.attributes;
    let mut said = Said {
        withdrawn: update.withdrawn_prefixes.iter().map(entry).collect(),
        announced: update.announced_prefixes.iter().map(entry).collect(),
        med: attributes.multi_exit_discriminator(),
        local_pref: attributes.local_preference(),
        otc: attributes.only_to_customer().map(u32::from),
        ..Said::default()
    };
    for segment in attributes.as_path().iter().flat_map(|path| path.segments.iter()) {
        let (AsPathSegment::AsSequence(asns)
        | AsPathSegment::AsSet(asns)
        | AsPathSegment::ConfedSequence(asns)
        | AsPathSegment::ConfedSet(asns)) = segment;
        said.path.extend(asns.iter().map(|asn| u32::from(*asn)));
    }
    for community in attributes.iter_communities() {
        match community {
            MetaCommunity::Plain(community) => {
                said.communities.insert(match community {
                    kit::Community::NoExport => 0xffff_ff01,
                    kit::Community::NoAdvertise => 0xffff_ff02,
                    kit::Community::NoExportSubConfed => 0xffff_ff03,
                    kit::Community::Custom(asn, value) => (u32::from(asn) << 16) | u32::from(value),
                });
            }
            MetaCommunity::Large(large) => {
                let [local1, local2] = large.local_data;
                said.large.insert([large.global_admin, local1, local2]);
            }
            _ => {}
        }
    }
    for attribute in attributes.iter() {
        match attribute {
            AttributeValue::NextHop(ip) => said.next_hops.extend([*ip]),
            AttributeValue::MpReachNlri(nlri) => {
                said.announced.extend(nlri.prefixes.iter().map(entry));
                match nlri.next_hop {
                    Some(NextHopAddress::Ipv4(ip)) => said.next_hops.extend([IpAddr::V4(ip)]),
                    Some(NextHopAddress::Ipv6(ip)) => said.next_hops.extend([IpAddr::V6(ip)]),
                    Some(NextHopAddress::Ipv6LinkLocal(global, local)) => {
                        said.next_hops.extend([global, local].map(IpAddr::V6));
                    }
                    other => panic!("{other:?}"),
                }
            }
            AttributeValue::MpUnreachNlri(nlri) => said.withdrawn.extend(nlri.prefixes.iter().map(entry)),
            _ => {}
        }
    }
    said
}

fn gauzes(update: &netgauze_bgp_pkt::update::BgpUpdateMessage) -> Said {
    let mut said = Said::default();
    said.withdrawn.extend(update.withdraw_routes().iter().map(|it| (IpNet::V4(it.network().address()), it.path_id())));
    said.announced.extend(update.nlri().iter().map(|it| (IpNet::V4(it.network().address()), it.path_id())));
    for attribute in update.path_attributes() {
        match attribute.value() {
            PathAttributeValue::AsPath(path) => said.path.extend(match path {
                AsPath::As2PathSegments(segments) => {
                    let asns = segments.iter().flat_map(|segment| segment.as_numbers());
                    asns.map(|asn| u32::from(*asn)).collect::<Vec<_>>()
                }
                AsPath::As4PathSegments(segments) => {
                    segments.iter().flat_map(|segment| segment.as_numbers()).copied().collect()
                }
            }),
            PathAttributeValue::NextHop(hop) => said.next_hops.extend([IpAddr::V4(hop.next_hop())]),
            PathAttributeValue::MultiExitDiscriminator(med) => said.med = Some(med.metric()),
            PathAttributeValue::LocalPreference(preference) => said.local_pref = Some(preference.metric()),
            PathAttributeValue::Communities(list) => {
                said.communities.extend(list.communities().iter().map(|community| community.value()));
            }
            PathAttributeValue::LargeCommunities(list) => said
                .large
                .extend(list.communities().iter().map(|it| [it.global_admin(), it.local_data1(), it.local_data2()])),
            PathAttributeValue::OnlyToCustomer(otc) => said.otc = Some(otc.asn()),
            PathAttributeValue::MpReach(MpReach::Ipv4Unicast { next_hop, next_hop_local, nlri }) => {
                said.next_hops.extend([*next_hop].into_iter().chain(next_hop_local.map(IpAddr::V6)));
                said.announced.extend(nlri.iter().map(|it| (IpNet::V4(it.network().address()), it.path_id())));
            }
            PathAttributeValue::MpReach(MpReach::Ipv6Unicast { next_hop_global, next_hop_local, nlri }) => {
                let hops = [*next_hop_global].into_iter().chain(*next_hop_local);
                said.next_hops.extend(hops.map(IpAddr::V6));
                said.announced.extend(nlri.iter().map(|it| (IpNet::V6(it.network().address()), it.path_id())));
            }
            PathAttributeValue::MpUnreach(MpUnreach::Ipv4Unicast { nlri }) => {
                said.withdrawn.extend(nlri.iter().map(|it| (IpNet::V4(it.network().address()), it.path_id())));
            }
            PathAttributeValue::MpUnreach(MpUnreach::Ipv6Unicast { nlri }) => {
                said.withdrawn.extend(nlri.iter().map(|it| (IpNet::V6(it.network().address()), it.path_id())));
            }
            PathAttributeValue::MpReach(_) | PathAttributeValue::MpUnreach(_) => panic!("{attribute:?}"),
            _ => {}
        }
    }
    said
}

fn read_kit(bytes: &[u8], encoding: &Encoding) -> kit::BgpMessage {
    let length = if encoding.four_octet_as { AsnLength::Bits32 } else { AsnLength::Bits16 };
    let paths = !encoding.add_path.is_empty();
    bgpkit_parser::parser::bgp::parse_bgp_message(&mut bytes.to_vec().into(), paths, &length)
        .unwrap_or_else(|error| panic!("bgpkit: {error} in {bytes:02x?}"))
}

fn read_gauze(bytes: &[u8], encoding: &Encoding) -> Gauze {
    let mut context = BgpParsingContext::asn2_default();
    context.set_asn4(encoding.four_octet_as);
    for family in encoding.add_path.iter() {
        let address_type = match family {
            Family::V4Unicast => Ipv4UnicastAddress::address_type(),
            Family::V6Unicast => Ipv6UnicastAddress::address_type(),
        };
        context.add_path_mut().insert(address_type, true);
    }
    Gauze::parse(&mut SliceReader::new(bytes), &mut context)
        .unwrap_or_else(|error| panic!("NetGauze: {error:?} in {bytes:02x?}"))
}

/// Prefixes that everybody takes for unicast, of at least eight bits.
fn tame(mut update: Update) -> Update {
    let lists = [Some(&mut update.withdrawn), Some(&mut update.nlri)];
    let reach = update.reach.as_mut().map(|reach| &mut reach.nlri);
    let unreach = update.unreach.as_mut().map(|unreach| &mut unreach.nlri);
    for nlri in lists.into_iter().chain([reach, unreach]).flatten().flatten() {
        let net = nlri.prefix.net();
        let bits = net.prefix_len().max(8);
        let ip = match net.addr() {
            IpAddr::V4(ip) => IpAddr::V4((u32::from(ip) & 0x00ff_ffff | 10 << 24).into()),
            IpAddr::V6(ip) => IpAddr::V6((u128::from(ip) & !(0xffff << 112) | 0x2001 << 112).into()),
        };
        nlri.prefix = Prefix::new(IpNet::new(ip, bits).unwrap());
    }
    // Codes that nobody has given a meaning to yet.
    update.attributes.unknown.retain(|attribute| (200..255).contains(&attribute.code));
    // Route targets: NetGauze clears the value of some that it knows.
    let targets = update.attributes.extended_communities.iter().map(|it| {
        let [_, _, rest @ ..] = it.0;
        let [a, b, c, d, e, f] = rest;
        ExtendedCommunity([0, 2, a, b, c, d, e, f])
    });
    update.attributes.extended_communities = targets.collect();
    update
}

fn without_confederations(mut update: Update) -> Update {
    if let Some(path) = &mut update.attributes.as_path {
        path.segments.retain(|segment| matches!(segment.kind, SegmentType::Sequence | SegmentType::Set));
    }
    update
}

/// What NetGauze knows of an OPEN: our two families, roles with a name, and parameters of the short form.
fn modest(mut open: Open) -> Open {
    let known = |family: &AfiSafi| family.family().is_some();
    for capability in &mut open.capabilities {
        match capability {
            Capability::ExtendedNextHop(pairs) => {
                pairs.retain(|pair| known(&pair.family) && pair.family.afi == 1 && pair.next_hop_afi == 2);
            }
            Capability::GracefulRestart(restart) => restart.families.retain(|it| known(&it.family)),
            Capability::AddPath(families) => families.retain(|it| known(&it.family)),
            _ => {}
        }
    }
    open.capabilities.retain(|capability| match capability {
        Capability::MultiProtocol(family) => known(family),
        Capability::Role(role) => role.number() < 5,
        Capability::Unknown { code, .. } => (200..=238).contains(code),
        _ => true,
    });
    open.capabilities.truncate(3);
    open.identifier = Ipv4Addr::from(u32::from(open.identifier) & 0x00ff_ffff | 10 << 24);
    open
}

/// What a reader that does not merge the two paths sees.
fn narrowed(mut said: Said, encoding: &Encoding) -> Said {
    if !encoding.four_octet_as {
        said.path.iter_mut().filter(|asn| **asn > 0xffff).for_each(|asn| *asn = 23_456);
    }
    said
}

/// What they wrote of our message, read by us.
fn back(bytes: &[u8], encoding: &Encoding) -> Message {
    let decoded = Message::decode(bytes, encoding).unwrap_or_else(|error| panic!("{error} in {bytes:02x?}"));
    assert_eq!(decoded.flaw, None, "{bytes:02x?}");
    decoded.message
}

fn updates() -> impl Strategy<Value = (Encoding, Update)> {
    let same_paths = values::encodings().prop_map(|encoding| match encoding.add_path.is_empty() {
        true => encoding,
        false => Encoding { add_path: Families::ALL, ..encoding },
    });
    same_paths.prop_flat_map(|encoding| values::update(encoding).prop_map(move |update| (encoding, tame(update))))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn bgpkit_reads_the_same_routes((encoding, update) in updates()) {
        let Ok(bytes) = Message::Update(update.clone()).encode(&encoding) else { return Ok(()) };
        let kit::BgpMessage::Update(theirs) = read_kit(&bytes, &encoding) else { panic!("no UPDATE") };
        prop_assert_eq!(narrowed(ours(&update), &encoding), kits(&theirs));
    }

    #[test]
    fn bgpkit_writes_what_it_read_so_that_we_read_it_back((encoding, update) in updates()) {
        let message = Message::Update(update);
        let Ok(bytes) = message.encode(&encoding) else { return Ok(()) };
        let length = if encoding.four_octet_as { AsnLength::Bits32 } else { AsnLength::Bits16 };
        let Ok(theirs) = read_kit(&bytes, &encoding).encode(length) else { panic!("not written") };
        let long = Encoding { extended_message: true, ..encoding };
        prop_assert_eq!(message, back(&theirs, &long));
    }

    #[test]
    fn netgauze_reads_the_same_routes((encoding, update) in updates()) {
        let update = without_confederations(update);
        let Ok(bytes) = Message::Update(update.clone()).encode(&encoding) else { return Ok(()) };
        let Gauze::Update(theirs) = read_gauze(&bytes, &encoding) else { panic!("no UPDATE") };
        prop_assert_eq!(narrowed(ours(&update), &encoding), gauzes(&theirs));
    }

    #[test]
    fn netgauze_writes_what_it_read_so_that_we_read_it_back((encoding, update) in updates()) {
        let message = Message::Update(without_confederations(update));
        let Ok(bytes) = message.encode(&encoding) else { return Ok(()) };
        let mut theirs = Vec::new();
        read_gauze(&bytes, &encoding).write(&mut theirs).unwrap();
        let long = Encoding { extended_message: true, ..encoding };
        prop_assert_eq!(message, back(&theirs, &long));
    }

    #[test]
    fn bgpkit_reads_an_open_and_writes_it_so_that_we_read_it_back(mut open in values::open()) {
        for capability in &mut open.capabilities {
            if let Capability::GracefulRestart(restart) = capability {
                restart.notification_bit = false;
            }
        }
        let message = Message::Open(open);
        let Ok(bytes) = message.encode(&Encoding::default()) else { return Ok(()) };
        let theirs = read_kit(&bytes, &Encoding::default()).encode(AsnLength::Bits32).unwrap();
        prop_assert_eq!(&message, &back(&theirs, &Encoding::default()));
    }

    #[test]
    fn netgauze_reads_an_open_and_writes_it_so_that_we_read_it_back(open in values::open()) {
        let message = Message::Open(modest(open));
        let bytes = message.encode(&Encoding::default()).unwrap();
        let mut theirs = Vec::new();
        read_gauze(&bytes, &Encoding::default()).write(&mut theirs).unwrap();
        prop_assert_eq!(&message, &back(&theirs, &Encoding::default()));
    }

    #[test]
    fn both_read_a_refresh_and_a_notification_and_write_them_back(family in values::family(), subtype in 0u8..3, data in prop::collection::vec(any::<u8>(), 0..50)) {
        for message in [
            Message::RouteRefresh(RouteRefresh { family: family.into(), subtype: RefreshSubtype::of(subtype) }),
            Message::Notification(Notification { code: 6, subcode: 4, data }),
            Message::Keepalive,
        ] {
            let bytes = message.encode(&Encoding::default()).unwrap();
            let kit = read_kit(&bytes, &Encoding::default());
            prop_assert_eq!(&message, &back(&kit.encode(AsnLength::Bits32).unwrap(), &Encoding::default()));
            let mut theirs = Vec::new();
            read_gauze(&bytes, &Encoding::default()).write(&mut theirs).unwrap();
            prop_assert_eq!(&message, &back(&theirs, &Encoding::default()));
        }
    }
}
