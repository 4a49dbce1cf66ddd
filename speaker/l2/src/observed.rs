//! What the announcer saw and did, for counters, logs and statuses.

use std::net::IpAddr;

use crate::{Drop, InterfaceIndex, MacAddr, Role};

/// One thing that happened. Small and `Copy`: the real-time thread hands these on by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// A well-formed request for an address of ours or one we stand by for. An owner's is followed by `Answered`.
    Request {
        /// The address asked for.
        ip: IpAddr,
        /// Where the request came in.
        interface: InterfaceIndex,
        /// Who asked; the unspecified address for a probe.
        client: Client,
        /// What we are for the address.
        role: Role,
    },
    /// A request was answered.
    Answered {
        /// The address asked for.
        ip: IpAddr,
        /// Where the answer went.
        interface: InterfaceIndex,
        /// Who asked; the unspecified address for a probe.
        client: Client,
    },
    /// A client showed that it knows us as the owner: it answered our directed request, to our MAC address.
    Confirmed {
        /// The address we own.
        ip: IpAddr,
        /// Where the client is.
        interface: InterfaceIndex,
        /// The client.
        client: Client,
    },
    /// One round of the announcement is out.
    Announced {
        /// The address announced.
        ip: IpAddr,
        /// On which interface.
        interface: InterfaceIndex,
        /// Why.
        cause: Cause,
        /// Which round, from 0. Rounds that pacing made late are left out.
        round: u8,
        /// Frames of this round.
        frames: u32,
    },
    /// Somebody else claims an address we own. At most one per address, interface and [`Settings::defend_interval`].
    ///
    /// [`Settings::defend_interval`]: crate::Settings::defend_interval
    Conflict {
        /// The address.
        ip: IpAddr,
        /// Where the claim was seen.
        interface: InterfaceIndex,
        /// Who claims it.
        mac: MacAddr,
        /// Another node of ours, or a stranger.
        claimant: Claimant,
    },
    /// A frame led to nothing, and why.
    Ignored(Drop),
}

/// A neighbour that holds, or is about to hold, an entry for one of our addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Client {
    /// Its address; unspecified for one that is only probing.
    pub ip: IpAddr,
    /// Its MAC address.
    pub mac: MacAddr,
}

/// Why an announcement was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The address became ours on this interface, or the interface changed its MAC address.
    Gained,
    /// A stranger claimed it.
    Defended,
}

impl Cause {
    /// Word for logs and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gained => "gained",
            Self::Defended => "defended",
        }
    }
}

/// Who made a conflicting claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Claimant {
    /// Another node of the cluster; not answered, the election settles it.
    Peer,
    /// Anybody else; answered with one corrective burst.
    Foreign,
}

impl Claimant {
    /// Word for logs and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Foreign => "foreign",
        }
    }
}
