//! Saves and log-outs whose clients hung up. Each runs to its end in a task of the runtime that
//! dropped its request, and is lost if the runtime ends first.

use std::{future::Future, sync::LazyLock, time::Duration};

use tokio::{runtime::Handle, sync::watch, time::timeout};

use crate::Result;

/// The saves that the process must wait for before it ends. There is one count for all runtimes.
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
/// Such a save runs in the runtime of its request and is lost if that ends. So call this when the
/// process is about to end and its runtimes still run. A save takes at most the store time of the
/// settings. A warning counts the saves that are not done in time.
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

/// Runs a save to its end for which nobody waits any more.
pub(super) fn spawn<T: Send + 'static>(save: impl Future<Output = Result<T>> + Send + 'static) {
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
