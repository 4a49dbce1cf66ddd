//! CLAIM: what I own, or own no more.
//!
//! ```text
//! first 16 | last 16 | count u16 | (ip 16, epoch u64, flags u8, reason u8)*          flags: 1 quorate, 2 resigned
//! ```
//!
//! With `first <= last` the message is one stretch of the sender's whole set, in address order: what lies between the two and is not listed is not
//! claimed. A set of any size is sent in such stretches, each of them true on its own. With `first > last` it is news only: the listed
//! addresses changed, nothing is said of others.

use super::{MAX_BODY, Reader, Vip, put_count};

/// Part of what the sender claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claims {
    /// The stretch that is told completely.
    pub(crate) whole: Option<(Vip, Vip)>,
    pub(crate) entries: Vec<Entry>,
}

/// One address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) vip: Vip,
    pub(crate) epoch: u64,
    pub(crate) quorate: bool,
    /// Owned no more.
    pub(crate) resigned: bool,
    /// A `GainReason`, or where resigned a `LoseReason`, as its place in the list; for people, except "unwanted".
    pub(crate) reason: u8,
}

impl Claims {
    const FIXED: usize = 34;
    const ITEM: usize = 26;
    /// How many a message holds.
    pub(crate) const MOST: usize = (MAX_BODY - Self::FIXED) / Self::ITEM;

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let (first, last) = self.whole.unwrap_or((Vip(1), Vip(0)));
        out.extend_from_slice(&first.0.to_be_bytes());
        out.extend_from_slice(&last.0.to_be_bytes());
        let entries = &self.entries[..self.entries.len().min(Self::MOST)];
        put_count(out, entries.len());
        for entry in entries {
            out.extend_from_slice(&entry.vip.0.to_be_bytes());
            out.extend_from_slice(&entry.epoch.to_le_bytes());
            out.extend_from_slice(&[u8::from(entry.quorate) | u8::from(entry.resigned) << 1, entry.reason]);
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let (first, last) = (reader.vip()?, reader.vip()?);
        let whole = (first <= last).then_some((first, last));
        let entries = reader.list(Self::ITEM, |reader| {
            let (vip, epoch, flags, reason) = (reader.vip()?, reader.u64()?, reader.u8()?, reader.u8()?);
            Some(Entry { vip, epoch, quorate: flags & 1 != 0, resigned: flags & 2 != 0, reason })
        })?;
        Some(Self { whole, entries })
    }
}
