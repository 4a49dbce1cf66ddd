//! One container's life: start, probes, end, start again.
//!
//! ```text
//!   start ──> Running ──(ended by itself, or a liveness probe failed)──> Ended ──> wait ──> start ...
//!                │                                                        (none the first time, then 10 s, 20 s ... 5 min)
//!                └──(stop asked)──> SIGTERM ── grace ── SIGKILL ──> Ended
//! ```

use std::{
    fs, os::unix::process::ExitStatusExt as _, path::PathBuf, process::ExitStatus, process::Stdio, time::Duration,
};

use anyhow::{Context as _, Result};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use tokio::{
    process::{Child, Command},
    sync::{mpsc, watch},
    task::JoinSet,
    time::Instant,
};

use super::{
    probe::Look,
    root::Plan,
    status::{Ended, Report, State},
};

/// Longest wait before a restart, and how long a run makes the next wait short again: the kubelet's own.
const LONGEST_DELAY: Duration = Duration::from_secs(300);
const GOOD_RUN: Duration = Duration::from_secs(600);

/// Between looks at a container that has never been ready: the kubelet waits a whole period, which costs a test seconds and shows
/// nothing.
const EAGER: Duration = Duration::from_millis(100);

/// What a container is, decided once.
#[derive(Debug, Clone)]
pub(super) struct Container {
    pub(super) plan: Plan,
    /// File for the plan, and the log.
    pub(super) plan_file: PathBuf,
    pub(super) log: PathBuf,
    /// Unique for the container; the run's number is added.
    pub(super) id: String,
    pub(super) startup: Option<Look>,
    pub(super) liveness: Option<Look>,
    pub(super) readiness: Option<Look>,
    pub(super) restart: Restart,
    pub(super) restart_delay: Duration,
    /// Before SIGTERM, from a `sleep` hook.
    pub(super) pre_stop: Duration,
}

/// When a container that ended is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Restart {
    Always,
    OnFailure,
    Never,
}

/// Asks a container's task to end its process with this grace.
pub(super) type Stop = Option<Duration>;

/// Runs a container until it is stopped or has ended for good; tells everything that changes through `tell`, last how it ended.
pub(super) async fn run(container: Container, mut stop: watch::Receiver<Stop>, tell: mpsc::UnboundedSender<Report>) {
    let mut report = Report::waiting("ContainerCreating", "");
    let mut delay = Duration::ZERO;
    loop {
        let began = Instant::now();
        let ended = run_once(&container, &mut report, &mut stop, &tell).await;
        let succeeded = ended.code == 0;
        report.ready = false;
        report.started = false;
        report.state = State::Ended(ended.clone());
        let over = stop.borrow().is_some()
            || match container.restart {
                Restart::Always => false,
                Restart::OnFailure => succeeded,
                Restart::Never => true,
            };
        let _ = tell.send(report.clone());
        if over {
            return;
        }
        if began.elapsed() >= GOOD_RUN {
            delay = Duration::ZERO;
        }
        report.last = Some(ended);
        if !delay.is_zero() {
            report.state = State::Waiting {
                reason: "CrashLoopBackOff",
                message: format!("back-off {delay:?} restarting failed container"),
            };
            let _ = tell.send(report.clone());
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                _ = stopped(&mut stop) => {
                    report.state = State::Ended(report.last.take().unwrap_or_else(|| gone("stopped before it was started again")));
                    let _ = tell.send(report);
                    return;
                }
            }
        }
        delay = (delay * 2).clamp(container.restart_delay, LONGEST_DELAY.max(container.restart_delay));
        report.restarts += 1;
    }
}

/// Waits until the container shall end, and returns its grace.
async fn stopped(stop: &mut watch::Receiver<Stop>) -> Duration {
    // Nobody left to ask is as good as being asked to end at once.
    stop.wait_for(Option::is_some).await.ok().and_then(|asked| *asked).unwrap_or_default()
}

/// One process from start to end.
async fn run_once(
    container: &Container,
    report: &mut Report,
    stop: &mut watch::Receiver<Stop>,
    tell: &mpsc::UnboundedSender<Report>,
) -> Ended {
    let since = Time(Timestamp::now());
    let id = format!("{}-{}", container.id, report.restarts);
    let mut child = match start(container) {
        Ok(child) => child,
        Err(error) => return Ended { id, ..gone(&format!("{error:#}")) },
    };
    let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    report.id = format!("{id}-{}", group.map_or(0, Pid::as_raw));
    report.state = State::Running { since: since.clone() };
    report.started = container.startup.is_none();
    report.ready = report.started && container.readiness.is_none();
    let _ = tell.send(report.clone());

    let mut probes = Probes::start(container);
    let mut message = String::new();
    let status = loop {
        tokio::select! {
            status = child.wait() => break status.ok(),
            grace = stopped(stop) => {
                tokio::time::sleep(container.pre_stop.min(grace)).await;
                break end(&mut child, grace.saturating_sub(container.pre_stop)).await;
            }
            Some(news) = probes.news.recv() => match news {
                News::Started => {
                    report.started = true;
                    report.ready = container.readiness.is_none();
                    probes.after_startup(container);
                    let _ = tell.send(report.clone());
                }
                News::Ready(ready) => {
                    report.ready = ready;
                    let _ = tell.send(report.clone());
                }
                News::Dead(why) => {
                    message = why;
                    tracing::info!(container = container.id, error = message, "liveness probe failed");
                    break end(&mut child, Duration::from_secs(30)).await;
                }
            },
        }
    };
    let _ = fs::remove_file(container.plan_file.with_file_name("pid"));
    // What it left behind goes with it, as in a process namespace.
    if let Some(group) = group {
        let _ = killpg(group, Signal::SIGKILL);
    }
    let (code, signal) = status.map_or((255, None), outcome);
    Ended { code, signal, message, started: since, finished: Time(Timestamp::now()), id: report.id.clone() }
}

fn start(container: &Container) -> Result<Child> {
    fs::write(&container.plan_file, serde_json::to_vec(&container.plan)?).context("writing the plan")?;
    if let Some(parent) = container.log.parent() {
        fs::create_dir_all(parent)?;
    }
    let log = fs::OpenOptions::new().create(true).append(true).open(&container.log).context("opening the log")?;
    let errors = log.try_clone()?;
    let child = Command::new("/proc/self/exe")
        .arg("container")
        .arg(&container.plan_file)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .process_group(0)
        .spawn()
        .context("starting the container")?;
    // For those who want to do something to it.
    if let Some(pid) = child.id() {
        fs::write(container.plan_file.with_file_name("pid"), pid.to_string()).context("writing the process id")?;
    }
    Ok(child)
}

async fn end(child: &mut Child, grace: Duration) -> Option<ExitStatus> {
    if let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    if let Ok(status) = tokio::time::timeout(grace, child.wait()).await {
        return status.ok();
    }
    let _ = child.start_kill();
    child.wait().await.ok()
}

fn outcome(status: ExitStatus) -> (i32, Option<i32>) {
    // A shell's way of telling a signal, which container runtimes follow.
    (status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)), status.signal())
}

fn gone(message: &str) -> Ended {
    let now = Time(Timestamp::now());
    Ended {
        code: 128,
        signal: None,
        message: message.to_owned(),
        started: now.clone(),
        finished: now,
        id: String::new(),
    }
}

enum News {
    Started,
    Ready(bool),
    Dead(String),
}

/// The probes of one run; they end with it.
struct Probes {
    tasks: JoinSet<()>,
    tell: mpsc::UnboundedSender<News>,
    news: mpsc::UnboundedReceiver<News>,
}

impl Probes {
    fn start(container: &Container) -> Self {
        let (tell, news) = mpsc::unbounded_channel();
        let mut this = Self { tasks: JoinSet::new(), tell, news };
        match container.startup.clone() {
            Some(look) => {
                this.tasks.spawn(startup(look, this.tell.clone()));
            }
            None => this.after_startup(container),
        }
        this
    }

    fn after_startup(&mut self, container: &Container) {
        if let Some(look) = container.liveness.clone() {
            self.tasks.spawn(liveness(look, self.tell.clone()));
        }
        if let Some(look) = container.readiness.clone() {
            self.tasks.spawn(readiness(look, self.tell.clone()));
        }
    }
}

async fn startup(look: Look, tell: mpsc::UnboundedSender<News>) {
    tokio::time::sleep(look.initial_delay).await;
    let deadline = Instant::now() + look.period * look.failures;
    loop {
        match look.look().await {
            Ok(()) => break drop(tell.send(News::Started)),
            Err(why) if Instant::now() > deadline => break drop(tell.send(News::Dead(why))),
            Err(_) => tokio::time::sleep(EAGER).await,
        }
    }
}

async fn liveness(look: Look, tell: mpsc::UnboundedSender<News>) {
    tokio::time::sleep(look.initial_delay.max(look.period)).await;
    let mut failed = 0;
    loop {
        match look.look().await {
            Ok(()) => failed = 0,
            Err(why) => {
                failed += 1;
                if failed >= look.failures {
                    return drop(tell.send(News::Dead(why)));
                }
            }
        }
        tokio::time::sleep(look.period).await;
    }
}

async fn readiness(look: Look, tell: mpsc::UnboundedSender<News>) {
    tokio::time::sleep(look.initial_delay).await;
    let (mut ready, mut ever, mut run) = (false, false, 0_u32);
    loop {
        let found = look.look().await.is_ok();
        run = if found == ready { 0 } else { run + 1 };
        if run >= if ready { look.failures } else { look.successes } {
            (ready, run) = (found, 0);
            ever |= ready;
            if tell.send(News::Ready(ready)).is_err() {
                return;
            }
        }
        tokio::time::sleep(if ever { look.period } else { EAGER }).await;
    }
}
