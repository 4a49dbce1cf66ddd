//! Address families: the two that this speaker announces, and any that a peer may name.

use std::fmt;
use std::net::IpAddr;

use crate::iana::{afi, safi};

/// A family that this speaker announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// AFI 1, SAFI 1.
    V4Unicast,
    /// AFI 2, SAFI 1.
    V6Unicast,
}

impl Family {
    /// Both, in their order.
    pub const ALL: [Self; 2] = [Self::V4Unicast, Self::V6Unicast];

    /// Returns the family of an address.
    pub fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(_) => Self::V4Unicast,
            IpAddr::V6(_) => Self::V6Unicast,
        }
    }

    /// Returns the longest prefix in bits.
    pub const fn max_prefix_bits(self) -> u8 {
        match self {
            Self::V4Unicast => 32,
            Self::V6Unicast => 128,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4Unicast => "ipv4-unicast",
            Self::V6Unicast => "ipv6-unicast",
        })
    }
}

/// A family as a peer names it: any pair of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AfiSafi {
    /// Address family identifier.
    pub afi: u16,
    /// Subsequent address family identifier.
    pub safi: u8,
}

impl AfiSafi {
    /// Returns the family if this speaker announces it.
    pub fn family(self) -> Option<Family> {
        Family::ALL.into_iter().find(|family| Self::from(*family) == self)
    }
}

impl From<Family> for AfiSafi {
    fn from(family: Family) -> Self {
        let afi = match family {
            Family::V4Unicast => afi::IPV4,
            Family::V6Unicast => afi::IPV6,
        };
        Self { afi, safi: safi::UNICAST }
    }
}

impl fmt::Display for AfiSafi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.family() {
            Some(family) => family.fmt(f),
            None => write!(f, "afi {} safi {}", self.afi, self.safi),
        }
    }
}

/// A set of families.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Families {
    v4: bool,
    v6: bool,
}

impl Families {
    /// No family.
    pub const NONE: Self = Self { v4: false, v6: false };

    /// Both families.
    pub const ALL: Self = Self { v4: true, v6: true };

    /// Says whether the set holds the family.
    pub const fn contains(self, family: Family) -> bool {
        match family {
            Family::V4Unicast => self.v4,
            Family::V6Unicast => self.v6,
        }
    }

    /// Adds the family.
    pub const fn insert(&mut self, family: Family) {
        match family {
            Family::V4Unicast => self.v4 = true,
            Family::V6Unicast => self.v6 = true,
        }
    }

    /// Takes the family out.
    pub const fn remove(&mut self, family: Family) {
        match family {
            Family::V4Unicast => self.v4 = false,
            Family::V6Unicast => self.v6 = false,
        }
    }

    /// Returns the families that both sets hold.
    pub const fn intersection(self, other: Self) -> Self {
        Self { v4: self.v4 && other.v4, v6: self.v6 && other.v6 }
    }

    /// Says whether the set holds nothing.
    pub const fn is_empty(self) -> bool {
        !self.v4 && !self.v6
    }

    /// Walks the set, IPv4 first.
    pub fn iter(self) -> impl Iterator<Item = Family> {
        Family::ALL.into_iter().filter(move |family| self.contains(*family))
    }
}

impl FromIterator<Family> for Families {
    fn from_iter<I: IntoIterator<Item = Family>>(families: I) -> Self {
        let mut set = Self::NONE;
        for family in families {
            set.insert(family);
        }
        set
    }
}
