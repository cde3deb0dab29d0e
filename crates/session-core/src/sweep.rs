use std::{
    convert::Infallible,
    error::Error as StdError,
    future::{pending, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use crate::store::ExpiredSweep;

const BATCH: usize = 500;
/// Between two batches, so that requests have their turn.
const BREATH: Duration = Duration::from_millis(5);
/// A pause of nothing would keep a thread busy for ever.
const MIN_PAUSE: Duration = Duration::from_millis(10);
/// Longer is as good as never, and some multiple of it would be no duration.
const MAX_PAUSE: Duration = Duration::from_hours(24 * 365);
/// After this many failures in a row the pause grows no longer: 8 times the usual one.
const MAX_DOUBLINGS: u32 = 3;

/// Removes expired records again and again, until the task that runs it is aborted or dropped.
///
/// Each sweep goes in batches of 500 records until none is left, then rests for `pause`, give or take a quarter of it,
/// so that many processes on one store do not sweep at once; the first begins within a quarter of `pause`. A store
/// that fails is logged as a warning and tried again, after a pause that doubles with each failure up to eightfold.
///
/// A sweep goes by the record's [`expires_at`](crate::Record::expires_at), at least ten minutes after the session's end.
/// A store without a sweep of its own kind, such as Redis, does not implement [`ExpiredSweep`] and is not given here.
///
/// Nothing is spawned here: spawn it on your runtime, which must be tokio's with its timer on.
///
/// ```
/// # async fn start(store: session_core::MemoryStore) {
/// use std::{sync::Arc, time::Duration};
///
/// tokio::spawn(session_core::sweep_every(Arc::new(store), Duration::from_secs(300)));
/// # }
/// ```
pub async fn sweep_every(store: Arc<dyn ExpiredSweep>, pause: Duration) -> Infallible {
    sweep_until(store, pause, pending::<Infallible>()).await
}

/// As [`sweep_every`], until `stop` is ready; a batch that has begun is finished first.
///
/// The answer is that of `stop`.
pub async fn sweep_until<F: Future>(
    store: Arc<dyn ExpiredSweep>,
    pause: Duration,
    stop: F,
) -> F::Output {
    let pause = pause.clamp(MIN_PAUSE, MAX_PAUSE);
    let mut stop = pin!(stop);
    let mut failures = 0_u32;
    let mut rest = pause.mul_f64(fraction() / 4.0);
    loop {
        if let Some(stopped) = stopped_within(stop.as_mut(), rest).await {
            return stopped;
        }
        let swept = store.sweep(BATCH).await;
        if let Ok(removed @ 1..) = swept {
            tracing::debug!(removed, "expired sessions were swept");
        }
        rest = match swept {
            Ok(removed) if removed >= BATCH as u64 => BREATH,
            Ok(_) => {
                failures = 0;
                jittered(pause)
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn StdError,
                    "expired sessions could not be swept, trying again later"
                );
                failures = (failures + 1).min(MAX_DOUBLINGS);
                jittered(pause.saturating_mul(1 << failures))
            }
        };
    }
}

/// Waits for `rest`; if `stop` is ready before that, gives its answer.
async fn stopped_within<F: Future>(mut stop: Pin<&mut F>, rest: Duration) -> Option<F::Output> {
    let mut rest = pin!(tokio::time::sleep(rest));
    poll_fn(|cx| match stop.as_mut().poll(cx) {
        Poll::Ready(stopped) => Poll::Ready(Some(stopped)),
        Poll::Pending => rest.as_mut().poll(cx).map(|()| None),
    })
    .await
}

fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.75 + fraction() / 2.0)
}

/// A random number from 0 to 1; one half where the operating system has none to give.
fn fraction() -> f64 {
    getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX))
}
