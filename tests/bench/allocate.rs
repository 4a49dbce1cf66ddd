//! `make bench-allocate`: what an address costs, on a real API server, at any number of Services.
//!
//! ```text
//! live        nothing there: Services one at a time and ten at a time, to the status and to the first announcement on the switch
//! for each of SIZES
//!   backlog   the Services exist, no controller runs
//!             a null writer patches their statuses, the statuses are cleared again, the controller starts
//!   one more  Services one at a time on top of them
//!   restart   the controller ends and starts: writes, and the time until a new Service has its address
//!   pools     one is added that a Service waits for; it is deleted
//!   deletes   200 Services are deleted and one is created
//! then, with the real MetalLB on the same API server, what was measured with none (before the others) and at the last size
//! ```
//!
//! A status is "there" when a watch shows it, for the null writer as for Herald. Creating Services costs the API server more the more there are; so that
//! part is outside every measurement but those of single Services, and what a backlog consists of is written into etcd. Writes are the API server's own counts, of Services, Events and pools; those that
//! the benchmark makes itself are among them. It asserts no times and fails when something does not happen at all.
//!
//! `SIZES=1000,5000` chooses the sizes (20000 works too), `SAMPLES=50` the number of single Services, `SPEAKERS=1` the nodes, `METALLB=0` leaves MetalLB out,
//! which needs two minutes more at 1,000 and ten at 5,000.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    reason = "a program that measures and prints"
)]

#[path = "allocate/lab.rs"]
mod lab;
#[path = "allocate/meter.rs"]
mod meter;
#[path = "allocate/seed.rs"]
mod seed;
#[path = "allocate/table.rs"]
mod table;

use std::{
    env, fs,
    str::FromStr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use herald_tests::capture::Capture;

use crate::{
    lab::{Lab, Maker, Sort},
    table::{Results, Row, Target, millis},
};

/// Addresses that the null writer gives: of the pool, and none that Herald gives first.
const NULL_FIRST: u32 = u32::from_be_bytes([10, 80, 128, 0]);
/// Backlogs worked off by either writer at each size, in turn.
const ROUNDS: usize = 2;
const LATE_POOL: &str = "\
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: late}
spec:
  addresses: [10.90.0.0/24]
  autoAssign: false
";
/// Herald's part of a Service's creation, and the API server's part of Herald's write.
const ANSWERED: &str = "answer to the creation, to status";
/// Longer than pool counters and Events take after the last address.
const CALM: Duration = Duration::from_millis(1_500);

fn main() -> Result<()> {
    let sizes = env::var("SIZES").ok().filter(|text| !text.is_empty()).unwrap_or_else(|| "1000,5000".to_owned());
    let mut sizes: Vec<usize> =
        sizes.split(',').map(|size| size.trim().parse()).collect::<Result<_, _>>().context("SIZES holds numbers")?;
    sizes.sort_unstable();
    let beside = setting("METALLB", 1)? != 0;
    let mut bench = Bench {
        lab: Lab::start(setting("SPEAKERS", 1)?, if beside { Maker::MetalLb } else { Maker::Herald })?,
        samples: setting("SAMPLES", 50)?,
        results: Results { machine: machine()?, load_before: load()?, ..Results::default() },
        names: Vec::new(),
        next: 0,
    };
    let outcome = bench.run(&sizes, beside);
    bench.results.load_after = load()?;
    // What was measured before something failed is worth showing.
    let file = bench.results.save()?;
    println!("{}", bench.results.markdown());
    eprintln!("all numbers: {}", file.display());
    outcome
}

struct Bench {
    lab: Lab,
    samples: usize,
    results: Results,
    /// The Services that are there.
    names: Vec<String>,
    next: usize,
}

impl Bench {
    fn run(&mut self, sizes: &[usize], beside: bool) -> Result<()> {
        if beside {
            self.live(1)?;
            self.lab.switch(Maker::Herald)?;
        }
        self.lab.controllers(1)?;
        self.live(1)?;
        self.live(10)?;
        for &size in sizes {
            self.backlog(size)?;
            self.one_more()?;
            self.restart()?;
            self.pools()?;
            self.deletes()?;
        }
        let Some(size) = sizes.last().filter(|_| beside) else { return Ok(()) };
        self.lab.switch(Maker::MetalLb)?;
        self.backlog(*size)?;
        self.one_more()?;
        self.restart()?;
        self.pools()?;
        self.deletes()
    }

    fn row(&mut self, row: Row) {
        let maker = self.lab.maker().name();
        // The numbers to reach are Herald's.
        let targets = if maker == "Herald" { row.targets } else { Vec::new() };
        let row = Row { maker, targets, ..row };
        eprintln!("{maker} {} {}: {}: median {:.1} ms", row.services, row.what, row.of, row.quantile(0.5));
        self.results.rows.push(row);
    }

    fn fresh(&mut self, count: usize) -> Vec<String> {
        let first = self.next;
        self.next += count;
        (first..self.next).map(|number| format!("web-{number:06}")).collect()
    }

    /// Services that are announced, some at a time, from the request that creates each.
    fn live(&mut self, at_once: usize) -> Result<()> {
        let pid = self.lab.controller()?;
        let names = self.fresh(self.samples.next_multiple_of(at_once));
        thread::sleep(CALM);
        let before = meter::writes(&self.lab.cluster)?;
        let cpu = meter::cpu(pid)?;
        let capture = Capture::start(self.lab.cluster.wire())?;
        let (mut status, mut ours, mut wire) = (Vec::new(), Vec::new(), Vec::new());
        for batch in names.chunks(at_once) {
            let created = self.lab.create(batch.to_vec(), Sort::Announced, at_once)?;
            self.lab.wait(batch, true)?;
            let deadline = Instant::now() + lab::PATIENCE;
            for (name, (began, answered)) in created {
                let (ip, at) = self.lab.address(&name).context("the Service is gone")?;
                status.push(millis(at.saturating_duration_since(began)));
                ours.push(millis(at.saturating_duration_since(answered)));
                loop {
                    if let Some(record) = capture.log().sent().first_announcement(ip) {
                        wire.push(millis(record.at.saturating_duration_since(began)));
                        break;
                    }
                    anyhow::ensure!(Instant::now() < deadline, "{ip} of {name} was never announced");
                    thread::sleep(Duration::from_millis(5));
                }
            }
        }
        drop(capture);
        let cpu = millis(meter::cpu(pid)? - cpu);
        thread::sleep(CALM);
        let writes = meter::between(&before, &meter::writes(&self.lab.cluster)?);
        let what = if at_once == 1 { "live, one at a time".to_owned() } else { format!("live, {at_once} at a time") };
        let status =
            Row { what: what.clone(), of: "create to status", ms: status, cpu_ms: Some(cpu), writes, ..Row::default() };
        let wire = Row { what: what.clone(), of: "create to first announcement", ms: wire, ..Row::default() };
        let (status, wire) = if at_once == 1 { (status.at_most(15.0), wire.at_most(25.0)) } else { (status, wire) };
        self.row(status);
        self.row(Row { what, of: ANSWERED, ms: ours, ..Row::default() });
        self.row(wire);
        self.lab.delete(names)
    }

    fn backlog(&mut self, size: usize) -> Result<()> {
        self.lab.controllers(0)?;
        let first = u32::try_from(self.next).context("more Services than addresses")?;
        let more = self.fresh(size.saturating_sub(self.names.len()));
        eprintln!("storing {} Services", more.len());
        self.lab.store(more.clone(), first)?;
        if !more.is_empty() {
            self.lab.wait(&more, false)?;
        }
        self.names.extend(more);
        let (mut null, mut ours, mut cpu, mut memory, mut writes) = (Vec::new(), Vec::new(), Vec::new(), None, None);
        let herald = self.lab.maker() == Maker::Herald;
        for _ in 0..if herald { ROUNDS } else { 1 } {
            // Whatever has an address from before loses it.
            self.lab.controllers(0)?;
            self.lab.patch(&self.names, None)?;
            self.lab.wait(&self.names, false)?;
            thread::sleep(CALM);
            if herald {
                let began = Instant::now();
                self.lab.patch(&self.names, Some(NULL_FIRST))?;
                null.push(millis(self.lab.wait(&self.names, true)? - began));
                self.lab.patch(&self.names, None)?;
                self.lab.wait(&self.names, false)?;
                thread::sleep(CALM);
            }

            let before = meter::writes(&self.lab.cluster)?;
            self.lab.controllers(1)?;
            let pid = self.lab.controller()?;
            let began = meter::started(pid)?;
            let last = self.lab.wait(&self.names, true)?;
            ours.push(millis(last - began));
            cpu.push(millis(meter::cpu(pid)?));
            thread::sleep(CALM);
            memory = Some(meter::memory(pid)?);
            writes.get_or_insert(meter::between(&before, &meter::writes(&self.lab.cluster)?));
        }
        let services = self.names.len();
        let null = Row {
            what: "backlog".to_owned(),
            services,
            of: "null writer, first patch to last address",
            ms: null,
            ..Row::default()
        };
        let mut row = Row {
            what: "backlog".to_owned(),
            services,
            of: "controller's start to last address",
            ms: ours,
            cpu_ms: cpu.into_iter().reduce(f64::max),
            memory,
            writes: writes.unwrap_or_default(),
            ..Row::default()
        };
        let patches = row.writes.get("PATCH services/status").copied().unwrap_or(0);
        row.targets.push(Target::new("times the null writer", row.quantile(0.5) / null.quantile(0.5), 1.15));
        row.targets.push(Target::new("status writes a Service", patches as f64 / services as f64, 1.0));
        if let Some(memory) = memory {
            row.targets.push(Target::new("RSS MB", memory.peak, if services <= 5_000 { 60.0 } else { 150.0 }));
        }
        if herald {
            self.row(null);
        }
        self.row(row);
        Ok(())
    }

    fn one_more(&mut self) -> Result<()> {
        let pid = self.lab.controller()?;
        self.settle()?;
        let before = meter::writes(&self.lab.cluster)?;
        let names = self.fresh(self.samples.min(20));
        let (mut ms, mut ours, cpu) = (Vec::new(), Vec::new(), meter::cpu(pid)?);
        for name in &names {
            let (whole, answered) = self.create_to_status(name, Sort::Bare)?;
            ms.push(whole);
            ours.push(answered);
        }
        let cpu = millis(meter::cpu(pid)? - cpu) / names.len() as f64;
        thread::sleep(CALM);
        let writes = meter::between(&before, &meter::writes(&self.lab.cluster)?);
        let services = self.names.len();
        // The API server's own part of a creation grows with the number of Services; Herald's and its write's must not.
        let idle = self
            .results
            .rows
            .iter()
            .find(|row| row.maker == "Herald" && row.of == ANSWERED)
            .map_or(0.0, |row| row.quantile(0.5));
        let mut row = Row {
            what: "one more".to_owned(),
            services,
            of: "create to status",
            ms,
            cpu_ms: Some(cpu * names.len() as f64),
            writes,
            ..Row::default()
        };
        row.targets.push(Target::new("controller CPU ms each", cpu, 1.0));
        self.row(row);
        let mut row = Row { what: "one more".to_owned(), services, of: ANSWERED, ms: ours, ..Row::default() };
        row.targets.push(Target::new("median ms beyond that on none", row.quantile(0.5) - idle, 2.0));
        self.row(row);
        self.lab.delete(names)
    }

    fn restart(&mut self) -> Result<()> {
        self.settle()?;
        let before = meter::writes(&self.lab.cluster)?;
        self.lab.controllers(0)?;
        let new = self.fresh(1);
        self.lab.create(new.clone(), Sort::Bare, 1)?;
        self.lab.controllers(1)?;
        let pid = self.lab.controller()?;
        let began = meter::started(pid)?;
        let at = self.lab.wait(&new, true)?;
        let cpu = millis(meter::cpu(pid)?);
        thread::sleep(CALM);
        let writes = meter::between(&before, &meter::writes(&self.lab.cluster)?);
        let written = writes.get("PATCH services/status").copied().unwrap_or(0);
        let mut row = Row {
            what: "restart".to_owned(),
            services: self.names.len(),
            of: "controller's start to the address of a new Service",
            ms: vec![millis(at - began)],
            cpu_ms: Some(cpu),
            memory: Some(meter::memory(pid)?),
            writes,
            ..Row::default()
        };
        row.targets.push(Target::new("ms", row.quantile(0.5), 3_000.0));
        row.targets.push(Target::new("status writes beside the new one's", written as f64 - 1.0, 0.0));
        self.row(row);
        self.lab.delete(new)
    }

    fn pools(&mut self) -> Result<()> {
        let (mut added, mut deleted) = (Vec::new(), Vec::new());
        let pid = self.lab.controller()?;
        self.settle()?;
        let before = meter::writes(&self.lab.cluster)?;
        let new = self.fresh(1);
        self.lab.create(new.clone(), Sort::Late, 1)?;
        // The refusal is told; the Service waits.
        thread::sleep(CALM);
        let cpu = meter::cpu(pid)?;
        for _ in 0..3 {
            let began = self.lab.pool(LATE_POOL, true)?;
            added.push(millis(self.lab.wait(&new, true)? - began));
            thread::sleep(CALM);
            let began = self.lab.pool(LATE_POOL, false)?;
            deleted.push(millis(self.lab.wait(&new, false)? - began));
            thread::sleep(CALM);
        }
        let cpu = Some(millis(meter::cpu(pid)? - cpu));
        let writes = meter::between(&before, &meter::writes(&self.lab.cluster)?);
        let services = self.names.len();
        let what = || "pool".to_owned();
        let row = Row {
            what: what(),
            services,
            of: "added, to the address of who waits",
            ms: added,
            cpu_ms: cpu,
            writes,
            ..Row::default()
        };
        self.row(row.at_most(50.0));
        self.row(Row {
            what: what(),
            services,
            of: "deleted, to the status of its Service",
            ms: deleted,
            ..Row::default()
        });
        self.lab.delete(new)
    }

    fn deletes(&mut self) -> Result<()> {
        let pid = self.lab.controller()?;
        self.settle()?;
        let before = meter::writes(&self.lab.cluster)?;
        let cpu = meter::cpu(pid)?;
        let gone = self.names.split_off(self.names.len().saturating_sub(200));
        self.lab.delete(gone)?;
        let new = self.fresh(1);
        let ms = vec![self.create_to_status(&new[0], Sort::Bare)?.0];
        let cpu_ms = Some(millis(meter::cpu(pid)? - cpu));
        thread::sleep(CALM);
        let writes = meter::between(&before, &meter::writes(&self.lab.cluster)?);
        let services = self.names.len();
        let row = Row {
            what: "200 deleted".to_owned(),
            services,
            of: "create to status right after",
            ms,
            cpu_ms,
            writes,
            ..Row::default()
        };
        self.row(row.at_most(50.0));
        self.names.extend(new);
        Ok(())
    }

    /// Milliseconds from asking for a Service, and from the answer to that, to seeing its address.
    fn create_to_status(&self, name: &str, sort: Sort) -> Result<(f64, f64)> {
        let created = self.lab.create(vec![name.to_owned()], sort, 1)?;
        let at = self.lab.wait(&[name.to_owned()], true)?;
        let (began, answered) = created.get(name).context("the Service was created")?;
        let since = |then: Instant| millis(at.saturating_duration_since(then));
        Ok((since(*began), since(*answered)))
    }

    /// Waits until the webhooks answer and the Events of what was done before are written.
    fn settle(&self) -> Result<()> {
        self.lab.ready()?;
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut last = meter::writes(&self.lab.cluster)?;
        loop {
            thread::sleep(CALM);
            let now = meter::writes(&self.lab.cluster)?;
            if now == last || Instant::now() > deadline {
                return Ok(());
            }
            last = now;
        }
    }
}

fn setting<T: FromStr>(name: &str, default: T) -> Result<T> {
    match env::var(name).ok().filter(|text| !text.is_empty()) {
        Some(text) => text.parse().ok().with_context(|| format!("{name} is a number")),
        None => Ok(default),
    }
}

fn machine() -> Result<String> {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").context("reading the kernel's version")?;
    let build = if cfg!(debug_assertions) { "build that is not optimised" } else { "optimised build" };
    Ok(format!("{} cores, Linux {}, {build}", thread::available_parallelism()?.get(), kernel.trim()))
}

fn load() -> Result<String> {
    let text = fs::read_to_string("/proc/loadavg").context("reading the load")?;
    Ok(text.split_whitespace().take(3).collect::<Vec<_>>().join(" "))
}
