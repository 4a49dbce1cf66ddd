//! The control packet (RFC 5880 §4.1).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-----+---------+---+-----------+---------------+---------------+
//! |Vers |  Diag   |Sta|P|F|C|A|D|M|  Detect Mult  |    Length     |
//! +-----+---------+---+-----------+---------------+---------------+
//! |                       My Discriminator                        |
//! |                      Your Discriminator                       |
//! |                    Desired Min TX Interval                    |   microseconds
//! |                   Required Min RX Interval                    |   microseconds
//! |                 Required Min Echo RX Interval                 |   microseconds
//! +---------------------------------------------------------------+
//! ```
//!
//! What follows is an authentication section if A is set. It is not read: such packets are discarded (`session`).

use std::num::{NonZeroU8, NonZeroU32};

use crate::{Diagnostic, Drop, State};

/// The length of a packet without authentication.
pub const LENGTH: usize = 24;

const VERSION: u8 = 1;
/// The shortest with an authentication section: its type and length alone.
const LENGTH_WITH_AUTHENTICATION: u8 = 26;

const POLL: u8 = 0x20;
const FINAL: u8 = 0x10;
const CONTROL_PLANE_INDEPENDENT: u8 = 0x08;
const AUTHENTICATION: u8 = 0x04;
const DEMAND: u8 = 0x02;
const MULTIPOINT: u8 = 0x01;

/// One control packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Control {
    pub(crate) diagnostic: Diagnostic,
    pub(crate) state: State,
    pub(crate) poll: bool,
    pub(crate) final_: bool,
    pub(crate) control_plane_independent: bool,
    /// Whether an authentication section follows.
    pub(crate) authentication: bool,
    pub(crate) demand: bool,
    pub(crate) detect_mult: NonZeroU8,
    pub(crate) my_discriminator: NonZeroU32,
    /// `None` on the wire is zero: the sender has not heard us.
    pub(crate) your_discriminator: Option<NonZeroU32>,
    pub(crate) desired_min_tx_us: u32,
    pub(crate) required_min_rx_us: u32,
    pub(crate) required_min_echo_rx_us: u32,
}

impl Control {
    /// Reads the payload of a UDP datagram. What comes after Length is ignored.
    ///
    /// # Errors
    /// The first rule of RFC 5880 §6.8.6, in its order, that the bytes alone break.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Drop> {
        let [first, flags, detect_mult, length, ..] = *bytes else { return Err(Drop::Truncated) };
        if first >> 5 != VERSION {
            return Err(Drop::Version);
        }
        let authentication = flags & AUTHENTICATION != 0;
        if length < if authentication { LENGTH_WITH_AUTHENTICATION } else { LENGTH as u8 } {
            return Err(Drop::LengthTooShort);
        }
        if usize::from(length) > bytes.len() {
            return Err(Drop::LengthBeyondPacket);
        }
        let word = |at: usize| -> Result<u32, Drop> {
            let bytes = bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or(Drop::Truncated)?;
            Ok(u32::from_be_bytes(*bytes))
        };
        let detect_mult = NonZeroU8::new(detect_mult).ok_or(Drop::DetectMult)?;
        if flags & MULTIPOINT != 0 {
            return Err(Drop::Multipoint);
        }
        Ok(Self {
            diagnostic: Diagnostic::from_bits(first),
            state: State::from_bits(flags >> 6),
            poll: flags & POLL != 0,
            final_: flags & FINAL != 0,
            control_plane_independent: flags & CONTROL_PLANE_INDEPENDENT != 0,
            authentication,
            demand: flags & DEMAND != 0,
            detect_mult,
            my_discriminator: NonZeroU32::new(word(4)?).ok_or(Drop::MyDiscriminator)?,
            your_discriminator: NonZeroU32::new(word(8)?),
            desired_min_tx_us: word(12)?,
            required_min_rx_us: word(16)?,
            required_min_echo_rx_us: word(20)?,
        })
    }

    /// Builds the payload of a UDP datagram, without an authentication section.
    pub(crate) fn emit(&self) -> [u8; LENGTH] {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let mut bytes = [0; LENGTH];
        bytes[0] = VERSION << 5 | self.diagnostic.bits();
        bytes[1] = (self.state as u8) << 6
            | flag(self.poll, POLL)
            | flag(self.final_, FINAL)
            | flag(self.control_plane_independent, CONTROL_PLANE_INDEPENDENT)
            | flag(self.demand, DEMAND);
        bytes[2] = self.detect_mult.get();
        bytes[3] = LENGTH as u8;
        let words = [
            self.my_discriminator.get(),
            self.your_discriminator.map_or(0, NonZeroU32::get),
            self.desired_min_tx_us,
            self.required_min_rx_us,
            self.required_min_echo_rx_us,
        ];
        for (slot, word) in bytes[4..].chunks_exact_mut(4).zip(words) {
            slot.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }

    /// Says whether the packet tells nothing that the other did not, polls and answers to polls aside (RFC 5880 §6.8.7).
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        let bare = |packet: &Self| Self { poll: false, final_: false, ..*packet };
        bare(self) == bare(other)
    }
}

#[cfg(test)]
mod tests;
