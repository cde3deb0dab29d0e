//! A stop watch that does not count the time in which the machine let nothing of this process run.

use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

const PULSE: Duration = Duration::from_millis(5);
/// A delay that is shorter is no stall.
const STALL: Duration = Duration::from_millis(50);

static STALLED_MICROS: AtomicU64 = AtomicU64::new(0);
static STARTED: Once = Once::new();

#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch {
    begun: Instant,
    stalled: Duration,
}

impl Watch {
    pub(crate) fn start() -> Self {
        // A thread of its own, so that a runtime that is blocked is no excuse.
        STARTED.call_once(|| drop(thread::spawn(pulse)));
        Self {
            begun: Instant::now(),
            stalled: stalled(),
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        let stalled = stalled().saturating_sub(self.stalled);
        self.begun.elapsed().saturating_sub(stalled)
    }

    /// What [`elapsed`](Self::elapsed) was until now. If it is over `limit`, it first waits until a
    /// stall that is just over has been counted.
    pub(crate) async fn stop(self, limit: Duration) -> Duration {
        let (elapsed, ended) = (self.elapsed(), Instant::now());
        if elapsed < limit {
            return elapsed;
        }
        tokio::time::sleep(4 * PULSE).await;
        let afterwards = ended.elapsed();
        self.elapsed().saturating_sub(afterwards)
    }
}

fn pulse() {
    loop {
        let begun = Instant::now();
        thread::sleep(PULSE);
        let late = begun.elapsed().saturating_sub(PULSE);
        if late > STALL {
            let late = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
            STALLED_MICROS.fetch_add(late, Relaxed);
        }
    }
}

fn stalled() -> Duration {
    Duration::from_micros(STALLED_MICROS.load(Relaxed))
}
