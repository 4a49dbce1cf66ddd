//! `make bench-failover`: what a client loses when the owner of an address fails, for Herald and for keepalived, side by side.
//!
//! ```text
//! for each fault                                          three wires of the same plan, all up from beginning to end:
//!   for each of RUNS rounds                               Herald on a real cluster with config/default, keepalived with
//!     for each system, a different one first each round   an advertisement each second, keepalived with one each 100 ms
//!       settle, wait for a random phase, fault, heal
//! ```
//!
//! So whatever else the machine does at a time is felt by all systems. Herald's machine share is the larger one: its wire carries a
//! control plane, kubelets and kube-proxies as well. The data plane is of one kind: every node translates the address to a service of
//! its own, kube-proxy's doing for Herald (the Service is `externalTrafficPolicy: Local` with a pod on each node) and a rule's for
//! keepalived. That is on purpose: how long kube-proxy sends to pods of a dead node is not a matter of who owns the address.
//!
//! A run in which the probe itself was late by more than [`measure::LATE`] says nothing and is made again. It asserts no times; it
//! ends with a failure when something did not happen, as an address that did not move.
//!
//! `RUNS=3` for fewer runs. Words after `--` choose rows by parts of `system/fault`: `cargo bench ... -- herald/ "1 s/silent cut"`.
#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a program that measures and prints")]

mod machine;
mod measure;
mod results;
mod systems;
mod table;

use std::{env, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result, ensure};

use crate::{
    machine::{Machine, Phase},
    measure::Fault,
    results::{Results, Row},
    systems::{Herald, System, Vrrp},
};

fn main() -> Result<ExitCode> {
    let runs = env::var("RUNS").ok().filter(|text| !text.is_empty()).map_or(Ok(10), |text| text.parse());
    let runs: usize = runs.ok().filter(|runs| *runs > 0).context("RUNS is a number from 1 on")?;
    // Cargo itself passes `--bench`.
    let words: Vec<String> = env::args().skip(1).filter(|word| !word.starts_with('-')).collect();

    let machine = Machine::look()?;
    eprintln!("{machine}");
    let mut contest = Contest::prepare(runs, &words)?;
    let before = machine::load()?;
    contest.hold(runs);
    let results = Results { machine, load_before: before, load_after: machine::load()?, rows: contest.rows };
    let file = results.save()?;
    println!("{}", table::markdown(&results));
    eprintln!("all runs: {}", file.display());
    Ok(if results.rows.iter().all(|row| row.failures.is_empty()) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Starts a system.
type Start = fn() -> Result<Box<dyn System>>;

/// The systems, and what they have shown.
struct Contest {
    entrants: Vec<Entrant>,
    rows: Vec<Row>,
    phase: Phase,
}

struct Entrant {
    system: Box<dyn System>,
    faults: Vec<Fault>,
    /// Where the last run left the addresses.
    left: Option<Vec<usize>>,
}

impl Contest {
    /// Starts the systems that have a row to fill.
    fn prepare(runs: usize, words: &[String]) -> Result<Self> {
        let starts: [(&str, Start); 3] = [
            (systems::HERALD, || Ok(Box::new(Herald::start()?))),
            (systems::EVERY_SECOND, || Ok(Box::new(Vrrp::start(systems::EVERY_SECOND, Duration::from_secs(1))?))),
            (systems::EVERY_100_MS, || Ok(Box::new(Vrrp::start(systems::EVERY_100_MS, Duration::from_millis(100))?))),
        ];
        let (mut entrants, mut rows) = (Vec::new(), Vec::new());
        for (name, start) in starts {
            let wanted = |fault: &Fault| {
                let row = format!("{name}/{fault}").to_lowercase();
                words.is_empty() || words.iter().any(|word| row.contains(&word.to_lowercase()))
            };
            let faults: Vec<Fault> = Fault::ALL.into_iter().filter(wanted).collect();
            if faults.is_empty() {
                continue;
            }
            eprintln!("starting {name}");
            let system = start().with_context(|| format!("starting {name}"))?;
            rows.extend(faults.iter().map(|fault| Row::new(name, *fault)));
            entrants.push(Entrant { system, faults, left: None });
        }
        ensure!(!entrants.is_empty(), "no row is called like one of {words:?}");
        Ok(Self { entrants, rows, phase: Phase::new(runs) })
    }

    fn hold(&mut self, runs: usize) {
        for fault in Fault::ALL {
            for round in 0..runs {
                for turn in 0..self.entrants.len() {
                    let number = (round + turn) % self.entrants.len();
                    if self.entrants[number].faults.contains(&fault) {
                        self.turn(number, fault, round);
                    }
                }
            }
        }
    }

    /// One run that counts, or a failure; runs whose probe was late are made again, for a while.
    fn turn(&mut self, number: usize, fault: Fault, round: usize) {
        let entrant = &mut self.entrants[number];
        let name = entrant.system.name();
        let Some(row) = self.rows.iter_mut().find(|row| row.system == name && row.fault == fault) else { return };
        for _ in 0..TRIES {
            let settled = match entrant.system.settle() {
                Ok(settled) => settled,
                Err(error) => {
                    eprintln!("{name} is left out from now on, as it does not settle: {error:#}");
                    row.failures.push(format!("before run {}: {error:#}", round + 1));
                    entrant.faults.clear();
                    return;
                }
            };
            if let Some(left) = entrant.left.take().filter(|left| *left != settled.owners) {
                eprintln!("{name}: owners were {left:?}, are {:?}, and nothing had happened", settled.owners);
                row.strays += 1;
            }
            let phase = self.phase.next(round, entrant.system.interval());
            let run = match measure::run(&mut *entrant.system, &settled, fault, phase) {
                Ok(run) => run,
                Err(error) => {
                    eprintln!("{name}, {fault}, run {}: {error:#}", round + 1);
                    row.failures.push(format!("run {}: {error:#}", round + 1));
                    return;
                }
            };
            entrant.left = Some(run.owners_after.clone());
            let late = run.is_late();
            eprintln!("{name}, {fault}, run {}: {run}{}", round + 1, if late { "; does not count" } else { "" });
            if !late {
                row.runs.push(run);
                return;
            }
            row.discarded += 1;
        }
        row.failures.push(format!("run {}: the machine is too busy to measure", round + 1));
    }
}

/// Runs in a row whose probe was late before the round is left out: the machine is too busy to measure anything.
const TRIES: usize = 5;
