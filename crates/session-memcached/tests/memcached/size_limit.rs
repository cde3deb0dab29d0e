//! The size limit of a record.

use super::*;
use session_tests::assert_in_time;

fn longest_key() -> StoreKey {
    let key = key();
    let filler = "k".repeat(250 - key.as_str().len());
    StoreKey::from_stored(format!("{filler}{}", key.as_str()))
}

#[tokio::test]
async fn a_node_accepts_a_record_of_the_limit_under_the_longest_key() {
    let usual = Memcached::start(&[]).await;
    let larger = Memcached::start(&["-I", "2m"]).await;
    let limit = 2 * 1024 * 1024 - 384;
    for (store, limit) in [
        (open(&usual.addr()), MemcachedStore::DEFAULT_LIMIT),
        (open(&larger.addr()).with_limit(limit), limit),
    ] {
        assert_eq!(store.limit(), limit);
        let key = longest_key();
        let revision = stored(store.insert(&key, &record(b"small")).await);
        let largest = record(&vec![7; limit]);
        stored(store.update(&key, &largest, &revision).await);
        assert!(bytes(&store, &key).await.unwrap() == largest.bytes);
    }
}

/// If the store's limit is above the node's own, the write fails.
#[tokio::test]
async fn a_record_over_the_nodes_own_limit_is_an_error() {
    let node = Memcached::start(&[]).await;
    let store = open(&node.addr()).with_limit(2_000_000);
    let (key, other) = (key(), key());
    let since = Instant::now();
    fails(&store.insert(&key, &record(&vec![7; 1_500_000])).await);
    // The node said so; the call did not wait for its timeout.
    assert_in_time!(since.elapsed() < Duration::from_secs(5));
    assert_eq!(bytes(&store, &key).await, None);
    stored(store.insert(&other, &record(b"small")).await);
}
