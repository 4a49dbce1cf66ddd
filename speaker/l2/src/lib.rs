//! ARP and NDP on the announced segment: who is answered, what is announced, what a foreign claim causes.
//!
//! Pure: no clock, no socket, no randomness. Whole Ethernet frames go in with the time they were received, whole Ethernet
//! frames come out. [`Announcer`] is the machine; its four verbs are `set`, `handle`, `poll` and `deadline`.
//!
//! ```text
//!   election -- role of each address --+                              +-- Send, Join, Leave --> packet sockets
//!   netlink --- interfaces, gateways --+--> set    [ Announcer ] poll +
//!   packet socket --- frames ------------> handle                     +-- Report ------------> log, metrics, status
//! ```
//!
//! Promises, each with a property test:
//! - no frame is ever sent for an address that this node does not own, nor on an interface it may not use;
//! - no answer comes from a stalled queue: a request older than [`Settings::stale_after`] is dropped and counted;
//! - every neighbour that knew the old owner and is up learns the new one, whatever kind of entry it holds;
//! - memory and frame rate are bounded whatever the segment sends.
//!
//! [`Prober`] asks whether an address is free before its first use (RFC 5227 §2.1, RFC 4862 §5.4).
//!
//! Not here: who owns an address (election), and sockets and their filters (the speaker's shell).

mod address;
mod announcer;
mod clients;
mod drop;
mod frames;
mod observed;
mod pace;
mod prober;
mod schedule;
mod settings;
mod wanted;
mod wire;

pub use address::{InterfaceIndex, MacAddr};
pub use announcer::{Action, Announcer, Event};
pub use drop::Drop;
pub use frames::question;
pub use observed::{Cause, Claimant, Client, Observed};
pub use prober::{Doubtful, Finding, Prober};
pub use settings::{EarlyRepeats, Settings};
pub use wanted::{Address, Interface, Role, Wanted};
