//! ROUTE-REFRESH: a peer wants everything of a family again (RFC 2918 §3, RFC 7313 §3.2).
//!
//! ```text
//!  0     2         3      4
//! +-----+---------+------+
//! | AFI | subtype | SAFI |
//! +-----+---------+------+
//! ```

use super::reader::Reader;
use super::{AfiSafi, DecodeError, Problem};

/// A ROUTE-REFRESH message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteRefresh {
    /// The family; one that this speaker does not announce is ignored (RFC 2918 §4).
    pub family: AfiSafi,
    /// What the message says about it.
    pub subtype: RefreshSubtype,
}

impl RouteRefresh {
    /// Reads the body. Entries of an outbound route filter (RFC 5291) would follow it; that is never agreed on.
    pub(super) fn read(mut body: Reader<'_>, message: &[u8]) -> Result<Self, DecodeError> {
        match (body.array(), body.is_empty()) {
            (Some([high, low, subtype, safi]), true) => {
                let family = AfiSafi { afi: u16::from_be_bytes([high, low]), safi };
                Ok(Self { family, subtype: RefreshSubtype::of(subtype) })
            }
            _ => Err(DecodeError::with_data(16, Problem::RefreshLength { found: message.len() }, message)),
        }
    }

    /// Writes the body.
    pub(super) fn write(self, bytes: &mut Vec<u8>) {
        bytes.extend(self.family.afi.to_be_bytes());
        bytes.extend([self.subtype.number(), self.family.safi]);
    }
}

/// What a ROUTE-REFRESH says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefreshSubtype {
    /// 0: send everything again.
    Request,
    /// 1, BoRR: everything follows.
    Begin,
    /// 2, EoRR: that was everything.
    End,
    /// A number that the document does not name; the message is ignored (RFC 7313 §5).
    Unassigned(u8),
}

impl RefreshSubtype {
    /// Returns the number as it travels.
    pub fn number(self) -> u8 {
        match self {
            Self::Request => 0,
            Self::Begin => 1,
            Self::End => 2,
            Self::Unassigned(number) => number,
        }
    }

    /// Returns what a number stands for.
    pub fn of(number: u8) -> Self {
        match number {
            0 => Self::Request,
            1 => Self::Begin,
            2 => Self::End,
            other => Self::Unassigned(other),
        }
    }
}
