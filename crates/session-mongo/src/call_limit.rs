//! `CallLimit`, which limits concurrent calls to the driver and how long each takes.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use session_core::Result;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::{sleep, timeout},
};

use crate::error::backend_error;

/// The connections of the driver's pool, if a client has no `maxPoolSize` (driver 3.9.1).
pub(crate) const DEFAULT_POOL_SIZE: u32 = 10;

/// Longer than the driver's own timeouts. Only a call on a connection that failed without notice
/// reaches it.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a call goes on when its caller was dropped. A connection that is silent by then is
/// closed, and its place is free.
const AFTER_CALLER: Duration = Duration::from_millis(400);

/// A limit on concurrent calls. A call whose caller was dropped still gets the time to read its
/// reply, so that its connection can be used again.
///
/// The driver (3.9.1) serves one waiter of its pool's queue for each event in the pool. A waiter
/// that was dropped stays in the queue and takes an event. After a stall in which a hundred callers
/// gave up, the queue keeps that length: each new caller is served a hundred events later, gives up
/// before that, and stays in the queue itself. Under steady traffic this never ends. Callers
/// therefore wait for this limit instead, whose queue a dropped caller leaves, and never give up in
/// the driver's queue.
#[derive(Clone, Debug)]
pub(crate) struct CallLimit {
    most: usize,
    calls: Arc<Semaphore>,
    writes: Arc<Semaphore>,
}

impl CallLimit {
    /// As many calls as the pool has connections. A quarter of them is kept for reads, because a
    /// write waits for the majority of a replica set.
    pub(crate) fn new(pool_size: u32) -> Self {
        let calls = pool_size.max(1) as usize;
        Self {
            most: calls,
            calls: Arc::new(Semaphore::new(calls)),
            writes: Arc::new(Semaphore::new(calls - calls / 4)),
        }
    }

    /// How many calls there are, and how many there may be.
    pub(crate) fn used(&self) -> (usize, usize) {
        let free = self.calls.available_permits();
        (self.most.saturating_sub(free), self.most)
    }

    pub(crate) async fn write<T: Send + 'static>(
        &self,
        call: impl Future<Output = mongodb::error::Result<T>> + Send + 'static,
    ) -> Result<T> {
        let permit = permit(&self.writes).await;
        let holding_it = async move {
            let result = call.await;
            drop(permit);
            result
        };
        self.run(holding_it).await
    }

    pub(crate) async fn run<T: Send + 'static>(
        &self,
        call: impl Future<Output = mongodb::error::Result<T>> + Send + 'static,
    ) -> Result<T> {
        let permit = permit(&self.calls).await;
        let (_caller, dropped) = oneshot::channel();
        let call = tokio::spawn(async move {
            let result = tokio::select! {
                result = call => Ok(result),
                () = too_long(dropped) => Err(io::Error::from(io::ErrorKind::TimedOut)),
            };
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

async fn too_long(dropped: oneshot::Receiver<Infallible>) {
    if timeout(CALL_TIMEOUT, dropped).await.is_ok() {
        sleep(AFTER_CALLER).await;
    }
}

async fn permit(of: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    let permit = Arc::clone(of).acquire_owned().await;
    permit.expect("the semaphore is never closed")
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const MOMENT: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn writes_that_wait_leave_connections_to_reads() {
        for pool_size in [4, 10] {
            let limit = CallLimit::new(pool_size);
            for _ in 0..100 {
                let limit = limit.clone();
                tokio::spawn(async move { limit.write::<()>(pending()).await });
            }
            tokio::time::sleep(MOMENT).await;
            let read = timeout(MOMENT, limit.run(async { Ok(1) })).await;
            assert_eq!(read.expect("a connection is free").unwrap(), 1);
            let more = timeout(MOMENT, limit.write(async { Ok(1) })).await;
            assert!(more.is_err(), "the writes have their part");
        }
    }
}
