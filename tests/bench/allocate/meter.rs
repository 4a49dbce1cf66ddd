//! What something cost: writes as the API server counts them, processor time and memory as the kernel does.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use herald_tests::cluster::Cluster;
use nix::unistd::Pid;
use serde::Serialize;

/// Writes by `verb resource[/subresource]`.
pub(crate) type Writes = BTreeMap<String, u64>;

/// What is counted: leases are renewed whatever happens, and endpoints are Kubernetes' own.
const RESOURCES: [&str; 3] = ["services", "events", "ipaddresspools"];
const VERBS: [&str; 6] = ["POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"];

/// All writes since the API server's start.
pub(crate) fn writes(cluster: &Cluster) -> Result<Writes> {
    let client = cluster.client();
    let text = cluster.run(async move {
        let request = axum::http::Request::get("/metrics").body(Vec::new())?;
        anyhow::Ok(client.request_text(request).await?)
    })??;
    let mut writes = Writes::new();
    for line in text.lines() {
        let Some(rest) = line.strip_prefix("apiserver_request_total{") else { continue };
        let Some((labels, value)) = rest.rsplit_once("} ") else { continue };
        let (verb, resource) = (label(labels, "verb"), label(labels, "resource"));
        if !VERBS.contains(&verb) || !RESOURCES.contains(&resource) || !label(labels, "code").starts_with('2') {
            continue;
        }
        let sub = label(labels, "subresource");
        let kind = if sub.is_empty() { format!("{verb} {resource}") } else { format!("{verb} {resource}/{sub}") };
        *writes.entry(kind).or_default() += value.parse::<f64>().unwrap_or_default() as u64;
    }
    Ok(writes)
}

fn label<'a>(labels: &'a str, name: &str) -> &'a str {
    labels
        .split("\",")
        .find_map(|pair| pair.split_once("=\"").filter(|(key, _)| *key == name).map(|(_, value)| value))
        .unwrap_or_default()
        .trim_end_matches('"')
}

/// What came in between.
pub(crate) fn between(before: &Writes, after: &Writes) -> Writes {
    let more = after.iter().map(|(kind, count)| (kind.clone(), count - before.get(kind).copied().unwrap_or(0)));
    more.filter(|(_, count)| *count > 0).collect()
}

/// Processor time that a process has used, all threads, user and kernel. From the scheduler, in nanoseconds: `/proc/PID/stat` counts in
/// steps of 10 ms, more than what is measured.
pub(crate) fn cpu(pid: Pid) -> Result<Duration> {
    let mut nanoseconds = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("process {pid} is gone"))? {
        // A thread may end meanwhile.
        let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        nanoseconds += text.split(' ').next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// Resident memory now and at most, in MB.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Memory {
    pub(crate) now: f64,
    pub(crate) peak: f64,
}

pub(crate) fn memory(pid: Pid) -> Result<Memory> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| format!("process {pid} is gone"))?;
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().next().and_then(|kb| kb.parse::<f64>().ok()).unwrap_or_default() / 1024.0
    };
    Ok(Memory { now: of("VmRSS:"), peak: of("VmHWM:") })
}

/// When a process was started, to 10 ms.
pub(crate) fn started(pid: Pid) -> Result<Instant> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid} is gone"))?;
    let (_, fields) = stat.rsplit_once(") ").context("/proc/PID/stat has no name")?;
    let ticks: f64 = fields.split(' ').nth(19).context("/proc/PID/stat is short")?.parse()?;
    let uptime = fs::read_to_string("/proc/uptime")?;
    let now = Instant::now();
    let uptime: f64 = uptime.split(' ').next().unwrap_or_default().parse()?;
    // USER_HZ is 100 on every architecture that Kubernetes runs on.
    Ok(now - Duration::from_secs_f64((uptime - ticks / 100.0).max(0.0)))
}
