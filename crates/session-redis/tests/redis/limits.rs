//! The size limit of a record, and times at the limits of what Redis accepts.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use session_core::{Record, SessionStore};
use session_redis::RedisStore;
use session_tests::{RedisServer, assert_in_time};

use crate::common::{key, load, owned_until, record, store, stored, update};

#[test]
fn the_limit_is_the_one_that_was_set() {
    let store = RedisStore::connect("redis://127.0.0.1:1/").unwrap();
    assert_eq!(store.limit(), RedisStore::DEFAULT_LIMIT);
    assert_eq!(store.with_limit(100).limit(), 100);
}

#[tokio::test]
async fn times_out_of_range_become_the_nearest_valid_ones() {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url());
    let before_range = owned_until(UNIX_EPOCH - Duration::from_secs(5), "x");
    stored(store.insert(&key("past"), &before_range).await.unwrap());
    assert_eq!(load(&store, "past").await, None);
    let after_range = owned_until(
        UNIX_EPOCH + Duration::from_secs(u64::from(u32::MAX) * 1_000_000),
        "x",
    );
    let revision = stored(store.insert(&key("far"), &after_range).await.unwrap());
    assert_eq!(load(&store, "far").await.unwrap().revision, revision);
    let revision = update(&store, "far", &after_range, &revision).await;
    update(&store, "far", &before_range, &revision).await;
    assert_eq!(load(&store, "far").await, None);
}

#[tokio::test]
async fn a_record_is_kept_until_it_expires() {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url());
    let records = (0..20_u64).map(async |round| {
        let name = round.to_string();
        let end = SystemTime::now() + Duration::from_micros(50_000 + round * 1_137);
        let session = Record {
            expires_at: end,
            ..record("x")
        };
        stored(store.insert(&key(&name), &session).await.unwrap());
        loop {
            let found = load(&store, &name).await;
            let after = SystemTime::now();
            if found.is_none() {
                assert!(after > end);
                return;
            }
            assert_in_time!(
                after < end + Duration::from_secs(1),
                "Redis removes it soon after its end"
            );
        }
    });
    futures_util::future::join_all(records).await;
}
