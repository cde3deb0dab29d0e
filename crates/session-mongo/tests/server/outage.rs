//! A server that is down or frozen: calls fail within the time of a request, and work again within
//! two seconds after its return.

use std::time::{Duration, Instant};

use session_core::{Error, SessionStore, StoreKey};
use session_mongo::MongoStore;
use session_tests::{ChaosProxy, Disruption, Strike, Watch, assert_in_time};
use tokio::time::{sleep, timeout};

use crate::setup::{Setup, connect, key, record, stored};

/// How long session-core waits for the store in one request.
const STORE_TIMEOUT: Duration = Duration::from_secs(1);
/// The time in which calls must succeed again.
const RECOVERY: Duration = Duration::from_secs(2);
/// The time in which a call must end, without session-core.
pub(crate) const RESULT_LIMIT: Duration = Duration::from_millis(1500);

/// Waits at most two seconds until a load succeeds within the store timeout.
pub(crate) async fn wait_for_recovery(store: &MongoStore, key: &StoreKey) {
    let started = Watch::start();
    let took = loop {
        let result = timeout(STORE_TIMEOUT, store.load(key)).await;
        let took = started.stop(RECOVERY).await;
        if let Ok(Ok(_)) = result {
            break took;
        }
        assert_in_time!(took < RECOVERY, "no recovery: {result:?}");
        sleep(Duration::from_millis(20)).await;
    };
    assert_in_time!(took < RECOVERY, "recovered after {took:?}");
}

/// Stops a call's time, which has to be less than `limit`.
async fn is_within(limit: Duration, started: Watch) {
    let took = started.stop(limit).await;
    assert_in_time!(took < limit, "{took:?}");
}

#[tokio::test]
async fn a_killed_server_is_an_error_and_works_again_after_its_restart() {
    let setup = Setup::own_server().await;
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
            let started = Watch::start();
            assert!(
                matches!(store.load(&key).await, Err(Error::Backend { .. })),
                "{round}"
            );
            is_within(RESULT_LIMIT, started).await;
        }
        setup.server.restart().await;
        wait_for_recovery(store, &key).await;
    }
}

#[tokio::test]
async fn a_store_can_be_created_before_its_server_starts() {
    let setup = Setup::own_server().await;
    setup.server.kill();
    let started = Watch::start();
    let store = connect(&setup.server.url(), &setup.name).await;
    // It waits for no server.
    is_within(Duration::from_millis(200), started).await;
    let key = key();
    assert!(store.insert(&key, &record(b"one")).await.is_err());
    is_within(Duration::from_millis(1700), started).await;
    setup.server.restart().await;
    wait_for_recovery(&store, &key).await;
    stored(store.insert(&key, &record(b"one")).await.unwrap());
}

#[tokio::test]
async fn a_frozen_server_answers_no_call_and_works_when_thawed() {
    let setup = Setup::own_server().await;
    let (store, key) = (&setup.store, key());
    stored(store.insert(&key, &record(b"one")).await.unwrap());
    for frozen in [Duration::from_millis(300), Duration::from_secs(4)] {
        setup.server.freeze();
        let started = Instant::now();
        while started.elapsed() < frozen {
            let calls = (0..20).map(|_| {
                let (store, key) = (store.clone(), key.clone());
                tokio::spawn(async move { timeout(STORE_TIMEOUT / 4, store.load(&key)).await })
            });
            for call in calls.collect::<Vec<_>>() {
                assert!(
                    !matches!(call.await.unwrap(), Ok(Ok(_))),
                    "a frozen server answered"
                );
            }
        }
        setup.server.thaw();
        wait_for_recovery(store, &key).await;
        assert_eq!(store.load(&key).await.unwrap().unwrap().bytes, &b"one"[..]);
    }
}

/// Without session-core there is no store timeout.
#[tokio::test]
async fn a_call_on_a_frozen_server_ends_without_a_store_timeout() {
    let setup = Setup::own_server().await;
    let key = key();
    stored(setup.store.insert(&key, &record(b"one")).await.unwrap());
    setup.server.freeze();
    let started = Watch::start();
    let result = timeout(Duration::from_secs(10), setup.store.load(&key)).await;
    assert!(
        matches!(result, Ok(Err(Error::Backend { .. }))),
        "{result:?}"
    );
    is_within(Duration::from_secs(5), started).await;
    setup.server.thaw();
    wait_for_recovery(&setup.store, &key).await;
}

#[tokio::test]
async fn a_write_whose_reply_is_lost_is_an_error_and_was_sent_once() {
    let setup = Setup::own_server().await;
    let proxy = ChaosProxy::start(setup.server.port()).await;
    let url = format!(
        "mongodb://127.0.0.1:{}/?directConnection=true&retryWrites=true",
        proxy.port()
    );
    let store = connect(&url, &setup.name).await;
    let key = key();
    stored(store.insert(&key, &record(b"one")).await.unwrap());
    let loaded = store.load(&key).await.unwrap().unwrap();

    // The proxy may drop the reply to a heartbeat instead. Then the update succeeds, and the loop
    // tries again.
    let mut revision = loaded.revision;
    for _ in 0..50 {
        proxy.set(Disruption::DropReply);
        match store.update(&key, &record(b"two"), &revision).await {
            Ok(write) => {
                stored(write);
                revision = store.load(&key).await.unwrap().unwrap().revision;
            }
            Err(error) => {
                assert!(matches!(error, Error::Backend { .. }), "{error:?}");
                wait_for_recovery(&store, &key).await;
                let after = store.load(&key).await.unwrap().unwrap();
                assert_eq!(after.bytes, &b"two"[..]);
                assert!(
                    after.revision != revision,
                    "the server did not execute the update"
                );
                return;
            }
        }
    }
    panic!("the proxy dropped no reply to an update");
}

/// A store with four connections, through a proxy.
async fn behind_proxy(setup: &Setup) -> (MongoStore, ChaosProxy) {
    let proxy = ChaosProxy::start(setup.server.port()).await;
    let url = format!(
        "mongodb://127.0.0.1:{}/?directConnection=true&maxPoolSize=4",
        proxy.port()
    );
    let store = connect(&url, &setup.name).await;
    store.load(&key()).await.unwrap();
    (store, proxy)
}

async fn is_served_within(limit: Duration, store: &MongoStore) {
    let begin = Watch::start();
    while !matches!(timeout(PATIENCE, store.load(&key())).await, Ok(Ok(_))) {
        assert_in_time!(begin.stop(limit).await < limit, "not served");
    }
}

/// How long a caller waits, as a request does.
const PATIENCE: Duration = Duration::from_millis(300);
/// After this, a connection that was silent holds no place.
const RELEASE: Duration = Duration::from_secs(3);

/// The driver has no limit for a log-in, and runs two at a time.
#[tokio::test]
async fn connections_that_are_silent_at_their_log_in_do_not_keep_others_from_opening() {
    let setup = Setup::shared().await;
    let (store, proxy) = behind_proxy(&setup).await;
    for _ in 0..2 {
        proxy.strike(Strike {
            new_connection: true,
            after: 0,
            disruption: Disruption::SilentReplies,
        });
    }
    let begin = Watch::start();
    while proxy.strikes_left() > 0 {
        // One has the connection that is open, others open new ones.
        let call = || async { drop(timeout(PATIENCE, store.load(&key())).await) };
        tokio::join!(call(), call(), call(), call());
        let waited = begin.stop(RELEASE).await;
        assert_in_time!(waited < RELEASE, "no connection is opened");
    }
    // The connection that is open ends. It may be a heartbeat's; then this is repeated.
    for _ in 0..3 {
        proxy.set(Disruption::CutReply(0));
        drop(timeout(PATIENCE, store.load(&key())).await);
    }
    proxy.set(Disruption::None);
    is_served_within(RELEASE, &store).await;
}

#[tokio::test]
async fn a_connection_that_fell_silent_holds_no_place_when_its_caller_has_given_up() {
    let setup = Setup::shared().await;
    let (store, proxy) = behind_proxy(&setup).await;
    for _ in 0..8 {
        proxy.strike(Strike {
            new_connection: false,
            after: 0,
            disruption: Disruption::SilenceAfterRequest,
        });
        drop(timeout(PATIENCE, store.load(&key())).await);
    }
    proxy.plan_nothing();
    is_served_within(RELEASE, &store).await;
}

/// A new client needs more round trips for its first call than one that has connections.
#[tokio::test]
async fn a_server_far_away_is_reached_again_after_one_silent_call() {
    const PATIENCE: Duration = Duration::from_millis(400);
    let setup = Setup::shared().await;
    let (store, proxy) = behind_proxy(&setup).await;
    is_served_within(RELEASE, &store).await;
    proxy.set(Disruption::Latency(Duration::from_millis(280)));
    for _ in 0..2 {
        proxy.strike(Strike {
            new_connection: false,
            after: 0,
            disruption: Disruption::SilenceAfterRequest,
        });
        let begin = Watch::start();
        while !matches!(timeout(PATIENCE, store.load(&key())).await, Ok(Ok(_))) {
            assert_in_time!(begin.stop(RELEASE).await < RELEASE, "not served");
        }
    }
}
