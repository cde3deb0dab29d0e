//! Checks that all calls of a store fail in time, or that they succeed again.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use session_core::SessionStore;
use session_sql::SqlStore;
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

/// Whether a call succeeds within the time of a request, after which it is dropped.
pub(crate) async fn succeeds<T>(call: impl Future<Output = session_core::Result<T>>) -> bool {
    let began = Instant::now();
    let result = timeout(REQUEST, call).await;
    assert!(began.elapsed() < RESULT_LIMIT, "took {:?}", began.elapsed());
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
    let began = Instant::now();
    loop {
        let key = key();
        if succeeds(store.insert(&key, &record(b"x"))).await && succeeds(store.load(&key)).await {
            break;
        }
        assert!(began.elapsed() < RECOVERY, "the store does not recover");
    }
    // On every connection, not only on the first that works.
    for _ in 0..50 {
        assert!(
            succeeds(store.load(&key())).await,
            "the store has not recovered"
        );
    }
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
        assert!(began.elapsed() < limit, "still {current} after {limit:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
