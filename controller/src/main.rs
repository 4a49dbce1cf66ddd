//! `herald-controller`: gives addresses to Services of type LoadBalancer. The only writer of their status and of the pools' status.
//!
//! ```text
//!   source      watches -> facts, parsed and stripped on arrival
//!   reconcile   the desk: facts in, one decision per Service, writes and news out; no clock, no client
//!   apply       carries the writes out, some at a time
//!   report      Events and pool counters, behind the writes and never in their way
//!   lease       which of the replicas acts
//!   key         the Secret that the speakers' heartbeats are sealed with
//!   run         one task that owns the desk and wires the rest to it
//! ```
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a shell: it owns clocks and sockets")]

mod apply;
mod args;
mod error;
mod key;
mod lease;
mod metrics;
mod reconcile;
mod report;
mod run;
mod source;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = args::Args::parse();
    herald_runtime::log::init(&args.log);
    // Two workers: one for the desk, one for parsing and writing beside it.
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(run::run(args));
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "controller ends");
            ExitCode::FAILURE
        }
    }
}
