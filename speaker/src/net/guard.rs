//! The loop guard: a packet for an announced address and a port that no Service has must not circle between nodes.
//!
//! kube-proxy translates packets for ports that a Service has. Any other packet for the address is still addressed to it
//! after NAT, so the kernel routes it back out to the LAN, where the owner, this node again, receives it, until the TTL ends:
//! 63 frames on the wire for one. The guard drops such packets in the forward hook, on every node, owner or not.
//!
//! The same goes for what is announced by BGP, where a router is the one that sends it back, and for every address of an aggregate, in use or not. There
//! each node guards what it announces itself, on every interface that leads to a LAN.
//!
//! The table belongs to a child process `nft -i` (`flags owner`): changes are lines on its standard input, each one
//! transaction, and the kernel removes the table when that process ends, which it does when this one ends, however it
//! ends. So nothing is left behind, even by `kill -9`. The sets are sent whole at first, and then what changes in them: one new address among
//! thousands is one element, and no other one is without guard meanwhile.

use herald_desire::{Tree, bgp};
use ipnet::IpNet;
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
    /// What this node announces by BGP.
    pub(crate) routes: bgp::Desired,
    /// Names of all interfaces that lead to a LAN: a router may be behind any.
    pub(crate) uplinks: BTreeSet<String>,
}

impl Guarded {
    /// The prefixes of all routes, without those that lie in another one: intervals of a set do not overlap.
    fn prefixes(&self) -> BTreeSet<IpNet> {
        let all: BTreeSet<IpNet> = self.routes.values().flat_map(bgp::Routes::keys).copied().collect();
        let mut around: Option<IpNet> = None;
        // A prefix comes right before what lies in it.
        all.into_iter()
            .filter(|prefix| {
                let outermost = around.is_none_or(|around| !around.contains(prefix));
                if outermost {
                    around = Some(*prefix);
                }
                outermost
            })
            .collect()
    }
}

/// Wait before the next try after `nft` failed: a node may load its kernel modules late.
const RETRY: Duration = Duration::from_secs(2);
/// Names of the table: while a speaker takes the place of another one on the same node, both have one.
const NAMES: [&str; 2] = ["herald", "herald_next"];
/// Elements a line: keeps lines within what a netlink message takes.
const PER_LINE: usize = 200;

const TABLE: &str = "table inet NAME { flags owner; \
    set vip4 { type ipv4_addr; }; set vip6 { type ipv6_addr; }; set lan { type ifname; }; \
    set net4 { type ipv4_addr; flags interval; }; set net6 { type ipv6_addr; flags interval; }; set uplink { type ifname; }; \
    chain guard { type filter hook forward priority filter; policy accept; \
    iifname @lan ip daddr @vip4 counter drop; iifname @lan ip6 daddr @vip6 counter drop; \
    iifname @uplink ip daddr @net4 counter drop; iifname @uplink ip6 daddr @net6 counter drop; }; }\n";

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
    let mut before = None;
    loop {
        let guarded = wanted.borrow_and_update().clone();
        input.write_all(script(name, before.as_ref(), &guarded).as_bytes()).await?;
        let prefixes = if said { 0 } else { guarded.prefixes().len() };
        if !said && (!guarded.addresses.is_empty() || prefixes > 0) {
            tracing::info!(addresses = guarded.addresses.len(), prefixes, "loop guard in force");
            said = true;
        }
        before = Some(guarded);
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

/// The lines that make the sets equal to what is wanted: from what they hold, or whole where that is not known.
fn script(table: &str, before: Option<&Guarded>, wanted: &Guarded) -> String {
    let mut text = String::new();
    if before.is_none() {
        let flush =
            ["vip4", "vip6", "net4", "net6", "lan", "uplink"].map(|set| format!("flush set inet {table} {set}"));
        let _ = writeln!(text, "{}", flush.join("; "));
    }
    let nothing = Guarded::default();
    let before = before.unwrap_or(&nothing);
    let (mut added, mut removed) = (Vec::new(), Vec::new());
    wanted
        .addresses
        .since(&before.addresses, |ip, _, new| if new.is_some() { added.push(*ip) } else { removed.push(*ip) });
    for (verb, ips) in [("delete", removed), ("add", added)] {
        let (vip4, vip6): (Vec<IpAddr>, Vec<IpAddr>) = ips.into_iter().partition(IpAddr::is_ipv4);
        elements(&mut text, verb, table, "vip4", vip4.iter().map(ToString::to_string).collect());
        elements(&mut text, verb, table, "vip6", vip6.iter().map(ToString::to_string).collect());
    }
    if wanted.routes != before.routes {
        let (was, is) = (before.prefixes(), wanted.prefixes());
        for (verb, prefixes) in [("delete", &was - &is), ("add", &is - &was)] {
            let (net4, net6): (Vec<IpNet>, Vec<IpNet>) =
                prefixes.into_iter().partition(|prefix| prefix.addr().is_ipv4());
            elements(&mut text, verb, table, "net4", net4.iter().map(ToString::to_string).collect());
            elements(&mut text, verb, table, "net6", net6.iter().map(ToString::to_string).collect());
        }
    }
    let quoted = |names: BTreeSet<String>| names.into_iter().map(|name| format!("\"{name}\"")).collect();
    elements(&mut text, "delete", table, "lan", quoted(&before.interfaces - &wanted.interfaces));
    elements(&mut text, "add", table, "lan", quoted(&wanted.interfaces - &before.interfaces));
    elements(&mut text, "delete", table, "uplink", quoted(&before.uplinks - &wanted.uplinks));
    elements(&mut text, "add", table, "uplink", quoted(&wanted.uplinks - &before.uplinks));
    text
}

fn elements(text: &mut String, verb: &str, table: &str, set: &str, elements: Vec<String>) {
    for chunk in elements.chunks(PER_LINE) {
        let _ = writeln!(text, "{verb} element inet {table} {set} {{ {} }}", chunk.join(", "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guarded(addresses: &[&str], interfaces: &[&str]) -> Guarded {
        Guarded {
            addresses: addresses.iter().map(|ip| (ip.parse().unwrap(), ())).collect(),
            interfaces: interfaces.iter().map(|name| (*name).to_owned()).collect(),
            ..Guarded::default()
        }
    }

    fn announced(routes: &[(&str, &[&str])], uplinks: &[&str]) -> Guarded {
        let of = |prefixes: &[&str]| {
            prefixes.iter().map(|text| (text.parse().unwrap(), std::sync::Arc::default())).collect()
        };
        Guarded {
            routes: routes.iter().map(|(peer, prefixes)| ((*peer).to_owned(), of(prefixes))).collect(),
            uplinks: uplinks.iter().map(|name| (*name).to_owned()).collect(),
            ..Guarded::default()
        }
    }

    #[test]
    fn what_lies_in_an_aggregate_is_guarded_by_it_and_alone_when_that_goes() {
        let before = announced(
            &[("tor", &["10.9.0.0/24", "fd09::/64"]), ("spine", &["10.9.0.7/32", "10.10.0.1/32"])],
            &["eth0"],
        );
        let after = announced(&[("spine", &["10.9.0.7/32", "10.10.0.1/32"])], &["eth0", "eth1"]);
        assert_eq!(
            script("herald", Some(&Guarded::default()), &before),
            "add element inet herald net4 { 10.9.0.0/24, 10.10.0.1/32 }\n\
             add element inet herald net6 { fd09::/64 }\n\
             add element inet herald uplink { \"eth0\" }\n"
        );
        assert_eq!(
            script("herald", Some(&before), &after),
            "delete element inet herald net4 { 10.9.0.0/24 }\n\
             delete element inet herald net6 { fd09::/64 }\n\
             add element inet herald net4 { 10.9.0.7/32 }\n\
             add element inet herald uplink { \"eth1\" }\n"
        );
    }

    #[test]
    fn sets_of_which_nothing_is_known_are_emptied_first() {
        assert_eq!(
            script("herald", None, &guarded(&["10.0.0.1", "10.0.0.2", "fd00::1"], &["eth0"])),
            "flush set inet herald vip4; flush set inet herald vip6; flush set inet herald net4; flush set inet herald net6; \
             flush set inet herald lan; flush set inet herald uplink\n\
             add element inet herald vip4 { 10.0.0.1, 10.0.0.2 }\n\
             add element inet herald vip6 { fd00::1 }\n\
             add element inet herald lan { \"eth0\" }\n"
        );
    }

    #[test]
    fn of_a_set_that_is_known_only_what_changes_is_sent() {
        let before = guarded(&["10.0.0.1", "10.0.0.2", "fd00::1"], &["eth0", "eth1"]);
        let after = guarded(&["10.0.0.2", "10.0.0.3", "fd00::2"], &["eth1", "eth2"]);
        assert_eq!(
            script("herald", Some(&before), &after),
            "delete element inet herald vip4 { 10.0.0.1 }\n\
             delete element inet herald vip6 { fd00::1 }\n\
             add element inet herald vip4 { 10.0.0.3 }\n\
             add element inet herald vip6 { fd00::2 }\n\
             delete element inet herald lan { \"eth0\" }\n\
             add element inet herald lan { \"eth2\" }\n"
        );
        assert_eq!(script("herald", Some(&after), &after), "");
    }

    #[test]
    fn many_addresses_are_sent_in_lines_that_fit_a_message() {
        let many = (0..450_u32).map(|number| (std::net::Ipv4Addr::from(0x0a00_0000 + number).into(), ())).collect();
        let many = Guarded { addresses: many, ..Guarded::default() };
        assert_eq!(script("herald", None, &many).lines().count(), 1 + 3);
    }
}
