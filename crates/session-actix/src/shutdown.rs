//! The signal at which the process waits for the saves of clients that hung up.

use std::time::Duration;

use session_core::adapter::{finish_saves, sigterm};

/// Waits for SIGTERM, and then for [`finish_saves`]. On systems without SIGTERM it waits for
/// Ctrl-C.
///
/// Pass it to [`HttpServer::shutdown_signal`](actix_web::HttpServer::shutdown_signal). The server
/// then handles no signal itself, so on Unix Ctrl-C ends the process at once.
pub async fn sigterm_and_saves(within: Duration) {
    sigterm().await;
    finish_saves(within).await;
}
