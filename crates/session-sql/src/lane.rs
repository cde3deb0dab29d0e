use std::sync::Arc;

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use crate::{dialect::Driver, pace};

/// Lets the writes of one process to a database that has one writer pass one after the other, in the order they came.
///
/// Writers that meet in `SQLite` sleep and ask again. And a checkpoint beside which others are always writing never
/// reaches the end of the log, so that the log is not begun anew but grows, and every commit tries once more: under full
/// load by 100 MB in some seconds.
///
/// Nothing depends on it. Other processes do not see it, and who waits too long goes on without: a write that waits for
/// the disk in a checkpoint must not hold up the others.
#[derive(Clone)]
pub(crate) struct Lane(Option<Arc<Semaphore>>);

impl Lane {
    pub(crate) fn of<D: Driver>() -> Self {
        Self(D::ONE_WRITER.then(|| Arc::new(Semaphore::new(1))))
    }

    /// The caller's turn, until it is dropped; none if there is no lane, or if it took too long.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        let writers = self.0.as_ref()?;
        timeout(pace::TURN, writers.acquire()).await.ok()?.ok()
    }
}

#[cfg(all(test, feature = "sqlite", feature = "postgres"))]
mod tests {
    use std::time::Instant;

    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn one_has_its_turn_after_the_other() {
        let lane = Lane::of::<sqlx::Sqlite>();
        let first = lane.turn().await.expect("nobody is before");
        let (mut second, mut third) = (lane.turn().boxed(), lane.turn().boxed());
        assert!((&mut second).now_or_never().is_none());
        assert!((&mut third).now_or_never().is_none());
        drop(first);
        assert!((&mut third).now_or_never().is_none());
        assert!(second.await.is_some());
        assert!(third.await.is_some());
    }

    #[tokio::test]
    async fn a_call_that_is_dropped_gives_its_turn_back() {
        let lane = Lane::of::<sqlx::Sqlite>();
        let first = lane.turn().await;
        let mut second = lane.turn().boxed();
        assert!((&mut second).now_or_never().is_none());
        drop(first);
        drop(second);
        assert!(lane.turn().await.is_some());
    }

    #[tokio::test]
    async fn who_waits_too_long_goes_on_without() {
        let lane = Lane::of::<sqlx::Sqlite>();
        let _first = lane.turn().await.expect("nobody is before");
        let began = Instant::now();
        assert!(lane.turn().await.is_none());
        assert!(began.elapsed() >= pace::TURN);
    }

    #[tokio::test]
    async fn a_database_with_many_writers_has_none() {
        let lane = Lane::of::<sqlx::Postgres>();
        assert!(lane.turn().await.is_none());
    }
}
