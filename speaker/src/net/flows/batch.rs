//! Transactions on set elements, in the kernel's words (linux/netfilter/nf_tables.h, nfnetlink.h).
//!
//! ```text
//!   BATCH_BEGIN | message ... | BATCH_END          one datagram, one transaction, carried out within send(2)
//!
//!   message: nlmsghdr (16) | nfgenmsg (4) | attributes: length u16, type u16, value, padding to 4
//! ```
//!
//! Lengths and types are in the machine's byte order, values in the network's. Refused messages are answered, accepted ones are not.

use nix::libc;
use socket2::{Domain, Protocol, Socket as Raw, Type};
use std::{
    io::{self, Read as _},
    net::IpAddr,
    time::Duration,
};

const NETLINK_NETFILTER: i32 = 12;
const SUBSYSTEM: u16 = 10 << 8;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const NEW_ELEMENTS: u16 = SUBSYSTEM | 12;
const DELETE_ELEMENTS: u16 = SUBSYSTEM | 14;
const REQUEST: u16 = 1;
const CREATE: u16 = 0x400;
const NESTED: u16 = 0x8000;
const NLMSG_ERROR: u16 = 2;

// Attributes of a list of elements.
const LIST_TABLE: u16 = 1;
const LIST_SET: u16 = 2;
const LIST_ELEMENTS: u16 = 3;
const LIST_ELEMENT: u16 = 1;
// Attributes of an element.
const KEY: u16 = 1;
const DATA: u16 = 2;
const TIMEOUT: u16 = 4;
const VALUE: u16 = 1;

const TABLE: &str = "herald_flows";
/// Elements a message: an attribute's length has 16 bits.
const PER_MESSAGE: usize = 500;

/// An address family that has its own table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) const BOTH: [Self; 2] = [Self::V4, Self::V6];

    pub(super) const fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// `NFPROTO_IPV4`, `NFPROTO_IPV6`.
    const fn number(self) -> u8 {
        match self {
            Self::V4 => 2,
            Self::V6 => 10,
        }
    }
}

/// An address as a key.
pub(super) fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// An interface name as a key: 16 bytes, filled with zeros.
pub(super) fn interface(name: &str) -> Vec<u8> {
    let mut key = name.as_bytes().to_vec();
    key.resize(16, 0);
    key
}

/// A transaction under construction.
#[derive(Debug, Default)]
pub(super) struct Batch {
    messages: Vec<u8>,
}

impl Batch {
    /// Makes a set consist of these keys.
    pub(super) fn replace(&mut self, family: Family, set: &str, keys: impl Iterator<Item = Vec<u8>>) {
        self.message(DELETE_ELEMENTS, family, set, &[]);
        let elements: Vec<_> = keys.map(|key| nested(LIST_ELEMENT, &data(KEY, &key))).collect();
        for chunk in elements.chunks(PER_MESSAGE) {
            self.message(NEW_ELEMENTS, family, set, &chunk.concat());
        }
    }

    /// Adds an element that the kernel removes after `timeout`.
    pub(super) fn add(&mut self, set: &str, ip: IpAddr, value: Option<IpAddr>, timeout: Duration) {
        let mut element = data(KEY, &octets(ip));
        if let Some(value) = value {
            element.extend(data(DATA, &octets(value)));
        }
        let milliseconds = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX).max(1);
        element.extend(attribute(TIMEOUT, &milliseconds.to_be_bytes()));
        self.message(NEW_ELEMENTS, Family::of(ip), set, &nested(LIST_ELEMENT, &element));
    }

    /// Deletes an element, which must be there.
    pub(super) fn delete(&mut self, set: &str, ip: IpAddr) {
        self.message(DELETE_ELEMENTS, Family::of(ip), set, &nested(LIST_ELEMENT, &data(KEY, &octets(ip))));
    }

    /// No elements at all mean, to a deletion, every one.
    fn message(&mut self, kind: u16, family: Family, set: &str, elements: &[u8]) {
        let mut body = attribute(LIST_TABLE, &terminated(TABLE));
        body.extend(attribute(LIST_SET, &terminated(set)));
        if !elements.is_empty() {
            body.extend(nested(LIST_ELEMENTS, elements));
        }
        let flags = if kind == NEW_ELEMENTS { REQUEST | CREATE } else { REQUEST };
        self.messages.extend(message(kind, flags, family.number(), 0, &body));
    }

    fn bytes(self) -> Vec<u8> {
        // The resource of a batch is the subsystem whose messages it holds.
        let mut bytes = message(BATCH_BEGIN, REQUEST, 0, 10, &[]);
        bytes.extend(self.messages);
        bytes.extend(message(BATCH_END, REQUEST, 0, 10, &[]));
        bytes
    }
}

/// The way to the kernel.
#[derive(Debug)]
pub(super) struct Socket(Raw);

impl Socket {
    pub(super) fn open() -> io::Result<Self> {
        let socket = Raw::new(Domain::from(libc::AF_NETLINK), Type::RAW, Some(Protocol::from(NETLINK_NETFILTER)))?;
        socket.set_nonblocking(true)?;
        // Room for a thousand addresses and more in one transaction.
        socket.set_send_buffer_size(4 << 20)?;
        Ok(Self(socket))
    }

    /// Carries out a transaction. It is in force when this returns.
    ///
    /// # Errors
    /// The first refusal; nothing of the transaction is in force then.
    pub(super) fn commit(&self, batch: Batch) -> io::Result<()> {
        if batch.messages.is_empty() {
            return Ok(());
        }
        self.0.send(&batch.bytes())?;
        let mut first = None;
        let mut buffer = [0; 8192];
        loop {
            match (&self.0).read(&mut buffer) {
                Ok(length) => first = first.or_else(|| refusal(&buffer[..length])),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // More refusals than the queue takes: those before it are read.
                Err(error) => first = first.or(Some(error)),
            }
        }
        first.map_or(Ok(()), Err)
    }
}

/// The error number in an answer, if it is one that refuses.
fn refusal(answer: &[u8]) -> Option<io::Error> {
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    let code = i32::from_ne_bytes(answer.get(16..20)?.try_into().ok()?);
    (kind == NLMSG_ERROR && code != 0).then(|| io::Error::from_raw_os_error(-code))
}

fn message(kind: u16, flags: u16, family: u8, resource: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(20 + body.len()).unwrap_or(u32::MAX);
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend([family, 0]);
    bytes.extend(resource.to_be_bytes());
    bytes.extend(body);
    bytes
}

fn nested(kind: u16, value: &[u8]) -> Vec<u8> {
    attribute(kind | NESTED, value)
}

fn data(kind: u16, value: &[u8]) -> Vec<u8> {
    nested(kind, &attribute(VALUE, value))
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn terminated(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_is_padded_and_its_length_is_not() {
        assert_eq!(attribute(7, b"abc")[..2], 7u16.to_ne_bytes());
        assert_eq!(attribute(7, b"abc")[4..], *b"abc\0");
    }

    #[test]
    fn a_refusal_is_told_from_an_acknowledgement() {
        let answer = |kind: u16, code: i32| {
            let mut bytes = vec![0; 36];
            bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
            bytes[16..20].copy_from_slice(&code.to_ne_bytes());
            bytes
        };
        assert_eq!(refusal(&answer(NLMSG_ERROR, -2)).unwrap().raw_os_error(), Some(2));
        assert!(refusal(&answer(NLMSG_ERROR, 0)).is_none());
        assert!(refusal(&answer(3, -2)).is_none());
        assert!(refusal(&[]).is_none());
    }

    #[test]
    fn a_name_fills_its_key() {
        assert_eq!(interface("eth0"), *b"eth0\0\0\0\0\0\0\0\0\0\0\0\0");
    }
}
