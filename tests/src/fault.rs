//! Things that go wrong: on the switch and to processes.
//!
//! | fault | how | what the victim notices |
//! |---|---|---|
//! | [`cut`] | bridge port disabled | nothing: the carrier stays, no frame passes either way |
//! | [`link_down`] | switch's end of the cable set down | its carrier goes |
//! | [`block`] | bridge forward rule | frames of one direction between some members vanish |
//! | [`partition`] | bridge forward rules | groups cannot reach each other |
//! | [`lose`] | bridge rule by `numgen` | a share of frames vanishes |
//! | [`strike`] | a signal | as the signal says |
//!
//! A fault stays until [`Fault::heal`]; it is not healed by being dropped, as the lab's end removes it anyway. [`When`] bounds the
//! moment in which it began to act: not before `asked`, not after `in_force`.

mod process;

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
pub use process::{Target, strike};

use crate::{
    netns::Namespace,
    wire::{Member, Wire},
};

/// The moment in which something happened, as exactly as we know it.
#[derive(Clone, Copy, Debug)]
pub struct When {
    /// Not before.
    pub asked: Instant,
    /// Not after.
    pub in_force: Instant,
}

impl When {
    fn of(act: impl FnOnce() -> Result<()>) -> Result<Self> {
        let asked = Instant::now();
        act()?;
        Ok(Self { asked, in_force: Instant::now() })
    }
}

/// A fault on the switch that is in force.
#[derive(Debug)]
#[must_use = "a fault that is forgotten cannot be healed"]
pub struct Fault {
    /// When it began.
    pub when: When,
    switch: Namespace,
    undo: Undo,
}

#[derive(Debug)]
enum Undo {
    EnablePort(String),
    SetUp(String),
    DeleteTable(String),
}

impl Fault {
    /// Ends it and tells when it ended.
    pub fn heal(self) -> Result<When> {
        let switch = &self.switch;
        match &self.undo {
            Undo::EnablePort(port) => When::of(|| set_port_state(switch, port, FORWARDING)),
            Undo::SetUp(port) => When::of(|| {
                switch.ip(&format!("link set {port} up\n"))?;
                wait_until_forwarding(switch, port)
            }),
            Undo::DeleteTable(table) => When::of(|| switch.nft(&format!("delete table bridge {table}\n"))),
        }
    }
}

/// Cuts a member off without telling it: its link stays up.
pub fn cut(wire: &Wire, member: &Member) -> Result<Fault> {
    let when = When::of(|| set_port_state(&wire.switch, &member.name, DISABLED))?;
    Ok(Fault { when, switch: wire.switch.clone(), undo: Undo::EnablePort(member.name.clone()) })
}

/// Pulls a member's cable: its link goes down.
pub fn link_down(wire: &Wire, member: &Member) -> Result<Fault> {
    let when = When::of(|| wire.switch.ip(&format!("link set {} down\n", member.name)))?;
    Ok(Fault { when, switch: wire.switch.clone(), undo: Undo::SetUp(member.name.clone()) })
}

/// Drops what each of `from` sends to each of `to`, broadcasts included; the other way stays open.
pub fn block(wire: &Wire, from: &[&Member], to: &[&Member]) -> Result<Fault> {
    forward_rules(wire, &[(from, to)])
}

/// Members of different groups cannot reach each other; a member of none of them reaches all.
pub fn partition(wire: &Wire, groups: &[&[&Member]]) -> Result<Fault> {
    if groups.len() < 2 || groups.iter().any(|group| group.is_empty()) {
        bail!("a partition has at least two groups, none of them empty");
    }
    let mut pairs = Vec::new();
    for (i, from) in groups.iter().enumerate() {
        for (j, to) in groups.iter().enumerate() {
            if i != j {
                pairs.push((*from, *to));
            }
        }
    }
    forward_rules(wire, &pairs)
}

/// How many frames to lose.
#[derive(Clone, Copy, Debug)]
pub enum Loss {
    /// Each frame with this probability in percent.
    Percent(f64),
    /// The first `frames` of every `of` frames.
    Burst {
        /// Lost in a row.
        frames: u32,
        /// Length of the cycle.
        of: u32,
    },
}

/// Which frames of a member a loss is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// What it sends; a broadcast is lost for all receivers at once.
    Sent,
    /// What it receives; a broadcast is lost for this member alone.
    Received,
    /// Both.
    Both,
}

/// Loses a share of the frames of each of some members.
pub fn lose(wire: &Wire, members: &[&Member], loss: Loss, way: Way) -> Result<Fault> {
    let generator = match loss {
        // A comparison with the whole range is refused by nftables.
        Loss::Percent(100.0) => String::new(),
        Loss::Percent(percent) if (0.0..100.0).contains(&percent) => {
            format!("numgen random mod 10000 < {}", (percent * 100.0).floor())
        }
        Loss::Burst { frames, of } if frames < of => format!("numgen inc mod {of} < {frames}"),
        Loss::Percent(_) | Loss::Burst { .. } => bail!("not a share of frames: {loss:?}"),
    };
    // One rule and so one generator for each member: a burst counts the member's own frames.
    let rules = |direction: &str| -> String {
        members.iter().map(|member| format!("{direction} \"{}\" {generator} drop\n", member.name)).collect()
    };
    let mut chains = String::new();
    if way != Way::Received {
        chains += &chain("prerouting", &rules("iifname"));
    }
    if way != Way::Sent {
        chains += &chain("forward", &rules("oifname"));
    }
    table(wire, &chains)
}

/// Loses every frame of everybody, as a switch that reboots.
pub fn black_out(wire: &Wire) -> Result<Fault> {
    let members: Vec<&Member> = wire.members().collect();
    lose(wire, &members, Loss::Percent(100.0), Way::Sent)
}

fn forward_rules(wire: &Wire, pairs: &[(&[&Member], &[&Member])]) -> Result<Fault> {
    let rules: String = pairs
        .iter()
        .map(|(from, to)| format!("iifname {{ {} }} oifname {{ {} }} drop\n", names(from), names(to)))
        .collect();
    table(wire, &chain("forward", &rules))
}

fn names(members: &[&Member]) -> String {
    members.iter().map(|member| format!("\"{}\"", member.name)).collect::<Vec<_>>().join(", ")
}

fn chain(hook: &str, rules: &str) -> String {
    format!("chain {hook} {{\ntype filter hook {hook} priority -300;\n{rules}}}\n")
}

/// Every fault has a table of its own, so that they add up and heal one by one.
fn table(wire: &Wire, chains: &str) -> Result<Fault> {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let name = format!("fault{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let when = When::of(|| wire.switch.nft(&format!("table bridge {name} {{\n{chains}}}\n")))?;
    Ok(Fault { when, switch: wire.switch.clone(), undo: Undo::DeleteTable(name) })
}

fn set_port_state(switch: &Namespace, port: &str, state: &str) -> Result<()> {
    switch.output("bridge", &["link", "set", "dev", port, "state", state]).map(|_| ())
}

fn wait_until_forwarding(switch: &Namespace, port: &str) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !switch.output("bridge", &["link", "show", "dev", port])?.contains("state forwarding") {
        if Instant::now() > deadline {
            bail!("port {port} does not forward 5 s after it was set up");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

// Port states of the kernel's bridge, as `bridge link set` takes them.
const DISABLED: &str = "0";
const FORWARDING: &str = "3";
