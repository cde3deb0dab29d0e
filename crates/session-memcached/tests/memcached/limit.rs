use session_tests::ChaosProxy;

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
        (
            open(&usual.addr()).with_flask_layout(),
            MemcachedStore::DEFAULT_LIMIT,
        ),
        (open(&larger.addr()).with_limit(limit), limit),
    ] {
        let key = longest_key();
        let revision = stored(store.insert(&key, &record(b"small")).await);
        let largest = record(&vec![7; limit]);
        stored(store.update(&key, &largest, &revision).await);
        assert!(payload(&store, &key).await.unwrap() == largest.payload);
    }
}

/// The node would delete the old one.
#[tokio::test]
async fn a_payload_over_the_limit_is_refused_before_sending_and_the_old_one_stays() {
    let node = Memcached::start(&[]).await;
    let proxy = ChaosProxy::start(node.port()).await;
    let store = open(&format!("127.0.0.1:{}", proxy.port()));
    let key = key();
    let revision = stored(store.insert(&key, &record(b"old")).await);
    let sent = proxy.bytes_to_server();
    let limit = MemcachedStore::DEFAULT_LIMIT;
    for size in [
        limit + 1,
        1024 * 1024 - 1,
        1024 * 1024,
        1024 * 1024 + 1,
        5_000_000,
    ] {
        let over = record(&vec![7; size]);
        for answer in [
            store.insert(&key, &over).await,
            store.update(&key, &over, &revision).await,
        ] {
            let Err(Error::TooLarge {
                size: told,
                limit: largest,
            }) = answer
            else {
                panic!("{answer:?}");
            };
            assert_eq!((told, largest), (size, limit));
        }
    }
    assert_eq!(proxy.bytes_to_server(), sent);
    assert_eq!(payload(&store, &key).await.unwrap(), b"old");
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
    assert_eq!(payload(&store, &key).await, None);
    stored(store.insert(&other, &record(b"small")).await);
}
