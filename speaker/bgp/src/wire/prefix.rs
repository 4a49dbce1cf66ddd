//! Prefixes as they travel: the length in bits, then only the octets that this many bits touch (RFC 4271 §4.3).
//!
//! ```text
//! +-------------------+--------------+-----------------+
//! | path id, 4 octets | bits 1 octet | prefix 0..=16   |
//! +-------------------+--------------+-----------------+
//!  only with ADD-PATH
//! ```

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::reader::Reader;
use super::{DecodeError, EncodeError, Encoding, Family, PrefixField, Problem};

/// A prefix without bits beyond its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix(IpNet);

impl Prefix {
    /// Builds the prefix that a network names, host bits cleared.
    pub fn new(net: IpNet) -> Self {
        Self(net.trunc())
    }

    /// Returns the network.
    pub fn net(self) -> IpNet {
        self.0
    }

    /// Returns the family.
    pub fn family(self) -> Family {
        Family::of(self.0.addr())
    }

    /// Returns the octets that the prefix takes in a message, without a path identifier.
    pub fn wire_len(self) -> usize {
        1 + usize::from(self.0.prefix_len()).div_ceil(8)
    }
}

impl From<IpNet> for Prefix {
    fn from(net: IpNet) -> Self {
        Self::new(net)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Tells several paths for one prefix apart (RFC 7911 §3). Meaningful only between the two peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathId(pub u32);

/// A prefix in a message, with the identifier of its path if the session uses them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nlri {
    /// The prefix.
    pub prefix: Prefix,
    /// There if, and only if, the session uses identifiers for the family in this direction.
    pub path_id: Option<PathId>,
}

impl Nlri {
    /// Returns the octets that the entry takes in a message.
    pub fn wire_len(self) -> usize {
        self.prefix.wire_len() + if self.path_id.is_some() { 4 } else { 0 }
    }
}

impl From<Prefix> for Nlri {
    fn from(prefix: Prefix) -> Self {
        Self { prefix, path_id: None }
    }
}

/// Reads prefixes up to the end. Bits beyond a prefix's length are of no account (RFC 4271 §4.3).
pub(super) fn read(
    mut part: Reader<'_>,
    family: Family,
    encoding: &Encoding,
    field: PrefixField,
) -> Result<Vec<Nlri>, DecodeError> {
    let with_ids = encoding.add_path.contains(family);
    let mut found = Vec::new();
    while !part.is_empty() {
        let (at, left) = (part.offset(), part.left());
        let header = if with_ids { 5 } else { 1 };
        let overrun = |octets| DecodeError::new(at, Problem::PrefixOverrun { field, found: octets, left });
        let path_id = match with_ids {
            true => Some(PathId(part.u32().ok_or_else(|| overrun(header))?)),
            false => None,
        };
        let bits_at = part.offset();
        let bits = part.u8().ok_or_else(|| overrun(header))?;
        let max = family.max_prefix_bits();
        let octets = usize::from(bits).div_ceil(8);
        let net = match family {
            _ if bits > max => None,
            Family::V4Unicast => {
                let octets = part.bytes(octets).ok_or_else(|| overrun(header + octets))?;
                Ipv4Net::new(Ipv4Addr::from(padded(octets)), bits).ok().map(IpNet::from)
            }
            Family::V6Unicast => {
                let octets = part.bytes(octets).ok_or_else(|| overrun(header + octets))?;
                Ipv6Net::new(Ipv6Addr::from(padded(octets)), bits).ok().map(IpNet::from)
            }
        };
        let net = net.ok_or_else(|| DecodeError::new(bits_at, Problem::PrefixBits { field, found: bits, max }))?;
        found.push(Nlri { prefix: Prefix::new(net), path_id });
    }
    Ok(found)
}

fn padded<const N: usize>(octets: &[u8]) -> [u8; N] {
    let mut address = [0; N];
    for (to, from) in address.iter_mut().zip(octets) {
        *to = *from;
    }
    address
}

/// Writes prefixes, one after the other.
pub(super) fn write(
    bytes: &mut Vec<u8>,
    family: Family,
    nlri: &[Nlri],
    encoding: &Encoding,
) -> Result<(), EncodeError> {
    for entry in nlri {
        if entry.prefix.family() != family {
            return Err(EncodeError::PrefixFamily(family));
        }
        if entry.path_id.is_some() != encoding.add_path.contains(family) {
            return Err(EncodeError::PathId(family));
        }
        if let Some(PathId(id)) = entry.path_id {
            bytes.extend(id.to_be_bytes());
        }
        let net = entry.prefix.net();
        let octets = usize::from(net.prefix_len()).div_ceil(8);
        bytes.push(net.prefix_len());
        match net.addr() {
            IpAddr::V4(ip) => bytes.extend(ip.octets().iter().take(octets)),
            IpAddr::V6(ip) => bytes.extend(ip.octets().iter().take(octets)),
        }
    }
    Ok(())
}
