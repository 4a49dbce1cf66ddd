//! The loop guard: a packet for an announced address and a port that no Service has must not circle between nodes.
//!
//! kube-proxy translates packets for ports that a Service has. Any other packet for the address is still addressed to it
//! after NAT, so the kernel routes it back out to the LAN, where the owner, this node again, receives it, until the TTL ends:
//! 63 frames on the wire for one. The guard drops such packets in the forward hook, on every node, owner or not.
//!
//! The table belongs to a child process `nft -i` (`flags owner`): changes are lines on its standard input, each one
//! transaction, and the kernel removes the table when that process ends, which it does when this one ends, however it
//! ends. So nothing is left behind, even by `kill -9`. The sets are sent whole when they change.

use herald_desire::Tree;
use std::{collections::BTreeSet, fmt::Write as _, io, net::IpAddr, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, Command},
    sync::watch,
    time::sleep,
};

/// What the guard protects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Guarded {
    /// Every address of the cluster that is announced by layer 2, on every node.
    pub(crate) addresses: Tree<IpAddr, ()>,
    /// Names of the interfaces that addresses are announced on.
    pub(crate) interfaces: BTreeSet<String>,
}

/// Wait before the next try after `nft` failed: a node may load its kernel modules late.
const RETRY: Duration = Duration::from_secs(2);
/// Names of the table: while a speaker takes the place of another one on the same node, both have one.
const NAMES: [&str; 2] = ["herald", "herald_next"];
/// Elements a line: keeps lines within what a netlink message takes.
const PER_LINE: usize = 200;

const TABLE: &str = "table inet NAME { flags owner; \
    set vip4 { type ipv4_addr; }; set vip6 { type ipv6_addr; }; set lan { type ifname; }; \
    chain guard { type filter hook forward priority filter; policy accept; \
    iifname @lan ip daddr @vip4 counter drop; iifname @lan ip6 daddr @vip6 counter drop; }; }\n";

/// Keeps the guard in force until `wanted` closes. Never returns while it is open: failures are logged and tried again.
pub(crate) async fn keep(mut wanted: watch::Receiver<Guarded>) {
    for name in NAMES.into_iter().cycle() {
        match run(&mut wanted, name).await {
            Ok(()) => return,
            // Of the speaker whose place this one takes: the other name is free.
            Err(error) if name == NAMES[0] => tracing::debug!(%error, "loop guard not in force, trying another name"),
            Err(error) => {
                tracing::error!(%error, "loop guard not in force, trying again");
                sleep(RETRY).await;
            }
        }
    }
}

async fn run(wanted: &mut watch::Receiver<Guarded>, name: &str) -> io::Result<()> {
    let (mut child, mut input) = start().await?;
    let mut errors = BufReader::new(child.stderr.take().ok_or_else(|| io::Error::other("no standard error"))?).lines();
    input.write_all(TABLE.replace("NAME", name).as_bytes()).await?;
    let mut said = false;
    loop {
        let guarded = wanted.borrow_and_update().clone();
        input.write_all(script(name, &guarded).as_bytes()).await?;
        if !said && !guarded.addresses.is_empty() {
            tracing::info!(addresses = guarded.addresses.len(), "loop guard in force");
            said = true;
        }
        tokio::select! {
            result = wanted.changed() => if result.is_err() { break },
            line = errors.next_line() => match line? {
                Some(line) => return Err(io::Error::other(format!("nft: {line}"))),
                None => return Err(io::Error::other(format!("nft ended: {}", child.wait().await?))),
            },
        }
    }
    drop(input);
    child.wait().await.map(drop)
}

async fn start() -> io::Result<(Child, ChildStdin)> {
    let mut child = Command::new("nft")
        .arg("-i")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("cannot run nft ({error}); install nftables")))?;
    let input = child.stdin.take().ok_or_else(|| io::Error::other("no standard input"))?;
    Ok((child, input))
}

/// The lines that make the sets equal to what is wanted.
fn script(name: &str, guarded: &Guarded) -> String {
    let (vip4, vip6): (Vec<&IpAddr>, Vec<&IpAddr>) = guarded.addresses.keys().partition(|ip| ip.is_ipv4());
    let mut text = String::new();
    set(&mut text, name, "vip4", &vip4.iter().map(ToString::to_string).collect::<Vec<_>>());
    set(&mut text, name, "vip6", &vip6.iter().map(ToString::to_string).collect::<Vec<_>>());
    set(&mut text, name, "lan", &guarded.interfaces.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>());
    text
}

fn set(text: &mut String, table: &str, name: &str, elements: &[String]) {
    let _ = write!(text, "flush set inet {table} {name}");
    let mut chunks = elements.chunks(PER_LINE);
    // The first chunk shares its transaction with the flush, so that a set that fits one line is never seen empty.
    if let Some(first) = chunks.next() {
        let _ = write!(text, "; add element inet {table} {name} {{ {} }}", first.join(", "));
    }
    text.push('\n');
    for chunk in chunks {
        let _ = writeln!(text, "add element inet {table} {name} {{ {} }}", chunk.join(", "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_replaced_in_one_transaction() {
        let guarded = Guarded {
            addresses: ["10.0.0.1", "10.0.0.2", "fd00::1"].map(|ip| (ip.parse().unwrap(), ())).into(),
            interfaces: ["eth0".to_owned()].into(),
        };
        assert_eq!(
            script("herald", &guarded),
            "flush set inet herald vip4; add element inet herald vip4 { 10.0.0.1, 10.0.0.2 }\n\
             flush set inet herald vip6; add element inet herald vip6 { fd00::1 }\n\
             flush set inet herald lan; add element inet herald lan { \"eth0\" }\n"
        );
    }

    #[test]
    fn an_empty_set_is_flushed() {
        assert_eq!(
            script("herald", &Guarded::default()),
            "flush set inet herald vip4\nflush set inet herald vip6\nflush set inet herald lan\n"
        );
    }
}
