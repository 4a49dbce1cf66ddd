//! ARP for IPv4 over Ethernet (RFC 826).
//!
//! ```text
//!  0      2      4    5    6      8                14            18               24            28
//! +------+------+----+----+------+----------------+-------------+----------------+-------------+
//! | 1    | 0800 | 6  | 4  | oper | sender MAC     | sender IP   | target MAC     | target IP   |
//! +------+------+----+----+------+----------------+-------------+----------------+-------------+
//! ```

use std::net::Ipv4Addr;

use pnet_packet::arp::{ArpHardwareTypes, ArpOperations, ArpPacket, MutableArpPacket};
use pnet_packet::ethernet::EtherTypes;

use super::ethernet::{Ethernet, HEADER, Protocol};
use crate::{Drop, MacAddr};

/// Length of the message without padding.
const LENGTH: usize = 28;

/// Request or reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Request,
    Reply,
}

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arp {
    pub(crate) operation: Operation,
    pub(crate) sender_mac: MacAddr,
    pub(crate) sender_ip: Ipv4Addr,
    pub(crate) target_mac: MacAddr,
    pub(crate) target_ip: Ipv4Addr,
}

impl Arp {
    /// Reads the payload of a frame; what follows the message is padding.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Drop> {
        let packet = ArpPacket::new(bytes).ok_or(Drop::Truncated)?;
        if packet.get_hardware_type() != ArpHardwareTypes::Ethernet {
            return Err(Drop::HardwareType);
        }
        if packet.get_protocol_type() != EtherTypes::Ipv4 {
            return Err(Drop::ProtocolType);
        }
        if (packet.get_hw_addr_len(), packet.get_proto_addr_len()) != (6, 4) {
            return Err(Drop::AddressLength);
        }
        let operation = match packet.get_operation() {
            ArpOperations::Request => Operation::Request,
            ArpOperations::Reply => Operation::Reply,
            _ => return Err(Drop::Operation),
        };
        Ok(Self {
            operation,
            sender_mac: MacAddr(packet.get_sender_hw_addr().octets()),
            sender_ip: packet.get_sender_proto_addr(),
            target_mac: MacAddr(packet.get_target_hw_addr().octets()),
            target_ip: packet.get_target_proto_addr(),
        })
    }

    /// Builds the frame, from the sender to `destination`.
    pub(crate) fn frame(&self, destination: MacAddr) -> Vec<u8> {
        let header = Ethernet { destination, source: self.sender_mac, protocol: Protocol::Arp };
        let mut bytes = header.frame(LENGTH);
        let mut packet = MutableArpPacket::new(&mut bytes[HEADER..]).expect("the frame has room for one message");
        packet.set_hardware_type(ArpHardwareTypes::Ethernet);
        packet.set_protocol_type(EtherTypes::Ipv4);
        packet.set_hw_addr_len(6);
        packet.set_proto_addr_len(4);
        packet.set_operation(match self.operation {
            Operation::Request => ArpOperations::Request,
            Operation::Reply => ArpOperations::Reply,
        });
        packet.set_sender_hw_addr(self.sender_mac.0.into());
        packet.set_sender_proto_addr(self.sender_ip);
        packet.set_target_hw_addr(self.target_mac.0.into());
        packet.set_target_proto_addr(self.target_ip);
        bytes
    }
}

#[cfg(test)]
mod tests;
