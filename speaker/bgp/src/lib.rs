//! A BGP speaker that originates routes and learns none (RFC 4271).
//!
//! Pure: no clock, no socket, no log; randomness comes as a seed. Bytes of a TCP connection go in with the time they were
//! received, bytes come out. [`Session`] is the machine for one peer; its four verbs are `set`, `handle`, `poll` and
//! `deadline`.
//!
//! ```text
//!   peer and routes, whole --------> set     [ Session ]  poll +--> Connect, Send, Close --> TCP
//!   TCP, BFD, operator ------------> handle     |              +--> Report ----------------> status, metrics, log
//!                                               |
//!             transition  state x event, RFC 4271 §8.2.2         negotiate  what two OPENs agree on, or why not
//!             timers      deadlines and waits                    restart    graceful restart
//!             route       what is said about a route             cease      why a session is ended by us
//!             rib_out     what the peer should hold and holds    wire       messages as bytes
//! ```
//!
//! Promises, each with a test that names it:
//! - no UPDATE before Established;
//! - what the peer holds after everything was written is the wanted set, as far as the peer takes it, and what it does not
//!   take is listed with the reason;
//! - every connection that we end is ended with a NOTIFICATION, and every end is reported with a reason that says which
//!   side has to change what;
//! - what a peer sends is bounded, validated and counted, not stored: a full table costs no memory.
//!
//! Not here: sockets, passwords, TTL, VRFs (the shell); liveness faster than a hold time (BFD); which routes are wanted.

pub mod iana;
pub mod wire;

mod cease;
mod negotiate;
mod observed;
mod peer;
mod restart;
mod rib_out;
mod route;
mod session;
mod timers;
mod transition;

pub use cease::{Cease, KeepsRoutes};
pub use negotiate::{Negotiated, Refusal};
pub use observed::{Counters, Ended, Messages, Observed, Side};
pub use peer::{CONNECT_RETRY_TIME, Dial, HOLD_TIME, Offer, OwnAddresses, RemoteAs, Restart, Settings, Start};
pub use rib_out::RibOut;
pub use route::{LOCAL_PREF, NextHopChoice, NotSent, Route, Routes, Terms};
pub use session::{Action, ConnectionId, Event, Session, Stop, WINDOW, Wanted};
pub use transition::State;
