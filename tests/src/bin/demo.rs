//! `make demo`: the main job, shown on this machine.
//!
//! Brings a real cluster up, applies the samples, reaches the Service from outside, cuts the address's owner off, heals it, kills the
//! next owner's speaker, and says what the client noticed. Ends with an error when any step did not happen.
#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a program that tells a story on a terminal")]

use anyhow::{Context, Result, ensure};
use herald_tests::{
    capture::Capture,
    cluster::{Cluster, HERALD, Options},
    fault::{self, strike},
    herald::PATIENCE,
    probe::{Ask, Report, TcpProbe},
};
use nix::sys::signal::Signal;
use std::{
    env,
    io::{IsTerminal, Write},
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

/// A connection attempt every so often: the resolution of an outage.
const EVERY: Duration = Duration::from_millis(5);
/// A connection that took longer fell into an outage: its first SYN was lost, the kernel sends the next one after a second.
const SLOW: Duration = Duration::from_millis(500);

fn main() -> Result<()> {
    let nodes = env::var("NODES").ok().filter(|text| !text.is_empty()).map_or(Ok(3), |text| text.parse());
    let nodes = nodes.ok().filter(|nodes| (2..=20).contains(nodes)).context("NODES is a number from 2 to 20")?;
    let keep = env::var("KEEP").is_ok_and(|text| !text.is_empty() && text != "0");

    let begun = Instant::now();
    let mut story = Story { colour: std::io::stdout().is_terminal() };
    story.chapter(&format!("A Kubernetes cluster of {nodes} nodes, in network namespaces of this machine"));
    let cluster = Cluster::start(Options::nodes(nodes))?;
    let took = begun.elapsed().as_secs_f64();
    story.say(&format!("up after {took:.1} s: a real control plane, kube-proxy on every node, a client outside"));
    let result = story.tell(&cluster);
    if keep {
        println!("\n{}make clean-labs removes it.", cluster.keep()?);
    }
    result?;
    story.say(&format!("all of it in {:.0} s", begun.elapsed().as_secs_f64()));
    Ok(())
}

struct Story {
    colour: bool,
}

/// A line of the summary.
struct Outcome {
    what: &'static str,
    outage: String,
    lost: String,
    from: usize,
    to: usize,
}

impl Story {
    fn tell(&mut self, cluster: &Cluster) -> Result<()> {
        self.chapter("Herald, as users install it");
        self.kubectl(cluster, "apply -k config/default", false)?;
        cluster.install_herald()?;
        self.kubectl(cluster, "get pods --namespace herald-system --output wide", true)?;

        self.chapter("A pool, an advertisement, a backend and its Service");
        for sample in ["pool", "advertisement", "web"] {
            self.kubectl(cluster, &format!("apply -f config/samples/{sample}.yaml"), true)?;
        }
        self.kubectl(cluster, "rollout status deployment/web --timeout 60s", false)?;
        let mut addresses = cluster.addresses("default", "web", 2)?;
        addresses.sort();
        self.kubectl(cluster, "get service web", true)?;

        self.chapter("A client outside the cluster");
        for ip in &addresses {
            cluster.wait_for_owner(*ip)?;
            for _ in 0..3 {
                self.curl(cluster, *ip)?;
            }
        }
        let ip = addresses[0];
        let owner = cluster.wait_for_owner(ip)?;
        self.say(&format!("{ip} is answered for by node{owner} alone"));

        self.chapter(&format!("node{owner} is cut off without a word: its carrier stays, no frame passes"));
        let cut = self.cut(cluster, ip, owner)?;
        let heir = cut.to;

        self.chapter(&format!("kill -9 of the speaker on node{heir}"));
        let kill = self.kill(cluster, ip, heir)?;

        self.chapter(&format!("What the speakers of node{heir} and node{} wrote", kill.to));
        for node in [heir, kill.to] {
            self.log(cluster, node, ip)?;
        }
        self.summary(&[cut, kill]);
        Ok(())
    }

    fn cut(&self, cluster: &Cluster, ip: IpAddr, owner: usize) -> Result<Outcome> {
        let probe = probe(cluster, ip)?;
        let cut = fault::cut(cluster.wire(), &cluster.node(owner))?;
        let heir = other_owner(cluster, ip, owner)?;
        ensure!(probe.wait_for_answers(40, PATIENCE), "the client does not reach {ip} through node{heir}");
        let report = probe.stop()?.impatient(SLOW);
        let outage = report.outage();
        self.say(&format!("the client noticed for {} ms; node{heir} has the address now", millis(outage)));
        ensure!(outage < Duration::from_secs(5), "that is no failover: {outage:?}");
        cut.heal()?;
        cluster.wait_for_speakers()?;
        ensure!(cluster.owner(ip)? == heir, "the address moved back");
        self.say(&format!("node{owner} is back, and nothing moves: node{heir} keeps the address"));
        Ok(outcome("owner cut off silently", &report, owner, heir))
    }

    fn kill(&self, cluster: &Cluster, ip: IpAddr, owner: usize) -> Result<Outcome> {
        let probe = probe(cluster, ip)?;
        let capture = Capture::start(cluster.wire())?;
        let killed = strike(cluster.speaker(owner)?, Signal::SIGKILL)?;
        let heir = other_owner(cluster, ip, owner)?;
        ensure!(probe.wait_for_answers(40, PATIENCE), "the client does not reach {ip} through node{heir}");
        cluster.wait_for_speakers()?;
        let report = probe.stop()?.impatient(SLOW);
        let claimants = capture.stop()?.since(killed.in_force).sent().claims(ip).claimants(ip);
        self.say(&format!("{} of {} connections lost; node{heir} has the address now", report.lost(), report.sent()));
        ensure!(report.lost() == 0, "connections were lost");
        ensure!(
            claimants == [cluster.node(heir).mac].into(),
            "more than the heir said that it has {ip}: {claimants:?}"
        );
        self.say(&format!("on the wire, node{heir} alone has said since then that it has {ip}"));
        Ok(outcome("speaker killed", &report, owner, heir))
    }

    fn curl(&self, cluster: &Cluster, ip: IpAddr) -> Result<()> {
        let url = format!("http://{}/", SocketAddr::new(ip, 80)).replace(":80/", "/");
        let output =
            cluster.outside().namespace.command("curl").args(["--silent", "--max-time", "5", &url]).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let answer = text.lines().next().unwrap_or_default();
        ensure!(output.status.success() && !answer.is_empty(), "curl {url}: {}", output.status);
        self.command(&format!("curl {url}"));
        self.say(&format!("answered by {answer}"));
        Ok(())
    }

    fn kubectl(&self, cluster: &Cluster, line: &str, show: bool) -> Result<()> {
        self.command(&format!("kubectl {line}"));
        let output = cluster.kubectl(&line.split(' ').collect::<Vec<_>>())?;
        if show {
            output.lines().for_each(|line| self.say(line));
        }
        Ok(())
    }

    /// The lines about one address that a node's speaker wrote.
    fn log(&self, cluster: &Cluster, node: usize, ip: IpAddr) -> Result<()> {
        let name = cluster.node(node).name.clone();
        let pods = cluster.pods(HERALD, "component=speaker")?;
        let on_node = |pod: &&k8s_openapi::api::core::v1::Pod| {
            pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some(name.as_str())
        };
        let pod = pods.iter().find(on_node).and_then(|pod| pod.metadata.name.clone()).context("no speaker there")?;
        let wanted = format!("\"ip\":\"{ip}\"");
        let text = cluster.logs(HERALD, &pod)?;
        let lines: Vec<_> = text.lines().filter(|line| line.contains(&wanted) && line.contains("\"INFO\"")).collect();
        ensure!(!lines.is_empty(), "the speaker on {name} wrote nothing about {ip}");
        lines.iter().for_each(|line| self.say(line));
        Ok(())
    }

    fn summary(&self, outcomes: &[Outcome]) {
        println!();
        println!("  {:<24} {:>16} {:>20}   owner", "fault", "outage, ms", "connections lost");
        for Outcome { what, outage, lost, from, to } in outcomes {
            println!("  {what:<24} {outage:>16} {lost:>20}   node{from} -> node{to}");
        }
        println!();
    }

    fn chapter(&self, title: &str) {
        if self.colour {
            println!("\n\x1b[1m{title}\x1b[0m");
        } else {
            println!("\n{title}");
        }
        let _ = std::io::stdout().flush();
    }

    fn command(&self, line: &str) {
        if self.colour {
            println!("  \x1b[36m$ {line}\x1b[0m");
        } else {
            println!("  $ {line}");
        }
    }

    fn say(&self, line: &str) {
        println!("  {line}");
    }
}

fn probe(cluster: &Cluster, ip: IpAddr) -> Result<TcpProbe> {
    let probe = TcpProbe::start(&cluster.outside().namespace, SocketAddr::new(ip, 80), EVERY, Ask::Connect)?;
    ensure!(probe.wait_for_answers(100, PATIENCE), "the client does not reach {ip}");
    Ok(probe)
}

/// Waits until another node answers for the address, alone.
fn other_owner(cluster: &Cluster, ip: IpAddr, not: usize) -> Result<usize> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match cluster.owner(ip) {
            Ok(owner) if owner != not => return Ok(owner),
            other => ensure!(Instant::now() < deadline, "{ip} did not leave node{not}: {other:?}"),
        }
    }
}

fn outcome(what: &'static str, report: &Report, from: usize, to: usize) -> Outcome {
    Outcome { what, outage: millis(report.outage()), lost: format!("{} of {}", report.lost(), report.sent()), from, to }
}

fn millis(duration: Duration) -> String {
    format!("{:.0}", duration.as_secs_f64() * 1000.0)
}
