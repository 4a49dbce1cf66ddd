//! The wire half of the lab, tried on real namespaces: needs root.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used, reason = "tests of a shell")]

mod build;
mod capture;
mod cleanup;
mod fault;
mod keepalived;
mod probe;

use std::time::{Duration, Instant};

/// Waits until something holds, with a limit that only a broken machine exceeds.
#[track_caller]
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "not within 10 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
