//! `CallLimit`, which limits concurrent calls to the driver and runs each call to its end.

use std::{sync::Arc, time::Duration};

use session_core::Result;
use tokio::{sync::Semaphore, time::timeout};

use crate::error::backend_error;

/// As many calls as the driver's pool has connections by default.
const CONCURRENT_CALLS: usize = 100;

/// Longer than the driver's own timeouts. Only a call on a connection that failed without notice
/// reaches it.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// A limit on concurrent calls. Each call runs to its end, even if its caller is dropped.
///
/// The driver (3.9.1) serves one waiter of its pool's queue for each event in the pool. A waiter
/// that was dropped stays in the queue and takes an event. After a stall in which a hundred callers
/// gave up, the queue keeps that length: each new caller is served a hundred events later, gives up
/// before that, and stays in the queue itself. Under steady traffic this never ends. Callers
/// therefore wait for this limit instead, whose queue a dropped caller leaves, and never give up in
/// the driver's queue.
#[derive(Clone, Debug)]
pub(crate) struct CallLimit(Arc<Semaphore>);

impl CallLimit {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(CONCURRENT_CALLS)))
    }

    pub(crate) async fn run<T: Send + 'static>(
        &self,
        call: impl Future<Output = mongodb::error::Result<T>> + Send + 'static,
    ) -> Result<T> {
        let permit = Arc::clone(&self.0)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let call = tokio::spawn(async move {
            let result = timeout(CALL_TIMEOUT, call).await;
            drop(permit);
            result
        });
        // The task fails if its runtime ends, or if the driver panics because the client's runtime
        // has ended.
        call.await
            .map_err(backend_error)?
            .map_err(backend_error)?
            .map_err(backend_error)
    }
}
