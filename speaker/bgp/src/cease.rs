//! Why we end a session, and how the peer is told (RFC 4486, RFC 9003, RFC 9384, RFC 8538).
//!
//! A peer that keeps our routes over a restart and knows RFC 8538 keeps them over a NOTIFICATION too, unless it is a Hard
//! Reset. [`Cease::notification`] makes one of what means that the routes are no longer true.

use std::fmt;

use crate::iana::CeaseSubcode;
use crate::wire::Notification;

/// Why we end a session that has no error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cease {
    /// The operator wants it down; a text for the peer's operator, 255 octets at most.
    AdministrativeShutdown(String),
    /// The operator wants it to start anew; a text for the peer's operator, 255 octets at most.
    AdministrativeReset(String),
    /// The peer is no longer in our configuration.
    PeerDeconfigured,
    /// The peer dialled, and we do not want it now.
    ConnectionRejected,
    /// What an OPEN says has changed.
    OtherConfigurationChange,
    /// Another connection with the same peer is kept (RFC 4271 §6.8).
    ConnectionCollisionResolution,
    /// BFD says that the peer cannot be reached.
    BfdDown,
}

impl Cease {
    fn subcode(&self) -> CeaseSubcode {
        match self {
            Self::AdministrativeShutdown(_) => CeaseSubcode::AdministrativeShutdown,
            Self::AdministrativeReset(_) => CeaseSubcode::AdministrativeReset,
            Self::PeerDeconfigured => CeaseSubcode::PeerDeconfigured,
            Self::ConnectionRejected => CeaseSubcode::ConnectionRejected,
            Self::OtherConfigurationChange => CeaseSubcode::OtherConfigurationChange,
            Self::ConnectionCollisionResolution => CeaseSubcode::ConnectionCollisionResolution,
            Self::BfdDown => CeaseSubcode::BfdDown,
        }
    }

    /// Says whether our routes end with the session, even for a peer that keeps them otherwise: we will not be back, or
    /// not soon.
    fn ends_routes(&self) -> bool {
        matches!(self, Self::AdministrativeShutdown(_) | Self::PeerDeconfigured)
    }

    /// Returns the message that tells the peer.
    pub(crate) fn notification(&self, keeps: KeepsRoutes) -> Notification {
        let plain = match self {
            Self::AdministrativeShutdown(text) | Self::AdministrativeReset(text) => {
                Notification::cease_with_text(self.subcode(), text)
            }
            _ => Notification::cease(self.subcode()),
        };
        match keeps {
            KeepsRoutes::OverNotifications if self.ends_routes() => Notification::hard_reset(&plain),
            _ => plain,
        }
    }
}

impl fmt::Display for Cease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.subcode().name())?;
        match self {
            Self::AdministrativeShutdown(text) | Self::AdministrativeReset(text) if !text.is_empty() => {
                write!(f, ": {text:?}")
            }
            _ => Ok(()),
        }
    }
}

/// When the peer keeps our routes although the session is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeepsRoutes {
    /// Never: graceful restart is not agreed on.
    #[default]
    Never,
    /// When TCP ends without a NOTIFICATION (RFC 4724 §4.2).
    OverClosedTcp,
    /// Over NOTIFICATIONs and an expired hold timer too, a Hard Reset aside (RFC 8538 §4).
    OverNotifications,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_keeps_routes_over_notifications_is_told_by_hard_reset_that_they_are_gone() {
        let shutdown = Cease::AdministrativeShutdown("maintenance".into());
        let plain = shutdown.notification(KeepsRoutes::OverClosedTcp);
        let hard = shutdown.notification(KeepsRoutes::OverNotifications);
        assert_eq!((plain.code, plain.subcode), (6, 2));
        assert_eq!((hard.code, hard.subcode), (6, 9));
        assert_eq!(hard.hard_reset_reason(), Some(plain));
        assert_eq!(hard.shutdown_text().as_deref(), Some("maintenance"));
    }

    #[test]
    fn a_reset_after_which_we_are_back_at_once_keeps_the_routes() {
        for cease in [Cease::AdministrativeReset(String::new()), Cease::OtherConfigurationChange, Cease::BfdDown] {
            let notification = cease.notification(KeepsRoutes::OverNotifications);
            assert_eq!(notification.hard_reset_reason(), None, "{cease}");
        }
    }
}
