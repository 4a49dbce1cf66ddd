//! What a session saw: news for logs, statuses and metrics.

use std::fmt;
use std::time::Duration;

use crate::cease::Cease;
use crate::iana::{ErrorCode, MessageType, OpenSubcode};
use crate::negotiate::{Negotiated, Refusal};
use crate::transition::State;
use crate::wire::{Family, Notification};

/// What happened that somebody may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// The session's state is another one. States that were passed within one event are skipped.
    StateChanged {
        /// Before.
        from: State,
        /// Now.
        to: State,
    },
    /// Routes are exchanged from here on.
    Up(Box<Negotiated>),
    /// A connection with the peer ended. It was the session if it was established.
    Ended {
        /// How far it had come.
        was: State,
        /// Why.
        why: Ended,
    },
    /// No connection came about.
    ConnectFailed {
        /// What the network says.
        why: String,
        /// When it is tried again, nothing if another connection is under way.
        retry_in: Option<Duration>,
    },
    /// The peer dialled while we are stopped or wait, and was turned away.
    Rejected,
    /// We ended a connection with this.
    NotificationSent(Notification),
    /// The peer ended a connection with this.
    NotificationReceived(Notification),
    /// This many UPDATEs were handed to the connection.
    UpdatesSent(usize),
    /// Everything that was wanted is on its way; none is pending.
    Synchronized {
        /// Prefixes that the peer holds now.
        held: usize,
        /// Prefixes that it cannot be told: [`crate::RibOut::not_sent`] says why.
        not_sent: usize,
    },
    /// The peer wants everything of a family again. What it asks beyond that, while this waits to be answered, is not told.
    RefreshRequested(Family),
    /// An UPDATE of the peer was malformed in a way that costs only its routes (RFC 7606). Told of the first on a
    /// connection, the second, the fourth, and so on; [`Counters::malformed_updates`] counts all.
    MalformedUpdate(String),
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// We wanted it.
    Ceased(Cease),
    /// We are away for a moment, and the peer keeps our routes meanwhile (RFC 4724).
    Restarting,
    /// The peer's OPEN is not acceptable.
    Refused(Refusal),
    /// The peer sent something that is not BGP, or not correct.
    Malformed {
        /// What is wrong, where, and by which rule.
        error: String,
    },
    /// The peer sent a message that has no place in this state.
    Unexpected {
        /// Ours.
        state: State,
        /// The peer's.
        message: MessageType,
    },
    /// The peer was silent for too long.
    HoldTimerExpired {
        /// How long that is.
        after: Duration,
    },
    /// The peer took nothing of what we sent for too long.
    SendHoldTimerExpired {
        /// How long that is.
        after: Duration,
    },
    /// The peer ended it and said why.
    PeerNotified(Notification),
    /// TCP ended without a NOTIFICATION.
    ConnectionLost {
        /// What the network says.
        why: String,
    },
    /// The peer, which restarts gracefully, opened another connection (RFC 4724 §5).
    Replaced,
}

/// Which side a reader has to look at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// This node, its configuration or its operator.
    Us,
    /// The peer, its configuration or its operator.
    Peer,
    /// What is between the two.
    Network,
}

impl Ended {
    /// Returns who ended it.
    pub fn by(&self) -> Side {
        match self {
            Self::Ceased(Cease::BfdDown) | Self::ConnectionLost { .. } => Side::Network,
            Self::Ceased(_) | Self::Restarting => Side::Us,
            Self::HoldTimerExpired { .. } | Self::SendHoldTimerExpired { .. } => Side::Network,
            Self::Refused(_) | Self::Malformed { .. } | Self::Unexpected { .. } => Side::Us,
            Self::PeerNotified(_) | Self::Replaced => Side::Peer,
        }
    }

    /// Returns the reason as a metric label.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Ceased(Cease::AdministrativeShutdown(_)) => "shutdown",
            Self::Ceased(Cease::AdministrativeReset(_)) => "reset",
            Self::Ceased(Cease::PeerDeconfigured) => "peer_removed",
            Self::Ceased(Cease::ConnectionRejected) => "rejected",
            Self::Ceased(Cease::OtherConfigurationChange) => "configuration_changed",
            Self::Ceased(Cease::ConnectionCollisionResolution) => "collision",
            Self::Ceased(Cease::BfdDown) => "bfd_down",
            Self::Restarting => "restarting",
            Self::Refused(refusal) => refusal.label(),
            Self::Malformed { .. } => "malformed_message",
            Self::Unexpected { .. } => "unexpected_message",
            Self::HoldTimerExpired { .. } => "hold_timer_expired",
            Self::SendHoldTimerExpired { .. } => "send_hold_timer_expired",
            Self::PeerNotified(_) => "peer_notification",
            Self::ConnectionLost { .. } => "connection_lost",
            Self::Replaced => "replaced_by_peer",
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ceased(cease) => write!(f, "closed by us: {cease}"),
            Self::Restarting => f.write_str("closed by us for a restart; the peer keeps our routes"),
            Self::Refused(refusal) => write!(f, "refused by us: {refusal}"),
            Self::Malformed { error } => write!(f, "closed by us: the peer sent a malformed message: {error}"),
            Self::Unexpected { state, message } => {
                write!(f, "closed by us: the peer sent {message} in state {state}, where it has no place")
            }
            Self::HoldTimerExpired { after } => {
                write!(f, "closed by us: nothing was heard from the peer for {} s", after.as_secs())
            }
            Self::SendHoldTimerExpired { after } => {
                write!(f, "closed by us: the peer took nothing of what we sent for {} s", after.as_secs())
            }
            Self::PeerNotified(notification) => {
                write!(f, "closed by the peer: {notification}")?;
                advice(notification).map_or(Ok(()), |advice| write!(f, "; {advice}"))
            }
            Self::ConnectionLost { why } => write!(f, "connection lost: {why}"),
            Self::Replaced => f.write_str("the peer restarted and opened another connection"),
        }
    }
}

/// What the operator of this side can do about a NOTIFICATION.
fn advice(notification: &Notification) -> Option<&'static str> {
    match (notification.error_code()?, OpenSubcode::of(notification.subcode)) {
        (ErrorCode::Open, Some(OpenSubcode::BadPeerAs)) => {
            Some("the peer expects another AS of us: correct our AS here or the neighbor's AS on the peer")
        }
        (ErrorCode::Open, Some(OpenSubcode::BadBgpIdentifier)) => {
            Some("the peer does not take our router ID: it must be set, and differ from the peer's")
        }
        (ErrorCode::Open, Some(OpenSubcode::UnacceptableHoldTime)) => {
            Some("the peer does not take our hold time: give a longer one here, or allow it on the peer")
        }
        (ErrorCode::Open, Some(OpenSubcode::UnsupportedCapability)) => {
            Some("the peer needs a capability that we do not offer: compare the address families of both sides")
        }
        (ErrorCode::Open, Some(OpenSubcode::RoleMismatch)) => {
            Some("the roles of both sides do not fit: correct one of them")
        }
        (ErrorCode::HoldTimerExpired, _) => {
            Some("the peer heard nothing from us: look for loss on the path, or at how busy this node is")
        }
        _ => None,
    }
}

/// How many messages of each type went one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Messages {
    /// OPEN.
    pub open: u64,
    /// UPDATE.
    pub update: u64,
    /// NOTIFICATION.
    pub notification: u64,
    /// KEEPALIVE.
    pub keepalive: u64,
    /// ROUTE-REFRESH.
    pub route_refresh: u64,
}

impl Messages {
    pub(crate) fn count(&mut self, message: MessageType) {
        let counter = match message {
            MessageType::Open => &mut self.open,
            MessageType::Update => &mut self.update,
            MessageType::Notification => &mut self.notification,
            MessageType::Keepalive => &mut self.keepalive,
            MessageType::RouteRefresh => &mut self.route_refresh,
        };
        *counter += 1;
    }

    /// Returns all of them.
    pub fn total(&self) -> u64 {
        self.open + self.update + self.notification + self.keepalive + self.route_refresh
    }
}

/// What a session has counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// To the peer.
    pub sent: Messages,
    /// From the peer, as far as they could be read.
    pub received: Messages,
    /// Prefixes that the peer announced, each time it did.
    pub announced_by_peer: u64,
    /// Prefixes that the peer withdrew, each time it did.
    pub withdrawn_by_peer: u64,
    /// UPDATEs that were malformed without costing the session (RFC 7606).
    pub malformed_updates: u64,
    /// How often the session was established.
    pub established: u64,
}
