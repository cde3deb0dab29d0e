//! Servers that refuse writes: a read-only replica, and a primary with too few replicas. And what a
//! replica is sent.

use std::time::{Duration, Instant};

use session_core::{SessionStore, Write};
use session_redis::RedisStore;
use session_tests::{RedisServer, assert_in_time};

use crate::{
    commands_sent::Monitor,
    common::{
        KINDS, MAX_RECOVERY_TIME, bounded, expiring_in, insert, key, load, record, recovery, store,
        update,
    },
};

/// Waits until the replica, which `reader` reads, has the record.
async fn received(reader: &RedisStore, name: &str) {
    let begin = Instant::now();
    while !matches!(reader.load(&key(name)).await, Ok(Some(_))) {
        assert_in_time!(
            begin.elapsed() < Duration::from_secs(10),
            "the replica has not received the record"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_read_only_replica_serves_reads_and_refuses_writes() {
    let primary = RedisServer::start(&[]).await;
    let replica =
        RedisServer::start(&["--replicaof", "127.0.0.1", &primary.port().to_string()]).await;
    let (writer, reader) = (store(&primary.url()), store(&replica.url()));
    let revision = insert(&writer, "a", "one").await;
    received(&reader, "a").await;
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

/// While servers are upgraded one by one, a replica may be older than its primary. One that knows no
/// `IFEQ` refuses a `SET` that has it, goes on, and lacks the change from then on.
#[tokio::test]
async fn a_replica_is_sent_nothing_that_an_older_server_does_not_know() {
    let primary = RedisServer::start(&[]).await;
    let replica =
        RedisServer::start(&["--replicaof", "127.0.0.1", &primary.port().to_string()]).await;
    let writer = store(&primary.url());
    insert(&writer, "first", "x").await;
    received(&store(&replica.url()), "first").await;
    let mut monitor = Monitor::on(&replica);
    for (kind, bytes) in KINDS {
        let mut revision = insert(&writer, kind, bytes("zero")).await;
        for text in ["one", "two"] {
            revision = update(&writer, kind, &record(bytes(text)), &revision).await;
        }
    }
    writer.delete(&key("first")).await.unwrap();

    let mut sent = Vec::new();
    let begin = Instant::now();
    while !sent
        .iter()
        .any(|line: &String| line.to_uppercase().contains("\"DEL\""))
    {
        assert_in_time!(
            begin.elapsed() < Duration::from_secs(10),
            "the replica has not received all"
        );
        sent.extend(monitor.lines());
    }
    let sets: Vec<Vec<String>> = sent
        .iter()
        .map(|line| line.to_uppercase())
        .map(|line| {
            line.split('"')
                .skip(1)
                .step_by(2)
                .map(str::to_owned)
                .collect()
        })
        .filter(|words: &Vec<String>| words[0] == "SET")
        .collect();
    assert_eq!(sets.len(), 3 * KINDS.len(), "{sent:?}");
    for mut words in sets {
        // Every server knows it, and some leave it out.
        words.retain(|word| word != "NX");
        assert_eq!((words.len(), &*words[3]), (5, "PXAT"), "{words:?}");
    }
}
