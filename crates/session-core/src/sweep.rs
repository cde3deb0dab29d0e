//! The loop that removes expired records: `sweep_every` and `sweep_until`.

use std::{
    convert::Infallible,
    error::Error as StdError,
    future::{pending, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use crate::{
    measure::{self, Began, Operation},
    store::{ExpiredSweep, Swept},
};

const BATCH: usize = 500;
/// The pause between two calls, so that requests are served meanwhile.
const BREATH: Duration = Duration::from_millis(5);
/// How long a shutdown waits for the call under way.
const LAST_CALL: Duration = Duration::from_millis(500);
/// A shorter pause would keep a thread busy all the time.
const MIN_PAUSE: Duration = Duration::from_millis(10);
/// A longer pause is as good as never, and its multiples could overflow.
const MAX_PAUSE: Duration = Duration::from_secs(24 * 365 * 3600);
/// After this many failures in a row the pause no longer grows: it is 8 times the usual one.
const MAX_DOUBLINGS: u32 = 3;

/// Removes expired records repeatedly, until the task that runs it is aborted or dropped.
///
/// Each sweep is calls in a row, of 500 records at most, until one [is done](Swept::is_done). It then
/// waits for `pause`, varied at random by up to a quarter, so that many processes on one store do not
/// sweep at the same time. The first sweep begins within a quarter of `pause`. If the store fails, a
/// warning is logged, and the sweep goes on after a longer pause. It doubles with each failure until a
/// sweep is done, up to eight times `pause`.
///
/// A sweep removes a record after its [`expires_at`](crate::Record::expires_at), which is at least
/// ten minutes after the session's end. A store that removes expired records by itself, such as
/// Redis, does not implement [`ExpiredSweep`] and needs no sweep.
///
/// This function spawns nothing. Spawn it on a tokio runtime with the timer enabled.
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

/// As [`sweep_every`], until `stop` is ready. A call that has begun is finished first, within half
/// a second; after that it is dropped.
///
/// Returns the output of `stop`.
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
        let began = Began::now();
        let mut call = pin!(measure::spanned(Operation::Sweep, store.sweep(BATCH)));
        let swept = poll_fn(|cx| match call.as_mut().poll(cx) {
            Poll::Ready(swept) => Poll::Ready(Ok(swept)),
            Poll::Pending => stop.as_mut().poll(cx).map(Err),
        });
        let swept = match swept.await {
            Ok(swept) => swept,
            Err(stopped) => {
                // A store that has many live records to look at takes longer. To drop the call loses
                // nothing.
                let _swept_or_not = tokio::time::timeout(LAST_CALL, call).await;
                return stopped;
            }
        };
        measure::sweep_answer(began, &swept);
        if let Ok(Swept {
            removed: removed @ 1..,
            ..
        }) = swept
        {
            measure::swept(removed);
            tracing::debug!(removed, "expired sessions were swept");
        }
        rest = match swept {
            Ok(Swept { is_done: true, .. }) => {
                failures = 0;
                jittered(pause)
            }
            // The failures count on: a store may fail at one place, and not in the calls between.
            Ok(_) => BREATH,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn StdError,
                    "expired records could not be removed; no user is affected, but the store grows; trying again later"
                );
                failures = (failures + 1).min(MAX_DOUBLINGS);
                jittered(pause.saturating_mul(1 << failures))
            }
        };
    }
}

/// Waits for `rest`. If `stop` is ready before that, returns its output.
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

/// A random number from 0 to 1, or one half if the operating system provides none.
fn fraction() -> f64 {
    getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX))
}
