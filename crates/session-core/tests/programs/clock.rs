//! The wall clock of all processes and the store in a program.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use session_core::Clock;
use tokio::time::Instant;

/// The wall clock's time at the start of every program, in milliseconds since 1970.
const START: i64 = 1_800_000_000_000;

/// The wall clock of all processes and the store. It advances with the runtime's clock, and can be
/// set.
#[derive(Clone, Debug)]
pub(crate) struct WallClock {
    origin: Instant,
    /// What the runtime's milliseconds since `origin` are off from the wall clock's since 1970.
    offset: Arc<AtomicI64>,
}

impl WallClock {
    pub(crate) fn new() -> Self {
        Self {
            origin: Instant::now(),
            offset: Arc::default(),
        }
    }

    /// Begins a program.
    pub(crate) fn start(&self) {
        self.offset.store(START - self.passed(), Ordering::Relaxed);
    }

    pub(crate) fn set(&self, by_seconds: i64) {
        self.offset.fetch_add(by_seconds * 1000, Ordering::Relaxed);
    }

    pub(crate) fn clock(&self) -> Clock {
        let clock = self.clone();
        Arc::new(move || clock.now())
    }

    pub(crate) fn now(&self) -> SystemTime {
        let millis = self.passed() + self.offset.load(Ordering::Relaxed);
        UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or(0))
    }

    fn passed(&self) -> i64 {
        i64::try_from(self.origin.elapsed().as_millis()).expect("no program takes so long")
    }
}
