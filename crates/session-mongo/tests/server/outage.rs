//! A server that is gone or frozen: an error within the time that a request has, and soon after its return all is well.

use std::time::{Duration, Instant};

use session_core::{Error, SessionStore, StoreKey};
use session_mongo::MongoStore;
use session_tests::{ChaosProxy, Fault};
use tokio::time::{sleep, timeout};

use crate::setup::{Setup, connect, key, record, stored};

/// What core gives the store work of one request.
const BUDGET: Duration = Duration::from_secs(1);

/// Waits until a load under the usual budget succeeds, two seconds at most.
pub(crate) async fn recovers(store: &MongoStore, key: &StoreKey) {
    let begin = Instant::now();
    loop {
        let answer = timeout(BUDGET, store.load(key)).await;
        if let Ok(Ok(_)) = answer {
            break;
        }
        assert!(
            begin.elapsed() < Duration::from_secs(2),
            "no recovery: {answer:?}"
        );
        sleep(Duration::from_millis(20)).await;
    }
    assert!(
        begin.elapsed() < Duration::from_secs(2),
        "recovered after {:?}",
        begin.elapsed()
    );
}

#[tokio::test]
async fn a_killed_server_is_an_error_at_once_and_works_again_after_its_restart() {
    let setup = Setup::alone().await;
    let (store, key) = (&setup.store, key());
    for round in 0..2 {
        stored(
            store
                .insert(&crate::setup::key(), &record(b"one"))
                .await
                .unwrap(),
        );
        setup.server.kill();
        for _ in 0..2 {
            let begin = Instant::now();
            assert!(
                matches!(store.load(&key).await, Err(Error::Backend { .. })),
                "{round}"
            );
            assert!(
                begin.elapsed() < Duration::from_millis(1500),
                "{:?}",
                begin.elapsed()
            );
        }
        setup.server.restart().await;
        recovers(store, &key).await;
    }
}

#[tokio::test]
async fn a_store_is_made_while_its_server_is_down_and_works_when_it_comes() {
    let setup = Setup::alone().await;
    setup.server.kill();
    let begin = Instant::now();
    let store = connect(&setup.server.url(), &setup.name).await;
    assert!(
        begin.elapsed() < Duration::from_millis(200),
        "connect waited for the server"
    );
    let key = key();
    assert!(store.insert(&key, &record(b"one")).await.is_err());
    assert!(
        begin.elapsed() < Duration::from_millis(1700),
        "{:?}",
        begin.elapsed()
    );
    setup.server.restart().await;
    recovers(&store, &key).await;
    stored(store.insert(&key, &record(b"one")).await.unwrap());
}

#[tokio::test]
async fn a_frozen_server_holds_nobody_beyond_the_budget_and_works_when_thawed() {
    let setup = Setup::alone().await;
    let (store, key) = (&setup.store, key());
    stored(store.insert(&key, &record(b"one")).await.unwrap());
    for frozen in [Duration::from_millis(300), Duration::from_secs(4)] {
        setup.server.freeze();
        let begin = Instant::now();
        while begin.elapsed() < frozen {
            let calls = (0..20).map(|_| {
                let (store, key) = (store.clone(), key.clone());
                tokio::spawn(async move { timeout(BUDGET / 4, store.load(&key)).await })
            });
            for call in calls.collect::<Vec<_>>() {
                assert!(
                    !matches!(call.await.unwrap(), Ok(Ok(_))),
                    "a frozen server answered"
                );
            }
        }
        setup.server.thaw();
        recovers(store, &key).await;
        assert_eq!(store.load(&key).await.unwrap().unwrap().bytes, &b"one"[..]);
    }
}

/// For whoever uses the store without core and its deadline.
#[tokio::test]
async fn without_any_deadline_a_call_on_a_frozen_server_still_ends() {
    let setup = Setup::alone().await;
    let key = key();
    stored(setup.store.insert(&key, &record(b"one")).await.unwrap());
    setup.server.freeze();
    let begin = Instant::now();
    let answer = timeout(Duration::from_secs(10), setup.store.load(&key)).await;
    assert!(
        matches!(answer, Ok(Err(Error::Backend { .. }))),
        "{answer:?}"
    );
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "{:?}",
        begin.elapsed()
    );
    setup.server.thaw();
    recovers(&setup.store, &key).await;
}

#[tokio::test]
async fn a_write_whose_reply_is_lost_is_an_error_and_was_sent_once() {
    let setup = Setup::alone().await;
    let proxy = ChaosProxy::start(setup.server.port()).await;
    let url = format!(
        "mongodb://127.0.0.1:{}/?directConnection=true&retryWrites=true",
        proxy.port()
    );
    let store = connect(&url, &setup.name).await;
    let key = key();
    stored(store.insert(&key, &record(b"one")).await.unwrap());
    let loaded = store.load(&key).await.unwrap().unwrap();

    // A heartbeat's reply may be the one that is swallowed; then the update succeeds, and we try again.
    let mut revision = loaded.revision;
    for _ in 0..50 {
        proxy.set(Fault::DropReply);
        match store.update(&key, &record(b"two"), &revision).await {
            Ok(write) => {
                stored(write);
                revision = store.load(&key).await.unwrap().unwrap().revision;
            }
            Err(error) => {
                assert!(matches!(error, Error::Backend { .. }), "{error:?}");
                recovers(&store, &key).await;
                let after = store.load(&key).await.unwrap().unwrap();
                assert_eq!(after.bytes, &b"two"[..]);
                assert!(after.revision != revision, "the server did the work");
                return;
            }
        }
    }
    panic!("no reply was lost");
}
