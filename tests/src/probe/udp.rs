//! A datagram every few milliseconds. One thread sends by the clock, one for each flow receives: neither waits for the other.
//!
//! A flow is a source port. With one flow, connection tracking keeps the probes at one backend as long as nothing happens; with
//! several, a service that spreads is seen to spread.

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::{
    hurry,
    report::{Answer, Outcome, Report, Sample},
};
use crate::netns::Namespace;

/// A running UDP probe. Dropped without [`UdpProbe::stop`] it ends and says nothing.
#[derive(Debug)]
pub struct UdpProbe {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Result<()>>>,
}

#[derive(Debug)]
struct Shared {
    /// Tells our answers from those to an earlier probe on the same port.
    run: u32,
    sent: Mutex<Vec<Instant>>,
    heard: Mutex<Vec<(u32, Heard)>>,
    lateness: Mutex<Duration>,
    stop_sending: AtomicBool,
    stop_hearing: AtomicBool,
}

#[derive(Debug)]
enum Heard {
    Answer(Answer),
    Refusal(Instant),
}

impl UdpProbe {
    /// Starts one on a single flow.
    pub fn start(from: &Namespace, target: SocketAddr, interval: Duration) -> Result<Self> {
        Self::start_flows(from, target, interval, 1)
    }

    /// Starts one that goes round `flows` source ports.
    pub fn start_flows(from: &Namespace, target: SocketAddr, interval: Duration, flows: usize) -> Result<Self> {
        let sockets: Vec<UdpSocket> =
            from.enter(|| (0..flows.max(1)).map(|_| connected(target)).collect::<Result<_>>())??;
        let shared = Arc::new(Shared {
            run: std::process::id() ^ u32::from(sockets[0].local_addr()?.port()) << 16,
            sent: Mutex::default(),
            heard: Mutex::default(),
            lateness: Mutex::default(),
            stop_sending: AtomicBool::new(false),
            stop_hearing: AtomicBool::new(false),
        });
        let mut threads = Vec::new();
        for socket in &sockets {
            let (socket, shared) = (socket.try_clone()?, Arc::clone(&shared));
            threads.push(thread::Builder::new().name("udp-hear".into()).spawn(move || hear(&socket, &shared))?);
        }
        let sending = Arc::clone(&shared);
        let sender = move || send(&sockets, interval, &sending);
        threads.push(thread::Builder::new().name("udp-send".into()).spawn(sender)?);
        Ok(Self { shared, threads })
    }

    /// What was seen so far; the youngest probes may still be on their way.
    #[must_use]
    pub fn report(&self) -> Report {
        let sent = lock(&self.shared.sent).clone();
        let mut report = Report {
            samples: sent.into_iter().map(|sent| Sample { sent, outcome: Outcome::Silence }).collect(),
            worst_lateness: *lock(&self.shared.lateness),
            ..Report::default()
        };
        for (number, heard) in lock(&self.shared.heard).iter() {
            let Some(sample) = report.samples.get_mut(*number as usize) else { continue };
            match (heard, sample.answer().is_some()) {
                (Heard::Answer(answer), false) => sample.outcome = Outcome::Answered(answer.clone()),
                (Heard::Answer(answer), true) => report.doubles.push(answer.clone()),
                (Heard::Refusal(at), false) => sample.outcome = Outcome::Refused(*at),
                (Heard::Refusal(_), true) => {}
            }
        }
        report
    }

    /// Waits until `count` probes sent from now on were answered; false if that did not happen in time.
    pub fn wait_for_answers(&self, count: usize, within: Duration) -> bool {
        let start = Instant::now();
        while start.elapsed() < within {
            if self.report().answered_since(start) >= count {
                return true;
            }
            thread::sleep(Duration::from_millis(2));
        }
        false
    }

    /// Ends it: sends no more, and gives what is on its way [`GRACE`] to arrive.
    pub fn stop(mut self) -> Result<Report> {
        self.shared.stop_sending.store(true, Ordering::Relaxed);
        let start = Instant::now();
        while start.elapsed() < GRACE && self.report().samples.last().is_some_and(|last| last.answer().is_none()) {
            thread::sleep(Duration::from_millis(2));
        }
        self.shared.stop_hearing.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        Ok(self.report())
    }
}

impl Drop for UdpProbe {
    fn drop(&mut self) {
        self.shared.stop_sending.store(true, Ordering::Relaxed);
        self.shared.stop_hearing.store(true, Ordering::Relaxed);
    }
}

fn connected(target: SocketAddr) -> Result<UdpSocket> {
    let any: SocketAddr =
        if target.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = UdpSocket::bind(any)?;
    socket.connect(target).with_context(|| format!("no way to {target}"))?;
    socket.set_read_timeout(Some(WAKE_UP))?;
    Ok(socket)
}

fn send(sockets: &[UdpSocket], interval: Duration, shared: &Shared) -> Result<()> {
    hurry();
    let mut due = Instant::now();
    for (number, socket) in (0_u32..).zip(sockets.iter().cycle()) {
        if let Some(wait) = due.checked_duration_since(Instant::now()) {
            thread::sleep(wait);
        }
        if shared.stop_sending.load(Ordering::Relaxed) {
            break;
        }
        let mut probe = MAGIC.to_vec();
        probe.extend(shared.run.to_be_bytes());
        probe.extend(number.to_be_bytes());
        let now = Instant::now();
        lock(&shared.sent).push(now);
        // No neighbour, a refusal of an earlier probe, a full queue: the probe is lost, and that is what we are here to see.
        let _ = socket.send(&probe);
        let late = now.saturating_duration_since(due);
        {
            let mut worst = lock(&shared.lateness);
            *worst = late.max(*worst);
        }
        // A probe that was held up does not send what it missed in a burst.
        due = (due + interval).max(now);
    }
    Ok(())
}

fn hear(socket: &UdpSocket, shared: &Shared) -> Result<()> {
    hurry();
    let mut buffer = [0; 512];
    while !shared.stop_hearing.load(Ordering::Relaxed) {
        let length = match socket.recv(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                // The message does not say which probe: the last one it is.
                let at = Instant::now();
                let last = lock(&shared.sent).len().saturating_sub(1) as u32;
                lock(&shared.heard).push((last, Heard::Refusal(at)));
                continue;
            }
            // Nothing in time, or the kernel tells of a probe that it could not deliver.
            Err(_) => continue,
        };
        let at = Instant::now();
        let (own, by) = buffer[..length].split_at_checked(PROBE_BYTES).unwrap_or_default();
        let number = own.strip_prefix(MAGIC).and_then(|rest| rest.strip_prefix(&shared.run.to_be_bytes()));
        let Some(number) = number.and_then(|number| number.try_into().ok()).map(u32::from_be_bytes) else { continue };
        let by = String::from_utf8_lossy(by).trim().into();
        lock(&shared.heard).push((number, Heard::Answer(Answer { at, by })));
    }
    Ok(())
}

fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

const MAGIC: &[u8] = b"herald:\0";
const PROBE_BYTES: usize = MAGIC.len() + 8;
/// Far above the round trip of a healthy segment.
const GRACE: Duration = Duration::from_millis(300);
/// How often a silent receiver looks whether it should end.
const WAKE_UP: Duration = Duration::from_millis(50);
