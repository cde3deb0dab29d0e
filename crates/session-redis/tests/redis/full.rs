//! A server without memory (rows R5, R6).

use std::time::Duration;

use session_core::{Record, SessionStore, Touch, Write};
use session_redis::RedisStore;
use session_tests::RedisServer;

use crate::given::{ending_in, insert, key, load, record, store, stored};

/// Fills the server with other people's keys until it takes no more.
fn fill(server: &RedisServer) {
    let used = server.command("INFO memory");
    let used = used
        .lines()
        .find_map(|line| line.strip_prefix("used_memory:"))
        .unwrap();
    let used: usize = used.trim().parse().unwrap();
    server.command(&format!("CONFIG SET maxmemory {}", used + 200_000));
    for number in 0..10_000 {
        if server
            .command(&format!("SET filler:{number} {}", "x".repeat(10_000)))
            .starts_with("-OOM")
        {
            return;
        }
    }
    panic!("the server is never full");
}

async fn opened(server: &RedisServer) -> RedisStore {
    let store = store(&server.url());
    load(&store, "first").await;
    store
}

#[tokio::test]
async fn when_full_reads_and_logouts_work_and_other_changes_are_errors() {
    let server = RedisServer::start(&["--maxmemory-policy", "noeviction"]).await;
    let store = opened(&server).await;
    let payload = "a session of some forty bytes in its record";
    let revision = insert(&store, "a", payload).await;
    let other = insert(&store, "b", payload).await;
    let tiny = insert(&store, "tiny", "x").await;
    assert_eq!(server.command("CONFIG SET maxmemory 100kb"), "+OK\r\n");

    assert_eq!(load(&store, "a").await.unwrap().payload, payload.as_bytes());
    store.insert(&key("new"), &record("x")).await.unwrap_err();
    assert_eq!(load(&store, "new").await, None);
    let change = Record {
        payload: payload.replace('a', "b").into_bytes(),
        ..record("")
    };
    store.update(&key("b"), &change, &other).await.unwrap_err();
    assert_eq!(load(&store, "b").await.unwrap().payload, payload.as_bytes());
    let later = std::time::SystemTime::now() + Duration::from_secs(1_200);
    assert_eq!(store.touch(&key("b"), later).await.unwrap(), Touch::Moved);

    // What a logout does: a small record that ends soon takes the session's place.
    let marker = ending_in(Duration::from_secs(60), "ended");
    let ended = stored(store.update(&key("a"), &marker, &revision).await.unwrap());
    assert_eq!(load(&store, "a").await.unwrap().payload, b"ended");
    let again = store.update(&key("a"), &change, &revision).await;
    assert!(!matches!(again, Ok(Write::Stored(_))), "{again:?}");
    assert_eq!(load(&store, "a").await.unwrap().revision, ended);
    // Even where the marker is larger than the session was.
    stored(store.update(&key("tiny"), &marker, &tiny).await.unwrap());
    // What empties a session gives memory back, whenever it ends.
    stored(
        store
            .update(&key("b"), &record("nothing left"), &other)
            .await
            .unwrap(),
    );
    store.delete(&key("b")).await.unwrap();
    assert_eq!(load(&store, "b").await, None);

    server.command("CONFIG SET maxmemory 0");
    insert(&store, "new", "x").await;
}

#[tokio::test]
async fn an_evicted_session_is_absent_and_nobody_gets_anothers() {
    let server = RedisServer::start(&["--maxmemory-policy", "volatile-lru"]).await;
    let store = opened(&server).await;
    for name in 0..50 {
        insert(&store, &name.to_string(), &name.to_string()).await;
    }
    fill(&server);
    let mut evicted = 0;
    for name in 0..50 {
        match load(&store, &name.to_string()).await {
            Some(loaded) => assert_eq!(loaded.payload, name.to_string().as_bytes()),
            None => evicted += 1,
        }
    }
    assert!(evicted > 0);
}
