//! A clock that stands still unless a test moves it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use session_core::{Clock, MemoryStore};

use super::observed_store::ObservedStore;

#[derive(Clone, Default)]
pub(crate) struct TestClock(Arc<AtomicU64>);

impl TestClock {
    pub(crate) fn clock(&self) -> Clock {
        let seconds = self.0.clone();
        Arc::new(move || {
            UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds.load(Ordering::Relaxed))
        })
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }

    pub(crate) fn store(&self) -> ObservedStore {
        ObservedStore::new(MemoryStore::new().with_clock(self.clock()))
    }
}
