//! Sizes and instants at their limits.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use session_core::{Error, Record, Revision, SessionStore, Touch};
use session_redis::RedisStore;
use session_tests::RedisServer;

use crate::given::{insert, key, load, record, store, stored};

#[tokio::test]
async fn a_payload_over_the_limit_is_refused_before_it_is_sent() {
    // Nothing listens there, so whatever is sent fails in another way.
    let store = RedisStore::connect("redis://127.0.0.1:1/")
        .unwrap()
        .with_limit(100);
    let too_large = record(vec![0; 101]);
    for answer in [
        store.insert(&key("a"), &too_large).await,
        store
            .update(&key("a"), &too_large, &Revision::new("x"))
            .await,
    ] {
        assert!(
            matches!(
                answer,
                Err(Error::TooLarge {
                    size: 101,
                    limit: 100
                })
            ),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn a_refused_change_leaves_what_was_stored() {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url()).with_limit(10);
    let revision = insert(&store, "a", "one").await;
    store
        .update(&key("a"), &record("far too long"), &revision)
        .await
        .unwrap_err();
    assert_eq!(load(&store, "a").await.unwrap().payload, b"one");
}

#[tokio::test]
async fn instants_that_redis_has_no_number_for_are_the_nearest_it_has() {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url());
    let until = |expires_at: SystemTime| Record {
        expires_at,
        ..record("x")
    };
    let before_all = UNIX_EPOCH - Duration::from_secs(5);
    stored(
        store
            .insert(&key("past"), &until(before_all))
            .await
            .unwrap(),
    );
    assert_eq!(load(&store, "past").await, None);
    let after_all = UNIX_EPOCH + Duration::from_secs(u64::from(u32::MAX) * 1_000_000);
    let revision = stored(store.insert(&key("far"), &until(after_all)).await.unwrap());
    assert!(load(&store, "far").await.unwrap().expires_at <= after_all);
    assert_eq!(
        store.touch(&key("far"), after_all).await.unwrap(),
        Touch::Moved
    );
    stored(
        store
            .update(&key("far"), &until(after_all), &revision)
            .await
            .unwrap(),
    );
    assert_eq!(
        store.touch(&key("far"), before_all).await.unwrap(),
        Touch::Moved
    );
    assert_eq!(load(&store, "far").await, None);
}

#[tokio::test]
async fn the_loaded_end_is_not_later_than_given_and_hardly_earlier() {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url());
    for round in 0..200 {
        let given = SystemTime::now() + Duration::from_micros(60_000_000 + round * 137);
        let name = round.to_string();
        let owned = Record {
            expires_at: given,
            ..record("x")
        };
        stored(store.insert(&key(&name), &owned).await.unwrap());
        let found = load(&store, &name).await.unwrap().expires_at;
        let early = given.duration_since(found).expect("not later than given");
        assert!(early < Duration::from_millis(100), "{early:?}");
    }
}
