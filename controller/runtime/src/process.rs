//! The life of a process: logs first, then its work, then an exit code.

use crate::log::{self, LogArgs};
use std::{future::Future, process::ExitCode};

/// Sets logs up, runs the work to its end and says why it failed if it did. One thread carries it all: what decides needs microseconds, and a second
/// thread costs more in waking each other up than it takes over.
pub fn run(args: &LogArgs, work: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    log::init(args);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(work);
    // What still runs is of no use to anybody any more.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "ends");
            ExitCode::FAILURE
        }
    }
}
