//! What was said about addresses on the segment: every ARP and neighbour discovery frame at every port of the switch.
//!
//! ```text
//! node1 ──port node1──┐          a broadcast of node1 is seen five times: once From node1,
//! node2 ──port node2──┤ bridge   then To each of the others; a frame that is dropped on the
//! client1 ─port ......┘          way (a cut, a loss) is seen From and not To
//! ```
//!
//! So "what did node1 send" ([`Log::sent_by`]) and "what reached the client" ([`Log::seen_by`]) are different questions. Times are
//! the kernel's.

pub mod frame;
pub(crate) mod socket;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use frame::{Frame, Kind};
use socket::PacketSocket;

use crate::wire::{Mac, Member, Wire, plan};

/// Which way a frame went through a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The member sent it.
    From,
    /// The switch delivered it to the member.
    To,
}

/// A frame at a port of the switch.
#[derive(Clone, Debug)]
pub struct Record {
    /// When.
    pub at: Instant,
    /// The member at the port.
    pub member: Arc<str>,
    /// Which way.
    pub way: Way,
    /// What it said.
    pub frame: Frame,
}

/// Sends frames from a member as they are, from the Ethernet header on: what no decent host would.
pub fn send_raw(from: &Member, frames: &[Vec<u8>]) -> Result<()> {
    from.namespace.enter(|| {
        let socket = PacketSocket::open(Duration::from_millis(1))?;
        socket.bind(plan::INTERFACE)?;
        frames.iter().try_for_each(|frame| socket.send(frame))
    })?
}

/// A running capture.
#[derive(Debug)]
pub struct Capture {
    log: Arc<Mutex<Vec<Record>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Capture {
    /// Starts; when this returns, nothing that happens is missed.
    pub fn start(wire: &Wire) -> Result<Self> {
        let names: Vec<Arc<str>> = wire.members().map(|member| member.name.as_str().into()).collect();
        let (log, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (ready, started) = mpsc::channel();
        let (theirs, ended) = (Arc::clone(&log), Arc::clone(&stop));
        let thread = wire.switch.spawn("capture", move || record(&names, &theirs, &ended, &ready))?;
        if started.recv().is_err() {
            // It ended before it began: its own error says why.
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            bail!("a thread ended before it began");
        }
        Ok(Self { log, stop, thread: Some(thread) })
    }

    /// All so far. The thread that reads may be some milliseconds behind the wire; see [`Capture::stop`] for all there is.
    #[must_use]
    pub fn log(&self) -> Log {
        Log { records: self.log.lock().unwrap_or_else(PoisonError::into_inner).clone() }
    }

    /// Ends it, with everything that happened before.
    pub fn stop(mut self) -> Result<Log> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("a capture is stopped once")?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok(self.log())
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// What was captured, in order of time.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// All of it.
    pub records: Vec<Record>,
}

impl Log {
    /// Only what the switch delivered to a member.
    #[must_use]
    pub fn seen_by(&self, member: &str) -> Self {
        self.only(|record| record.way == Way::To && &*record.member == member)
    }

    /// Only what a member sent, whether or not the switch passed it on.
    #[must_use]
    pub fn sent_by(&self, member: &str) -> Self {
        self.only(|record| record.way == Way::From && &*record.member == member)
    }

    /// Only what was sent, each frame once.
    #[must_use]
    pub fn sent(&self) -> Self {
        self.only(|record| record.way == Way::From)
    }

    /// Only what happened from `from` until before `until`.
    #[must_use]
    pub fn between(&self, from: Instant, until: Instant) -> Self {
        self.only(|record| (from..until).contains(&record.at))
    }

    /// Only what happened from `from` on.
    #[must_use]
    pub fn since(&self, from: Instant) -> Self {
        self.only(|record| record.at >= from)
    }

    /// Only what says where `ip` is: answers, announcements, requests from it.
    #[must_use]
    pub fn claims(&self, ip: IpAddr) -> Self {
        self.only(|record| record.frame.sender == ip)
    }

    /// Who answered requests for `ip`: its MAC as the answer gave it, and how often.
    #[must_use]
    pub fn answerers(&self, ip: IpAddr) -> BTreeMap<Mac, usize> {
        let mut found = BTreeMap::new();
        for record in self.claims(ip).records {
            if record.frame.kind == Kind::Reply {
                *found.entry(record.frame.sender_mac.unwrap_or(record.frame.source)).or_default() += 1;
            }
        }
        found
    }

    /// Everybody who said that `ip` is at its own MAC, answering or announcing: more than one after a change means two owners.
    #[must_use]
    pub fn claimants(&self, ip: IpAddr) -> BTreeSet<Mac> {
        self.claims(ip).records.iter().filter_map(|record| record.frame.sender_mac).collect()
    }

    /// The first unasked announcement of `ip`.
    #[must_use]
    pub fn first_announcement(&self, ip: IpAddr) -> Option<&Record> {
        self.records.iter().find(|record| record.frame.sender == ip && record.frame.announces())
    }

    /// The first frame by which a given MAC says that it has `ip`.
    #[must_use]
    pub fn first_claim(&self, ip: IpAddr, mac: Mac) -> Option<&Record> {
        self.records.iter().find(|record| record.frame.sender == ip && record.frame.sender_mac == Some(mac))
    }

    fn only(&self, keep: impl Fn(&Record) -> bool) -> Self {
        Self { records: self.records.iter().filter(|record| keep(record)).cloned().collect() }
    }
}

fn record(names: &[Arc<str>], log: &Mutex<Vec<Record>>, stop: &AtomicBool, ready: &mpsc::Sender<()>) -> Result<()> {
    let socket = PacketSocket::open(WAKE_UP)?;
    let mut ports = BTreeMap::new();
    for name in names {
        let index = nix::net::if_::if_nametoindex(&**name).with_context(|| format!("look up port {name}"))?;
        ports.insert(index, Arc::clone(name));
    }
    // Whoever waits for it may have gone.
    let _ = ready.send(());
    let mut buffer = [0; 256];
    let mut until = None;
    loop {
        if until.is_none() && stop.load(Ordering::Relaxed) {
            until = Some(Instant::now());
        }
        let Some(received) = socket.receive(&mut buffer)? else {
            if until.is_some() {
                return Ok(());
            }
            continue;
        };
        // What happened before the stop is read to the end, on a busy segment too.
        if until.is_some_and(|until| received.at > until) {
            return Ok(());
        }
        let Some(member) = ports.get(&received.interface) else { continue };
        let Some(frame) = Frame::parse(&buffer[..received.length.min(buffer.len())]) else { continue };
        let way = if received.outgoing { Way::To } else { Way::From };
        let record = Record { at: received.at, member: Arc::clone(member), way, frame };
        log.lock().unwrap_or_else(PoisonError::into_inner).push(record);
    }
}

/// How often a silent segment lets the thread look whether it should end.
const WAKE_UP: Duration = Duration::from_millis(20);
