//! The speaker's BFD, alone on a thread of a node, as the pulse thread runs it.

use std::{
    collections::BTreeMap,
    os::fd::AsFd,
    sync::{Arc, Mutex, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::Result;
use herald_bfd::{Observed, Path, Settings};
use herald_tests::wire::Node;
use nix::{
    poll::{PollFd, PollFlags, ppoll},
    sys::{
        eventfd::{EfdFlags, EventFd},
        time::TimeSpec,
    },
};
use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio::sync::watch;

use crate::{
    metrics::bfd::Metrics,
    net::realtime,
    pulse::bfd::{Bfd, PeerState, PeerStates, Said},
};

enum Command {
    Order(BTreeMap<Path, Settings>),
    Leave,
    End,
}

/// Dropped, it dies without a word to its peers.
pub(crate) struct Speaker {
    commands: mpsc::Sender<Command>,
    wake: Arc<EventFd>,
    states: watch::Receiver<PeerStates>,
    shared: Arc<Mutex<Shared>>,
    registry: Registry,
    thread: Option<JoinHandle<Result<()>>>,
}

#[derive(Default)]
struct Shared {
    observed: Vec<Observed>,
    idle: bool,
}

impl Speaker {
    pub(crate) fn start(node: &Node) -> Self {
        let mut registry = Registry::default();
        let seed = Instant::now().elapsed().subsec_nanos().into();
        let (bfd, states) = Bfd::new(seed, Metrics::new(&mut registry));
        let wake = Arc::new(EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC).unwrap());
        let (commands, inbox) = mpsc::channel();
        let shared = Arc::new(Mutex::new(Shared::default()));
        let (woken, told) = (Arc::clone(&wake), Arc::clone(&shared));
        let thread = node.namespace.spawn("pulse", move || run(bfd, &inbox, &woken, &told)).unwrap();
        Self { commands, wake, states, shared, registry, thread: Some(thread) }
    }

    pub(crate) fn order(&self, paths: &[Path], settings: Settings) {
        self.send(Command::Order(paths.iter().map(|path| (*path, settings)).collect()));
    }

    pub(crate) fn leave(&self) {
        self.send(Command::Leave);
    }

    /// What a BGP session would act on.
    pub(crate) fn state(&self, path: &Path) -> Option<PeerState> {
        self.states.borrow().get(path).copied()
    }

    /// As the tasks of BGP see them.
    #[allow(dead_code, reason = "the tests of BFD alone have no use for it")]
    pub(crate) fn states(&self) -> watch::Receiver<PeerStates> {
        self.states.clone()
    }

    /// Whether it left and nothing is left to say.
    pub(crate) fn idle(&self) -> bool {
        self.shared.lock().unwrap().idle
    }

    pub(crate) fn observed(&self) -> Vec<Observed> {
        self.shared.lock().unwrap().observed.clone()
    }

    /// Packets that were discarded for a reason, from the metrics.
    pub(crate) fn dropped(&self, reason: &str) -> u64 {
        let mut text = String::new();
        encode(&mut text, &self.registry).unwrap();
        let name = format!("herald_bfd_packets_ignored_total{{reason=\"{reason}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap_or_default()
    }

    fn send(&self, command: Command) {
        self.commands.send(command).unwrap();
        self.wake.write(1).unwrap();
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        self.send(Command::End);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(mut bfd: Bfd, inbox: &mpsc::Receiver<Command>, wake: &EventFd, shared: &Mutex<Shared>) -> Result<()> {
    realtime::schedule_fifo().and_then(|()| realtime::lock_memory()).map_err(anyhow::Error::msg)?;
    let mut buffer = [0; 2048];
    let mut left = false;
    loop {
        let idle = Duration::from_secs(1);
        let timeout = bfd.deadline().map_or(idle, |at| at.saturating_duration_since(Instant::now())).min(idle);
        let descriptors = std::iter::once(wake.as_fd()).chain(bfd.descriptors());
        let mut polled: Vec<_> = descriptors.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        ppoll(&mut polled, Some(TimeSpec::from_duration(timeout)), None)?;
        let now = Instant::now();
        let _ = wake.read();
        for command in inbox.try_iter() {
            match command {
                Command::Order(wanted) => bfd.order(now, &wanted),
                Command::Leave => {
                    bfd.leave(now);
                    left = true;
                }
                Command::End => return Ok(()),
            }
        }
        bfd.run(now, &mut buffer);
        let mut shared = shared.lock().unwrap();
        for said in bfd.said() {
            match said {
                Said::Observed(observed) => shared.observed.push(observed),
                Said::Failed { what, error } => eprintln!("{what}: {error}"),
            }
        }
        shared.idle = left && bfd.idle();
    }
}
