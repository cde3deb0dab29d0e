//! A server that is out of memory, with and without eviction.

use std::time::{Duration, UNIX_EPOCH};

use session_core::{Record, SessionStore};
use session_redis::RedisStore;
use session_tests::{RedisCluster, RedisServer};

use crate::common::{
    KINDS, Kind, OWNER, SERVER_ROW, assert_refused, expiring_in, insert, key, limited, listed,
    load, owned, record, store, stored, update,
};

/// Fills the server with other keys until it accepts no more.
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
    panic!("the server still has memory");
}

/// A store of a user who has no more rights than the README says.
async fn connected(server: &RedisServer) -> RedisStore {
    let rows = [SERVER_ROW];
    let store = store(&limited(&server.url(), &[server], "session:*", &rows));
    load(&store, "first").await;
    store
}

#[tokio::test]
async fn when_out_of_memory_reads_and_logouts_work_and_other_changes_fail() {
    for (_, kind) in KINDS {
        reads_and_logouts_work_and_other_changes_fail(kind).await;
    }
}

async fn reads_and_logouts_work_and_other_changes_fail(kind: Kind) {
    let server = RedisServer::start(&["--maxmemory-policy", "noeviction"]).await;
    let store = connected(&server).await;
    let session = "a session of some forty bytes in its record";
    let bytes = kind(session);
    let revision = insert(&store, "a", &bytes).await;
    let other = insert(&store, "b", &bytes).await;
    let tiny = insert(&store, "tiny", kind("x")).await;
    let near_end = expiring_in(Duration::from_secs(60), kind("a session that ends soon"));
    let near = store.insert(&key("near"), &near_end).await.unwrap();
    let near = stored(near);
    let long = insert(&store, "long", kind(&"x".repeat(40_000))).await;
    // A server that compares keeps a changed record up to a second longer. The others do so here.
    let changed = insert(&store, "changed", &bytes).await;
    let same_time = |text: &str| Record {
        bytes: kind(text).into(),
        ..near_end.clone()
    };
    let changed = update(&store, "changed", &same_time(session), &changed).await;
    let ends = server.command("PEXPIRETIME session:changed");
    let ends: u64 = ends.trim_start_matches(':').trim().parse().unwrap();
    let later = ends.div_ceil(1000) * 1000;
    server.command(&format!("PEXPIREAT session:changed {later}"));
    assert_eq!(server.command("CONFIG SET maxmemory 100kb"), "+OK\r\n");

    assert_eq!(load(&store, "a").await.unwrap().bytes, bytes);
    store.insert(&key("new"), &record("x")).await.unwrap_err();
    assert_eq!(load(&store, "new").await, None);
    let change = record(kind(&session.replace('a', "b")));
    store.update(&key("b"), &change, &other).await.unwrap_err();
    assert_eq!(load(&store, "b").await.unwrap().bytes, bytes);

    let larger = same_time(&format!("{session} and more"));
    assert!(
        store
            .update(&key("changed"), &larger, &changed)
            .await
            .is_err()
    );

    // As a logout does: a small record that expires soon replaces the session.
    let tombstone = expiring_in(Duration::from_secs(60), kind("ended"));
    let ended = update(&store, "a", &tombstone, &revision).await;
    assert_eq!(load(&store, "a").await.unwrap().bytes, tombstone.bytes);
    let sooner = expiring_in(Duration::from_secs(30), kind("gone"));
    assert_refused(&store, "a", &sooner, &revision).await;
    assert_eq!(load(&store, "a").await.unwrap().revision, ended);
    // Also if the session was long. A change that does not make it shorter fails.
    let as_long = record(kind(&"y".repeat(40_000)));
    store
        .update(&key("long"), &as_long, &long)
        .await
        .unwrap_err();
    update(&store, "long", &tombstone, &long).await;
    // Also if the tombstone is larger than the session was.
    stored(store.update(&key("tiny"), &tombstone, &tiny).await.unwrap());
    // Also if it lasts longer than the session would have.
    let tombstone = expiring_in(Duration::from_secs(90), kind("a session that ended"));
    stored(store.update(&key("near"), &tombstone, &near).await.unwrap());
    // A change that makes a session smaller frees memory, whenever the session expires.
    stored(
        store
            .update(&key("b"), &record(kind("nothing left")), &other)
            .await
            .unwrap(),
    );
    store.delete(&key("b")).await.unwrap();
    assert_eq!(load(&store, "b").await, None);

    server.command("CONFIG SET maxmemory 0");
    insert(&store, "new", "x").await;
}

/// Its entry moves to the tombstone's time. A login adds no entry.
#[tokio::test]
async fn when_out_of_memory_a_session_with_an_owner_can_end() {
    for (_, kind) in KINDS {
        let server = RedisServer::start(&["--maxmemory-policy", "noeviction"]).await;
        ends_when_out_of_memory(&connected(&server).await, &[&server], kind).await;
        let cluster = RedisCluster::start().await;
        let nodes: Vec<_> = cluster.nodes().iter().collect();
        let rows = [SERVER_ROW, "a node of a Cluster"];
        let url = limited(&cluster.urls().join(","), &nodes, "session:*", &rows);
        ends_when_out_of_memory(&store(&url), &nodes, kind).await;
    }
}

async fn ends_when_out_of_memory(store: &RedisStore, nodes: &[&RedisServer], kind: Kind) {
    let session = owned(
        Duration::from_secs(600),
        kind("a session of some forty bytes"),
    );
    let revision = stored(store.insert(&key("a"), &session).await.unwrap());
    let limit = |limit: &str| {
        for node in nodes {
            let reply = node.command(&format!("CONFIG SET maxmemory {limit}"));
            assert_eq!(reply, "+OK\r\n");
        }
    };
    limit("100kb");
    store.insert(&key("new"), &session).await.unwrap_err();
    assert_eq!(load(store, "new").await, None);
    let later = owned(
        Duration::from_secs(900),
        kind("another session of some forty bytes"),
    );
    let grown = store.update(&key("a"), &later, &revision).await;
    grown.unwrap_err();
    let tombstone = owned(Duration::from_secs(60), kind("ended"));
    update(store, "a", &tombstone, &revision).await;
    assert_eq!(load(store, "a").await.unwrap().bytes, tombstone.bytes);
    let sooner = owned(Duration::from_secs(30), kind("gone"));
    assert_refused(store, "a", &sooner, &revision).await;
    let scores = nodes.iter().filter_map(|node| {
        let reply = node.command(&format!("ZSCORE {OWNER} session:a"));
        reply.lines().nth(1)?.parse::<u128>().ok()
    });
    let time = tombstone.entry.unwrap().expires_at;
    let time = time.duration_since(UNIX_EPOCH).unwrap().as_millis();
    assert_eq!(scores.collect::<Vec<_>>(), [time]);
    limit("0");
    assert_eq!(listed(store, 10).await.len(), 1);
}

#[tokio::test]
async fn an_evicted_session_is_absent_and_no_other_is_returned() {
    let server = RedisServer::start(&["--maxmemory-policy", "volatile-lru"]).await;
    let store = connected(&server).await;
    for name in 0..50 {
        insert(&store, &name.to_string(), &name.to_string()).await;
    }
    fill(&server);
    let mut evicted = 0;
    for name in 0..50 {
        match load(&store, &name.to_string()).await {
            Some(loaded) => assert_eq!(loaded.bytes, name.to_string()),
            None => evicted += 1,
        }
    }
    assert!(evicted > 0);
}
