//! The announcer through its four verbs, in virtual time. Frames are built and read here by hand, byte by byte, so that
//! a mistake in the crate's own wire code cannot hide itself.

#![expect(clippy::unwrap_used, reason = "the bed's own addresses and frames are well-formed")]

mod announcements;
mod answers;
mod bed;
mod conflicts;
mod drops;
mod groups;
mod learning;
mod probing;
mod promises;
mod said;
mod takeover;
