//! Connections at an interval, or requests at an interval on one connection. One thread with a runtime of its own, so that many may
//! be waiting at once: a lost SYN waits a second while the next probes go on.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::MissedTickBehavior,
};

use super::{
    http, hurry,
    report::{Answer, Outcome, Report, Sample},
};
use crate::netns::Namespace;

/// What to do at each interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Open a connection and close it. The answer has no name: the handshake does not say who it was.
    Connect,
    /// Open a connection, get `/`, close it.
    Get,
    /// Get `/` on the connection that is open. When that ends, the requests on it are lost and the next one opens another.
    Flow,
}

/// A running TCP probe. Dropped without [`TcpProbe::stop`] it ends and says nothing.
#[derive(Debug)]
pub struct TcpProbe {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    samples: Mutex<Vec<Sample>>,
    resets: Mutex<Vec<Instant>>,
    lateness: Mutex<Duration>,
    stop: AtomicBool,
}

impl TcpProbe {
    /// Starts one.
    pub fn start(from: &Namespace, target: SocketAddr, interval: Duration, ask: Ask) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = from.spawn("tcp-probe", move || run(target, interval, ask, &theirs))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// What was seen so far; what is still on its way counts as silence.
    #[must_use]
    pub fn report(&self) -> Report {
        let samples = lock(&self.shared.samples).clone();
        let (resets, worst_lateness) = (lock(&self.shared.resets).clone(), *lock(&self.shared.lateness));
        Report { samples, resets, worst_lateness, ..Report::default() }
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
        self.shared.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("a probe is stopped once")?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok(self.report())
    }
}

impl Drop for TcpProbe {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn begin(&self) -> usize {
        let mut samples = lock(&self.samples);
        samples.push(Sample { sent: Instant::now(), outcome: Outcome::Silence });
        samples.len() - 1
    }

    fn end(&self, number: usize, outcome: Outcome) {
        lock(&self.samples)[number].outcome = outcome;
    }

    /// Says what became of requests whose connection ended.
    fn fail(&self, numbers: impl IntoIterator<Item = usize>, error: &io::Error) {
        let outcome = failure(error);
        if let Outcome::Reset(at) = outcome {
            lock(&self.resets).push(at);
        }
        for number in numbers {
            self.end(number, outcome.clone());
        }
    }

    fn answered_all(&self) -> bool {
        // Newest first, as they are what we wait for.
        lock(&self.samples).iter().rev().all(|sample| sample.outcome != Outcome::Silence)
    }
}

fn run(target: SocketAddr, interval: Duration, ask: Ask, shared: &Arc<Shared>) -> Result<()> {
    hurry();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut flow = Flow { target, shared: Arc::clone(shared), open: None };
        while !shared.stop.load(Ordering::Relaxed) {
            let due = ticks.tick().await;
            {
                let mut worst = lock(&shared.lateness);
                *worst = due.elapsed().max(*worst);
            }
            match ask {
                Ask::Connect | Ask::Get => {
                    tokio::spawn(once(target, ask, Arc::clone(shared)));
                }
                Ask::Flow => flow.request().await,
            }
        }
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline && !shared.answered_all() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    runtime.shutdown_background();
    Ok(())
}

async fn once(target: SocketAddr, ask: Ask, shared: Arc<Shared>) {
    let number = shared.begin();
    let asked = async {
        let mut stream = TcpStream::connect(target).await?;
        if ask == Ask::Connect {
            return Ok(String::new());
        }
        stream.set_nodelay(true)?;
        stream.write_all(http::request(target, false).as_bytes()).await?;
        read_answer(&mut stream, &mut Vec::new()).await
    };
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(by)) => shared.end(number, Outcome::Answered(Answer { at: Instant::now(), by: by.into() })),
        Ok(Err(error)) => shared.fail([number], &error),
        Err(_) => {}
    }
}

/// One connection at a time, with the requests that wait for answers on it.
struct Flow {
    target: SocketAddr,
    shared: Arc<Shared>,
    open: Option<Open>,
}

struct Open {
    write: OwnedWriteHalf,
    waiting: tokio::sync::mpsc::UnboundedSender<usize>,
    reader: tokio::task::JoinHandle<()>,
}

impl Flow {
    async fn request(&mut self) {
        let number = self.shared.begin();
        if self.open.as_ref().is_none_or(|open| open.reader.is_finished()) {
            self.open = match tokio::time::timeout(PATIENCE, TcpStream::connect(self.target)).await {
                Ok(Ok(stream)) => Some(self.read_from(stream)),
                Ok(Err(error)) => return self.shared.fail([number], &error),
                Err(_) => return,
            };
        }
        let Some(open) = &mut self.open else { return };
        // The reader learns of it first, so that it counts as outstanding if the connection ends right now.
        let _ = open.waiting.send(number);
        // A full send buffer means a stalled flow: this request is lost with it. A reset is the reader's to report.
        let request = http::request(self.target, true);
        if let Ok(written) = open.write.try_write(request.as_bytes())
            && written < request.len()
        {
            self.open = None;
        }
    }

    fn read_from(&self, stream: TcpStream) -> Open {
        // Without it a request waits for the acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        let (read, write) = stream.into_split();
        let (waiting, numbers) = tokio::sync::mpsc::unbounded_channel();
        let reader = tokio::spawn(read_flow(read, numbers, Arc::clone(&self.shared)));
        Open { write, waiting, reader }
    }
}

/// Gives answers to requests in order until the connection ends, then to those outstanding its end.
async fn read_flow(
    mut read: OwnedReadHalf,
    mut waiting: tokio::sync::mpsc::UnboundedReceiver<usize>,
    shared: Arc<Shared>,
) {
    let mut received = Vec::new();
    let error = loop {
        match read_answer(&mut read, &mut received).await {
            Ok(by) => {
                let answer = Outcome::Answered(Answer { at: Instant::now(), by: by.into() });
                let Some(number) = waiting.recv().await else { return };
                shared.end(number, answer);
            }
            Err(error) => break error,
        }
    };
    waiting.close();
    let mut outstanding = Vec::new();
    while let Some(number) = waiting.recv().await {
        outstanding.push(number);
    }
    shared.fail(outstanding, &error);
}

async fn read_answer(stream: &mut (impl tokio::io::AsyncRead + Unpin), received: &mut Vec<u8>) -> io::Result<String> {
    let mut buffer = [0; 2048];
    loop {
        if let Some(by) = http::take_answer(received) {
            return Ok(by);
        }
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            // Whoever ends a connection with a request open has forgotten it.
            return Err(ErrorKind::ConnectionReset.into());
        }
        received.extend_from_slice(&buffer[..length]);
    }
}

fn failure(error: &io::Error) -> Outcome {
    let now = Instant::now();
    match error.kind() {
        ErrorKind::ConnectionRefused => Outcome::Refused(now),
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => Outcome::Reset(now),
        // No route, no neighbour, given up: nobody answered.
        _ => Outcome::Silence,
    }
}

fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// When a connection attempt or a request counts as unanswered: after the kernel's first retries of a SYN, at 1 s and 3 s.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the end waits for what is on its way.
const GRACE: Duration = Duration::from_millis(300);
