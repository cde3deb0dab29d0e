//! A stop watch that does not count the time in which the machine let nothing of this process run, and the check of a
//! measured time.

use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

const PULSE: Duration = Duration::from_millis(5);
/// A delay that is shorter is no stall.
const STALL: Duration = Duration::from_millis(50);

static STALLED_MICROS: AtomicU64 = AtomicU64::new(0);
static STARTED: Once = Once::new();

/// Measures a time as [`Instant`] does, and leaves out the stalls of the machine: the times of more
/// than 50 ms in which it let a thread of this process wait.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    begun: Instant,
    stalled: Duration,
}

impl Watch {
    /// Begins now.
    #[must_use]
    pub fn start() -> Self {
        // A thread of its own, so that a runtime that is blocked is no excuse.
        STARTED.call_once(|| drop(thread::spawn(pulse)));
        Self {
            begun: Instant::now(),
            stalled: stalled(),
        }
    }

    /// The time since the start, without the stalls that have been counted so far.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        let stalled = stalled().saturating_sub(self.stalled);
        self.begun.elapsed().saturating_sub(stalled)
    }

    /// What [`elapsed`](Self::elapsed) was until now. If it is over `limit`, it first waits until a
    /// stall that is just over has been counted.
    pub async fn stop(self, limit: Duration) -> Duration {
        let (elapsed, ended) = (self.elapsed(), Instant::now());
        if elapsed < limit {
            return elapsed;
        }
        tokio::time::sleep(4 * PULSE).await;
        let afterwards = ended.elapsed();
        self.elapsed().saturating_sub(afterwards)
    }

    /// Whether the machine stalled since the start. It first waits until a stall that is just over
    /// has been counted.
    pub async fn stalled(self) -> bool {
        tokio::time::sleep(4 * PULSE).await;
        stalled() > self.stalled
    }
}

/// Fails as `assert!` does, with a message that begins with `late: `. `cargo xtask test` runs a test that is late once
/// more, alone: a machine that has other work can make every time too long. So the condition is an upper limit of a time,
/// and nothing else.
#[macro_export]
macro_rules! assert_in_time {
    ($condition:expr $(,)?) => {
        assert!($condition, "late: {}", stringify!($condition))
    };
    ($condition:expr, $($message:tt)+) => {
        assert!($condition, "late: {}", format_args!($($message)+))
    };
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
