//! The session machine through its four verbs, in virtual time. What the peer says is written by hand, octet by octet,
//! and what it hears is read by hand: a mistake in the crate's own wire code cannot hide itself.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test takes any instant, and fails by panic")]

mod collisions;
mod garbage;
mod pair;
mod reader;
mod restarts;
mod routes;
mod solo;
mod states;
mod stops;
mod storms;
mod timers;
mod words;
mod written;
