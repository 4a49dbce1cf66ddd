//! What happened to sessions, for clients (RFC 5882), counters and logs.

use std::time::Duration;

use crate::{Diagnostic, Drop, Path, State};

/// One thing that happened. Small and `Copy`: the real-time thread hands these on by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// The peer is reached, both ways.
    Up {
        /// Which session.
        path: Path,
        /// What the peer's BFD would survive.
        control_plane: ControlPlane,
    },
    /// A session that was Up is not any more: its clients act on that.
    Down {
        /// Which session.
        path: Path,
        /// What was seen.
        cause: Cause,
        /// What the peer said last about itself.
        diagnostic: Diagnostic,
        /// What the peer's BFD would have survived: where it shares fate with the peer's control plane, the peer may still forward.
        control_plane: ControlPlane,
    },
    /// The peer stopped the session on purpose. Not a failure: clients go on as if there were no BFD (RFC 5882 §4.2).
    PeerAdminDown {
        /// Which session.
        path: Path,
    },
    /// Both sides agreed how often to send, while Up.
    Agreed {
        /// Which session.
        path: Path,
        /// How often this side sends, before jitter.
        transmit: Duration,
        /// How long the peer may be silent.
        detection: Duration,
    },
    /// A session that is not wanted any more is over: the peer was told, or there was none to tell.
    Released {
        /// Which session.
        path: Path,
    },
    /// The settings ask for echo packets, which are not offered; the session goes on with control packets alone.
    EchoRefused {
        /// Which session.
        path: Path,
    },
    /// More sessions are wanted than [`MOST_SESSIONS`](crate::MOST_SESSIONS): this one is not kept, and is tried again by the next `set`.
    TooMany {
        /// Which session.
        path: Path,
    },
    /// A packet was taken.
    Received {
        /// By which session.
        path: Path,
    },
    /// A packet led to nothing.
    Dropped {
        /// Why.
        reason: Drop,
    },
    /// This side itself was late, and silence is judged anew.
    Stalled {
        /// How late.
        late: Duration,
    },
}

/// Why a session that was Up is Down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nothing came for a Detection Time.
    DetectionTimeExpired {
        /// How long nothing came.
        silent_for: Duration,
    },
    /// The peer said that it is Down: it does not hear us, or it started anew.
    PeerSignaledDown,
}

impl Cause {
    /// Word for logs, statuses and metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DetectionTimeExpired { .. } => Diagnostic::DETECTION_TIME_EXPIRED.as_str(),
            Self::PeerSignaledDown => Diagnostic::NEIGHBOR_SIGNALED_DOWN.as_str(),
        }
    }
}

/// What a BFD implementation survives: the C bit (RFC 5880 §4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ControlPlane {
    /// It dies with the control plane, whose death therefore says nothing about forwarding.
    #[default]
    Shared,
    /// It goes on without the control plane: its silence means that forwarding has failed.
    Independent,
}

/// How a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// This side's state.
    pub state: State,
    /// Why this side is in it.
    pub diagnostic: Diagnostic,
    /// The peer's, as it said last.
    pub peer_state: State,
    /// Why the peer is in it.
    pub peer_diagnostic: Diagnostic,
    /// How often this side sends, before jitter; `None` if the peer wants nothing.
    pub transmit: Option<Duration>,
    /// How long the peer may be silent; zero before it was heard.
    pub detection: Duration,
}
