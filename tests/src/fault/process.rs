//! Signals to processes, and the moment in which they acted.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

use super::When;

/// Whom a signal is for.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// One process.
    Process(u32),
    /// A process and all that it started: it leads a process group, as those of [`crate::netns::Namespace::command`] do.
    Group(u32),
}

impl Target {
    fn leader(self) -> Pid {
        let (Self::Process(id) | Self::Group(id)) = self;
        // The kernel's process ids fit: its limit is 2^22.
        Pid::from_raw(i32::try_from(id).unwrap_or(i32::MAX))
    }
}

/// Sends a signal and, for SIGKILL, SIGSTOP and SIGCONT, waits until the kernel has carried it out on the process itself: its
/// sockets are closed, all its threads are halted, or it runs again. Other signals are the process's own business.
pub fn strike(target: Target, signal: Signal) -> Result<When> {
    let leader = target.leader();
    When::of(|| {
        match target {
            Target::Process(_) => kill(leader, signal),
            Target::Group(_) => killpg(leader, signal),
        }
        .with_context(|| format!("send {signal} to {target:?}"))?;
        match signal {
            Signal::SIGKILL => wait_for(leader, |states| states.iter().all(|state| matches!(state, 'Z' | 'X'))),
            Signal::SIGSTOP => wait_for(leader, |states| states.iter().all(|state| matches!(state, 'T' | 'Z' | 'X'))),
            Signal::SIGCONT => wait_for(leader, |states| states.iter().all(|state| *state != 'T')),
            _ => Ok(()),
        }
    })
}

/// Waits until the states of the process's threads are as wanted. None are left of a process that somebody has waited for.
fn wait_for(pid: Pid, done: impl Fn(&[char]) -> bool) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let states = thread_states(pid);
        if done(&states) {
            return Ok(());
        }
        if Instant::now() > deadline {
            anyhow::bail!("process {pid} has not followed the signal after 5 s: its threads are {states:?}");
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn thread_states(pid: Pid) -> Vec<char> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads
        .filter_map(|thread| {
            // `id (name) state ...`; the name may hold parentheses.
            let stat = fs::read_to_string(thread.path().join("stat")).ok()?;
            stat.rsplit_once(") ")?.1.chars().next()
        })
        .collect()
}
