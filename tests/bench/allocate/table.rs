//! What was measured, as Markdown and as JSON, with what it should be beside it.

use std::{env, fmt::Write as _, fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use herald_tests::cluster::repository;
use serde::Serialize;

use crate::meter::{Memory, Writes};

#[derive(Debug, Default, Serialize)]
pub(crate) struct Results {
    pub(crate) machine: String,
    pub(crate) load_before: String,
    pub(crate) load_after: String,
    pub(crate) rows: Vec<Row>,
}

/// One line of the table.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Row {
    /// Whose controller it was.
    pub(crate) maker: &'static str,
    /// What was done, on top of how many Services.
    pub(crate) what: String,
    pub(crate) services: usize,
    /// What the numbers are of.
    pub(crate) of: &'static str,
    pub(crate) ms: Vec<f64>,
    /// Controller processor time, all of the row together.
    pub(crate) cpu_ms: Option<f64>,
    pub(crate) memory: Option<Memory>,
    pub(crate) writes: Writes,
    pub(crate) targets: Vec<Target>,
}

/// A number to reach.
#[derive(Debug, Serialize)]
pub(crate) struct Target {
    pub(crate) what: String,
    pub(crate) found: f64,
    pub(crate) most: f64,
}

impl Target {
    pub(crate) fn new(what: &str, found: f64, most: f64) -> Self {
        Self { what: what.to_owned(), found, most }
    }

    fn met(&self) -> bool {
        self.found <= self.most
    }
}

impl Row {
    /// A quantile of what was measured, between two numbers where it lies there.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.ms.clone();
        sorted.sort_by(f64::total_cmp);
        let at = sorted.len().saturating_sub(1) as f64 * share;
        let number = |at: f64| sorted.get(at as usize).copied().unwrap_or_default();
        number(at.floor()) + (number(at.ceil()) - number(at.floor())) * at.fract()
    }

    /// Sets a limit for the median.
    pub(crate) fn at_most(mut self, ms: f64) -> Self {
        let found = self.quantile(0.5);
        self.targets.push(Target::new("median ms", found, ms));
        self
    }
}

impl Results {
    /// What was measured of both.
    fn pairs(&self) -> impl Iterator<Item = (&Row, &Row)> {
        let same = |a: &Row, b: &Row| a.services == b.services && a.what == b.what && a.of == b.of;
        self.rows.iter().filter(|row| row.maker == "Herald").filter_map(move |ours| {
            let theirs = self.rows.iter().find(|row| row.maker == "MetalLB" && same(row, ours))?;
            Some((ours, theirs))
        })
    }

    /// Writes the file and says where.
    pub(crate) fn save(&self) -> Result<PathBuf> {
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from);
        let file = target.join("bench-allocate.json");
        fs::write(&file, serde_json::to_string_pretty(self)?).with_context(|| format!("writing {}", file.display()))?;
        Ok(file)
    }

    pub(crate) fn markdown(&self) -> String {
        let Self { machine, load_before, load_after, rows } = self;
        let mut text = format!(
            "{machine}; load {load_before} before, {load_after} after. Compare only within one run: what else the machine does is in every number.\n\n\
             | | Services | what | ms, min / median / p99 / max (n) | controller CPU ms | RSS MB, now / peak | writes | targets |\n|---|---|---|---|---|---|---|---|\n"
        );
        for row in rows {
            let _ = writeln!(text, "{}", line(row));
        }
        text.push_str("\n| Services | what | Herald, median ms | MetalLB, median ms | times | CPU ms, Herald / MetalLB |\n|---|---|---|---|---|---|\n");
        for (ours, theirs) in self.pairs() {
            let cpu = ours.cpu_ms.zip(theirs.cpu_ms).map(|(ours, theirs)| format!("{ours:.1} / {theirs:.1}"));
            let (of, a, b) = (ours.of, ours.quantile(0.5), theirs.quantile(0.5));
            let _ = writeln!(
                text,
                "| {} | {}: {of} | {a:.1} | {b:.1} | {:.1} | {} |",
                ours.services,
                ours.what,
                b / a,
                cpu.unwrap_or_default()
            );
        }
        text
    }
}

fn line(row: &Row) -> String {
    let times = match row.ms.len() {
        0 => String::new(),
        1 => format!("**{:.1}**", row.quantile(0.5)),
        many => format!(
            "{:.1} / **{:.1}** / {:.1} / {:.1} ({many})",
            row.quantile(0.0),
            row.quantile(0.5),
            row.quantile(0.99),
            row.quantile(1.0)
        ),
    };
    let cpu = row.cpu_ms.map(|cpu| format!("{cpu:.1}")).unwrap_or_default();
    let memory = row.memory.map(|memory| format!("{:.1} / {:.1}", memory.now, memory.peak)).unwrap_or_default();
    let writes: Vec<String> = row.writes.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let targets: Vec<String> = row.targets.iter().map(told).collect();
    format!(
        "| {} | {} | {}: {} | {times} | {cpu} | {memory} | {} | {} |",
        row.maker,
        row.services,
        row.what,
        row.of,
        writes.join(", "),
        targets.join("; ")
    )
}

fn told(target: &Target) -> String {
    let Target { what, found, most } = target;
    let verdict = if target.met() { "met" } else { "**not met**" };
    format!("{what} {found:.2} of {most}: {verdict}")
}

pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
