//! One session: the variables of RFC 5880 §6.8.1 and what changes them.
//!
//! ```text
//!   packet  -> variables -> transition -> advertise -> answer a Poll -> say what is new -> report
//!   silence -> Down, the peer is forgotten
//!   unwanted:   Wanted --> Slowing --> Stopped --> over
//!                          still Up: a Poll Sequence announces one packet a second, so that the peer waits longer for us
//!                                     AdminDown, until the peer shows that it knows, or a Detection Time (§6.8.16)
//! ```
//!
//! Why slow down before the end: a session that is not Up may send one packet a second, and AdminDown is the first such packet. Were it lost, the
//! peer of a 50 ms session would give up before the second and call it a failure.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use crate::jitter::{Random, Share};
use crate::timing::{Speed, Timing};
use crate::transition::{Transition, transition};
use crate::wire::Control;
use crate::{Action, Cause, ControlPlane, Diagnostic, Drop, Echo, Observed, Path, Role, Settings, State, View};

/// How long a session that ends may take to tell the peer that it becomes slow. Long enough for some round trips and lost packets, short enough
/// that a process which waits for it still ends in time.
const SLOWING: Duration = Duration::from_secs(1);

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    path: Path,
    settings: Settings,
    life: Life,
    state: State,
    diagnostic: Diagnostic,
    my_discriminator: NonZeroU32,
    peer: Peer,
    timing: Timing,
    /// When the newest packet came; `None` = the peer is not known (any more).
    heard: Option<Instant>,
    /// Silence before this counts only up to here: we were late ourselves. At most once per silence.
    grace: Option<Instant>,
    /// When the newest packet went that was no answer to a Poll, or when the session began.
    sent: Option<Instant>,
    /// What the newest packet said.
    said: Option<Control>,
    /// How much of the interval to wait for the next.
    share: Share,
    /// The times that were reported last.
    agreed: Option<(Duration, Duration)>,
}

/// Whether the session is wanted, and how far its end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Wanted,
    Slowing { until: Instant },
    Stopped { until: Instant },
    Over,
}

/// What the peer said last.
#[derive(Clone, Copy, Debug, Default)]
struct Peer {
    discriminator: Option<NonZeroU32>,
    state: State,
    diagnostic: Diagnostic,
    demand: bool,
    control_plane: ControlPlane,
}

/// What a session needs from outside.
pub(crate) struct Context<'a> {
    pub(crate) now: Instant,
    pub(crate) random: &'a mut Random,
    pub(crate) out: &'a mut VecDeque<Action>,
}

impl Context<'_> {
    fn report(&mut self, observed: Observed) {
        self.out.push_back(Action::Report(observed));
    }
}

impl Session {
    pub(crate) fn new(path: Path, settings: Settings, my_discriminator: NonZeroU32, context: &mut Context<'_>) -> Self {
        if settings.echo == Echo::Asked {
            context.report(Observed::EchoRefused { path });
        }
        Self {
            path,
            settings,
            life: Life::Wanted,
            state: State::Down,
            diagnostic: Diagnostic::NONE,
            my_discriminator,
            peer: Peer::default(),
            timing: Timing::new(&settings),
            heard: None,
            grace: None,
            sent: None,
            said: None,
            share: Share::draw(context.random, settings.detect_mult.get()),
            agreed: None,
        }
    }

    pub(crate) const fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether the session is over and can be forgotten.
    pub(crate) fn over(&self) -> bool {
        self.life == Life::Over
    }

    pub(crate) fn view(&self) -> View {
        View {
            state: self.state,
            diagnostic: self.diagnostic,
            peer_state: self.peer.state,
            peer_diagnostic: self.peer.diagnostic,
            transmit: self.timing.transmit_interval(),
            detection: self.timing.detection(),
        }
    }

    /// Wants the session, with these settings: those it has, new ones, or again after it was to end.
    pub(crate) fn want(&mut self, settings: Settings, context: &mut Context<'_>) {
        if settings.echo == Echo::Asked && self.settings.echo == Echo::Off {
            context.report(Observed::EchoRefused { path: self.path });
        }
        self.settings = settings;
        let before = std::mem::replace(&mut self.life, Life::Wanted);
        match (before, self.state) {
            (Life::Wanted, _) => {}
            (_, State::AdminDown) => (self.state, self.diagnostic) = (State::Down, Diagnostic::NONE),
            (_, State::Up) => self.report_up(context),
            _ => {}
        }
        self.settle(context);
    }

    /// Wants the session no more.
    pub(crate) fn stop(&mut self, context: &mut Context<'_>) {
        if self.life != Life::Wanted {
            return;
        }
        if self.peer.discriminator.is_none() {
            return self.release(context);
        }
        self.life = Life::Slowing { until: context.now + SLOWING };
        self.settle(context);
    }

    /// Takes a packet that belongs here (RFC 5880 §6.8.6 from the A bit on).
    ///
    /// # Errors
    /// Why it is discarded.
    pub(crate) fn receive(&mut self, packet: &Control, context: &mut Context<'_>) -> Result<(), Drop> {
        if packet.authentication {
            return Err(Drop::Authentication);
        }
        let peer_was = std::mem::replace(&mut self.peer, Peer::of(packet)).state;
        self.timing.received(packet);
        if self.state == State::AdminDown {
            if matches!(packet.state, State::AdminDown | State::Down) {
                self.release(context);
            }
            return Err(Drop::AdminDown);
        }
        self.heard = Some(context.now);
        self.grace = None;
        match transition(self.state, packet.state) {
            Transition::Stay => {}
            Transition::Init => self.state = State::Init,
            Transition::Up => {
                (self.state, self.diagnostic) = (State::Up, Diagnostic::NONE);
                self.report_up(context);
            }
            Transition::Down(diagnostic) => {
                if packet.state != State::AdminDown {
                    self.report_down(Cause::PeerSignaledDown, context);
                }
                (self.state, self.diagnostic) = (State::Down, diagnostic);
            }
        }
        if packet.state == State::AdminDown && peer_was != State::AdminDown && self.life == Life::Wanted {
            context.report(Observed::PeerAdminDown { path: self.path });
        }
        self.advertise();
        if packet.poll {
            self.answer(context);
        }
        self.settle(context);
        Ok(())
    }

    /// Does what time asks for.
    pub(crate) fn tick(&mut self, context: &mut Context<'_>) {
        if self.detection_ends().is_some_and(|at| at <= context.now) {
            self.silent(context);
        }
        match self.life {
            Life::Slowing { until } if until <= context.now => self.administratively_down(context),
            Life::Stopped { until } if until <= context.now => self.release(context),
            _ => {}
        }
        if self.over() {
            return;
        }
        self.settle(context);
        if self.next_packet(context.now).is_some_and(|at| at <= context.now) {
            self.send(context);
        }
    }

    /// Hears that this side itself was late. Says whether the peer's silence is judged anew because of that: half a Detection Time is enough,
    /// since packets of that time may have been lost while nobody took them.
    pub(crate) fn was_late(&mut self, now: Instant, late: Duration) -> bool {
        let Some(heard) = self.heard else { return false };
        let detection = self.timing.detection();
        let matters = self.grace.is_none() && late * 2 >= detection && heard < now;
        if matters {
            self.grace = Some(now + detection);
        }
        matters
    }

    /// Returns when to tick.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        let end = match self.life {
            Life::Slowing { until } | Life::Stopped { until } => Some(until),
            Life::Wanted => None,
            Life::Over => return None,
        };
        [end, self.detection_ends(), self.next_packet(now)].into_iter().flatten().min()
    }

    fn detection_ends(&self) -> Option<Instant> {
        let end = self.heard.filter(|_| self.state != State::AdminDown)? + self.timing.detection();
        Some(self.grace.map_or(end, |grace| grace.max(end)))
    }

    /// When the next packet is due that nobody asked for (§6.8.7).
    fn next_packet(&self, now: Instant) -> Option<Instant> {
        let interval = self.timing.transmit_interval()?;
        if !self.may_speak() || (self.demanded() && !self.timing.polls()) {
            return None;
        }
        Some(self.sent.map_or(now, |sent| sent + self.share.of(interval)))
    }

    /// A passive side is silent until it has heard the peer.
    fn may_speak(&self) -> bool {
        self.settings.role == Role::Active || self.peer.discriminator.is_some()
    }

    /// Whether the peer wants packets only when it polls (§6.6).
    fn demanded(&self) -> bool {
        self.peer.demand && (self.state, self.peer.state) == (State::Up, State::Up)
    }

    /// Nothing came for a Detection Time.
    fn silent(&mut self, context: &mut Context<'_>) {
        let silent_for = self.heard.map(|heard| context.now.saturating_duration_since(heard)).unwrap_or_default();
        if matches!(self.state, State::Init | State::Up) {
            self.report_down(Cause::DetectionTimeExpired { silent_for }, context);
            (self.state, self.diagnostic) = (State::Down, Diagnostic::DETECTION_TIME_EXPIRED);
        }
        self.peer = Peer::default();
        (self.heard, self.grace) = (None, None);
        self.timing.forget_peer();
        if self.life != Life::Wanted {
            self.release(context);
        }
    }

    fn administratively_down(&mut self, context: &mut Context<'_>) {
        (self.state, self.diagnostic) = (State::AdminDown, Diagnostic::ADMINISTRATIVELY_DOWN);
        self.advertise();
        let until = context.now + self.timing.peer_detection(self.settings.detect_mult.get());
        self.life = Life::Stopped { until };
    }

    fn release(&mut self, context: &mut Context<'_>) {
        self.life = Life::Over;
        context.report(Observed::Released { path: self.path });
    }

    fn advertise(&mut self) {
        let speed = if self.life == Life::Wanted { Speed::Full } else { Speed::Slow };
        self.timing.advertise(&self.settings, self.state, speed, self.peer.discriminator.is_some());
    }

    /// Brings what is advertised, said and reported up to date.
    fn settle(&mut self, context: &mut Context<'_>) {
        if self.life == Life::Over {
            return;
        }
        self.advertise();
        if matches!(self.life, Life::Slowing { .. }) && (self.state != State::Up || self.timing.slow()) {
            self.administratively_down(context);
        }
        let news = self.said.is_some_and(|said| !said.says_the_same(&self.packet()));
        if news && self.may_speak() {
            self.send(context);
        }
        if self.state == State::Up && self.timing.settled() && self.life == Life::Wanted {
            let detection = self.timing.detection();
            let agreed = self.timing.transmit_interval().map(|transmit| (transmit, detection));
            if let Some((transmit, detection)) = agreed.filter(|_| agreed != self.agreed) {
                context.report(Observed::Agreed { path: self.path, transmit, detection });
            }
            self.agreed = agreed;
        }
    }

    fn report_up(&mut self, context: &mut Context<'_>) {
        self.agreed = None;
        if self.life == Life::Wanted {
            context.report(Observed::Up { path: self.path, control_plane: self.peer.control_plane });
        }
    }

    fn report_down(&self, cause: Cause, context: &mut Context<'_>) {
        if self.state == State::Up && self.life == Life::Wanted {
            let Peer { diagnostic, control_plane, .. } = self.peer;
            context.report(Observed::Down { path: self.path, cause, diagnostic, control_plane });
        }
    }

    /// What we have to say.
    fn packet(&self) -> Control {
        let mut packet = Control {
            diagnostic: self.diagnostic,
            state: self.state,
            poll: false,
            final_: false,
            control_plane_independent: false,
            authentication: false,
            demand: false,
            detect_mult: self.settings.detect_mult,
            my_discriminator: self.my_discriminator,
            your_discriminator: self.peer.discriminator,
            desired_min_tx_us: 0,
            required_min_rx_us: 0,
            required_min_echo_rx_us: 0,
        };
        self.timing.fill(&mut packet);
        packet
    }

    /// Sends a packet in its turn, or out of turn because it says something new; either way the next waits for a whole interval.
    fn send(&mut self, context: &mut Context<'_>) {
        let packet = Control { poll: self.timing.polls(), ..self.packet() };
        if packet.poll {
            self.timing.polled();
        }
        self.sent = Some(context.now);
        self.share = Share::draw(context.random, self.settings.detect_mult.get());
        self.put(packet, context);
    }

    /// Answers a Poll, whatever the transmit timer says.
    fn answer(&mut self, context: &mut Context<'_>) {
        let packet = Control { final_: true, ..self.packet() };
        self.put(packet, context);
    }

    fn put(&mut self, packet: Control, context: &mut Context<'_>) {
        self.said = Some(packet);
        context.out.push_back(Action::Send { path: self.path, bytes: packet.emit() });
    }
}

impl Peer {
    const fn of(packet: &Control) -> Self {
        Self {
            discriminator: Some(packet.my_discriminator),
            state: packet.state,
            diagnostic: packet.diagnostic,
            demand: packet.demand,
            control_plane: if packet.control_plane_independent {
                ControlPlane::Independent
            } else {
                ControlPlane::Shared
            },
        }
    }
}
