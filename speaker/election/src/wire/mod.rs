//! What goes over the wire: one datagram, one message, at most 1,200 bytes, sealed.
//!
//! ```text
//!  0       4    5    6       7      8       16            24      28     36      44        52     60
//! +-------+----+----+-------+------+-------+-------------+-------+------+-------+---------+------+----------+-----+
//! | magic |vers|type| keyid | flags| node  | incarnation | salt  | seq  | tx_us | session | echo |  body    | tag |
//! |  u32  | u8 | u8 |  u8   |  u8  |  u64  |     u64     |  u32  | u64  |  u64  |   u64   | u64  | 0..1124  | 16  |
//! +-------+----+----+-------+------+-------+-------------+-------+------+-------+---------+------+----------+-----+
//!  \____________________________ authenticated ____________________________________________/ \ sealed __________/
//! ```
//!
//! Little-endian. `seq` counts the messages of this sender to this receiver, `session` is a number that the sender drew for the
//! receiver and `echo` is the one that it last heard from the receiver: a recording made before the receiver (re)started echoes another one.
//! Decoding never panics, reads only within bounds, and allocates no more than the datagram has bytes for.

mod claim;
mod handover;
mod header;
mod heartbeat;
mod seal;
mod window;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv6Addr};

pub(crate) use claim::{Claims, Entry};
pub(crate) use handover::{Handover, Offer};
pub(crate) use header::{Flags, Header};
pub(crate) use heartbeat::{Heard, Heartbeat};
pub(crate) use seal::PairKey;
pub use seal::{Key, WeakSecret};
pub(crate) use window::Window;

use crate::vocabulary::Drop;

/// Fits every path that a cluster uses, tunnels included, without fragments: a lost fragment would be a lost heartbeat.
pub(crate) const MAX: usize = 1_200;

/// The bytes of a seal.
pub(crate) const TAG: usize = 16;

/// What a body may hold.
pub(crate) const MAX_BODY: usize = MAX - Header::LEN - TAG;

/// An address as it travels and is ordered: sixteen bytes, an IPv4 address as `::ffff:a.b.c.d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Vip(pub(crate) u128);

impl Vip {
    pub(crate) const LAST: Self = Self(u128::MAX);

    pub(crate) fn ip(self) -> IpAddr {
        IpAddr::V6(Ipv6Addr::from_bits(self.0)).to_canonical()
    }
}

impl From<IpAddr> for Vip {
    fn from(ip: IpAddr) -> Self {
        Self(match ip {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
            IpAddr::V6(ip) => ip.to_bits(),
        })
    }
}

/// A message, without its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Heartbeat(Heartbeat),
    Claims(Claims),
    Handover(Handover),
}

/// The types of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Heartbeat = 1,
    Claims = 2,
    Handover = 3,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        [Self::Heartbeat, Self::Claims, Self::Handover].into_iter().find(|kind| *kind as u8 == byte)
    }
}

impl Message {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Heartbeat(_) => Kind::Heartbeat,
            Self::Claims(_) => Kind::Claims,
            Self::Handover(_) => Kind::Handover,
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Heartbeat(message) => message.encode(out),
            Self::Claims(message) => message.encode(out),
            Self::Handover(message) => message.encode(out),
        }
    }

    pub(crate) fn decode(kind: Kind, body: &[u8]) -> Result<Self, Drop> {
        let mut reader = Reader(body);
        let message = match kind {
            Kind::Heartbeat => Heartbeat::decode(&mut reader).map(Self::Heartbeat),
            Kind::Claims => Claims::decode(&mut reader).map(Self::Claims),
            Kind::Handover => Handover::decode(&mut reader).map(Self::Handover),
        };
        message.filter(|_| reader.0.is_empty()).ok_or(Drop::Malformed)
    }
}

/// Takes numbers off the front of a body.
pub(crate) struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// Addresses travel in network order, as everywhere.
    fn vip(&mut self) -> Option<Vip> {
        self.array().map(|bytes| Vip(u128::from_be_bytes(bytes)))
    }

    /// A list: a count, then so many items of `size` bytes, which must be there before anything is allocated for them.
    fn list<T>(&mut self, size: usize, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = usize::from(self.u16()?);
        if count * size != self.0.len() {
            return None;
        }
        (0..count).map(|_| item(self)).collect()
    }
}

/// Writes a list's count. Lists are cut to what a message holds long before `u16` ends.
fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&u16::try_from(count).unwrap_or(u16::MAX).to_le_bytes());
}
