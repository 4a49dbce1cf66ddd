//! HANDOVER: please take these; I answer until I see your claim.
//!
//! ```text
//! count u16 | (ip 16, epoch u64)*
//! ```

use super::{MAX_BODY, Reader, Vip, put_count};

/// What the sender offers to the receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Handover {
    pub(crate) offers: Vec<Offer>,
}

/// One address, and the number of the claim under which the sender still owns it: an offer made from an older claim is void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) vip: Vip,
    pub(crate) epoch: u64,
}

impl Handover {
    const ITEM: usize = 24;
    /// How many a message holds.
    pub(crate) const MOST: usize = (MAX_BODY - 2) / Self::ITEM;

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let offers = &self.offers[..self.offers.len().min(Self::MOST)];
        put_count(out, offers.len());
        for offer in offers {
            out.extend_from_slice(&offer.vip.0.to_be_bytes());
            out.extend_from_slice(&offer.epoch.to_le_bytes());
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let offers = reader.list(Self::ITEM, |reader| Some(Offer { vip: reader.vip()?, epoch: reader.u64()? }))?;
        Some(Self { offers })
    }
}
