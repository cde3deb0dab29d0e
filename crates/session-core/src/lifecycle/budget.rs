use std::{future::Future, sync::Mutex, sync::PoisonError, time::Duration};

use tokio::time::{Instant, timeout_at};

use crate::error::{Error, Result};

/// For a budget that no clock can count to the end of: a day.
const FOREVER: Duration = Duration::from_hours(24);

/// The store time of one request: all attempts together share it, the handler's own time does not count.
#[derive(Debug)]
pub(crate) struct Budget {
    total: Duration,
    left: Mutex<Duration>,
}

impl Budget {
    pub(crate) fn new(total: Duration) -> Self {
        Self {
            total,
            left: Mutex::new(total),
        }
    }

    /// Grants the whole time again.
    pub(crate) fn refill(&self) {
        *self.left() = self.total;
    }

    /// Runs `call` within what is left.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] when nothing is left.
    pub(crate) async fn spend<T>(&self, call: impl Future<Output = T>) -> Result<T> {
        let left = *self.left();
        let start = Instant::now();
        let end = start.checked_add(left).unwrap_or(start + FOREVER);
        let answer = timeout_at(end, call).await;
        let mut left = self.left();
        *left = left.saturating_sub(start.elapsed());
        answer.map_err(|_| Error::Timeout { budget: self.total })
    }

    fn left(&self) -> std::sync::MutexGuard<'_, Duration> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
