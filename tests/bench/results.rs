//! All that was measured: what tables are made from, and a file for who wants to make another one.

use std::{env, fs, path::PathBuf};

use anyhow::{Context as _, Result};
use herald_tests::cluster::repository;
use serde::Serialize;

use crate::{
    machine::Machine,
    measure::{Fault, Run, Seen},
};

/// Everything.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) load_before: String,
    pub(crate) load_after: String,
    pub(crate) rows: Vec<Row>,
}

/// One fault to one system.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) system: &'static str,
    pub(crate) fault: Fault,
    pub(crate) runs: Vec<Run>,
    /// Runs that say nothing because the probe was late.
    pub(crate) discarded: usize,
    /// Times that an owner was another one at the beginning of a run than at the end of the last one.
    pub(crate) strays: usize,
    /// Why runs did not come to their end.
    pub(crate) failures: Vec<String>,
}

impl Row {
    pub(crate) fn new(system: &'static str, fault: Fault) -> Self {
        Self { system, fault, runs: Vec::new(), discarded: 0, strays: 0, failures: Vec::new() }
    }

    /// What was seen of the addresses of one family.
    pub(crate) fn seen(&self, ipv6: bool) -> Vec<&Seen> {
        self.runs.iter().flat_map(|run| &run.addresses).filter(|seen| seen.ipv6 == ipv6).collect()
    }
}

impl Results {
    /// Writes the file and says where.
    pub(crate) fn save(&self) -> Result<PathBuf> {
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from);
        let file = target.join("bench-failover.json");
        fs::write(&file, serde_json::to_string_pretty(self)?).with_context(|| format!("writing {}", file.display()))?;
        Ok(file)
    }
}

/// Least, median and greatest of some numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Nothing of nothing.
    pub(crate) fn of(numbers: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut numbers: Vec<f64> = numbers.into_iter().collect();
        numbers.sort_by(f64::total_cmp);
        let (min, max) = (*numbers.first()?, *numbers.last()?);
        let (half, even) = (numbers.len() / 2, numbers.len().is_multiple_of(2));
        let median = if even { f64::midpoint(numbers[half - 1], numbers[half]) } else { numbers[half] };
        Some(Self { min, median, max })
    }
}
