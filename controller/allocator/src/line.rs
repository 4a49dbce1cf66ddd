//! The usable addresses of one range, numbered without gaps.
//!
//! With `avoidBuggyIPs` the IPv4 addresses ending in .0 and .255 do not exist. Numbering only the others keeps the free set of a
//! full pool at one interval instead of one per /24, and nothing ever has to be skipped:
//!
//! ```text
//!   address   10.0.0.254   10.0.0.255   10.0.1.0   10.0.1.1
//!   number          k           -           -         k+1
//! ```

use herald_crds::model::{Family, Range};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How many addresses of a /24 are left without .0 and .255.
const USABLE_OF_256: u128 = 254;

/// One range and the numbers of its usable addresses, ascending.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    numbering: Numbering,
    first: u128,
    last: u128,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Numbering {
    V4,
    V4WithoutBuggy,
    V6,
}

impl Line {
    /// `None` when no address of the range is usable.
    pub(crate) fn new(range: &Range, avoid_buggy: bool) -> Option<Self> {
        let (numbering, first, last) = match (range.first, range.last) {
            (IpAddr::V4(first), IpAddr::V4(last)) if avoid_buggy => {
                (Numbering::V4WithoutBuggy, at_or_after(first), at_or_before(last)?)
            }
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                (Numbering::V4, u128::from(first.to_bits()), u128::from(last.to_bits()))
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => (Numbering::V6, first.to_bits(), last.to_bits()),
            _ => return None,
        };
        (first <= last).then_some(Self { numbering, first, last })
    }

    pub(crate) fn family(&self) -> Family {
        match self.numbering {
            Numbering::V4 | Numbering::V4WithoutBuggy => Family::V4,
            Numbering::V6 => Family::V6,
        }
    }

    /// The smallest and the largest number, both in use.
    pub(crate) fn bounds(&self) -> (u128, u128) {
        (self.first, self.last)
    }

    /// The number of a usable address of this range.
    pub(crate) fn number(&self, ip: IpAddr) -> Option<u128> {
        let number = match (self.numbering, ip) {
            (Numbering::V4, IpAddr::V4(ip)) => u128::from(ip.to_bits()),
            (Numbering::V4WithoutBuggy, IpAddr::V4(ip)) => without_buggy(ip)?,
            (Numbering::V6, IpAddr::V6(ip)) => ip.to_bits(),
            _ => return None,
        };
        (self.first..=self.last).contains(&number).then_some(number)
    }

    /// The address of a number within [`Line::bounds`].
    pub(crate) fn address(&self, number: u128) -> IpAddr {
        match self.numbering {
            Numbering::V4 => v4(number),
            Numbering::V4WithoutBuggy => v4((number / USABLE_OF_256) * 256 + number % USABLE_OF_256 + 1),
            Numbering::V6 => IpAddr::V6(Ipv6Addr::from_bits(number)),
        }
    }
}

fn v4(number: u128) -> IpAddr {
    // The numbers of an IPv4 line come from IPv4 addresses, so the low 32 bits are all there is.
    IpAddr::V4(Ipv4Addr::from_bits((number & u128::from(u32::MAX)) as u32))
}

fn split(ip: Ipv4Addr) -> (u128, u128) {
    let bits = u128::from(ip.to_bits());
    (bits / 256, bits % 256)
}

fn without_buggy(ip: Ipv4Addr) -> Option<u128> {
    let (block, low) = split(ip);
    (1..=USABLE_OF_256).contains(&low).then(|| block * USABLE_OF_256 + low - 1)
}

fn at_or_after(ip: Ipv4Addr) -> u128 {
    let (block, low) = split(ip);
    // .255 continues at .1 of the next block, .0 at .1 of its own.
    block * USABLE_OF_256 + low.saturating_sub(1)
}

fn at_or_before(ip: Ipv4Addr) -> Option<u128> {
    let (block, low) = split(ip);
    // .0 goes back to .254 of the block before, .255 to .254 of its own.
    (block * USABLE_OF_256 + low.min(USABLE_OF_256)).checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(first: &str, last: &str) -> Range {
        Range { first: first.parse().unwrap(), last: last.parse().unwrap() }
    }

    fn usable(first: &str, last: &str) -> Vec<String> {
        let Some(line) = Line::new(&range(first, last), true) else { return Vec::new() };
        let (low, high) = line.bounds();
        (low..=high).map(|number| line.address(number).to_string()).collect()
    }

    #[test]
    fn no_usable_address_ends_in_0_or_255() {
        assert_eq!(usable("10.0.0.253", "10.0.1.2"), ["10.0.0.253", "10.0.0.254", "10.0.1.1", "10.0.1.2"]);
        assert_eq!(usable("10.0.0.255", "10.0.1.0"), Vec::<String>::new());
        assert_eq!(usable("0.0.0.0", "0.0.0.0"), Vec::<String>::new());
        assert_eq!(usable("10.0.0.0", "10.0.0.1"), ["10.0.0.1"]);
        assert_eq!(usable("255.255.255.254", "255.255.255.255"), ["255.255.255.254"]);
    }

    #[test]
    fn ipv6_has_no_buggy_addresses() {
        assert_eq!(usable("fd00::ff", "fd00::100"), ["fd00::ff", "fd00::100"]);
    }

    #[test]
    fn all_of_ipv6_has_a_number() {
        let line = Line::new(&range("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), false).unwrap();
        assert_eq!(line.bounds(), (0, u128::MAX));
    }

    proptest! {
        #[test]
        fn numbers_and_addresses_are_inverse_and_keep_order(bits: u32, step in 1u32..600, avoid: bool) {
            let (a, b) = (Ipv4Addr::from_bits(bits), Ipv4Addr::from_bits(bits.saturating_add(step)));
            let whole = Range { first: IpAddr::V4(Ipv4Addr::from_bits(0)), last: IpAddr::V4(Ipv4Addr::from_bits(u32::MAX)) };
            let line = Line::new(&whole, avoid).unwrap();
            let (na, nb) = (line.number(IpAddr::V4(a)), line.number(IpAddr::V4(b)));
            if let Some(na) = na {
                prop_assert_eq!(line.address(na), IpAddr::V4(a));
            } else {
                prop_assert!(avoid && matches!(a.octets()[3], 0 | 255));
            }
            if let (Some(na), Some(nb)) = (na, nb) {
                prop_assert_eq!(na < nb, a < b);
            }
        }
    }
}
