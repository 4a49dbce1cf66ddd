//! What goes on without a connection: starts, stops, dials and the waits between them.

use std::time::{Duration, Instant};

use super::{Action, Admin, Base, ConnectionId, End, Session, Step, Stop, Tcp};
use crate::cease::{Cease, KeepsRoutes};
use crate::observed::{Ended, Observed};
use crate::peer::{Dial, Settings};
use crate::timers::Timer;
use crate::transition::{self, Reaction, State};

impl Session {
    /// Settings were replaced.
    pub(super) fn follow(&mut self, now: Instant, before: &Settings) {
        let Some(settings) = self.settings.clone() else { return };
        if !settings.same_session(before) {
            if self.admin == Admin::Running {
                self.restart(now, Cease::OtherConfigurationChange);
            }
            return;
        }
        if let Some(terms) = self.terms() {
            self.rib.renew(terms);
        }
        match &mut self.base {
            Base::Active { retry } if settings.dial == Dial::Passive => *retry = None,
            Base::Active { retry: retry @ None } if self.connections.is_empty() => *retry = Some(now),
            Base::Active { retry: Some(at) } | Base::Damped { dial: at, .. } => {
                *at = (*at).min(now + settings.connect_retry_time);
            }
            _ => {}
        }
        self.tick_base(now);
    }

    pub(super) fn start(&mut self, now: Instant) {
        if self.settings.is_some() && self.admin == Admin::Running {
            let step = if self.passive() { Step::PassiveStart } else { Step::Start };
            self.step_base(now, step);
        }
    }

    pub(super) fn stop(&mut self, now: Instant, stop: Stop) {
        self.admin = Admin::Stopped;
        self.step_base(now, Step::Stop);
        self.base = Base::Idle;
        for id in self.ids() {
            let keeps = self.keeps_routes(id);
            let cease = match stop.clone() {
                Stop::KeepRoutes { .. } if keeps != KeepsRoutes::Never => {
                    self.finish(now, id, State::Idle, End::silent(Ended::Restarting), Tcp::Open);
                    continue;
                }
                Stop::Shutdown { text } | Stop::KeepRoutes { text } => Cease::AdministrativeShutdown(text),
                Stop::Deconfigured => Cease::PeerDeconfigured,
            };
            self.cease(now, id, Step::Stop, cease);
        }
    }

    /// Ends what there is and begins at once.
    pub(super) fn restart(&mut self, now: Instant, cease: Cease) {
        if self.admin == Admin::Stopped {
            return;
        }
        for id in self.ids() {
            self.cease(now, id, Step::Stop, cease.clone());
        }
        self.step_base(now, Step::Stop);
        self.base = Base::Idle;
        self.start(now);
    }

    pub(super) fn bfd_down(&mut self, now: Instant) {
        let up = self.connections.iter().filter(|connection| connection.state >= State::OpenConfirm);
        for id in up.map(|connection| connection.id).collect::<Vec<_>>() {
            self.cease(now, id, Step::Stop, Cease::BfdDown);
        }
    }

    /// Ends a wait.
    pub(super) fn hurry(&mut self, now: Instant) {
        if !self.connections.is_empty() {
            return;
        }
        match &mut self.base {
            Base::Active { retry: Some(at) } => *at = (*at).min(now),
            Base::Damped { until, dial } => (*until, *dial) = (now, now),
            _ => return,
        }
        self.tick_base(now);
    }

    pub(super) fn tick(&mut self, now: Instant) {
        self.tick_base(now);
        for id in self.ids() {
            while let Some(timer) = self.find(id).and_then(|connection| connection.timers.expire(now)) {
                self.expired(now, id, timer);
            }
        }
    }

    pub(super) fn tick_base(&mut self, now: Instant) {
        if self.base.deadline().is_none_or(|at| at > now) {
            return;
        }
        match self.base {
            Base::Damped { dial, .. } if dial <= now || self.passive() => self.start(now),
            Base::Damped { dial, .. } => self.base = Base::Active { retry: Some(dial) },
            Base::Idle => {}
            Base::Active { .. } | Base::Connect { .. } => self.step_base(now, Step::ConnectRetryExpired),
        }
    }

    pub(super) fn expired(&mut self, now: Instant, id: ConnectionId, timer: Timer) {
        let Some(connection) = self.find(id) else { return };
        let (step, why) = match timer {
            Timer::Hold => {
                let after = connection.hold_time().unwrap_or_default();
                (Step::HoldExpired, Ended::HoldTimerExpired { after })
            }
            Timer::SendHold => {
                (Step::SendHoldExpired, Ended::SendHoldTimerExpired { after: connection.send_hold_time() })
            }
            Timer::Keepalive => (Step::KeepaliveDue, Ended::HoldTimerExpired { after: Duration::ZERO }),
        };
        self.step(now, id, step, End::silent(why));
    }

    /// The table, for what goes on without a connection.
    pub(super) fn step_base(&mut self, now: Instant, step: Step) {
        let (_, reaction) = transition::step(self.base.state(), step);
        match reaction {
            Reaction::Dial => self.dial(now),
            Reaction::Redial => {
                self.out.push_back(Action::Abandon);
                self.dial(now);
            }
            Reaction::Listen => {
                let retry = (!self.passive() && self.connections.is_empty()).then(|| now + self.wait());
                self.base = Base::Active { retry };
            }
            Reaction::Abandon => {
                if let Base::Connect { .. } = self.base {
                    self.out.push_back(Action::Abandon);
                }
                self.base = Base::Idle;
            }
            _ => {}
        }
    }

    pub(super) fn dial(&mut self, now: Instant) {
        self.base = Base::Connect { give_up: now + DIAL_TIME };
        self.out.push_back(Action::Connect);
    }

    pub(super) fn wait(&mut self) -> Duration {
        let ceiling = self.settings.as_ref().map(|settings| settings.connect_retry_time).unwrap_or_default();
        self.backoff.next(ceiling)
    }

    pub(super) fn connect_failed(&mut self, now: Instant, why: String) {
        let Base::Connect { .. } = self.base else { return };
        self.step_base(now, Step::ConnectionLost);
        let retry_in = self.base.deadline().map(|at| at.saturating_duration_since(now));
        self.report(Observed::ConnectFailed { why, retry_in });
    }
}

/// How long one dial may take. TCP would try for two minutes; MetalLB gives it these ten seconds.
const DIAL_TIME: Duration = Duration::from_secs(10);
