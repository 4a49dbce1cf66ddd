//! Log lines about BFD sessions.

use herald_bfd::{Cause, MOST_SESSIONS, Observed};

pub(super) fn tell(observed: Observed) {
    match observed {
        Observed::Up { path, .. } => tracing::info!(peer = %path.peer, protocol = "bfd", "session up"),
        Observed::Down { path, cause, diagnostic, .. } => {
            let silent_ms = match cause {
                Cause::DetectionTimeExpired { silent_for } => Some(super::millis(silent_for)),
                Cause::PeerSignaledDown => None,
            };
            tracing::info!(
                peer = %path.peer,
                protocol = "bfd",
                reason = cause.as_str(),
                silent_ms,
                peer_diagnostic = diagnostic.as_str(),
                "session down"
            );
        }
        Observed::PeerAdminDown { path } => {
            tracing::info!(peer = %path.peer, protocol = "bfd", "the peer stopped the session on purpose");
        }
        Observed::Agreed { path, transmit, detection } => tracing::debug!(
            peer = %path.peer,
            protocol = "bfd",
            transmit_ms = super::millis(transmit),
            detection_ms = super::millis(detection),
            "intervals agreed"
        ),
        Observed::Released { path } => tracing::debug!(peer = %path.peer, protocol = "bfd", "session over"),
        Observed::EchoRefused { path } => tracing::warn!(
            peer = %path.peer,
            protocol = "bfd",
            "echo mode is not offered, control packets detect failures alone; set echoMode: false in the BFDProfile"
        ),
        Observed::TooMany { path } => tracing::error!(
            peer = %path.peer,
            protocol = "bfd",
            limit = MOST_SESSIONS,
            "too many sessions, this one is left out; choose fewer peers for this node with nodeSelectors"
        ),
        Observed::Stalled { late } => {
            tracing::warn!(protocol = "bfd", late_ms = super::millis(late), "this process stood still");
        }
        Observed::Received { path } => tracing::trace!(peer = %path.peer, protocol = "bfd", "packet taken"),
        Observed::Dropped { reason } => tracing::trace!(protocol = "bfd", reason = reason.as_str(), "packet ignored"),
    }
}
