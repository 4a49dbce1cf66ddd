//! The other side: BIRD or FRR with the sessions of a test.

use std::{fmt::Write as _, time::Duration};

use herald_bfd::{Hops, Path};
use herald_tests::{
    router::{Bird, Frr},
    wire::{Member, Wire, plan},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bird,
    Frr,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Bird, Self::Frr];
}

pub(crate) enum Router {
    Bird(Bird),
    Frr(Frr),
}

/// What a router says about a session. BIRD says nothing about diagnostics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) up: bool,
    /// How often it sends.
    pub(crate) interval: Duration,
    /// How long it waits.
    pub(crate) detection: Duration,
    pub(crate) diagnostic: String,
    pub(crate) remote_diagnostic: String,
}

impl Router {
    /// Starts it on a member with the other end of each path.
    pub(crate) fn start(kind: Kind, wire: &Wire, member: &Member, paths: &[Path], interval_ms: u64) -> Self {
        let files = wire.lab().dir().join(format!("{kind:?}"));
        match kind {
            Kind::Bird => Self::Bird(Bird::start(&member.namespace, &files, &bird(paths, interval_ms)).unwrap()),
            Kind::Frr => Self::Frr(Frr::start(&member.namespace, &files, &["bfdd"], &frr(paths, interval_ms)).unwrap()),
        }
    }

    pub(crate) fn kill(&mut self) {
        match self {
            Self::Bird(bird) => bird.kill(),
            Self::Frr(frr) => frr.kill(),
        }
    }

    /// How it sees the other end of a path.
    pub(crate) fn seen(&self, path: &Path) -> Seen {
        let herald = path.local.unwrap().to_string();
        match self {
            Self::Bird(bird) => {
                let shown = bird.show("bfd sessions").unwrap();
                let line = shown.lines().find(|line| line.starts_with(&format!("{herald} "))).unwrap_or_default();
                // IP address, Interface, State, Since, Interval, Timeout.
                let words: Vec<_> = line.split_whitespace().collect();
                let [_, _, state, _, interval, timeout] = words[..] else { return Seen::default() };
                let seconds = |word: &str| Duration::from_secs_f64(word.parse().unwrap());
                let (interval, detection) = (seconds(interval), seconds(timeout));
                Seen { up: state == "Up", interval, detection, ..Seen::default() }
            }
            Self::Frr(frr) => {
                let shown: serde_json::Value =
                    serde_json::from_str(&frr.run(&["show bfd peers json"]).unwrap()).unwrap();
                let Some(peer) = shown.as_array().unwrap().iter().find(|peer| peer["peer"] == herald.as_str()) else {
                    return Seen::default();
                };
                let number = |key: &str| peer[key].as_u64().unwrap();
                let text = |key: &str| peer[key].as_str().unwrap().to_owned();
                let slower = |own: &str, remote: &str| number(own).max(number(remote));
                let interval = slower("transmit-interval", "remote-receive-interval");
                let waits = slower("receive-interval", "remote-transmit-interval") * number("remote-detect-multiplier");
                Seen {
                    up: text("status") == "up",
                    interval: Duration::from_millis(interval),
                    detection: Duration::from_millis(waits),
                    diagnostic: text("diagnostic"),
                    remote_diagnostic: text("remote-diagnostic"),
                }
            }
        }
    }

    /// Gives FRR one more line for the session.
    pub(crate) fn set(&self, path: &Path, line: &str) {
        let Self::Frr(frr) = self else { panic!("BIRD has no such words") };
        frr.run(&["configure terminal", "bfd", &frr_peer(path), line]).unwrap();
    }
}

fn bird(paths: &[Path], interval_ms: u64) -> String {
    let timing = format!("interval {interval_ms} ms; multiplier 3;");
    let mut text = format!(
        "router id 10.0.0.1;\nprotocol device {{ }}\nprotocol bfd {{\n  interface \"*\" {{ {timing} }};\n  multihop {{ {timing} }};\n"
    );
    for path in paths {
        let (herald, own) = (path.local.unwrap(), path.peer);
        let rest = match path.hops {
            Hops::Single => format!("dev \"{}\"", plan::INTERFACE),
            Hops::Multi => format!("local {own} multihop on"),
        };
        writeln!(text, "  neighbor {herald} {rest};").unwrap();
    }
    text + "}\n"
}

fn frr(paths: &[Path], interval_ms: u64) -> String {
    let mut text = "bfd\n".to_owned();
    for path in paths {
        let peer = frr_peer(path);
        writeln!(
            text,
            " {peer}\n  detect-multiplier 3\n  receive-interval {interval_ms}\n  transmit-interval {interval_ms}\n  no shutdown"
        )
        .unwrap();
    }
    text
}

fn frr_peer(path: &Path) -> String {
    let (herald, own) = (path.local.unwrap(), path.peer);
    match path.hops {
        Hops::Single => format!("peer {herald} local-address {own} interface {}", plan::INTERFACE),
        Hops::Multi => format!("peer {herald} multihop local-address {own}"),
    }
}
