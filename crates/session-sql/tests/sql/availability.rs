//! Checks that all calls of a store fail in time, or that they succeed again.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use session_core::SessionStore;
use session_sql::SqlStore;
use session_tests::{Watch, assert_in_time, eventually};
use tokio::time::timeout;

use crate::{
    databases::TestDatabase,
    records::{key, record},
};

/// The time that a request gives its store by default.
const REQUEST: Duration = Duration::from_secs(1);
/// The time in which a call must end.
const RESULT_LIMIT: Duration = Duration::from_millis(1500);
/// The time in which calls must succeed again when the cause is removed.
const RECOVERY: Duration = Duration::from_secs(2);
/// How often a store may fail again because the machine stalled.
const EXCUSES: usize = 3;

/// Whether a call succeeds within the time of a request, after which it is dropped.
pub(crate) async fn succeeds<T>(call: impl Future<Output = session_core::Result<T>>) -> bool {
    let began = Watch::start();
    let result = timeout(REQUEST, call).await;
    let took = began.stop(RESULT_LIMIT).await;
    assert_in_time!(took < RESULT_LIMIT, "took {took:?}");
    matches!(result, Ok(Ok(_)))
}

/// Checks that twenty concurrent calls, loads and inserts, all fail in time.
pub(crate) async fn all_calls_fail<D: TestDatabase>(store: &SqlStore<D>) {
    let calls: Vec<_> = (0..20)
        .map(|number| {
            let (store, key) = (store.clone(), key());
            tokio::spawn(async move {
                match number % 2 {
                    0 => succeeds(store.load(&key)).await,
                    _ => succeeds(store.insert(&key, &record(b"x"))).await,
                }
            })
        })
        .collect();
    for call in calls {
        assert!(
            !call.await.expect("the call ends in time"),
            "a call succeeded"
        );
    }
}

/// Checks that loads and inserts succeed again soon. Calls before that may fail.
pub(crate) async fn recovers_soon<D: TestDatabase>(store: &SqlStore<D>) {
    for _ in 0..=EXCUSES {
        let recovers = async || {
            let key = key();
            succeeds(store.insert(&key, &record(b"x"))).await && succeeds(store.load(&key)).await
        };
        eventually(RECOVERY, "the store does not recover", recovers).await;
        let began = Watch::start();
        if fifty_loads_succeed(store).await {
            return;
        }
        assert!(began.stalled().await, "the store has not recovered");
    }
    panic!("the machine stalls again and again");
}

/// On every connection, not only on the first that works.
async fn fifty_loads_succeed<D: TestDatabase>(store: &SqlStore<D>) -> bool {
    for _ in 0..50 {
        if !succeeds(store.load(&key())).await {
            return false;
        }
    }
    true
}

/// Waits until `number` returns a number that is `wanted`.
pub(crate) async fn wait_until<F: Future<Output = i64>>(
    limit: Duration,
    wanted: impl Fn(i64) -> bool,
    number: impl Fn() -> F,
) {
    let began = Instant::now();
    loop {
        let current = number().await;
        if wanted(current) {
            return;
        }
        assert_in_time!(began.elapsed() < limit, "still {current} after {limit:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
