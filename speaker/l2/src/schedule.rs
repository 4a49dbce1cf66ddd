//! When a new owner announces: the rounds of a take-over.
//!
//! | round  | 0 | 1  | 2  | 3   | 4     | 5     | 6     | 7     |
//! |--------|---|----|----|-----|-------|-------|-------|-------|
//! | IPv4   | 0 | 10 | 50 | 200 |   500 | 1,100 | 2,100 | 5,000 | ms after the address became ours
//! | IPv6   | 0 | 10 | 50 | 200 | 1,000 | 2,000 |       |       |
//!
//! Each round is made of three steps; see [`Step`]. Nothing follows the last round: a needless announcement is a
//! needless chance to move somebody's entry.

use std::net::IpAddr;
use std::time::Duration;

use crate::EarlyRepeats;

/// One part of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// To everybody: gratuitous ARP request; advertisement to all nodes.
    Broadcast,
    /// To each client and gateway: the request or solicitation that moves every kind of entry.
    Directed,
    /// To everybody, for those who heed only this: gratuitous ARP reply; advertisement to all routers (RFC 9131 §4).
    Second,
}

/// 10 ms covers a frame lost in the same queue, 50 and 200 ms a port that has to learn or settle first, 1,100 ms the
/// second for which Linux holds on to a fresh entry (`locktime`), 5 s a spanning tree that moved quickly.
const V4_MS: [u64; 8] = [0, 10, 50, 200, 500, 1_100, 2_100, 5_000];

/// The same start, then one second between advertisements (RFC 4861 §7.2.6).
const V6_MS: [u64; 6] = [0, 10, 50, 200, 1_000, 2_000];

/// Rounds that may be left out at the operator's wish.
const EARLY_MS: std::ops::RangeInclusive<u64> = 1..=200;

/// Returns the next round after `done`, and when it is due, counted from the take-over.
///
/// Rounds that are late already because frames had to wait for each other count as one.
pub(crate) fn next_round(
    ip: IpAddr,
    early: EarlyRepeats,
    done: Option<u8>,
    elapsed: Duration,
) -> Option<(u8, Duration)> {
    let rounds: &[u64] = if ip.is_ipv4() { &V4_MS } else { &V6_MS };
    let first = done.map_or(0, |round| usize::from(round) + 1);
    let mut left =
        (first..rounds.len()).filter(|index| early == EarlyRepeats::Send || !EARLY_MS.contains(&rounds[*index]));
    let mut next = left.next()?;
    for later in left {
        if Duration::from_millis(rounds[later]) <= elapsed {
            next = later;
        }
    }
    Some((next as u8, Duration::from_millis(rounds[next])))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    const V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10));
    const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

    #[test]
    fn rounds_follow_the_table_when_nothing_is_late() {
        assert_eq!(all(V4, EarlyRepeats::Send), V4_MS);
        assert_eq!(all(V6, EarlyRepeats::Send), V6_MS);
    }

    #[test]
    fn early_repeats_can_be_left_out() {
        assert_eq!(all(V4, EarlyRepeats::Skip), [0, 500, 1_100, 2_100, 5_000]);
        assert_eq!(all(V6, EarlyRepeats::Skip), [0, 1_000, 2_000]);
    }

    #[test]
    fn late_rounds_count_as_one() {
        let late = |done, ms| next_round(V4, EarlyRepeats::Send, done, Duration::from_millis(ms));

        assert_eq!(late(Some(0), 30), Some((1, Duration::from_millis(10))));
        assert_eq!(late(Some(0), 700), Some((4, Duration::from_millis(500))));
        assert_eq!(late(Some(0), 60_000), Some((7, Duration::from_millis(5_000))));
        assert_eq!(late(Some(7), 60_000), None);
    }

    fn all(ip: IpAddr, early: EarlyRepeats) -> Vec<u64> {
        let (mut done, mut elapsed, mut found) = (None, Duration::ZERO, Vec::new());
        while let Some((round, due)) = next_round(ip, early, done, elapsed) {
            (done, elapsed) = (Some(round), due);
            found.push(due.as_millis() as u64);
        }
        found
    }
}
