//! The queue of this process's writers to a database that has one writer at a time.

use std::sync::Arc;

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use crate::{dialect::Driver, timeouts};

/// Lets the writers of one process to `SQLite` write one after the other, in order of arrival.
///
/// Without it, writers that meet in `SQLite` sleep and poll for the write lock. A checkpoint also
/// never reaches the end of the log while others write, so the log grows by 100 MB in a few seconds
/// of full load, and every commit tries the checkpoint again.
///
/// No promise depends on the queue, and other processes do not see it. A writer that waits longer
/// than [`timeouts::WRITER_QUEUE`] continues without a permit, so that a write that waits for the
/// disk in a checkpoint does not hold up the others.
#[derive(Clone)]
pub(crate) struct WriterQueue(Option<Arc<Semaphore>>);

impl WriterQueue {
    /// A queue if the database has one writer at a time.
    pub(crate) fn new<D: Driver>() -> Self {
        Self(D::ONE_WRITER.then(|| Arc::new(Semaphore::new(1))))
    }

    /// The permit to write, which is given back when it is dropped.
    ///
    /// `None` if there is no queue, or if the wait took too long.
    pub(crate) async fn permit(&self) -> Option<SemaphorePermit<'_>> {
        let writers = self.0.as_ref()?;
        let permit = timeout(timeouts::WRITER_QUEUE, writers.acquire()).await;
        permit.ok()?.ok()
    }
}

#[cfg(all(test, feature = "sqlite", feature = "postgres"))]
mod tests {
    use std::time::Instant;

    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn writers_get_the_permit_in_order_of_arrival() {
        let queue = WriterQueue::new::<sqlx::Sqlite>();
        let first = queue.permit().await.expect("the queue is empty");
        let (mut second, mut third) = (queue.permit().boxed(), queue.permit().boxed());
        assert!((&mut second).now_or_never().is_none());
        assert!((&mut third).now_or_never().is_none());
        drop(first);
        assert!((&mut third).now_or_never().is_none());
        assert!(second.await.is_some());
        assert!(third.await.is_some());
    }

    #[tokio::test]
    async fn a_call_that_is_dropped_gives_its_permit_back() {
        let queue = WriterQueue::new::<sqlx::Sqlite>();
        let first = queue.permit().await;
        let mut second = queue.permit().boxed();
        assert!((&mut second).now_or_never().is_none());
        drop(first);
        drop(second);
        assert!(queue.permit().await.is_some());
    }

    #[tokio::test]
    async fn a_writer_that_waits_too_long_continues_without_a_permit() {
        let queue = WriterQueue::new::<sqlx::Sqlite>();
        let _first = queue.permit().await.expect("the queue is empty");
        let began = Instant::now();
        assert!(queue.permit().await.is_none());
        assert!(began.elapsed() >= timeouts::WRITER_QUEUE);
    }

    #[tokio::test]
    async fn a_database_with_many_writers_has_no_queue() {
        let queue = WriterQueue::new::<sqlx::Postgres>();
        assert!(queue.permit().await.is_none());
    }
}
