use std::{sync::Arc, time::Duration};

use session_core::Result;
use tokio::{sync::Semaphore, time::timeout};

use crate::failure::failed;

/// As many calls as the driver's pool has connections unless told otherwise.
const AT_ONCE: usize = 100;

/// Longer than the driver takes to give up by itself, so that only a call on a connection that has died in silence ends
/// this way.
const LIMIT: Duration = Duration::from_secs(30);

/// Runs the driver's calls, each to its end, even when nobody waits for the answer any more.
///
/// The driver (3.9.1) takes one waiter from its pool's queue for each thing that happens there, and a waiter that is gone
/// counts as one. After a stall in which some hundred callers gave up, the queue stays that long: everybody who comes is
/// served some hundred events later, gives up before that, and takes the place of those who were there. Under steady
/// traffic this never ends. So nobody leaves that queue; they wait before it, where leaving is free.
#[derive(Clone, Debug)]
pub(crate) struct Calls(Arc<Semaphore>);

impl Calls {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }

    pub(crate) async fn run<T: Send + 'static>(
        &self,
        call: impl Future<Output = mongodb::error::Result<T>> + Send + 'static,
    ) -> Result<T> {
        let place = Arc::clone(&self.0)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let call = tokio::spawn(async move {
            let answer = timeout(LIMIT, call).await;
            drop(place);
            answer
        });
        // The task ends without an answer if its runtime does, or the driver panics because the client's has.
        call.await.map_err(failed)?.map_err(failed)?.map_err(failed)
    }
}
