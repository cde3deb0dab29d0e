use std::{future::Future, sync::Mutex, sync::PoisonError, time::Duration};

use tokio::time::{Instant, timeout};

use crate::error::{Error, Result};

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
        let answer = timeout(left, call).await;
        let mut left = self.left();
        *left = left.saturating_sub(start.elapsed());
        answer.map_err(|_| Error::Timeout { budget: self.total })
    }

    fn left(&self) -> std::sync::MutexGuard<'_, Duration> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
