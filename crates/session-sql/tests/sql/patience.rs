use std::{
    future::Future,
    time::{Duration, Instant},
};

use session_core::SessionStore;
use session_sql::SqlStore;
use tokio::time::timeout;

use crate::{
    databases::Place,
    records::{key, record},
};

/// What a request gives its store unless told otherwise.
const BUDGET: Duration = Duration::from_secs(1);
/// When the request has to be answered.
const ANSWER: Duration = Duration::from_millis(1500);
/// When everything has to be as before, once the cause is gone.
const RECOVERY: Duration = Duration::from_secs(2);

/// Whether a call succeeds within a request's budget, after which it is dropped.
pub(crate) async fn succeeds<T>(call: impl Future<Output = session_core::Result<T>>) -> bool {
    let began = Instant::now();
    let outcome = timeout(BUDGET, call).await;
    assert!(began.elapsed() < ANSWER, "took {:?}", began.elapsed());
    matches!(outcome, Ok(Ok(_)))
}

/// Twenty requests at once, reading and writing: none succeeds, each is answered in time.
pub(crate) async fn nothing_works<D: Place>(store: &SqlStore<D>) {
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
        assert!(!call.await.expect("it is answered in time"), "it succeeded");
    }
}

/// Reading and writing work again soon; a request may fail before.
pub(crate) async fn all_works_soon<D: Place>(store: &SqlStore<D>) {
    let began = Instant::now();
    loop {
        let key = key();
        if succeeds(store.insert(&key, &record(b"x"))).await && succeeds(store.load(&key)).await {
            break;
        }
        assert!(began.elapsed() < RECOVERY, "it does not recover");
    }
    // Every connection, not the one that happened to be good.
    for _ in 0..50 {
        assert!(succeeds(store.load(&key())).await, "it has not recovered");
    }
}

/// Waits until `number` of something is as wanted.
pub(crate) async fn until<F: Future<Output = i64>>(
    limit: Duration,
    wanted: impl Fn(i64) -> bool,
    number: impl Fn() -> F,
) {
    let began = Instant::now();
    loop {
        let found = number().await;
        if wanted(found) {
            return;
        }
        assert!(began.elapsed() < limit, "still {found} after {limit:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
