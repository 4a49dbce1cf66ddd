//! Neighbour solicitation and advertisement in IPv6 (RFC 4861 §4.3, §4.4), checksum and hop limit included.
//!
//! ```text
//!  0             40   41   42         44             48               64
//! +-------------+----+----+----------+--------------+----------------+----------------------
//! | IPv6 header | 135| 0  | checksum | 0            | target address | options: 1 = source
//! | hop limit   | or |    |          | or R S O ... |                |          2 = target MAC
//! | 255         | 136|    |          |              |                | type, length / 8, value
//! +-------------+----+----+----------+--------------+----------------+----------------------
//! ```
//!
//! Options are walked here: the option view of `pnet_packet` 0.35 multiplies the length in 8 bits and overflows.

use std::net::Ipv6Addr;

use pnet_packet::Packet;
use pnet_packet::icmpv6::ndp::{
    MutableNeighborAdvertPacket, MutableNeighborSolicitPacket, NeighborAdvertFlags, NeighborAdvertPacket,
    NeighborSolicitPacket,
};
use pnet_packet::icmpv6::{Icmpv6Packet, Icmpv6Type, Icmpv6Types, MutableIcmpv6Packet, checksum};
use pnet_packet::ip::IpNextHeaderProtocols;
use pnet_packet::ipv6::{Ipv6Packet, MutableIpv6Packet};

use super::ethernet::{Ethernet, HEADER, Protocol};
use crate::{Drop, MacAddr};

const IPV6_HEADER: usize = 40;
/// Both messages without options.
const MESSAGE: usize = 24;
/// A link-layer address option for Ethernet.
const OPTION: usize = 8;
const SOURCE_LINK_LAYER_ADDRESS: u8 = 1;
const TARGET_LINK_LAYER_ADDRESS: u8 = 2;
const NONCE: u8 = 14;
/// What no router can have forwarded (RFC 4861 §11.2).
const HOP_LIMIT: u8 = 255;

/// One message with the addresses of its IPv6 header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ndp {
    pub(crate) source: Ipv6Addr,
    pub(crate) destination: Ipv6Addr,
    pub(crate) target: Ipv6Addr,
    pub(crate) message: Message,
    /// The link-layer address option: the source's in a solicitation, the target's in an advertisement.
    pub(crate) mac: Option<MacAddr>,
}

/// Which message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Solicitation,
    /// The flags S and O. R is ignored when read and never set: our address forwards for nobody.
    Advertisement {
        solicited: bool,
        overrides: bool,
    },
}

impl Ndp {
    /// Reads the payload of a frame; what follows the IPv6 packet is padding.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Drop> {
        let ipv6 = Ipv6Packet::new(bytes).ok_or(Drop::Truncated)?;
        let length = usize::from(ipv6.get_payload_length());
        if ipv6.get_version() != 6 {
            return Err(Drop::Ipv6Header);
        }
        if ipv6.get_next_header() != IpNextHeaderProtocols::Icmpv6 {
            return Err(Drop::NotIcmpv6);
        }
        if ipv6.get_hop_limit() != HOP_LIMIT {
            return Err(Drop::HopLimit);
        }
        let body = bytes.get(IPV6_HEADER..IPV6_HEADER + length).ok_or(Drop::Ipv6Header)?;
        let icmpv6 = Icmpv6Packet::new(body).ok_or(Drop::Truncated)?;
        let (source, destination) = (ipv6.get_source(), ipv6.get_destination());
        if icmpv6.get_checksum() != checksum(&icmpv6, &source, &destination) {
            return Err(Drop::Checksum);
        }
        if icmpv6.get_icmpv6_code().0 != 0 {
            return Err(Drop::Icmpv6Type);
        }
        let parsed = match icmpv6.get_icmpv6_type() {
            Icmpv6Types::NeighborSolicit => {
                let solicit = NeighborSolicitPacket::new(body).ok_or(Drop::Truncated)?;
                let mac = link_layer_address(&body[MESSAGE..], SOURCE_LINK_LAYER_ADDRESS)?;
                Self { source, destination, target: solicit.get_target_addr(), message: Message::Solicitation, mac }
            }
            Icmpv6Types::NeighborAdvert => {
                let advert = NeighborAdvertPacket::new(body).ok_or(Drop::Truncated)?;
                let mac = link_layer_address(&body[MESSAGE..], TARGET_LINK_LAYER_ADDRESS)?;
                let flags = advert.get_flags();
                let message = Message::Advertisement {
                    solicited: flags & NeighborAdvertFlags::Solicited != 0,
                    overrides: flags & NeighborAdvertFlags::Override != 0,
                };
                Self { source, destination, target: advert.get_target_addr(), message, mac }
            }
            _ => return Err(Drop::Icmpv6Type),
        };
        parsed.valid()
    }

    /// RFC 4861 §7.1.1 and §7.1.2, what concerns addresses and flags.
    fn valid(self) -> Result<Self, Drop> {
        if self.target.is_multicast() || self.target.is_unspecified() {
            return Err(Drop::Target);
        }
        let allowed = match self.message {
            // A probe goes to the group of its target, so that every holder hears it, and names no link-layer address.
            Message::Solicitation if self.source.is_unspecified() => {
                self.destination == solicited_node(self.target) && self.mac.is_none()
            }
            _ if self.source.is_multicast() => false,
            Message::Solicitation => true,
            Message::Advertisement { .. } if self.source.is_unspecified() => false,
            Message::Advertisement { solicited, .. } => !(solicited && self.destination.is_multicast()),
        };
        if allowed { Ok(self) } else { Err(Drop::NdpRule) }
    }

    /// Builds the frame.
    pub(crate) fn frame(&self, source: MacAddr, destination: MacAddr) -> Vec<u8> {
        let length = MESSAGE + if self.mac.is_some() { OPTION } else { 0 };
        let mut bytes = Ethernet { destination, source, protocol: Protocol::Ipv6 }.frame(IPV6_HEADER + length);
        let mut ipv6 = MutableIpv6Packet::new(&mut bytes[HEADER..]).expect("the frame has room for an IPv6 header");
        ipv6.set_version(6);
        ipv6.set_payload_length(length as u16);
        ipv6.set_next_header(IpNextHeaderProtocols::Icmpv6);
        ipv6.set_hop_limit(HOP_LIMIT);
        ipv6.set_source(self.source);
        ipv6.set_destination(self.destination);

        let body = &mut bytes[HEADER + IPV6_HEADER..];
        if let Some(mac) = self.mac {
            body[MESSAGE] = match self.message {
                Message::Solicitation => SOURCE_LINK_LAYER_ADDRESS,
                Message::Advertisement { .. } => TARGET_LINK_LAYER_ADDRESS,
            };
            body[MESSAGE + 1] = (OPTION / 8) as u8;
            body[MESSAGE + 2..].copy_from_slice(&mac.0);
        }
        match self.message {
            Message::Solicitation => {
                let mut solicit = MutableNeighborSolicitPacket::new(body).expect("the frame has room for a message");
                solicit.set_icmpv6_type(Icmpv6Types::NeighborSolicit);
                solicit.set_target_addr(self.target);
            }
            Message::Advertisement { solicited, overrides } => {
                let mut advert = MutableNeighborAdvertPacket::new(body).expect("the frame has room for a message");
                advert.set_icmpv6_type(Icmpv6Types::NeighborAdvert);
                advert.set_flags(
                    if solicited { NeighborAdvertFlags::Solicited } else { 0 }
                        | if overrides { NeighborAdvertFlags::Override } else { 0 },
                );
                advert.set_target_addr(self.target);
            }
        }
        let mut icmpv6 = MutableIcmpv6Packet::new(body).expect("the frame has room for a message");
        let sum = checksum(&icmpv6.to_immutable(), &self.source, &self.destination);
        icmpv6.set_checksum(sum);
        debug_assert!(matches!(icmpv6.to_immutable().get_icmpv6_type(), Icmpv6Type(135 | 136)));
        debug_assert_eq!(icmpv6.packet().len(), length);
        bytes
    }
}

/// A solicitation that asks whether anybody has an address (RFC 4862 §5.4.2): from nobody, with a nonce (RFC 7527 §4.1, RFC 3971 §5.3.2) in place of a
/// link-layer address.
pub(crate) fn probe(source: MacAddr, target: Ipv6Addr, nonce: [u8; 6]) -> Vec<u8> {
    let group = solicited_node(target);
    let solicitation = Ndp {
        source: Ipv6Addr::UNSPECIFIED,
        destination: group,
        target,
        message: Message::Solicitation,
        mac: Some(MacAddr(nonce)),
    };
    let mut bytes = solicitation.frame(source, super::ethernet::multicast(group));
    let body = &mut bytes[HEADER + IPV6_HEADER..];
    body[MESSAGE] = NONCE;
    let mut icmpv6 = MutableIcmpv6Packet::new(body).expect("the frame has a message");
    icmpv6.set_checksum(0);
    let sum = checksum(&icmpv6.to_immutable(), &Ipv6Addr::UNSPECIFIED, &group);
    icmpv6.set_checksum(sum);
    bytes
}

/// Walks the options for one kind of link-layer address; the first one counts.
fn link_layer_address(mut options: &[u8], wanted: u8) -> Result<Option<MacAddr>, Drop> {
    let mut found = None;
    while let [kind, units, ..] = *options {
        let length = usize::from(units) * 8;
        if length == 0 || length > options.len() {
            return Err(Drop::NdpOption);
        }
        if kind == wanted && found.is_none() {
            let octets = <[u8; 6]>::try_from(&options[2..length]).map_err(|_| Drop::NdpOption)?;
            found = Some(MacAddr(octets));
        }
        options = &options[length..];
    }
    if options.is_empty() { Ok(found) } else { Err(Drop::NdpOption) }
}

/// The group a node joins for an address of its own: ff02::1:ff and the last 24 bits (RFC 4291 §2.7.1).
pub(crate) fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), u16::from_be_bytes([b, c]))
}

#[cfg(test)]
mod tests;
