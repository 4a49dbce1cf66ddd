//! Graceful restart (RFC 4724, RFC 8538) of a speaker that originates only.
//!
//! Forwarding is not ours: the kernel and kube-proxy go on while this process is away. So the F bit is always set, and:
//!
//! - **we restart**: the process that comes back says so (R bit) in its OPENs until the first session stands or
//!   the promised time is over, sends its routes at once, for it has none to wait for, and then end-of-RIB;
//! - **the peer restarts**: it wants to hear our routes and end-of-RIB, which every peer gets; there is nothing of
//!   its own that we would have to keep;
//! - **a planned stop** leaves the routes behind by closing TCP without a word, or takes them away by a Hard Reset
//!   ([`crate::cease`]).

use std::time::{Duration, Instant};

use crate::cease::KeepsRoutes;
use crate::peer::{Restart, Settings, Start};
use crate::wire::{Capability, GracefulFamily, GracefulRestart, Open};

/// Whether the next OPEN says that we have restarted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Comeback {
    began: Option<Instant>,
    over: bool,
}

impl Comeback {
    /// The process has begun to talk to the peer.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.began.get_or_insert(now);
    }

    /// A session stands: the next one follows no restart of ours.
    pub(crate) fn finish(&mut self) {
        self.over = true;
    }

    fn is_on(&self, now: Instant, restart: &Restart) -> bool {
        let recent = self.began.is_none_or(|began| now.saturating_duration_since(began) <= restart.restart_time);
        restart.start == Start::Restarted && !self.over && recent
    }

    /// Returns what our OPEN says about restarts, nothing if the peer is not to keep routes.
    pub(crate) fn capability(&self, now: Instant, settings: &Settings) -> Option<Capability> {
        let restart = settings.graceful_restart?;
        let families =
            settings.families.iter().map(|family| GracefulFamily { family: family.into(), forwarding: true }).collect();
        Some(Capability::GracefulRestart(GracefulRestart {
            restart_state: self.is_on(now, &restart),
            notification_bit: true,
            time: seconds(restart.restart_time),
            families,
        }))
    }
}

fn seconds(time: Duration) -> u16 {
    u16::try_from(time.as_secs()).unwrap_or(u16::MAX).min(GracefulRestart::MAX_TIME)
}

/// Returns when the peer keeps our routes.
pub(crate) fn keeps_routes(ours: &Open, theirs: &Open) -> KeepsRoutes {
    match (promise(ours), promise(theirs)) {
        (Some(ours), Some(theirs)) if ours.notification_bit && theirs.notification_bit => {
            KeepsRoutes::OverNotifications
        }
        (Some(_), Some(_)) => KeepsRoutes::OverClosedTcp,
        _ => KeepsRoutes::Never,
    }
}

/// Returns what a speaker says about restarts; the last one counts if it says so more than once (RFC 4724 §3).
pub(crate) fn promise(open: &Open) -> Option<&GracefulRestart> {
    open.capabilities.iter().rev().find_map(|capability| match capability {
        Capability::GracefulRestart(promise) => Some(promise),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
