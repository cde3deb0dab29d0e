//! `Probe`: finds out why no connection can be opened, by one attempt at a time for all calls.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

/// Why no connection could be opened. All calls that wait for an attempt get the same error.
pub(crate) type Cause = Arc<sqlx::Error>;

// After a failure the next attempt begins no sooner than `MIN_BACKOFF` after its end, and no sooner
// than a delay, which doubles from `MIN_BACKOFF` to `MAX_BACKOFF`, after its beginning. An attempt
// that met silence lasted longer than that, so the end of the silence is found soon.
const MIN_BACKOFF: Duration = Duration::from_millis(50);
const MAX_BACKOFF: Duration = Duration::from_millis(500);

/// Attempts to connect that find out why there is no connection. One runs at a time.
pub(crate) struct Probe {
    /// The time of one attempt.
    limit: Duration,
    state: watch::Sender<State>,
}

#[derive(Default)]
struct State {
    /// When the attempt that runs began.
    running: Option<Instant>,
    /// When the last one that succeeded ended.
    succeeded: Option<Instant>,
    /// Set if the last attempt that ended has failed.
    failure: Option<Failure>,
    failures: u64,
}

struct Failure {
    cause: Cause,
    delay: Duration,
    /// When the next attempt may begin.
    until: Instant,
}

impl Probe {
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            limit,
            state: watch::Sender::default(),
        }
    }

    /// Whether an attempt runs, or the last one failed.
    pub(crate) fn is_in_doubt(&self) -> bool {
        let state = self.state.borrow();
        state.is_running(self.limit) || state.failure.is_some()
    }

    /// Starts an attempt, unless one is running. During the backoff after a failed one, returns its
    /// error.
    ///
    /// It runs in a task of its own. If it ended with the call that started it, its look-up of the
    /// name would go on alone, and the next call would start another.
    pub(crate) fn start(
        self: &Arc<Self>,
        attempt: impl Future<Output = sqlx::Result<()>> + Send + 'static,
    ) -> Option<Cause> {
        let (mut in_backoff, now) = (None, Instant::now());
        let started = self.state.send_if_modified(|state| {
            let failure = state.failure.as_ref().filter(|it| now < it.until);
            in_backoff = failure.map(|it| Arc::clone(&it.cause));
            let starts = !state.is_running(self.limit) && in_backoff.is_none();
            if starts {
                state.running = Some(now);
            }
            starts
        });
        if started {
            let (probe, limit) = (Arc::clone(self), self.limit);
            let running = Running {
                probe,
                began: now,
                result: None,
            };
            tokio::spawn(async move {
                let result = timeout(limit, attempt).await;
                running.end(result.unwrap_or_else(|_| Err(silence())));
            });
        }
        in_backoff
    }

    fn end(&self, began: Instant, result: Option<sqlx::Result<()>>) {
        self.state.send_modify(|state| {
            // Another began meanwhile, because this one's runtime stood still.
            if state.running != Some(began) {
                return;
            }
            state.running = None;
            match result {
                None => {}
                Some(Ok(())) => {
                    state.failure = None;
                    state.succeeded = Some(Instant::now());
                }
                Some(Err(cause)) => {
                    let previous = state.failure.as_ref();
                    let delay = previous.map_or(MIN_BACKOFF, |it| (it.delay * 2).min(MAX_BACKOFF));
                    state.failures += 1;
                    state.failure = Some(Failure {
                        cause: cause.into(),
                        delay,
                        until: (began + delay).max(Instant::now() + MIN_BACKOFF),
                    });
                }
            }
        });
    }

    /// Waits until no attempt is running.
    pub(crate) async fn ended(&self) {
        let _ = self
            .state
            .subscribe()
            .wait_for(|it| it.running.is_none())
            .await;
    }

    /// Waits until an attempt begins or ends.
    pub(crate) async fn changed(&self) {
        let _ = self.state.subscribe().changed().await;
    }

    pub(crate) fn has_succeeded_since(&self, time: Instant) -> bool {
        self.state.borrow().succeeded.is_some_and(|it| it >= time)
    }

    /// How many attempts have failed.
    pub(crate) fn failures(&self) -> u64 {
        self.state.borrow().failures
    }

    /// Waits until more attempts have failed.
    pub(crate) async fn more_failures(&self, than: u64) {
        let _ = self
            .state
            .subscribe()
            .wait_for(|it| it.failures > than)
            .await;
    }

    /// The error of the last attempt that ended.
    pub(crate) fn failure(&self) -> Option<Cause> {
        let state = self.state.borrow();
        state.failure.as_ref().map(|it| Arc::clone(&it.cause))
    }
}

impl State {
    /// An attempt whose runtime stands still is no longer waited for: a handler may block its
    /// thread, or the application drives that runtime no more.
    fn is_running(&self, limit: Duration) -> bool {
        self.running
            .is_some_and(|began| began.elapsed() < limit + MIN_BACKOFF)
    }
}

/// An attempt that runs.
struct Running {
    probe: Arc<Probe>,
    began: Instant,
    /// `None` until the end, which the runtime of its task may not live to see.
    result: Option<sqlx::Result<()>>,
}

impl Running {
    fn end(mut self, result: sqlx::Result<()>) {
        self.result = Some(result);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.probe.end(self.began, self.result.take());
    }
}

/// The server accepted a connection and said nothing, or nobody did.
pub(crate) fn silence() -> sqlx::Error {
    io::Error::new(io::ErrorKind::TimedOut, "it does not answer").into()
}
