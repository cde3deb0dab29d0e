//! A clock that stands still unless a test moves it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use session_core::Clock;

/// The time of day, which stands still unless a test moves it.
#[derive(Clone, Debug)]
pub(crate) struct Time {
    millis: Arc<AtomicU64>,
    fast: Duration,
}

impl Time {
    pub(crate) fn new() -> Self {
        Self {
            millis: Arc::new(AtomicU64::new(1_800_000_000_000)),
            fast: Duration::ZERO,
        }
    }

    /// The same time by a clock that is `by` fast.
    pub(crate) fn fast(&self, by: Duration) -> Self {
        Self {
            millis: self.millis.clone(),
            fast: self.fast + by,
        }
    }

    pub(crate) fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.millis.load(Ordering::SeqCst)) + self.fast
    }

    pub(crate) fn advance(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).unwrap();
        self.millis.fetch_add(millis, Ordering::SeqCst);
    }

    pub(crate) fn clock(&self) -> Clock {
        let time = self.clone();
        Arc::new(move || time.now())
    }
}
