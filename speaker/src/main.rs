//! `herald-speaker`: one per node. Decides from a view of the cluster, announces, reports.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a shell: it owns clocks, sockets and threads")]

mod args;
mod metrics;
mod net;
mod node;
mod orders;
mod pulse;
mod report;
mod run;
mod source;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = args::Args::parse();
    herald_runtime::log::init(&args.log);
    // Two workers: watches and reports are light, and the pulse thread needs none of them.
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
            tracing::error!(error = format!("{error:#}"), "speaker ends");
            ExitCode::FAILURE
        }
    }
}
