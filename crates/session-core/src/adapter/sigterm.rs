//! The signal at which a process ends.

use std::{future::pending, io};

use tokio::signal;

/// Waits for SIGTERM, or for Ctrl-C on systems without it. From the first poll on, that signal no
/// longer ends the process by itself; on Unix, Ctrl-C still does.
///
/// If no handler can be installed, it logs an error and waits forever.
pub async fn sigterm() {
    if let Err(error) = signalled().await {
        tracing::error!(%error, "the handler for SIGTERM cannot be installed: the signal ends the process without waiting for saves");
        pending::<()>().await;
    }
}

#[cfg(unix)]
async fn signalled() -> io::Result<()> {
    use signal::unix::{SignalKind, signal};
    signal(SignalKind::terminate())?.recv().await;
    Ok(())
}

#[cfg(not(unix))]
async fn signalled() -> io::Result<()> {
    signal::ctrl_c().await
}
