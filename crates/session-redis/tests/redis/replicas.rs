//! Servers that refuse writes: a read-only replica, and a primary with too few replicas.

use std::time::{Duration, Instant};

use session_core::{SessionStore, Write};
use session_tests::{RedisServer, assert_in_time};

use crate::common::{
    MAX_RECOVERY_TIME, bounded, expiring_in, insert, key, load, record, recovery, store,
};

#[tokio::test]
async fn a_read_only_replica_serves_reads_and_refuses_writes() {
    let primary = RedisServer::start(&[]).await;
    let replica =
        RedisServer::start(&["--replicaof", "127.0.0.1", &primary.port().to_string()]).await;
    let (writer, reader) = (store(&primary.url()), store(&replica.url()));
    let revision = insert(&writer, "a", "one").await;
    let begin = Instant::now();
    while !matches!(reader.load(&key("a")).await, Ok(Some(_))) {
        assert_in_time!(
            begin.elapsed() < Duration::from_secs(10),
            "the replica has not received the record"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let tombstone = expiring_in(Duration::from_secs(60), "ended");
    for _ in 0..3 {
        bounded(reader.update(&key("a"), &tombstone, &revision))
            .await
            .1
            .unwrap_err();
        bounded(reader.delete(&key("a"))).await.1.unwrap_err();
        bounded(reader.insert(&key("b"), &tombstone))
            .await
            .1
            .unwrap_err();
    }
    assert_eq!(load(&writer, "a").await.unwrap().bytes, "one");
    // After its promotion it accepts writes over the open connections.
    replica.command("REPLICAOF NO ONE");
    let took = recovery(&reader).await;
    assert_in_time!(took < MAX_RECOVERY_TIME, "{took:?}");
    assert!(matches!(
        reader.update(&key("a"), &tombstone, &revision).await,
        Ok(Write::Stored(_))
    ));
}

#[tokio::test]
async fn a_primary_without_enough_replicas_refuses_writes() {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url());
    let revision = insert(&store, "a", "one").await;
    server.command("CONFIG SET min-replicas-to-write 1");
    let tombstone = expiring_in(Duration::from_secs(60), "ended");
    store
        .update(&key("a"), &tombstone, &revision)
        .await
        .unwrap_err();
    store.delete(&key("a")).await.unwrap_err();
    store.insert(&key("b"), &record("x")).await.unwrap_err();
    assert_eq!(load(&store, "a").await.unwrap().bytes, "one");
    server.command("CONFIG SET min-replicas-to-write 0");
    let write = store
        .update(&key("a"), &tombstone, &revision)
        .await
        .unwrap();
    assert!(write.is_stored());
}
