//! The tables as text, and `nft` that loads them.

use std::{
    io::{self, Write as _},
    process::{Command, Stdio},
};

/// One table. `FAMILY`, `ADDRESS` and `HOPS` stand for the words of the address family: `dup` does not exist in `inet`.
///
/// - `pick` is after conntrack (-200) and before any destination NAT (-100).
/// - `HOPS > 1`: `dup` counts down and does not look; 0 would become 255, and a copy would circle for ever.
/// - SYN always goes to kube-proxy: a new connection is the new owner's. FIN and RST are invalid to conntrack where it does not know the connection.
/// - Without an element in `old` that rule does not match.
const TABLE: &str = "\
add table FAMILY herald_flows
add set FAMILY herald_flows vip { type ADDRESS; }
add map FAMILY herald_flows old { type ADDRESS : ADDRESS; flags timeout; }
add set FAMILY herald_flows rst { type ADDRESS; flags timeout; }
add set FAMILY herald_flows lan { type ifname; }
add set FAMILY herald_flows peers { type ether_addr; }
add chain FAMILY herald_flows chain_tcp
add chain FAMILY herald_flows unknown
add chain FAMILY herald_flows pick { type filter hook prerouting priority mangle; policy accept; }
flush chain FAMILY herald_flows chain_tcp
flush chain FAMILY herald_flows unknown
flush chain FAMILY herald_flows pick
add rule FAMILY herald_flows chain_tcp FAMILY daddr @rst counter reject with tcp reset
add rule FAMILY herald_flows chain_tcp dup to FAMILY daddr map @old counter drop
add rule FAMILY herald_flows unknown ct state new tcp flags & syn == 0 goto chain_tcp
add rule FAMILY herald_flows unknown ct state invalid tcp flags & (fin | rst) != 0 goto chain_tcp
add rule FAMILY herald_flows pick iifname @lan FAMILY daddr @vip ether saddr != @peers FAMILY HOPS > 1 jump unknown
";

/// Loads both, keeping elements that are there. Tables of another shape are replaced.
pub(super) fn load() -> io::Result<()> {
    let tables = tables();
    nft(&tables).or_else(|_| {
        unload()?;
        nft(&tables)
    })
}

/// Deletes both; that they are not there is no error.
pub(super) fn unload() -> io::Result<()> {
    nft(
        "add table ip herald_flows\ndelete table ip herald_flows\nadd table ip6 herald_flows\ndelete table ip6 herald_flows\n",
    )
}

fn tables() -> String {
    [("ip", "ipv4_addr", "ttl"), ("ip6", "ipv6_addr", "hoplimit")]
        .map(|(family, address, hops)| {
            TABLE.replace("FAMILY", family).replace("ADDRESS", address).replace("HOPS", hops)
        })
        .concat()
}

fn nft(script: &str) -> io::Result<()> {
    let mut child = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("cannot run nft ({error}); install nftables")))?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(script.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("nft: {}", said.lines().next().unwrap_or("refused"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_get_the_same_rules_in_their_words() {
        let tables = tables();
        assert!(tables.contains("pick iifname @lan ip daddr @vip ether saddr != @peers ip ttl > 1 jump unknown"));
        assert!(
            tables.contains("pick iifname @lan ip6 daddr @vip ether saddr != @peers ip6 hoplimit > 1 jump unknown")
        );
        assert_eq!(tables.matches("dup to ip daddr map @old").count(), 1);
        assert_eq!(tables.matches("dup to ip6 daddr map @old").count(), 1);
        assert!(!tables.contains("FAMILY") && !tables.contains("ADDRESS") && !tables.contains("HOPS"));
    }
}
