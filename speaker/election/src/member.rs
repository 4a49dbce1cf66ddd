//! One other node: its sessions, its health, its claims, and what it reports.
//!
//! ```text
//! never heard -- valid message --> up -- silence --> suspect -- verdict --> down
//!                                  ^ ^                  |                    |
//!                                  | '-- heard, vetoed -'                    |
//!                                  '---------------- valid message ----------'        "gone" flag --> left
//! ```
//!
//! A message is valid when its seal holds, its number is new, and it echoes the session that this node drew for that member. A member that has
//! just started cannot echo yet; it is answered, so that it can.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::claim::ClaimSet;
use crate::node::{NodeId, short_hash};
use crate::refusal::Refusals;
use crate::timing::{HELLO, LONG_SILENT, Timing};
use crate::vocabulary::{Drop, Settings, words};
use crate::wire::{Flags, Header, Key, Message, PairKey, Vip, Window};

words! {
    /// What is known of a member's life.
    Health {
        /// Never heard.
        Unknown => "unknown",
        /// Heard.
        Up => "up",
        /// Silent, not confirmed dead.
        Suspect => "suspect",
        /// Confirmed dead.
        Down => "down",
        /// Has said goodbye.
        Left => "left",
    }
}

/// Another node.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) address: SocketAddr,
    pub(crate) health: Health,
    pub(crate) flags: Flags,
    pub(crate) claims: ClaimSet,
    /// What it says the digest of its claims is.
    pub(crate) digest: u64,
    pub(crate) report: Option<Report>,

    // Silence.
    /// When something valid came last.
    pub(crate) heard: Option<Instant>,
    /// From when silence is counted: `heard`, moved forward after this process stood still.
    pub(crate) silent_since: Instant,
    /// Since when it is heard without a silence that would have been death.
    pub(crate) heard_since: Instant,
    /// The silence is counted from a guess.
    pub(crate) rebased: bool,
    pub(crate) suspected: bool,
    /// Last time somebody else heard it in this silence.
    pub(crate) vetoed: Option<Instant>,
    /// When it was found dead, and for how long it had not been heard then.
    pub(crate) down: Option<(Instant, Duration)>,
    pub(crate) refusals: Refusals,
    period: Duration,
    dead: Duration,

    // From it.
    from: Option<Inbound>,
    newcomer: Option<Inbound>,
    /// Which message spoke last of an address, for as long as an older one could still come.
    told: BTreeMap<Vip, u64>,
    pub(crate) report_seq: u64,
    pub(crate) overflowed: bool,

    // To it.
    to: PairKey,
    session: u64,
    echo: u64,
    next_seq: u64,
    pub(crate) next_heartbeat: Instant,
    pub(crate) urge: Urge,
    last_extra: Option<Instant>,
    /// The next stretch of claims that it is to be sent again, and when.
    pub(crate) resend: Option<(Vip, Instant)>,
    pub(crate) resent: Option<Instant>,
    /// Numbers from here on were sent after this process last stood still.
    pub(crate) proof_from: u64,
}

/// Whether a heartbeat beyond the schedule is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urge {
    None,
    /// An answer, at most one per pace.
    Answer,
    /// A question, at once.
    Probe,
}

/// One start of a member.
#[derive(Debug)]
struct Inbound {
    incarnation: u64,
    key: PairKey,
    window: Window,
}

/// Its newest heartbeat.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) at: Instant,
    pub(crate) your_age: Option<Duration>,
    pub(crate) your_seq: u64,
    pub(crate) heard: BTreeMap<NodeId, Duration>,
    /// Those whose kernel refuses its heartbeats.
    pub(crate) refused: BTreeSet<NodeId>,
}

/// What opening a datagram found.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) message: Message,
    /// The first message of a new start.
    pub(crate) restarted: bool,
}

impl Member {
    pub(crate) fn new(settings: &Settings, node: NodeId, address: SocketAddr, nth: u64, now: Instant) -> Self {
        let Settings { timing, .. } = settings;
        // Multiples of the golden ratio spread any number of members evenly over the interval.
        let phase = timing.heartbeat().mul_f64((nth as f64 * 0.618_033_988_749_895).fract());
        Self {
            address,
            health: Health::Unknown,
            flags: Flags::default(),
            claims: ClaimSet::default(),
            digest: 0,
            report: None,
            heard: None,
            silent_since: now,
            heard_since: now,
            rebased: false,
            suspected: false,
            vetoed: None,
            down: None,
            refusals: Refusals::default(),
            period: timing.heartbeat(),
            dead: timing.dead(),
            from: None,
            newcomer: None,
            told: BTreeMap::new(),
            report_seq: 0,
            overflowed: false,
            to: settings.key.pair(settings.node, settings.incarnation, node),
            session: short_hash(&[b"session", &settings.seed.to_be_bytes(), &node.0.to_be_bytes(), &nth.to_be_bytes()]),
            echo: 0,
            // A member that goes and comes back must not see a number again: 2^40 messages are 500 years of heartbeats.
            next_seq: nth << 40 | 1,
            next_heartbeat: now + phase,
            urge: Urge::None,
            last_extra: None,
            resend: None,
            resent: None,
            proof_from: 0,
        }
    }

    /// Opens a datagram that names this member as its sender.
    pub(crate) fn open(
        &mut self,
        key: &Key,
        receiver: NodeId,
        header: &Header,
        datagram: &[u8],
    ) -> Result<Opened, Drop> {
        let known = self.from.as_ref().map_or(0, |from| from.incarnation);
        if header.incarnation < known || (self.health == Health::Left && header.incarnation == known) {
            return Err(Drop::OldIncarnation);
        }
        if let Some(from) = self.from.as_mut().filter(|from| from.incarnation == header.incarnation) {
            from.window.check(header.seq)?;
            let message = from.key.open(header, datagram)?;
            from.window.mark(header.seq);
            if header.echo != self.session {
                return Err(self.greet_stranger(header));
            }
            self.echo = header.session;
            return Ok(Opened { message, restarted: false });
        }
        let newcomer = match self.newcomer.take().filter(|newcomer| newcomer.incarnation == header.incarnation) {
            Some(newcomer) => newcomer,
            None => {
                let key = key.pair(header.node, header.incarnation, receiver);
                Inbound { incarnation: header.incarnation, key, window: Window::default() }
            }
        };
        newcomer.window.check(header.seq)?;
        let message = newcomer.key.open(header, datagram)?;
        let newcomer = self.newcomer.insert(newcomer);
        newcomer.window.mark(header.seq);
        if header.echo != self.session {
            return Err(self.greet_stranger(header));
        }
        self.echo = header.session;
        let restarted = self.from.is_some();
        self.from = self.newcomer.take();
        (self.report_seq, self.overflowed) = (0, false);
        self.told.clear();
        Ok(Opened { message, restarted })
    }

    /// A genuine message of one that does not know this start of this node: tells it the session, so that its next message counts. It
    /// may be a recording; then the answer goes to the real one, which does not care.
    fn greet_stranger(&mut self, header: &Header) -> Drop {
        self.echo = header.session;
        self.urge = self.urge.max(Urge::Answer);
        Drop::OtherSession
    }

    /// Something valid came.
    pub(crate) fn hear(&mut self, now: Instant, flags: Flags) {
        if !self.is_heard(now) {
            self.heard_since = now;
        }
        self.heard = Some(now);
        self.silent_since = now;
        (self.rebased, self.suspected) = (false, false);
        (self.vetoed, self.down) = (None, None);
        self.refusals.refute(now);
        self.flags = flags;
        self.health = Health::Up;
    }

    /// Whether a message with this number may speak of this address, or a newer one has.
    pub(crate) fn is_told_by(&mut self, vip: Vip, seq: u64) -> bool {
        let last = self.told.entry(vip).or_insert(seq);
        let newer = seq >= *last;
        *last = seq.max(*last);
        newer
    }

    /// Forgets the order of what the replay window keeps in order by itself.
    pub(crate) fn forget_order(&mut self) {
        let passed = self.highest_seq().saturating_sub(Window::SIZE);
        self.told.retain(|_, seq| *seq > passed);
    }

    /// Takes the times it runs by, within reason.
    pub(crate) fn learn_timing(&mut self, ours: &Timing, heartbeat: Duration, dead: Duration) {
        const MOST: Duration = Duration::from_secs(10);
        self.period = heartbeat.clamp(ours.heartbeat(), MOST);
        self.dead = dead.clamp(ours.dead(), MOST);
    }

    pub(crate) fn incarnation(&self) -> Option<u64> {
        self.from.as_ref().map(|from| from.incarnation)
    }

    pub(crate) fn highest_seq(&self) -> u64 {
        self.from.as_ref().map_or(0, |from| from.window.highest())
    }

    /// Its heartbeat interval, or ours if that is longer.
    pub(crate) fn period(&self) -> Duration {
        self.period
    }

    /// The silence that means its death.
    pub(crate) fn dead(&self) -> Duration {
        self.dead
    }

    pub(crate) fn suspect_after(&self) -> Duration {
        self.dead * 3 / 4
    }

    pub(crate) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.silent_since)
    }

    /// Not known to be dead or gone: what it claims counts, and it may become an heir.
    pub(crate) fn counts(&self) -> bool {
        matches!(self.health, Health::Up | Health::Suspect)
    }

    /// Heard by this node itself.
    pub(crate) fn is_heard(&self, now: Instant) -> bool {
        self.counts() && self.age(now) <= self.dead
    }

    /// Heard by this node, or lately by somebody that this node hears.
    pub(crate) fn is_reachable(&self, now: Instant) -> bool {
        self.is_heard(now)
            || self.counts() && self.vetoed.is_some_and(|at| now.saturating_duration_since(at) <= self.dead)
    }

    /// What it claims is known here.
    pub(crate) fn is_synced(&self) -> bool {
        self.digest == self.claims.digest()
    }

    /// Its newest heartbeat, if that is fresh enough to believe what it says of others.
    pub(crate) fn fresh_report(&self, now: Instant) -> Option<&Report> {
        self.report.as_ref().filter(|report| now.saturating_duration_since(report.at) < self.period * 2)
    }

    /// Whether its silence is a measurement of ours that others may use; not while it is counted from a guess that still flatters it.
    pub(crate) fn measured_age(&self, now: Instant) -> Option<Duration> {
        let age = self.age(now);
        (!self.rebased || age >= self.suspect_after()).then_some(age)
    }

    /// Moves the begin of its silence after this process was late: it may have spoken while nobody listened.
    pub(crate) fn forgive(&mut self, now: Instant, late: Duration, grace: Duration) {
        if self.counts() {
            let least = now.checked_sub(self.dead.saturating_sub(grace)).unwrap_or(now);
            self.silent_since = (self.silent_since + late).max(least).min(now);
            self.rebased = true;
        }
    }

    /// Whether it gets every heartbeat, or is only greeted.
    pub(crate) fn is_close(&self, now: Instant) -> bool {
        match self.health {
            Health::Unknown | Health::Left => false,
            Health::Up | Health::Suspect | Health::Down => self.age(now) < LONG_SILENT,
        }
    }

    /// Whether a heartbeat is due, and with which flags; to be asked once per wake-up.
    pub(crate) fn due(&mut self, now: Instant, timing: &Timing, learning: bool) -> Option<Flags> {
        let answer_at = self.answer_at(timing);
        let extra = match self.urge {
            Urge::Probe => Some(Flags::PROBE),
            Urge::Answer if answer_at.is_none_or(|at| now >= at) => Some(Flags::default()),
            Urge::Answer | Urge::None => None,
        };
        if extra.is_some() {
            self.urge = Urge::None;
            self.last_extra = Some(now);
        }
        if now < self.next_heartbeat {
            return extra;
        }
        let interval = self.interval(now, timing, learning);
        self.next_heartbeat += interval;
        if self.next_heartbeat <= now {
            // Late by more than an interval: the missed ones are gone, the place within the interval stays.
            let behind = now.duration_since(self.next_heartbeat).as_nanos() / interval.as_nanos().max(1);
            self.next_heartbeat += interval * u32::try_from(behind + 1).unwrap_or(u32::MAX);
        }
        Some(extra.unwrap_or_default())
    }

    /// When `due` may next say yes.
    pub(crate) fn next_due(&self, now: Instant, timing: &Timing) -> Instant {
        match self.urge {
            Urge::Probe => now,
            Urge::Answer => self.answer_at(timing).unwrap_or(now).min(self.next_heartbeat),
            Urge::None => self.next_heartbeat,
        }
    }

    /// Draws the next heartbeat near after it had been far.
    pub(crate) fn hurry(&mut self, now: Instant, timing: &Timing) {
        let soon = now + timing.heartbeat();
        if self.next_heartbeat > soon {
            let ahead = self.next_heartbeat.duration_since(now).as_nanos() % timing.heartbeat().as_nanos().max(1);
            self.next_heartbeat = now + Duration::from_nanos(u64::try_from(ahead).unwrap_or(0));
        }
    }

    fn answer_at(&self, timing: &Timing) -> Option<Instant> {
        self.last_extra.map(|last| last + timing.pace())
    }

    fn interval(&self, now: Instant, timing: &Timing, learning: bool) -> Duration {
        if self.is_close(now) {
            timing.heartbeat()
        } else if learning {
            // A lost greeting must not cost a second when everybody starts at once.
            (timing.learn() / 4).min(HELLO)
        } else {
            HELLO
        }
    }

    /// The next number that a message to it will have.
    pub(crate) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Seals a message to it.
    pub(crate) fn seal(&mut self, stamp: Stamp, message: &Message) -> Vec<u8> {
        let header = Header {
            kind: message.kind(),
            key_id: stamp.key_id,
            flags: stamp.flags,
            node: stamp.node,
            incarnation: stamp.incarnation,
            salt: stamp.salt,
            seq: self.next_seq,
            tx_us: stamp.tx_us,
            session: self.session,
            echo: self.echo,
        };
        self.next_seq += 1;
        self.to.seal(&header, message)
    }
}

/// What this node writes into every header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) key_id: u8,
    pub(crate) flags: Flags,
    pub(crate) node: NodeId,
    pub(crate) incarnation: u64,
    pub(crate) salt: u32,
    pub(crate) tx_us: u64,
}
