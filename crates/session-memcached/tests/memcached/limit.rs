use super::*;

fn longest_key() -> StoreKey {
    let key = key();
    let filler = "k".repeat(250 - key.as_str().len());
    StoreKey::from_stored(format!("{filler}{}", key.as_str()))
}

#[tokio::test]
async fn the_limit_is_what_a_node_takes_under_the_longest_key() {
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

/// With a limit above the node's own, the write fails and is not taken for done.
#[tokio::test]
async fn a_limit_that_the_node_does_not_share_is_an_error() {
    let node = Memcached::start(&[]).await;
    let store = open(&node.addr()).with_limit(2_000_000);
    let (key, other) = (key(), key());
    let since = Instant::now();
    fails(
        &store.insert(&key, &record(&vec![7; 1_500_000])).await,
        since,
        Duration::from_secs(1),
    );
    assert_eq!(bytes(&store, &key).await, None);
    stored(store.insert(&other, &record(b"small")).await);
}
