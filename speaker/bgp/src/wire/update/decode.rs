//! UPDATE as it comes, and what becomes of one that is wrong (RFC 7606).
//!
//! | what is wrong | what follows |
//! |---|---|
//! | lengths of the message's parts, a prefix, the structure of MP_REACH_NLRI or MP_UNREACH_NLRI, one of the two twice, an unknown well-known attribute | the session ends |
//! | any other attribute, one that is missing, one that is longer than the part that holds it | the routes of the message are taken as withdrawn |
//! | AGGREGATOR, ATOMIC_AGGREGATE, AS4_PATH, AS4_AGGREGATOR, an attribute again, one that this peer must not send | the attribute is left out |
//!
//! Where routes are to be taken as withdrawn and the message announces none, they may have been lost with what was wrong,
//! and the session ends too (RFC 7606 §5.2).

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::{NextHop, Reach, Unreach, Update};
use crate::iana::{AS_TRANS, AttributeCode, Origin, flags};
use crate::wire::as_path::{self, Width};
use crate::wire::reader::Reader;
use crate::wire::{
    AfiSafi, Aggregator, AsPath, Asn, Attributes, Community, DecodeError, Encoding, ExtendedCommunity, Family, Flaw,
    LargeCommunity, PeerKind, PrefixField, Problem, Treatment, UnknownAttribute, attributes, prefix,
};

/// The octet of the UPDATE at which attributes begin whatever the message withdraws, for what is missing.
const BODY: usize = 19;

impl Update {
    /// Reads the body.
    pub(in crate::wire) fn read(
        mut body: Reader<'_>,
        encoding: &Encoding,
    ) -> Result<(Self, Option<Flaw>), DecodeError> {
        let at = body.offset();
        let length = usize::from(body.u16().unwrap_or_default());
        let left = body.left().saturating_sub(2);
        let too_long = || DecodeError::new(at, Problem::WithdrawnLength { found: length, left });
        let withdrawn = body.part(length).filter(|_| length <= left).ok_or_else(too_long)?;
        let at = body.offset();
        let length = usize::from(body.u16().unwrap_or_default());
        let left = body.left();
        let too_long = || DecodeError::new(at, Problem::AttributesLength { found: length, left });
        let attributes = body.part(length).ok_or_else(too_long)?;

        let family = Family::V4Unicast;
        let mut reading = Reading::new(encoding);
        reading.update.withdrawn = prefix::read(withdrawn, family, encoding, PrefixField::Withdrawn)?;
        reading.update.nlri = prefix::read(body, family, encoding, PrefixField::Nlri)?;
        reading.attributes(attributes)?;
        reading.finish()
    }

    /// Announces nothing, and withdraws what it would have announced.
    fn take_as_withdrawn(&mut self) {
        self.attributes = Attributes::default();
        self.withdrawn.append(&mut self.nlri);
        let Some(Reach { family, nlri, .. }) = self.reach.take() else { return };
        match &mut self.unreach {
            Some(unreach) if unreach.family == family => unreach.nlri.extend(nlri),
            None => self.unreach = Some(Unreach { family, nlri }),
            // Two families: one of them is IPv4, which has a field beside the attribute.
            Some(_) if family == Family::V4Unicast => self.withdrawn.extend(nlri),
            Some(unreach) => {
                let v4 = std::mem::replace(unreach, Unreach { family, nlri });
                self.withdrawn.extend(v4.nlri);
            }
        }
    }
}

/// An UPDATE in the course of being read.
struct Reading<'e> {
    encoding: &'e Encoding,
    update: Update,
    flaw: Option<Flaw>,
    seen: BTreeSet<u8>,
    as4_path: Option<AsPath>,
    as4_aggregator: Option<Aggregator>,
    /// MP_REACH_NLRI of a family that is not known.
    reaches_others: bool,
}

impl<'e> Reading<'e> {
    fn new(encoding: &'e Encoding) -> Self {
        Self {
            encoding,
            update: Update::default(),
            flaw: None,
            seen: BTreeSet::new(),
            as4_path: None,
            as4_aggregator: None,
            reaches_others: false,
        }
    }

    /// Keeps the first of the errors with the strongest treatment (RFC 7606 §3 h).
    fn note(&mut self, treatment: Treatment, error: DecodeError) {
        let errors = self.flaw.as_ref().map_or(0, |flaw| flaw.errors) + 1;
        match &mut self.flaw {
            Some(flaw) if flaw.treatment >= treatment => flaw.errors = errors,
            flaw => *flaw = Some(Flaw { error, treatment, errors }),
        }
    }

    fn attributes(&mut self, mut part: Reader<'_>) -> Result<(), DecodeError> {
        while !part.is_empty() {
            let (at, left) = (part.offset(), part.left());
            let Some(attribute) = Attribute::read(&mut part) else {
                let found = Attribute::said(&part);
                let problem = Problem::AttributeOverrun { found, left };
                self.note(Treatment::TreatAsWithdraw, DecodeError::with_data(at, problem, part.rest()));
                break;
            };
            self.attribute(&attribute)?;
        }
        Ok(())
    }

    fn attribute(&mut self, attribute: &Attribute<'_>) -> Result<(), DecodeError> {
        let Attribute { code, flags, value, .. } = *attribute;
        let again = !self.seen.insert(code);
        let Some(known) = AttributeCode::of(code) else {
            if flags & flags::OPTIONAL == 0 {
                return Err(attribute.error(Problem::UnrecognizedWellKnown { code }));
            }
            if again {
                self.note(Treatment::AttributeDiscard, attribute.error(Problem::Repeated { code }));
            } else {
                let flags = flags & (flags::OPTIONAL | flags::TRANSITIVE | flags::PARTIAL);
                self.update.attributes.unknown.push(UnknownAttribute { code, flags, bytes: value.rest().to_vec() });
            }
            return Ok(());
        };
        let multi_protocol = matches!(known, AttributeCode::MpReachNlri | AttributeCode::MpUnreachNlri);
        if again && multi_protocol {
            return Err(attribute.error(Problem::MultiProtocolTwice { code: known }));
        }
        if again || self.unwelcome(known) {
            let problem = if again { Problem::Repeated { code } } else { Problem::Unwelcome { code: known } };
            self.note(Treatment::AttributeDiscard, attribute.error(problem));
            return Ok(());
        }
        let expected = attributes::kind(known);
        if flags & (flags::OPTIONAL | flags::TRANSITIVE) != expected {
            let problem = Problem::AttributeFlags { code: known, found: flags, expected };
            self.note(attributes::treatment(known), attribute.error(problem));
            // The prefixes are needed all the same, to take them as withdrawn.
            if !multi_protocol {
                return Ok(());
            }
        }
        match self.value(known, value) {
            Ok(()) => Ok(()),
            Err(error) if multi_protocol => Err(attribute.error_at(error)),
            Err(error) => {
                self.note(attributes::treatment(known), attribute.error_at(error));
                Ok(())
            }
        }
    }

    /// Says whether the peer must not send the attribute.
    fn unwelcome(&self, code: AttributeCode) -> bool {
        match code {
            AttributeCode::LocalPref | AttributeCode::OriginatorId | AttributeCode::ClusterList => {
                self.encoding.peer == PeerKind::External
            }
            AttributeCode::As4Path | AttributeCode::As4Aggregator => self.encoding.four_octet_as,
            _ => false,
        }
    }

    fn value(&mut self, code: AttributeCode, value: Reader<'_>) -> Result<(), DecodeError> {
        let width = if self.encoding.four_octet_as { Width::Four } else { Width::Two };
        let attributes = &mut self.update.attributes;
        match code {
            AttributeCode::Origin => attributes.origin = Some(origin(value)?),
            AttributeCode::AsPath => attributes.as_path = Some(as_path::read(value, code, width)?),
            AttributeCode::NextHop => attributes.next_hop = Some(Ipv4Addr::from(exactly(value, code, "4")?)),
            AttributeCode::MultiExitDisc => attributes.med = Some(u32::from_be_bytes(exactly(value, code, "4")?)),
            AttributeCode::LocalPref => attributes.local_pref = Some(u32::from_be_bytes(exactly(value, code, "4")?)),
            AttributeCode::AtomicAggregate => {
                let []: [u8; 0] = exactly(value, code, "0")?;
                attributes.atomic_aggregate = true;
            }
            AttributeCode::Aggregator => attributes.aggregator = Some(aggregator(value, code, width)?),
            AttributeCode::Communities => {
                let community = |octets| Community(u32::from_be_bytes(octets));
                attributes.communities = entries(value, code, "a multiple of 4")?.map(community).collect();
            }
            AttributeCode::OriginatorId => attributes.originator_id = Some(Ipv4Addr::from(exactly(value, code, "4")?)),
            AttributeCode::ClusterList => {
                let entries = entries::<4>(value, code, "a multiple of 4")?;
                attributes.cluster_list = entries.map(Ipv4Addr::from).collect();
            }
            AttributeCode::ExtendedCommunities => {
                let entries = entries(value, code, "a multiple of 8")?;
                attributes.extended_communities = entries.map(ExtendedCommunity).collect();
            }
            AttributeCode::As4Path => self.as4_path = Some(as_path::read(value, code, Width::Four)?),
            AttributeCode::As4Aggregator => self.as4_aggregator = Some(aggregator(value, code, Width::Four)?),
            AttributeCode::LargeCommunities => {
                let entries = entries::<12>(value, code, "a multiple of 12")?;
                attributes.large_communities = entries.map(large_community).collect();
            }
            AttributeCode::OnlyToCustomer => {
                attributes.only_to_customer = Some(Asn(u32::from_be_bytes(exactly(value, code, "4")?)));
            }
            AttributeCode::MpReachNlri => self.reach(value)?,
            AttributeCode::MpUnreachNlri => self.unreach(value)?,
        }
        Ok(())
    }

    fn reach(&mut self, mut value: Reader<'_>) -> Result<(), DecodeError> {
        let code = AttributeCode::MpReachNlri;
        let (at, found) = (value.offset(), value.left());
        let short = |min| DecodeError::new(at, Problem::MultiProtocolShort { code, found, min });
        let [high, low, safi, length] = value.array().ok_or_else(|| short(5))?;
        let family = AfiSafi { afi: u16::from_be_bytes([high, low]), safi };
        let at_next_hop = value.offset();
        let next_hop = value.part(length.into());
        let (next_hop, _) = next_hop.zip(value.u8()).ok_or_else(|| short(5 + usize::from(length)))?;
        let Some(family) = family.family() else {
            self.reaches_others = true;
            self.update.others.insert(family);
            return Ok(());
        };
        let over_v6 = self.encoding.extended_next_hop.contains(family);
        let Some(next_hop) = read_next_hop(next_hop, family, over_v6) else {
            let expected = match family {
                Family::V4Unicast if over_v6 => "4, 16 or 32",
                Family::V4Unicast => "4",
                Family::V6Unicast => "16 or 32",
            };
            return Err(DecodeError::new(at_next_hop - 1, Problem::NextHopLength { found: length, expected }));
        };
        let nlri = prefix::read(value, family, self.encoding, PrefixField::Reach)?;
        self.update.reach = Some(Reach { family, next_hop, nlri }).filter(|reach| !reach.nlri.is_empty());
        Ok(())
    }

    fn unreach(&mut self, mut value: Reader<'_>) -> Result<(), DecodeError> {
        let code = AttributeCode::MpUnreachNlri;
        let short = DecodeError::new(value.offset(), Problem::MultiProtocolShort { code, found: value.left(), min: 3 });
        let [high, low, safi] = value.array().ok_or(short)?;
        let family = AfiSafi { afi: u16::from_be_bytes([high, low]), safi };
        match family.family() {
            Some(family) => {
                let nlri = prefix::read(value, family, self.encoding, PrefixField::Unreach)?;
                self.update.unreach = Some(Unreach { family, nlri });
            }
            None => {
                self.update.others.insert(family);
            }
        }
        Ok(())
    }

    /// All is read: looks at the whole.
    fn finish(mut self) -> Result<(Update, Option<Flaw>), DecodeError> {
        self.merge();
        let (classic, reach) = (!self.update.nlri.is_empty(), self.update.reach.is_some());
        for (code, must) in [
            (AttributeCode::Origin, classic || reach),
            (AttributeCode::AsPath, classic || reach),
            (AttributeCode::NextHop, classic),
            (AttributeCode::LocalPref, (classic || reach) && self.encoding.peer == PeerKind::Internal),
        ] {
            if must && !self.seen.contains(&code.number()) {
                self.note(Treatment::TreatAsWithdraw, DecodeError::new(BODY, Problem::Missing { code }));
            }
        }
        self.update.attributes.unknown.sort();
        if let Some(flaw) = self.flaw.take_if(|flaw| flaw.treatment == Treatment::TreatAsWithdraw) {
            let only_withdraws = self.seen.iter().all(|code| *code == AttributeCode::MpUnreachNlri.number());
            if !(classic || reach || self.reaches_others || only_withdraws) {
                return Err(flaw.error);
            }
            self.update.take_as_withdrawn();
            return Ok((self.update, Some(flaw)));
        }
        Ok((self.update, self.flaw))
    }

    /// Puts together what a peer with two-octet numbers says in two attributes (RFC 6793 §4.2.3).
    fn merge(&mut self) {
        let attributes = &mut self.update.attributes;
        match (&mut attributes.aggregator, self.as4_aggregator) {
            (Some(aggregator), Some(wide)) if aggregator.asn == Asn(AS_TRANS.into()) => *aggregator = wide,
            // A speaker on the way that knows two octets only has made another aggregate: the others are of the old one.
            (Some(_), Some(_)) => return,
            _ => {}
        }
        if let (Some(path), Some(as4)) = (attributes.as_path.take_if(|_| self.as4_path.is_some()), self.as4_path.take())
        {
            attributes.as_path = Some(as_path::merge(path, as4));
        }
    }
}

/// One attribute and where it stands.
#[derive(Clone, Copy)]
struct Attribute<'a> {
    at: usize,
    flags: u8,
    code: u8,
    value: Reader<'a>,
    /// All of it.
    octets: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// Takes the next one; nothing, and nothing taken, if it is longer than what is left.
    fn read(part: &mut Reader<'a>) -> Option<Self> {
        let mut next = *part;
        let at = next.offset();
        let [flags, code] = next.array()?;
        let length = match flags & flags::EXTENDED_LENGTH {
            0 => usize::from(next.u8()?),
            _ => usize::from(next.u16()?),
        };
        let value = next.part(length)?;
        *part = next;
        Some(Self { at, flags, code, value, octets: next.since(at) })
    }

    /// Returns how long the next one says it is, its header included.
    fn said(part: &Reader<'_>) -> usize {
        match *part.rest() {
            [flags, _, high, low, ..] if flags & flags::EXTENDED_LENGTH != 0 => {
                4 + usize::from(u16::from_be_bytes([high, low]))
            }
            [flags, ..] if flags & flags::EXTENDED_LENGTH != 0 => 4,
            [_, _, length, ..] => 3 + usize::from(length),
            _ => 3,
        }
    }

    /// An error of the attribute as such.
    fn error(&self, problem: Problem) -> DecodeError {
        DecodeError::with_data(self.at, problem, self.octets)
    }

    /// An error inside of it, whose place is known.
    fn error_at(&self, error: DecodeError) -> DecodeError {
        DecodeError::with_data(error.offset, error.problem, self.octets)
    }
}

fn wrong_length(value: &Reader<'_>, code: AttributeCode, expected: &'static str) -> DecodeError {
    DecodeError::new(value.offset(), Problem::AttributeLength { code, found: value.left(), expected })
}

fn exactly<const N: usize>(
    mut value: Reader<'_>,
    code: AttributeCode,
    expected: &'static str,
) -> Result<[u8; N], DecodeError> {
    let wrong = wrong_length(&value, code, expected);
    value.array().filter(|_| value.is_empty()).ok_or(wrong)
}

/// Entries of `N` octets, at least one (RFC 7606 §4: what may be empty says so).
fn entries<const N: usize>(
    mut value: Reader<'_>,
    code: AttributeCode,
    expected: &'static str,
) -> Result<impl Iterator<Item = [u8; N]>, DecodeError> {
    if value.is_empty() || !value.left().is_multiple_of(N) {
        return Err(wrong_length(&value, code, expected));
    }
    Ok(std::iter::from_fn(move || value.array()))
}

fn origin(value: Reader<'_>) -> Result<Origin, DecodeError> {
    let at = value.offset();
    let [found] = exactly(value, AttributeCode::Origin, "1")?;
    Origin::of(found).ok_or_else(|| DecodeError::new(at, Problem::OriginValue { found }))
}

fn aggregator(mut value: Reader<'_>, code: AttributeCode, width: Width) -> Result<Aggregator, DecodeError> {
    let at = value.offset();
    let (asn, expected) = match width {
        Width::Two => (value.left() == 6).then(|| value.u16().map(u32::from)).flatten().map(|asn| (asn, "6")),
        Width::Four => (value.left() == 8).then(|| value.u32()).flatten().map(|asn| (asn, "8")),
    }
    .ok_or_else(|| wrong_length(&value, code, if width == Width::Two { "6" } else { "8" }))?;
    if asn == 0 {
        return Err(DecodeError::new(at, Problem::ZeroAsIn { code }));
    }
    Ok(Aggregator { asn: Asn(asn), identifier: Ipv4Addr::from(exactly(value, code, expected)?) })
}

fn large_community(octets: [u8; 12]) -> LargeCommunity {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = octets;
    let [global, local1, local2] = [[a, b, c, d], [e, f, g, h], [i, j, k, l]].map(u32::from_be_bytes);
    LargeCommunity { global, local1, local2 }
}

fn read_next_hop(mut octets: Reader<'_>, family: Family, over_v6: bool) -> Option<NextHop> {
    match (family, octets.left()) {
        (Family::V4Unicast, 4) => octets.array().map(|octets: [u8; 4]| NextHop::V4(octets.into())),
        (Family::V4Unicast, _) if !over_v6 => None,
        (_, 16 | 32) => {
            let global: Ipv6Addr = octets.array::<16>()?.into();
            let second = octets.array::<16>().map(Ipv6Addr::from);
            // Some send the first again, or zeroes, where they have no link-local one.
            Some(NextHop::V6 { global, link_local: second.filter(|ip| ip.is_unicast_link_local()) })
        }
        _ => None,
    }
}
