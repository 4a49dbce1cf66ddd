//! The Ethernet II header.
//!
//! ```text
//!  0                 6                 12      14
//! +-----------------+-----------------+-------+----------
//! | destination     | source          | type  | payload
//! +-----------------+-----------------+-------+----------
//! ```

use std::net::Ipv6Addr;

use pnet_packet::Packet;
use pnet_packet::ethernet::{EtherTypes, EthernetPacket, MutableEthernetPacket};

use crate::{Drop, MacAddr};

/// Bytes before the payload.
pub(crate) const HEADER: usize = 14;

/// What the payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// 0x0806.
    Arp,
    /// 0x86dd.
    Ipv6,
}

/// A parsed header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ethernet {
    pub(crate) destination: MacAddr,
    pub(crate) source: MacAddr,
    pub(crate) protocol: Protocol,
}

impl Ethernet {
    /// Reads the header; returns it with the payload, padding included.
    pub(crate) fn parse(bytes: &[u8]) -> Result<(Self, &[u8]), Drop> {
        let packet = EthernetPacket::new(bytes).ok_or(Drop::Truncated)?;
        let protocol = match packet.get_ethertype() {
            EtherTypes::Arp => Protocol::Arp,
            EtherTypes::Ipv6 => Protocol::Ipv6,
            EtherTypes::Vlan | EtherTypes::PBridge | EtherTypes::QinQ => return Err(Drop::VlanTagged),
            _ => return Err(Drop::Ethertype),
        };
        let header = Self {
            destination: MacAddr(packet.get_destination().octets()),
            source: MacAddr(packet.get_source().octets()),
            protocol,
        };
        Ok((header, &bytes[HEADER..]))
    }

    /// Returns a frame of this header and `payload` zero bytes.
    pub(crate) fn frame(&self, payload: usize) -> Vec<u8> {
        let mut bytes = vec![0; HEADER + payload];
        let mut packet = MutableEthernetPacket::new(&mut bytes).expect("the frame has room for its header");
        packet.set_destination(self.destination.0.into());
        packet.set_source(self.source.0.into());
        packet.set_ethertype(match self.protocol {
            Protocol::Arp => EtherTypes::Arp,
            Protocol::Ipv6 => EtherTypes::Ipv6,
        });
        debug_assert_eq!(packet.payload().len(), payload);
        bytes
    }
}

/// The MAC address of an IPv6 multicast group: 33:33 and its last 32 bits (RFC 2464 §7).
pub(crate) fn multicast(group: Ipv6Addr) -> MacAddr {
    let [.., a, b, c, d] = group.octets();
    MacAddr([0x33, 0x33, a, b, c, d])
}

#[cfg(test)]
mod tests;
