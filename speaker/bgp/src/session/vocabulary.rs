//! The words spoken with the shell: what is wanted, what happened, what to do.

use std::net::IpAddr;

use super::ConnectionId;
use crate::observed::Observed;
use crate::peer::Settings;
use crate::route::Routes;
use crate::wire::Family;

/// All that is wanted of a peer, as one value; setting the same value again does nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Who the peer is.
    pub settings: Settings,
    /// What it is to hold.
    pub routes: Routes,
}

/// What the world did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The instant of [`Session::deadline`] has come.
    Tick,
    /// Begin again after a [`Event::Stop`]. A new session has begun already.
    Start,
    /// End the session and stay away.
    Stop(Stop),
    /// End the session and begin anew; a text for the peer's operator.
    Reset {
        /// At most 255 octets travel.
        text: String,
    },
    /// The connection that [`Action::Connect`] asked for is there.
    Connected {
        /// The shell's name for it.
        connection: ConnectionId,
        /// Our address.
        local: IpAddr,
    },
    /// There is none.
    ConnectFailed {
        /// For the operator.
        why: String,
    },
    /// The peer made a connection.
    Accepted {
        /// The shell's name for it.
        connection: ConnectionId,
        /// Our address.
        local: IpAddr,
    },
    /// Bytes of the peer, as many as the shell likes to read at once.
    Received {
        /// Where.
        connection: ConnectionId,
        /// The next ones.
        bytes: &'a [u8],
    },
    /// The kernel took bytes of [`Action::Send`].
    Written {
        /// Where.
        connection: ConnectionId,
        /// How many.
        octets: usize,
    },
    /// A connection is gone without our doing.
    Closed {
        /// Which.
        connection: ConnectionId,
        /// For the operator.
        why: String,
    },
    /// BFD lost the peer.
    BfdDown,
    /// BFD has found the peer: no need to wait any longer.
    BfdUp,
    /// Send everything of a family again, as if the peer had asked.
    Refresh(Family),
}

/// How a session is to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The peer drops our routes at once, and reads this text.
    Shutdown {
        /// At most 255 octets travel.
        text: String,
    },
    /// The peer is no longer configured.
    Deconfigured,
    /// The next process is here soon. A peer that agreed to keeps our routes for that long; any other is shut down with
    /// this text.
    KeepRoutes {
        /// At most 255 octets travel.
        text: String,
    },
}

/// What the shell must do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Dial the peer.
    Connect,
    /// Give the dial up; no event about it may follow.
    Abandon,
    /// Write these bytes.
    Send {
        /// Where.
        connection: ConnectionId,
        /// Whole messages.
        bytes: Vec<u8>,
    },
    /// Write what was sent before, then close.
    Close {
        /// Which.
        connection: ConnectionId,
    },
    /// Log, count or publish this.
    Report(Observed),
}
