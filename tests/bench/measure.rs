//! One run: a fault to the owner of an address, and what a client and the segment saw of it.
//!
//! ```text
//!  probes ──────────────────────────────────────────────────────────────────────────────────►
//!    answered │ phase │ fault │ new owner's first frame │ SETTLED, answered │ heal │ settled
//!                     ├────────────── after the fault ──────────────────────┼─ on return ─┤
//! ```

use std::{
    fmt,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use herald_tests::{
    capture::Capture,
    fault::{self, Target, When, strike},
    probe::{AddressProbe, Report, UdpProbe},
    wire::{Mac, Wire},
};
use nix::sys::signal::Signal;
use serde::Serialize;

use crate::systems::{Settled, System, asker, client};

/// What happens to the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub(crate) enum Fault {
    SilentCut,
    LinkDown,
    Kill,
    Stop,
    Terminate,
}

impl Fault {
    pub(crate) const ALL: [Self; 5] = [Self::SilentCut, Self::LinkDown, Self::Kill, Self::Stop, Self::Terminate];

    fn signal(self) -> Option<Signal> {
        match self {
            Self::SilentCut | Self::LinkDown => None,
            Self::Kill => Some(Signal::SIGKILL),
            Self::Stop => Some(Signal::SIGSTOP),
            Self::Terminate => Some(Signal::SIGTERM),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SilentCut => "silent cut",
            Self::LinkDown => "link down",
            Self::Kill => "kill -9",
            Self::Stop => "SIGSTOP",
            Self::Terminate => "SIGTERM",
        })
    }
}

impl From<Fault> for String {
    fn from(fault: Fault) -> Self {
        fault.to_string()
    }
}

/// What was seen of one fault.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Run {
    /// Where the fault was, from 1.
    pub(crate) victim: usize,
    /// Of the addresses, when all was well again.
    pub(crate) owners_after: Vec<usize>,
    /// The first address is IPv4; an IPv6 one is there if it had the same owner.
    pub(crate) addresses: Vec<Seen>,
    /// The worst lateness of a probe in sending, from just before the fault until it was healed.
    lateness_ms: f64,
}

/// What was seen of one address.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Seen {
    pub(crate) ipv6: bool,
    /// What the client felt after the fault: from the last answered probe to the next answer.
    pub(crate) outage_ms: f64,
    pub(crate) lost: usize,
    /// From the fault to the first frame, an answer or an announcement, in which another node says that it has the address.
    pub(crate) new_owner_ms: f64,
    /// How long nobody answered who has the address: what a client feels that does not know yet.
    pub(crate) unanswered_ms: f64,
    /// Whether one question who has the address was answered by two after the fault.
    pub(crate) two_owners: bool,
    /// The same when the victim came back.
    pub(crate) two_owners_on_return: bool,
    /// What the client felt when the victim came back.
    pub(crate) outage_on_return_ms: f64,
    /// Whether the victim has the address again after it came back.
    pub(crate) moved_back: bool,
}

impl Run {
    /// Whether the machine was too busy for the probe: what it saw may be its own.
    pub(crate) fn is_late(&self) -> bool {
        self.lateness_ms > LATE.as_secs_f64() * 1e3
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node{}", self.victim)?;
        for seen in &self.addresses {
            let family = if seen.ipv6 { "IPv6" } else { "IPv4" };
            let Seen { outage_ms, lost, new_owner_ms, .. } = seen;
            write!(f, ", {family} outage {outage_ms:.0} ms, {lost} lost, new owner after {new_owner_ms:.0} ms")?;
            let notes = [
                (seen.two_owners, "two owners"),
                (seen.two_owners_on_return, "two owners on return"),
                (seen.moved_back, "moved back"),
            ];
            for (_, note) in notes.iter().filter(|(is_so, _)| *is_so) {
                write!(f, ", {note}")?;
            }
        }
        write!(f, "; probe late by {:.0} ms", self.lateness_ms)
    }
}

/// Makes one run, and leaves the system healed also when it fails.
pub(crate) fn run(system: &mut dyn System, settled: &Settled, fault: Fault, phase: Duration) -> Result<Run> {
    let victim = settled.owners[0];
    let old = system.wire().node(victim).mac;
    let watch = Watch::start(system.wire(), settled, victim)?;
    thread::sleep(phase);
    let (trouble, when) = Trouble::make(system, fault, victim)?;
    let moved = watch.until_moved(when, old);
    let healing = Instant::now();
    let back = trouble.heal(system)?;
    moved?;
    let after = system.settle()?;
    watch.finish(Times { when, healing, back }, old, &after.owners, victim)
}

/// When what happened.
#[derive(Clone, Copy)]
struct Times {
    when: When,
    /// Nothing was done about the fault before.
    healing: Instant,
    /// The victim may be heard again from then on; what it left behind is removed.
    back: Instant,
}

/// A fault in force.
enum Trouble {
    OnSwitch(fault::Fault),
    Ended(usize),
    Stopped(Target),
}

impl Trouble {
    fn make(system: &mut dyn System, fault: Fault, victim: usize) -> Result<(Self, When)> {
        let node = system.wire().node(victim);
        let Some(signal) = fault.signal() else {
            let made = if fault == Fault::SilentCut { fault::cut } else { fault::link_down }(system.wire(), &node)?;
            let when = made.when;
            return Ok((Self::OnSwitch(made), when));
        };
        let target = match (system.process(victim)?, signal) {
            // An orderly end is the leader's to arrange; an abrupt one must leave nobody who could start it again.
            (Target::Group(id), Signal::SIGTERM) => Target::Process(id),
            (target, _) => target,
        };
        let struck = strike(target, signal)?;
        // A signal has acted when it is sent; `in_force` is when we have seen that.
        let when = When { in_force: struck.asked, ..struck };
        let trouble = if signal == Signal::SIGSTOP { Self::Stopped(target) } else { Self::Ended(victim) };
        Ok((trouble, when))
    }

    /// Ends it, and tells from when on the victim is back.
    fn heal(self, system: &mut dyn System) -> Result<Instant> {
        match self {
            Self::OnSwitch(fault) => Ok(fault.heal()?.asked),
            Self::Stopped(target) => Ok(strike(target, Signal::SIGCONT)?.asked),
            Self::Ended(node) => system.revive(node).map(|()| Instant::now()),
        }
    }
}

/// The probes on the addresses of one owner, and a capture.
struct Watch {
    capture: Capture,
    addresses: Vec<Probes>,
}

struct Probes {
    /// Its place in the system's list.
    number: usize,
    target: SocketAddr,
    traffic: UdpProbe,
    questions: AddressProbe,
}

impl Watch {
    /// Returns when the client is served.
    fn start(wire: &Wire, settled: &Settled, victim: usize) -> Result<Self> {
        let capture = Capture::start(wire)?;
        let mut addresses = Vec::new();
        for (number, (target, owner)) in settled.targets.iter().zip(&settled.owners).enumerate() {
            if *owner == victim {
                let questions = AddressProbe::start(asker(wire), target.ip(), ASK_EVERY)?;
                // It may have missed, or not been told, who has the address since the last run.
                client(wire).forget(target.ip())?;
                let traffic = UdpProbe::start(&client(wire).namespace, *target, EVERY)?;
                addresses.push(Probes { number, target: *target, traffic, questions });
            }
        }
        for Probes { target, traffic, .. } in &addresses {
            ensure!(traffic.wait_for_answers(40, LIMIT), "the client does not reach {target}");
            let entry = client(wire).namespace.output("ip", &["neigh", "show", "to", &target.ip().to_string()])?;
            ensure!(
                entry.contains(&wire.node(victim).mac.to_string()),
                "the client does not use the owner but {entry:?}"
            );
        }
        Ok(Self { capture, addresses })
    }

    /// Waits until others than the victim say that they have the addresses, and the client is served.
    fn until_moved(&self, when: When, old: Mac) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let log = self.capture.log().since(when.asked).sent();
            let moved = |probes: &Probes| log.records.iter().any(|record| is_claim_of_another(record, probes, old));
            let waiting: Vec<_> =
                self.addresses.iter().filter(|probes| !moved(probes)).map(|p| p.target.ip()).collect();
            if waiting.is_empty() {
                break;
            }
            ensure!(Instant::now() < deadline, "{waiting:?} did not move within {LIMIT:?}");
            thread::sleep(Duration::from_millis(20));
        }
        thread::sleep(AFTERMATH);
        for probes in &self.addresses {
            ensure!(
                probes.traffic.wait_for_answers(20, LIMIT),
                "{} moved, but the client does not reach it",
                probes.target
            );
        }
        Ok(())
    }

    fn finish(self, times: Times, old: Mac, after: &[usize], victim: usize) -> Result<Run> {
        let Times { when, healing, back } = times;
        let log = self.capture.stop()?.since(when.asked).sent();
        let (mut addresses, mut lateness) = (Vec::new(), Duration::ZERO);
        let forever = Instant::now() + LIMIT;
        for probes in self.addresses {
            let claim = log.records.iter().find(|record| is_claim_of_another(record, &probes, old));
            let claim = claim.map_or(healing, |record| record.at);
            let (traffic, questions) = (probes.traffic.stop()?, probes.questions.stop()?);
            // The last answer before the fault is where an outage begins.
            let felt = traffic.between(when.asked - EVERY * 10, healing);
            lateness = lateness.max(worst_lateness(&felt));
            let returned = traffic.between(healing, forever);
            addresses.push(Seen {
                ipv6: probes.target.is_ipv6(),
                outage_ms: felt.outage_ms(),
                lost: felt.lost(),
                new_owner_ms: millis(claim.saturating_duration_since(when.in_force)),
                unanswered_ms: questions.between(when.asked - ASK_EVERY * 10, healing).outage_ms(),
                two_owners: two_answered(&questions, when.asked, healing),
                two_owners_on_return: two_answered(&questions, back, forever),
                outage_on_return_ms: returned.outage_ms(),
                moved_back: after[probes.number] == victim,
            });
        }
        Ok(Run { victim, owners_after: after.to_vec(), addresses, lateness_ms: millis(lateness) })
    }
}

/// Whether a frame says that an address is at another machine than `old`.
fn is_claim_of_another(record: &herald_tests::capture::Record, probes: &Probes, old: Mac) -> bool {
    record.frame.sender == probes.target.ip() && record.frame.sender_mac.is_some_and(|mac| mac != old)
}

/// Whether a question of that time was answered by two machines.
fn two_answered(questions: &Report, from: Instant, until: Instant) -> bool {
    questions.doubles.iter().filter(|double| (from..until).contains(&double.at)).any(|double| {
        let asked = questions.samples.iter().rev().find(|sample| sample.sent <= double.at);
        asked.and_then(|sample| sample.answer()).is_some_and(|first| first.by != double.by)
    })
}

/// How much later than due a probe was sent at most; each is due [`EVERY`] after the one before.
fn worst_lateness(report: &Report) -> Duration {
    let pauses = report.samples.windows(2).map(|pair| pair[1].sent - pair[0].sent);
    pauses.max().unwrap_or_default().saturating_sub(EVERY)
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// How often the client sends, and so how finely an outage is seen.
pub(crate) const EVERY: Duration = Duration::from_millis(5);
/// How often another client asks who has the address.
const ASK_EVERY: Duration = Duration::from_millis(20);
/// A probe that was later than this may have made what it saw.
pub(crate) const LATE: Duration = Duration::from_millis(30);
/// Several times what any of the systems takes.
const LIMIT: Duration = Duration::from_secs(30);
/// How long the new owner is watched before the fault is healed: a second owner would show.
const AFTERMATH: Duration = Duration::from_millis(500);
