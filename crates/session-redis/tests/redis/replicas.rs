//! Servers that cannot keep a write (row R8).

use std::time::{Duration, Instant};

use session_core::{SessionStore, Write};
use session_tests::RedisServer;

use crate::given::{RECOVERY, bounded, ending_in, insert, key, load, record, recovery, store};

#[tokio::test]
async fn a_read_only_replica_shows_sessions_and_ends_none() {
    let primary = RedisServer::start(&[]).await;
    let replica =
        RedisServer::start(&["--replicaof", "127.0.0.1", &primary.port().to_string()]).await;
    let (writer, reader) = (store(&primary.url()), store(&replica.url()));
    let revision = insert(&writer, "a", "one").await;
    let begin = Instant::now();
    while !matches!(reader.load(&key("a")).await, Ok(Some(_))) {
        assert!(
            begin.elapsed() < Duration::from_secs(10),
            "the replica does not follow"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let marker = ending_in(Duration::from_secs(60), "ended");
    for _ in 0..3 {
        bounded(reader.update(&key("a"), &marker, &revision))
            .await
            .1
            .unwrap_err();
        bounded(reader.delete(&key("a"))).await.1.unwrap_err();
        bounded(reader.insert(&key("b"), &marker))
            .await
            .1
            .unwrap_err();
    }
    assert_eq!(load(&writer, "a").await.unwrap().bytes, "one");
    // Promoted, it takes writes over the connections it has.
    replica.command("REPLICAOF NO ONE");
    let took = recovery(&reader).await;
    assert!(took < RECOVERY, "{took:?}");
    assert!(matches!(
        reader.update(&key("a"), &marker, &revision).await,
        Ok(Write::Stored(_))
    ));
}

#[tokio::test]
async fn a_primary_without_enough_replicas_ends_no_session() {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url());
    let revision = insert(&store, "a", "one").await;
    server.command("CONFIG SET min-replicas-to-write 1");
    let marker = ending_in(Duration::from_secs(60), "ended");
    store
        .update(&key("a"), &marker, &revision)
        .await
        .unwrap_err();
    store.delete(&key("a")).await.unwrap_err();
    store.insert(&key("b"), &record("x")).await.unwrap_err();
    assert_eq!(load(&store, "a").await.unwrap().bytes, "one");
    server.command("CONFIG SET min-replicas-to-write 0");
    let write = store.update(&key("a"), &marker, &revision).await.unwrap();
    assert!(write.is_stored());
}
