//! Limits and paces, each with the reason for its number.

use std::time::Duration;

/// What an operator may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Announcement frames per second and interface. Switches police ARP to their CPU, often at a few thousand per
    /// second: double it and frames may be dropped there, halve it and the last of 1,000 addresses is announced after
    /// 1 s instead of 0.5 s. Answers are not counted: they are one per request. 0 is read as 1.
    pub frames_per_second: u32,
    /// Frames that may go out at once after a quiet time: one address with its clients moves without waiting. A
    /// burst of this size must fit a NIC's transmit ring (256 and up). 0 is read as 1.
    pub burst_frames: u32,
    /// A request older than this is not answered. The shell wakes every few milliseconds; only a process that stood
    /// still leaves requests lying longer, and by then another node may own the address. It must stay below the time
    /// after which peers take over (80 ms by default).
    pub stale_after: Duration,
    /// Clients remembered per address, the latest first to stay. Routers and a few hosts of the segment ask; others
    /// come through a router. Each costs one frame in a take-over.
    pub clients_per_address: usize,
    /// Clients remembered in all, the latest first to stay; about 80 bytes each.
    pub clients_total: usize,
    /// A client not heard for this long is forgotten. Silence does not mean that its entry is gone: one that TCP keeps
    /// confirmed never asks again (RFC 4861 §7.3.1), and routers keep ARP entries for up to 4 hours unasked. So it is
    /// longer than that; a client that is gone costs a frame per round and nothing else.
    pub client_expiry: Duration,
    /// At most one corrective burst, and one report, per address, interface and this time. RFC 5227 §2.4(c) lets a
    /// host defend without end, one announcement per DEFEND_INTERVAL of 10 s, so that two defenders do not flood the
    /// segment. One second still bounds that (a few frames per second) and gives clients back ten times sooner.
    pub defend_interval: Duration,
    /// Whether rounds are repeated within the first 200 ms.
    pub early_repeats: EarlyRepeats,
}

/// Whether a take-over is repeated at 10, 50 and 200 ms. RFC 4861 §7.2.6 asks unsolicited advertisements to keep one
/// second between them; a segment that enforces this can have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EarlyRepeats {
    /// Three early repeats, which make one lost frame harmless.
    Send,
    /// None.
    Skip,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            frames_per_second: 2_000,
            burst_frames: 80,
            stale_after: Duration::from_millis(50),
            clients_per_address: 64,
            clients_total: 16_384,
            client_expiry: Duration::from_secs(15_000),
            defend_interval: Duration::from_secs(1),
            early_repeats: EarlyRepeats::Send,
        }
    }
}
