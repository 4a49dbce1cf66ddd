//! Bidirectional Forwarding Detection: whether a peer is still reached, in asynchronous mode (RFC 5880), over one hop (RFC 5881) or
//! several (RFC 5883), for clients that follow RFC 5882.
//!
//! Pure: no clock, no socket; randomness comes as a seed. [`Sessions`] is the machine; its four verbs are `set`, `handle`, `poll` and
//! `deadline`. It holds every session of the node and gives each packet to the one it belongs to.
//!
//! ```text
//!   BGP peers ------ Path -> Settings, whole ---> set    [ Sessions ]  poll +--> Send ----> one socket per session
//!   UDP 3784, 4784 - packet, TTL, interface ----> handle     |              +--> Report --> BGP, metrics, log
//!                                                            |
//!           wire     parse, checks of the bytes (§6.8.6, first half)
//!           session  the variables of §6.8.1, what follows from each packet and each silence
//!           transition  state x received state
//!           timing   what is advertised, how often to send (§6.8.7), how long silence may last (§6.8.4)
//!           poll     one Poll Sequence at a time (§6.5)
//! ```
//!
//! # Promises, and where they are tested
//!
//! - A peer that falls silent is reported after the Detection Time of RFC 5880 §6.8.4, not before, and one that loses fewer than Detect Mult packets
//!   in a row is not. *`tests/sessions/pair.rs`.*
//! - Never faster than agreed, and than one packet a second until Up (§6.8.3, §6.8.7), but for packets that say something new. *`pair.rs`.*
//! - AdminDown is not a failure (RFC 5882 §4.2): a session that is no longer wanted tells its peer so, in a way that survives a lost packet, and a peer that
//!   says it is reported as stopped, not as down. *`stops.rs`.*
//! - Every change of timing is announced by a Poll Sequence and takes effect when §6.8.3 says. *`timing/tests.rs`, `timing.rs` of the tests.*
//! - A local pause is not the peer's death: silence that was measured over a late wake-up gets one Detection Time of grace, once. *`late.rs`.*
//! - Bytes from outside never panic, cost bounded memory, and are counted under one [`Drop`] if they lead to nothing. *`drops.rs`, `fuzz.rs`.*
//!
//! # What it does not do
//!
//! - Authentication (§6.7): no key can be configured, and packets with the A bit are discarded, as §6.8.6 asks. RFC 5881 §5 lets the TTL of
//!   255 stand in for it.
//! - Demand mode on this side (§6.6): a peer's is respected.
//! - Echo (§6.4): needs the peer's forwarding plane to return our own packets. It is never sent, Required Min Echo RX Interval is always zero so
//!   that no peer sends any, and a profile that asks for it is told so ([`Observed::EchoRefused`]); control packets go on without.
//! - Seamless BFD, multipoint, BFD for LAG members.
//!
//! The C bit (§4.1) is never set: this code shares fate with the process that speaks BGP, so that a peer in graceful restart may tell the
//! death of the process from that of the node (RFC 5882 §4.3).

mod diagnostic;
mod drop;
mod jitter;
mod observed;
mod path;
mod poll;
mod session;
mod sessions;
mod settings;
mod timing;
mod transition;
mod wire;

pub use diagnostic::Diagnostic;
pub use drop::Drop;
pub use observed::{Cause, ControlPlane, Observed, View};
pub use path::{Hops, InterfaceIndex, MULTI_HOP_PORT, Path, SINGLE_HOP_PORT, SOURCE_PORTS};
pub use sessions::{Action, Event, MOST_SESSIONS, Packet, Sessions};
pub use settings::{Echo, Interval, Role, Settings};
pub use transition::State;
pub use wire::LENGTH;
