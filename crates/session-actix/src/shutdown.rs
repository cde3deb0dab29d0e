//! The signal at which the process waits for the saves of clients that hung up.

use std::time::Duration;

use actix_web::rt::signal;
use session_core::adapter::finish_saves;

/// Waits for SIGTERM, and then for [`finish_saves`]. On systems without SIGTERM it waits for
/// Ctrl-C.
///
/// Pass it to [`HttpServer::shutdown_signal`](actix_web::HttpServer::shutdown_signal). The server
/// then handles no signal itself, so on Unix Ctrl-C ends the process at once.
pub async fn sigterm_and_saves(within: Duration) {
    if let Err(error) = shutdown_signal().await {
        tracing::error!(%error, "the handler for SIGTERM cannot be installed: the signal ends the process without waiting for saves");
        std::future::pending::<()>().await;
    }
    finish_saves(within).await;
}

#[cfg(unix)]
async fn shutdown_signal() -> std::io::Result<()> {
    use signal::unix::{SignalKind, signal};
    signal(SignalKind::terminate())?.recv().await;
    Ok(())
}

#[cfg(not(unix))]
async fn shutdown_signal() -> std::io::Result<()> {
    signal::ctrl_c().await
}
