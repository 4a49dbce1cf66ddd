//! HEARTBEAT: I live, this is whom I hear, this is what I hold.
//!
//! ```text
//! heartbeat_us u32 | dead_us u32 | claims u64 | your_claims u64 | your_age_us u32 | your_seq u64 | count u16 | (node u64, age_us u31, refused u1)*
//! ```

use std::time::Duration;

use super::{MAX_BODY, Reader, put_count};
use crate::node::NodeId;

/// The raw material of quorum and veto.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heartbeat {
    /// The sender's interval.
    pub(crate) heartbeat: Duration,
    /// The sender's `T_dead`.
    pub(crate) dead: Duration,
    /// Digest of what the sender claims.
    pub(crate) claims: u64,
    /// Digest of what the sender believes the receiver to claim: where it differs, the receiver sends its claims again.
    pub(crate) your_claims: u64,
    /// How long the sender has not heard the receiver; `None` = never.
    pub(crate) your_age: Option<Duration>,
    /// The highest `seq` the sender has from the receiver: shows how fresh this message is.
    pub(crate) your_seq: u64,
    /// Whom else the sender listens to.
    pub(crate) heard: Vec<Heard>,
}

/// How long the sender has not heard a third node, as it measured itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) node: NodeId,
    pub(crate) age: Duration,
    /// Its kernel refuses the sender's heartbeats: nobody listens there.
    pub(crate) refused: bool,
}

impl Heartbeat {
    const FIXED: usize = 42;
    const ITEM: usize = 12;
    /// How many a message holds.
    pub(crate) const MOST_HEARD: usize = (MAX_BODY - Self::FIXED) / Self::ITEM;
    const NEVER: u32 = u32::MAX;
    const REFUSED: u32 = 1 << 31;

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&micros(self.heartbeat).to_le_bytes());
        out.extend_from_slice(&micros(self.dead).to_le_bytes());
        out.extend_from_slice(&self.claims.to_le_bytes());
        out.extend_from_slice(&self.your_claims.to_le_bytes());
        out.extend_from_slice(&self.your_age.map_or(Self::NEVER, micros).to_le_bytes());
        out.extend_from_slice(&self.your_seq.to_le_bytes());
        let heard = &self.heard[..self.heard.len().min(Self::MOST_HEARD)];
        put_count(out, heard.len());
        for Heard { node, age, refused } in heard {
            out.extend_from_slice(&node.0.to_le_bytes());
            let age = micros(*age).min(!Self::REFUSED);
            out.extend_from_slice(&(age | if *refused { Self::REFUSED } else { 0 }).to_le_bytes());
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            heartbeat: Duration::from_micros(reader.u32()?.into()),
            dead: Duration::from_micros(reader.u32()?.into()),
            claims: reader.u64()?,
            your_claims: reader.u64()?,
            your_age: Some(reader.u32()?)
                .filter(|age| *age != Self::NEVER)
                .map(|age| Duration::from_micros(age.into())),
            your_seq: reader.u64()?,
            heard: reader.list(Self::ITEM, |reader| {
                let (node, age) = (NodeId(reader.u64()?), reader.u32()?);
                let refused = age & Self::REFUSED != 0;
                Some(Heard { node, age: Duration::from_micros((age & !Self::REFUSED).into()), refused })
            })?,
        })
    }
}

/// Microseconds, at most 71 minutes, never the value that means "never".
fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(Heartbeat::NEVER).min(Heartbeat::NEVER - 1)
}
