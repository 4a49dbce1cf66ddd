//! UPDATE as it leaves.
//!
//! MP_REACH_NLRI or MP_UNREACH_NLRI stands first, so that an error behind it costs no prefixes (RFC 7606 §5.1); the others
//! follow by their codes.

use std::net::Ipv6Addr;

use super::{NextHop, Reach, Unreach, Update};
use crate::iana::{AS_TRANS, AttributeCode, flags};
use crate::wire::as_path::{self, Width};
use crate::wire::writer::with_length16;
use crate::wire::{
    AfiSafi, Aggregator, Asn, Attributes, EncodeError, Encoding, Family, PeerKind, UnknownAttribute, attributes, prefix,
};

type Value = Result<Vec<u8>, EncodeError>;

impl Update {
    /// Writes the body.
    pub(in crate::wire) fn write(&self, bytes: &mut Vec<u8>, encoding: &Encoding) -> Result<(), EncodeError> {
        if let Some(family) = self.others.first() {
            return Err(EncodeError::OtherFamily(*family));
        }
        self.check_mandatory(encoding)?;
        let classic = Family::V4Unicast;
        with_length16(bytes, EncodeError::PartTooLong, |bytes| {
            prefix::write(bytes, classic, &self.withdrawn, encoding)
        })?;
        with_length16(bytes, EncodeError::PartTooLong, |bytes| {
            if let Some(reach) = &self.reach {
                write_attribute(bytes, AttributeCode::MpReachNlri, &reach.value(encoding)?)?;
            }
            if let Some(unreach) = &self.unreach {
                write_attribute(bytes, AttributeCode::MpUnreachNlri, &unreach.value(encoding)?)?;
            }
            self.attributes.write(bytes, encoding)
        })?;
        prefix::write(bytes, classic, &self.nlri, encoding)
    }

    fn check_mandatory(&self, encoding: &Encoding) -> Result<(), EncodeError> {
        let attributes = &self.attributes;
        let reachable = !self.nlri.is_empty() || self.reach.is_some();
        let internal = encoding.peer == PeerKind::Internal;
        for (code, must, there) in [
            (AttributeCode::Origin, reachable, attributes.origin.is_some()),
            (AttributeCode::AsPath, reachable, attributes.as_path.is_some()),
            (AttributeCode::NextHop, !self.nlri.is_empty(), attributes.next_hop.is_some()),
            (AttributeCode::LocalPref, reachable && internal, attributes.local_pref.is_some()),
        ] {
            if must && !there {
                return Err(EncodeError::Missing(code));
            }
        }
        for (code, there) in [
            (AttributeCode::LocalPref, attributes.local_pref.is_some()),
            (AttributeCode::OriginatorId, attributes.originator_id.is_some()),
            (AttributeCode::ClusterList, !attributes.cluster_list.is_empty()),
        ] {
            if there && !internal {
                return Err(EncodeError::Unwelcome(code));
            }
        }
        Ok(())
    }
}

impl Attributes {
    fn write(&self, bytes: &mut Vec<u8>, encoding: &Encoding) -> Result<(), EncodeError> {
        let mut unknown = self.unknown.iter().peekable();
        for code in AttributeCode::ALL {
            while let Some(attribute) = unknown.next_if(|attribute| attribute.code < code.number()) {
                attribute.write(bytes)?;
            }
            if let Some(value) = self.value(*code, encoding) {
                write_attribute(bytes, *code, &value?)?;
            }
        }
        unknown.try_for_each(|attribute| attribute.write(bytes))?;
        let codes = self.unknown.iter().zip(self.unknown.iter().skip(1));
        match codes.into_iter().find(|(one, next)| one.code >= next.code) {
            Some((_, next)) => Err(EncodeError::UnknownOrder(next.code)),
            None => Ok(()),
        }
    }

    /// Returns the value of an attribute that is there, those of prefixes aside.
    fn value(&self, code: AttributeCode, encoding: &Encoding) -> Option<Value> {
        let width = if encoding.four_octet_as { Width::Four } else { Width::Two };
        let some = |octets: Vec<u8>| Some(octets).filter(|octets| !octets.is_empty()).map(Ok);
        match code {
            AttributeCode::Origin => self.origin.map(|origin| Ok(vec![origin.number()])),
            AttributeCode::AsPath => self.as_path.as_ref().map(|path| {
                let mut value = Vec::new();
                as_path::write(&mut value, path, width).map(|()| value)
            }),
            AttributeCode::NextHop => self.next_hop.map(|ip| Ok(ip.octets().to_vec())),
            AttributeCode::MultiExitDisc => self.med.map(|med| Ok(med.to_be_bytes().to_vec())),
            AttributeCode::LocalPref => self.local_pref.map(|preference| Ok(preference.to_be_bytes().to_vec())),
            AttributeCode::AtomicAggregate => self.atomic_aggregate.then(|| Ok(Vec::new())),
            AttributeCode::Aggregator => self.aggregator.map(|aggregator| aggregator.value(width)),
            AttributeCode::Communities => {
                some(self.communities.iter().flat_map(|community| community.0.to_be_bytes()).collect())
            }
            AttributeCode::OriginatorId => self.originator_id.map(|ip| Ok(ip.octets().to_vec())),
            AttributeCode::ClusterList => some(self.cluster_list.iter().flat_map(|ip| ip.octets()).collect()),
            AttributeCode::ExtendedCommunities => {
                some(self.extended_communities.iter().flat_map(|community| community.0).collect())
            }
            AttributeCode::As4Path if width == Width::Two => {
                self.as_path.as_ref().filter(|path| path.is_wide()).and_then(|path| {
                    let mut value = Vec::new();
                    match as_path::write_as4(&mut value, path) {
                        Ok(()) => some(value),
                        Err(error) => Some(Err(error)),
                    }
                })
            }
            AttributeCode::As4Aggregator if width == Width::Two => {
                self.aggregator.filter(Aggregator::is_wide).map(|aggregator| aggregator.value(Width::Four))
            }
            AttributeCode::LargeCommunities => {
                let numbers = self.large_communities.iter().flat_map(|it| [it.global, it.local1, it.local2]);
                some(numbers.flat_map(u32::to_be_bytes).collect())
            }
            AttributeCode::OnlyToCustomer => self.only_to_customer.map(|asn| Ok(asn.0.to_be_bytes().to_vec())),
            AttributeCode::As4Path
            | AttributeCode::As4Aggregator
            | AttributeCode::MpReachNlri
            | AttributeCode::MpUnreachNlri => None,
        }
    }
}

impl Aggregator {
    fn is_wide(&self) -> bool {
        u16::try_from(self.asn.0).is_err()
    }

    fn value(&self, width: Width) -> Value {
        if self.asn == Asn(0) {
            return Err(EncodeError::ZeroAs);
        }
        let mut value = match width {
            Width::Two => u16::try_from(self.asn.0).unwrap_or(AS_TRANS).to_be_bytes().to_vec(),
            Width::Four => self.asn.0.to_be_bytes().to_vec(),
        };
        value.extend(self.identifier.octets());
        Ok(value)
    }
}

impl Reach {
    fn value(&self, encoding: &Encoding) -> Value {
        let Self { family, next_hop, nlri } = self;
        let fits = match (family, next_hop) {
            (Family::V4Unicast, NextHop::V4(_)) | (Family::V6Unicast, NextHop::V6 { .. }) => true,
            (Family::V4Unicast, NextHop::V6 { .. }) => encoding.extended_next_hop.contains(*family),
            (Family::V6Unicast, NextHop::V4(_)) => false,
        };
        if !fits {
            return Err(EncodeError::NextHopFamily(*family));
        }
        if nlri.is_empty() {
            return Err(EncodeError::NoPrefix);
        }
        let mut value = family_octets(*family);
        match next_hop {
            NextHop::V4(ip) => {
                value.push(4);
                value.extend(ip.octets());
            }
            NextHop::V6 { global, link_local: None } => {
                value.push(16);
                value.extend(global.octets());
            }
            NextHop::V6 { global, link_local: Some(link_local) } => {
                if !Ipv6Addr::is_unicast_link_local(link_local) {
                    return Err(EncodeError::NotLinkLocal);
                }
                value.push(32);
                value.extend(global.octets());
                value.extend(link_local.octets());
            }
        }
        // Reserved (RFC 4760 §3).
        value.push(0);
        prefix::write(&mut value, *family, nlri, encoding)?;
        Ok(value)
    }
}

impl Unreach {
    fn value(&self, encoding: &Encoding) -> Value {
        let mut value = family_octets(self.family);
        prefix::write(&mut value, self.family, &self.nlri, encoding)?;
        Ok(value)
    }
}

impl UnknownAttribute {
    fn write(&self, bytes: &mut Vec<u8>) -> Result<(), EncodeError> {
        if AttributeCode::of(self.code).is_some() {
            return Err(EncodeError::KnownAttribute(self.code));
        }
        if self.flags & flags::OPTIONAL == 0 {
            return Err(EncodeError::UnknownWellKnown(self.code));
        }
        write_value(bytes, self.flags & (flags::OPTIONAL | flags::TRANSITIVE | flags::PARTIAL), self.code, &self.bytes)
    }
}

fn family_octets(family: Family) -> Vec<u8> {
    let AfiSafi { afi, safi } = family.into();
    let mut octets = afi.to_be_bytes().to_vec();
    octets.push(safi);
    octets
}

fn write_attribute(bytes: &mut Vec<u8>, code: AttributeCode, value: &[u8]) -> Result<(), EncodeError> {
    write_value(bytes, attributes::kind(code), code.number(), value)
}

fn write_value(bytes: &mut Vec<u8>, flags: u8, code: u8, value: &[u8]) -> Result<(), EncodeError> {
    match (u8::try_from(value.len()), u16::try_from(value.len())) {
        (Ok(length), _) => bytes.extend([flags, code, length]),
        (_, Ok(length)) => {
            bytes.extend([flags | flags::EXTENDED_LENGTH, code]);
            bytes.extend(length.to_be_bytes());
        }
        _ => return Err(EncodeError::PartTooLong(value.len())),
    }
    bytes.extend_from_slice(value);
    Ok(())
}
