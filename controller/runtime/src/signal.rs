//! The wish to end.

use std::io;
use tokio::signal::unix::{SignalKind, signal};

/// Returns at the first SIGTERM or SIGINT, with the signal's name.
///
/// # Errors
/// The handler cannot be installed.
pub async fn shutdown() -> io::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}
