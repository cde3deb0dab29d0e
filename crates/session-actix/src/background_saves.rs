//! Saves, and log-outs, whose clients hung up: each goes on in a task of its worker, and is lost if the worker ends
//! before it.

use std::{future::Future, sync::LazyLock, time::Duration};

use actix_web::rt::{signal, time::timeout};
use session_core::Result;
use tokio::{runtime::Handle, sync::watch};

/// A process has one end, so there is one count of what it must wait for.
static COUNT: LazyLock<watch::Sender<Count>> = LazyLock::new(watch::Sender::default);

#[derive(Default)]
struct Count {
    under_way: usize,
    /// Those of them that were counted as lost in the log.
    told: usize,
}

/// Waits until the saves of clients that hung up are done, `within` at most; says how many are not.
///
/// Such a save goes on in its worker, whose end it does not outlive. Call this when the process is to end and before
/// its workers do: in the future that [`HttpServer::shutdown_signal`](actix_web::HttpServer::shutdown_signal) takes. A save takes at most the store time
/// of the settings. What is not done is counted as lost in the log.
pub async fn finish_saves(within: Duration) -> usize {
    let mut count = COUNT.subscribe();
    let done = timeout(within, count.wait_for(|count| count.under_way == 0)).await;
    if done.is_ok() {
        return 0;
    }
    let mut lost = 0;
    COUNT.send_modify(|count| {
        lost = count.under_way;
        count.told = lost;
    });
    if lost > 0 {
        tracing::warn!(
            lost,
            "saves of clients that hung up take too long and are lost"
        );
    }
    lost
}

/// Waits for SIGTERM, Ctrl-C where there is none, and then for [`finish_saves`]: for
/// [`HttpServer::shutdown_signal`](actix_web::HttpServer::shutdown_signal), which handles no signal of its own then. Ctrl-C ends a Unix process at once.
pub async fn sigterm_and_saves(within: Duration) {
    if let Err(error) = asked_to_end().await {
        tracing::error!(%error, "no signal can be waited for");
        std::future::pending::<()>().await;
    }
    finish_saves(within).await;
}

#[cfg(unix)]
async fn asked_to_end() -> std::io::Result<()> {
    use signal::unix::{SignalKind, signal};
    signal(SignalKind::terminate())?.recv().await;
    Ok(())
}

#[cfg(not(unix))]
async fn asked_to_end() -> std::io::Result<()> {
    signal::ctrl_c().await
}

/// Lets a save go on for which nobody waits any more.
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
                "the save of a client that hung up failed"
            );
        }
    }
}

impl Drop for Abandoned {
    fn drop(&mut self) {
        let mut told = false;
        COUNT.send_modify(|count| {
            count.under_way -= 1;
            told = count.told > 0;
            count.told -= usize::from(told);
        });
        if !self.done && !told {
            tracing::warn!("the save of a client that hung up was not finished and is lost");
        }
    }
}
