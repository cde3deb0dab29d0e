//! Saves and log-outs whose clients hung up. Each runs to its end in a task of its worker, and is
//! lost if the worker ends first.

use std::{future::Future, sync::LazyLock, time::Duration};

use actix_web::rt::{signal, time::timeout};
use session_core::Result;
use tokio::{runtime::Handle, sync::watch};

/// The saves that the process must wait for before it ends. There is one count for all workers.
static COUNT: LazyLock<watch::Sender<Count>> = LazyLock::new(watch::Sender::default);

#[derive(Default)]
struct Count {
    under_way: usize,
    /// How many of them were logged as lost already.
    logged: usize,
}

/// Waits until the saves of clients that hung up are done, `within` at most. Returns how many are
/// not done by then.
///
/// Such a save runs in its worker and is lost if the worker ends. So call this when the process is
/// about to end and its workers still run: in the future that is passed to
/// [`HttpServer::shutdown_signal`](actix_web::HttpServer::shutdown_signal). A save takes at most
/// the store time of the settings. A warning counts the saves that are not done in time.
pub async fn finish_saves(within: Duration) -> usize {
    let mut count = COUNT.subscribe();
    let done = timeout(within, count.wait_for(|count| count.under_way == 0)).await;
    if done.is_ok() {
        return 0;
    }
    let mut lost = 0;
    COUNT.send_modify(|count| {
        lost = count.under_way;
        count.logged = lost;
    });
    if lost > 0 {
        tracing::warn!(
            lost,
            "shutdown: session saves did not finish in time and are lost; their clients had disconnected"
        );
    }
    lost
}

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

/// Runs a save to its end for which nobody waits any more.
pub(crate) fn spawn<T: Send + 'static>(save: impl Future<Output = Result<T>> + Send + 'static) {
    COUNT.send_modify(|count| count.under_way += 1);
    let abandoned = Abandoned { done: false };
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(abandoned.finish(save));
    }
}

struct Abandoned {
    done: bool,
}

impl Abandoned {
    async fn finish<T>(mut self, save: impl Future<Output = Result<T>>) {
        let saved = save.await;
        self.done = true;
        if let Err(error) = saved {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a session save of a disconnected client failed; its changes may be lost"
            );
        }
    }
}

impl Drop for Abandoned {
    fn drop(&mut self) {
        let mut logged = false;
        COUNT.send_modify(|count| {
            count.under_way -= 1;
            logged = count.logged > 0;
            count.logged -= usize::from(logged);
        });
        if !self.done && !logged {
            tracing::warn!("a session save of a disconnected client was cut off and is lost");
        }
    }
}
