//! What the measurements were made on, and the moments they are made at.

use std::{
    fmt, fs,
    hash::{BuildHasher as _, RandomState},
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use serde::Serialize;

/// The machine and the programs that are compared.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    cores: usize,
    kernel: String,
    keepalived: String,
    /// Whether this program, and so Herald beside it, is optimised.
    optimised: bool,
}

impl Machine {
    pub(crate) fn look() -> Result<Self> {
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").context("reading the kernel's version")?;
        let version = Command::new("keepalived").arg("--version").output().context("keepalived is not installed")?;
        let said = String::from_utf8_lossy(&[version.stderr, version.stdout].concat()).into_owned();
        // `Keepalived v2.2.7 (01/16,2022), ...`
        let keepalived = said.split_whitespace().nth(1).unwrap_or("of unknown version").to_owned();
        Ok(Self {
            cores: thread::available_parallelism()?.get(),
            kernel: kernel.trim().to_owned(),
            keepalived,
            optimised: !cfg!(debug_assertions),
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cores, kernel, keepalived, optimised } = self;
        let build = if *optimised { "optimised build" } else { "build that is not optimised" };
        write!(f, "{cores} cores, Linux {kernel}, keepalived {keepalived}, {build}")
    }
}

/// The load averages over 1, 5 and 15 minutes.
pub(crate) fn load() -> Result<String> {
    let text = fs::read_to_string("/proc/loadavg").context("reading the load")?;
    Ok(text.split_whitespace().take(3).collect::<Vec<_>>().join(" "))
}

/// Spreads the faults over the time between two signs of life: each round has its own slice of it, and a random moment therein. What
/// a run waits for before may itself be in step with the signs of life; so chance alone, ten times, may miss half of it.
pub(crate) struct Phase {
    rounds: usize,
    random: RandomState,
    drawn: u64,
}

impl Phase {
    pub(crate) fn new(rounds: usize) -> Self {
        Self { rounds, random: RandomState::new(), drawn: 0 }
    }

    /// How long to wait before the fault of a round.
    pub(crate) fn next(&mut self, round: usize, interval: Duration) -> Duration {
        self.drawn += 1;
        let within_slice = (self.random.hash_one(self.drawn) >> 11) as f64 / (1_u64 << 53) as f64;
        interval.mul_f64((round as f64 + within_slice) / self.rounds as f64)
    }
}
