//! A limit by which something has to become so, and the time after it in which that is only late.

use std::fmt::Display;
use std::time::Duration;

use crate::Watch;

/// What has not become so this long after its limit never does, whatever else the machine has to do.
const NEVER: Duration = Duration::from_secs(20);

/// Distinguishes what becomes so too late, which may be the machine's fault, from what does not become so
/// at all, such as a connection that is lost: `cargo xtask test` repeats a test only for the former.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    watch: Watch,
    limit: Duration,
}

impl Deadline {
    /// Begins now.
    #[must_use]
    pub fn within(limit: Duration) -> Self {
        Self {
            watch: Watch::start(),
            limit,
        }
    }

    /// To be called again and again while it is not so. Fails 20 seconds after the limit.
    pub fn not_yet(&self, what: impl Display) {
        let elapsed = self.watch.elapsed();
        assert!(
            elapsed < self.limit + NEVER,
            "{what}: still after {elapsed:?}"
        );
    }

    /// To be called when it is so. Fails as [`assert_in_time!`](crate::assert_in_time) does if that is
    /// after the limit.
    pub async fn met(self, what: impl Display) {
        let took = self.watch.stop(self.limit).await;
        crate::assert_in_time!(took < self.limit, "{what}: {took:?}");
    }
}

/// Waits until `is_so`, and fails with `what` if that is after `limit`, or as [`Deadline`] says if it never
/// is.
pub async fn eventually(limit: Duration, what: impl Display, is_so: impl AsyncFn() -> bool) {
    let deadline = Deadline::within(limit);
    while !is_so().await {
        deadline.not_yet(&what);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    deadline.met(what).await;
}
