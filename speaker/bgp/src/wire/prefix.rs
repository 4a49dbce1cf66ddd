//! Prefixes as they travel: the length in bits, then only the octets that this many bits touch (RFC 4271 §4.3).
//!
//! ```text
//! +-------------------+--------------+-----------------+
//! | path id, 4 octets | bits 1 octet | prefix 0..=16   |
//! +-------------------+--------------+-----------------+
//!  only with ADD-PATH
//! ```

use std::fmt;

use ipnet::IpNet;

use super::Family;

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
