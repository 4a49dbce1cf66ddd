//! Who owns an address, asked as a neighbour asks: by ARP request or neighbour solicitation to all.
//!
//! Every machine that hears an answer may move its neighbour entry by it. So ask from a client whose own traffic is not being
//! measured.

use std::{
    collections::BTreeMap,
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

use super::{
    hurry,
    report::{Answer, Outcome, Report, Sample},
};
use crate::{
    capture::{
        frame::{self, Frame, Kind},
        socket::PacketSocket,
    },
    wire::{Mac, Member, plan},
};

/// Asks once who has `ip` and collects all answers of a window: each MAC with how long its first answer took.
pub fn who_answers(from: &Member, ip: IpAddr, window: Duration) -> Result<BTreeMap<Mac, Duration>> {
    from.namespace.enter(|| {
        let socket = open(Duration::from_millis(1))?;
        let asked = Instant::now();
        socket.send(&question(from, ip)?)?;
        let mut answers = BTreeMap::new();
        while asked.elapsed() < window {
            if let Some((mac, at)) = next_answer(&socket, from, ip)? {
                answers.entry(mac).or_insert(at.saturating_duration_since(asked));
            }
        }
        Ok(answers)
    })?
}

/// Asks at an interval. In its report `by` is a MAC address; a second answer to one question is among the doubles.
#[derive(Debug)]
pub struct AddressProbe {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    report: Mutex<Report>,
    stop: AtomicBool,
}

impl AddressProbe {
    /// Starts asking for `ip`.
    pub fn start(from: &Member, ip: IpAddr, interval: Duration) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let (theirs, question) = (Arc::clone(&shared), question(from, ip)?);
        let asker = from.clone();
        let (ready, started) = mpsc::channel();
        let thread = from.namespace.spawn("address-probe", move || {
            hurry();
            let socket = open(Duration::from_millis(1))?;
            let _ = ready.send(());
            ask(&socket, &asker, ip, &question, interval, &theirs)
        })?;
        if started.recv().is_err() {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            bail!("a thread ended before it began");
        }
        Ok(Self { shared, thread: Some(thread) })
    }

    /// What was seen so far.
    #[must_use]
    pub fn report(&self) -> Report {
        self.shared.report.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends it.
    pub fn stop(mut self) -> Result<Report> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("a probe is stopped once")?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok(self.report())
    }
}

impl Drop for AddressProbe {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

fn ask(
    socket: &PacketSocket,
    from: &Member,
    ip: IpAddr,
    question: &[u8],
    interval: Duration,
    shared: &Shared,
) -> Result<()> {
    let mut due = Instant::now();
    let mut stopped_at = None;
    // After the end, the last question has one interval for its answer.
    while stopped_at.is_none_or(|at: Instant| at.elapsed() < interval) {
        if stopped_at.is_none() && shared.stop.load(Ordering::Relaxed) {
            stopped_at = Some(Instant::now());
        }
        let now = Instant::now();
        if stopped_at.is_none() && now >= due {
            let mut report = shared.report.lock().unwrap_or_else(PoisonError::into_inner);
            report.samples.push(Sample { sent: now, outcome: Outcome::Silence });
            report.worst_lateness = report.worst_lateness.max(now - due);
            drop(report);
            // The link may be down; then nobody is asked, and nobody answers.
            let _ = socket.send(question);
            due = (due + interval).max(now);
        }
        if let Some((mac, at)) = next_answer(socket, from, ip)? {
            let answer = Answer { at, by: mac.to_string().into() };
            let mut report = shared.report.lock().unwrap_or_else(PoisonError::into_inner);
            match report.samples.last_mut() {
                Some(last) if last.answer().is_none() => last.outcome = Outcome::Answered(answer),
                Some(_) | None => report.doubles.push(answer),
            }
        }
    }
    Ok(())
}

fn open(wait: Duration) -> Result<PacketSocket> {
    let socket = PacketSocket::open(wait)?;
    socket.bind(plan::INTERFACE)?;
    Ok(socket)
}

fn question(from: &Member, ip: IpAddr) -> Result<Vec<u8>> {
    frame::request(from.mac, from.address_like(ip), ip).context("asker and address are of one family")
}

/// The next answer about `ip` to this member, if one comes before the socket's limit.
fn next_answer(socket: &PacketSocket, from: &Member, ip: IpAddr) -> Result<Option<(Mac, Instant)>> {
    let mut buffer = [0; 256];
    let Some(received) = socket.receive(&mut buffer)? else { return Ok(None) };
    if received.outgoing {
        return Ok(None);
    }
    let answer = Frame::parse(&buffer[..received.length.min(buffer.len())])
        .filter(|frame| frame.kind == Kind::Reply && frame.sender == ip && frame.destination == from.mac);
    Ok(answer.map(|frame| (frame.sender_mac.unwrap_or(frame.source), received.at)))
}
