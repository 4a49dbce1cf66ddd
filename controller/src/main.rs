//! `herald-controller`: gives addresses to Services of type LoadBalancer. The only writer of their status and of the pools' status.
//!
//! ```text
//!   source      watches -> facts, parsed and stripped on arrival
//!   reconcile   the desk: facts in, one decision per Service, writes and news out; no clock, no client
//!   apply       carries the writes out, some at a time
//!   report      Events and pool counters, behind the writes and never in their way
//!   lease       which of the replicas acts
//!   admission   the webhooks: what an object would come to, asked before it is stored
//!   certs       what the webhooks are trusted by
//!   key         the Secret that the speakers' heartbeats are sealed with
//!   run         one task that owns the desk and wires the rest to it
//! ```
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a shell: it owns clocks and sockets")]

mod admission;
mod apply;
mod args;
mod certs;
mod key;
mod lease;
mod metrics;
mod reconcile;
mod report;
mod reserve;
mod run;
mod source;

use herald_runtime::{flags, process};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: args::Args = flags::parse();
    process::run(&args.log.clone(), run::run(args))
}
