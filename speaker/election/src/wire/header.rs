//! The part of a datagram that anybody can read and nobody can change.

use super::{Kind, MAX, TAG};
use crate::node::NodeId;
use crate::vocabulary::Drop;

/// What a sender says about itself in every message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags(pub(crate) u8);

impl Flags {
    /// Listens only; will claim nothing yet.
    pub(crate) const LEARNING: Self = Self(1);
    /// Hands everything over; no candidate any more.
    pub(crate) const LEAVING: Self = Self(2);
    /// Owns nothing and stops now: the last message of this incarnation.
    pub(crate) const GONE: Self = Self(4);
    /// Please answer at once.
    pub(crate) const PROBE: Self = Self(8);

    /// Goes on with what its earlier life owned.
    pub(crate) const RESUMES: Self = Self(16);

    pub(crate) fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }

    pub(crate) fn with(self, flag: Self) -> Self {
        Self(self.0 | flag.0)
    }

    pub(crate) fn without(self, flag: Self) -> Self {
        Self(self.0 & !flag.0)
    }
}

/// The header of every message. Unknown flags survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) key_id: u8,
    pub(crate) flags: Flags,
    pub(crate) node: NodeId,
    pub(crate) incarnation: u64,
    /// Drawn at start: even where an incarnation repeats by mistake, a nonce does not.
    pub(crate) salt: u32,
    pub(crate) seq: u64,
    /// Microseconds since the sender started.
    pub(crate) tx_us: u64,
    pub(crate) session: u64,
    pub(crate) echo: u64,
}

impl Header {
    pub(crate) const LEN: usize = 60;
    const MAGIC: [u8; 4] = *b"HRLD";
    const VERSION: u8 = 1;

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&Self::MAGIC);
        out.extend_from_slice(&[Self::VERSION, self.kind as u8, self.key_id, self.flags.0]);
        out.extend_from_slice(&self.node.0.to_le_bytes());
        out.extend_from_slice(&self.incarnation.to_le_bytes());
        out.extend_from_slice(&self.salt.to_le_bytes());
        out.extend_from_slice(&self.seq.to_le_bytes());
        out.extend_from_slice(&self.tx_us.to_le_bytes());
        out.extend_from_slice(&self.session.to_le_bytes());
        out.extend_from_slice(&self.echo.to_le_bytes());
    }

    /// Reads the front of a datagram; says what it is before it asks whether it is true.
    pub(crate) fn decode(datagram: &[u8]) -> Result<Self, Drop> {
        if datagram.len() > MAX {
            return Err(Drop::TooLong);
        }
        if datagram.len() < Self::LEN + TAG {
            return Err(Drop::TooShort);
        }
        let mut reader = super::Reader(datagram);
        if reader.array() != Some(Self::MAGIC) {
            return Err(Drop::NotHerald);
        }
        if reader.u8() != Some(Self::VERSION) {
            return Err(Drop::OtherVersion);
        }
        let kind = reader.u8().and_then(Kind::of).ok_or(Drop::UnknownType)?;
        let rest = |reader: &mut super::Reader<'_>| {
            Some(Self {
                kind,
                key_id: reader.u8()?,
                flags: Flags(reader.u8()?),
                node: NodeId(reader.u64()?),
                incarnation: reader.u64()?,
                salt: reader.u32()?,
                seq: reader.u64()?,
                tx_us: reader.u64()?,
                session: reader.u64()?,
                echo: reader.u64()?,
            })
        };
        rest(&mut reader).ok_or(Drop::TooShort)
    }
}
