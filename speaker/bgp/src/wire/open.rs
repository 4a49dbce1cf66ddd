//! OPEN: who a speaker is and what it can do (RFC 4271 §4.2).
//!
//! ```text
//!  0         1         3           5            9        10
//! +---------+---------+-----------+------------+--------+---------------------+
//! | version | my AS   | hold time | identifier | length | optional parameters |
//! +---------+---------+-----------+------------+--------+---------------------+
//! ```

use std::net::Ipv4Addr;

use super::{Asn, Capability};
use crate::iana::{AS_TRANS, VERSION};

/// An OPEN message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// Version of the protocol; [`VERSION`] in every message that decodes.
    pub version: u8,
    /// The sender's AS number, [`AS_TRANS`] if it needs four octets.
    pub my_as: u16,
    /// The longest silence that the sender accepts, in seconds: 0 for no timer, otherwise 3 and more.
    pub hold_time: u16,
    /// The sender's identifier; never 0.0.0.0 in a message that decodes.
    pub identifier: Ipv4Addr,
    /// What the sender can do, in the order in which it says so. The same capability may stand there more than once.
    pub capabilities: Vec<Capability>,
}

impl Open {
    /// Builds the message of a speaker in `asn`, which also stands in [`Capability::FourOctetAs`] if the caller adds that.
    pub fn new(asn: Asn, hold_time: u16, identifier: Ipv4Addr, capabilities: Vec<Capability>) -> Self {
        let my_as = u16::try_from(asn.0).unwrap_or(AS_TRANS);
        Self { version: VERSION, my_as, hold_time, identifier, capabilities }
    }

    /// Returns the sender's AS number: the one with four octets if there is one (RFC 6793 §4.1).
    pub fn asn(&self) -> Asn {
        let four_octets = self.capabilities.iter().find_map(|capability| match capability {
            Capability::FourOctetAs(asn) => Some(*asn),
            _ => None,
        });
        four_octets.unwrap_or(Asn(u32::from(self.my_as)))
    }
}
