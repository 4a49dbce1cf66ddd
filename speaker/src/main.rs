//! `herald-speaker`: one per node. Decides from a view of the cluster, announces, reports.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a shell: it owns clocks, sockets and threads")]

mod args;
mod bgp;
mod health;
mod metrics;
mod net;
mod node;
mod orders;
mod ports;
mod pulse;
mod report;
mod run;
mod source;
mod succession;

use herald_runtime::{flags, process};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: args::Args = flags::parse();
    process::run(&args.log.clone(), run::run(args))
}
