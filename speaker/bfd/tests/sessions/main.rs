//! Sessions through their four verbs, in virtual time. Packets are built and read here by hand, byte by byte, so that a mistake in the
//! crate's own wire code cannot hide itself.

#![expect(clippy::unwrap_used, reason = "the bed's own packets are well-formed")]

mod bed;
mod drops;
mod fuzz;
mod late;
mod pair;
mod states;
mod stops;
mod timing;
