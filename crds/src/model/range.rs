//! A run of addresses, as pools list them.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use thiserror::Error;

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4
    V4,
    /// IPv6
    V6,
}

impl Family {
    /// The family of an address.
    pub fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::V4 => Self::V6,
            Self::V6 => Self::V4,
        }
    }

    /// `IPv4` or `IPv6`, as Kubernetes writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Reads one address. An IPv4 address in IPv6 clothes (`::ffff:192.0.2.1`) is the IPv4 address.
pub fn parse_ip(text: &str) -> Option<IpAddr> {
    text.trim().parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

/// All addresses from `first` to `last`, both included. Both are of one family and `first` is not after `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Range {
    /// The lowest address.
    pub first: IpAddr,
    /// The highest address.
    pub last: IpAddr,
}

impl Range {
    /// The addresses from `first` to `last`; nothing where they are of two families or in the wrong order.
    pub fn new(first: IpAddr, last: IpAddr) -> Option<Self> {
        (Family::of(first) == Family::of(last) && first <= last).then_some(Self { first, last })
    }

    /// Reads an entry of a pool: a CIDR, whose host bits are ignored, or `first-last` with spaces around the dash if wanted.
    ///
    /// # Errors
    ///
    /// Says which of the two forms was tried and what does not fit it.
    pub fn parse(entry: &str) -> Result<Self, RangeError> {
        let entry = entry.trim();
        if let Some((first, last)) = entry.split_once('-') {
            return Self::parse_ends(entry, first, last);
        }
        if !entry.contains('/') {
            return Err(match parse_ip(entry) {
                Some(ip) => RangeError::NoMask { ip },
                None => RangeError::Unreadable { entry: entry.to_owned() },
            });
        }
        Self::parse_cidr(entry)
    }

    fn parse_ends(entry: &str, first: &str, last: &str) -> Result<Self, RangeError> {
        let end = |text: &str| {
            parse_ip(text).ok_or_else(|| RangeError::BadEnd { entry: entry.to_owned(), end: text.trim().to_owned() })
        };
        let (first, last) = (end(first)?, end(last)?);
        if Family::of(first) != Family::of(last) {
            return Err(RangeError::TwoFamilies { first, last });
        }
        Self::new(first, last).ok_or(RangeError::Reversed { first, last })
    }

    fn parse_cidr(entry: &str) -> Result<Self, RangeError> {
        let unreadable = || RangeError::Unreadable { entry: entry.to_owned() };
        let (address, length) = entry.split_once('/').ok_or_else(unreadable)?;
        let ip: IpAddr = address.trim().parse().map_err(|_| unreadable())?;
        let length = length.trim();
        let bits: u8 = length.parse().map_err(|_| RangeError::BadLength { ip, length: length.to_owned() })?;
        // The IPv4 part of IPv6 is the IPv4 space: its prefix lengths count from bit 96.
        let (ip, bits) = match ip.to_canonical() {
            v4 @ IpAddr::V4(_) if ip.is_ipv6() => {
                (v4, bits.checked_sub(96).ok_or_else(|| RangeError::BadLength { ip, length: length.to_owned() })?)
            }
            _ => (ip, bits),
        };
        let net = IpNet::new(ip, bits).map_err(|_| RangeError::BadLength { ip, length: length.to_owned() })?;
        Ok(Self { first: net.network(), last: net.broadcast() })
    }

    /// The family of its addresses.
    pub fn family(&self) -> Family {
        Family::of(self.first)
    }

    /// Whether the address is in it.
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.first <= ip && ip <= self.last && Family::of(ip) == self.family()
    }

    /// Whether some address is in both.
    pub fn overlaps(&self, other: &Range) -> bool {
        self.family() == other.family() && self.first <= other.last && other.first <= self.last
    }

    /// The length of the longest-reaching prefix, that is the shortest, that lies whole within it. Written as CIDRs, the range needs one of
    /// this length and none shorter.
    pub fn shortest_prefix(&self) -> u8 {
        let bits: u8 = if self.first.is_ipv4() { 32 } else { 128 };
        let (first, last) = (number(self.first), number(self.last));
        let fits = |length: &u8| {
            // The host part of a prefix of this length, all ones.
            let host = u128::MAX.checked_shr(u32::from(128 - bits + length)).unwrap_or(0);
            let start = if first & host == 0 { Some(first) } else { (first | host).checked_add(1) };
            start.and_then(|start| start.checked_add(host)).is_some_and(|end| end <= last)
        };
        (0..bits).find(fits).unwrap_or(bits)
    }

    /// How many addresses it holds; the whole of IPv6 counts one less than there are.
    pub fn size(&self) -> u128 {
        (number(self.last) - number(self.first)).saturating_add(1)
    }

    /// How many of its addresses are "buggy": IPv4 addresses that end in .0 or .255.
    pub fn buggy(&self) -> u128 {
        match (self.first, self.last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                let (first, last) = (u64::from(u32::from(first)), u64::from(u32::from(last)));
                // Ends below `n` are those of whole blocks of 256, and the .0 of a begun one.
                let below = |n: u64| 2 * (n / 256) + u64::from(!n.is_multiple_of(256));
                u128::from(below(last + 1) - below(first))
            }
            _ => 0,
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// The address as a number, for distances inside one family.
pub(super) fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(u32::from(ip)),
        IpAddr::V6(ip) => u128::from(ip),
    }
}

/// Whether the address is one that `avoidBuggyIPs` leaves out.
pub(super) fn is_buggy(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(ip) if matches!(ip.octets()[3], 0 | 255))
}

fn possible_lengths(ip: IpAddr) -> &'static str {
    match (ip, ip.to_canonical()) {
        (IpAddr::V4(_), _) => "0 to 32",
        (IpAddr::V6(_), IpAddr::V4(_)) => "96 to 128",
        (IpAddr::V6(_), IpAddr::V6(_)) => "0 to 128",
    }
}

/// Why an entry of a pool cannot be read. The text says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RangeError {
    /// Neither a CIDR nor a range.
    #[error("\"{entry}\" is neither a CIDR such as 192.0.2.0/24 nor a range such as 192.0.2.10-192.0.2.20")]
    Unreadable {
        /// The entry.
        entry: String,
    },
    /// A single address without a prefix length.
    #[error("\"{ip}\" has no prefix length: write {ip}/{} for this one address", if ip.is_ipv4() { 32 } else { 128 })]
    NoMask {
        /// The address.
        ip: IpAddr,
    },
    /// The prefix length does not fit the family.
    #[error("the prefix length \"{length}\" of {ip} is not a number from {}", possible_lengths(*ip))]
    BadLength {
        /// The address before the slash.
        ip: IpAddr,
        /// What stands after it.
        length: String,
    },
    /// One end of a range is no address.
    #[error("\"{end}\" in the range \"{entry}\" is not an IP address")]
    BadEnd {
        /// The entry.
        entry: String,
        /// The end that cannot be read.
        end: String,
    },
    /// The ends of a range are of two families.
    #[error(
        "the range {first}-{last} starts in one address family and ends in the other: write one entry for each family"
    )]
    TwoFamilies {
        /// The first address.
        first: IpAddr,
        /// The last address.
        last: IpAddr,
    },
    /// The range ends before it starts.
    #[error("the range {first}-{last} ends before it starts: write {last}-{first}")]
    Reversed {
        /// The first address.
        first: IpAddr,
        /// The last address.
        last: IpAddr,
    },
}

#[cfg(test)]
mod tests;
