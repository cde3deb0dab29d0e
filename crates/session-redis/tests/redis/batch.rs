//! Commands that the requests of one thread send at the same time, in one pipeline.

use std::time::{Duration, Instant};

use futures_util::future::{join_all, try_join_all};
use session_core::{SessionStore, Write};
use session_tests::{ChaosProxy, Disruption, RedisServer, assert_in_time};

use crate::common::{KINDS, insert, key, load, record, store, stored};

/// Several batches, the last of them not full.
const CONCURRENT_CALLS: usize = 1000;

#[tokio::test]
async fn each_of_many_concurrent_calls_gets_its_own_answer() {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url());
    let names: Vec<_> = (0..CONCURRENT_CALLS)
        .map(|number| number.to_string())
        .collect();
    let inserts = names.iter().map(|name| insert(&store, name, name));
    let revisions = join_all(inserts).await;
    for (name, found) in names
        .iter()
        .zip(join_all(names.iter().map(|name| load(&store, name))).await)
    {
        assert_eq!(found.unwrap().bytes, name.as_bytes());
    }
    // Half of the updates use the revision of another record.
    let updates = names.iter().enumerate().map(|(number, name)| {
        let (store, revision) = (store.clone(), &revisions[number / 2 * 2]);
        async move { store.update(&key(name), &record("changed"), revision).await }
    });
    for (number, write) in try_join_all(updates).await.unwrap().into_iter().enumerate() {
        assert_eq!(write.is_stored(), number % 2 == 0, "{number}");
    }
}

#[tokio::test]
async fn a_refused_command_fails_no_other_call() {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url());
    insert(&store, "ours", "value").await;
    server.command("RPUSH session:list v");
    let names = (0..CONCURRENT_CALLS).map(|number| if number % 7 == 0 { "list" } else { "ours" });
    for (number, found) in join_all(names.map(|name| load(&store, name)))
        .await
        .into_iter()
        .enumerate()
    {
        assert_eq!(found.is_none(), number % 7 == 0, "{number}");
    }
}

#[tokio::test]
async fn concurrent_calls_survive_a_script_flush() {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url());
    let names: Vec<_> = (0..CONCURRENT_CALLS)
        .map(|number| number.to_string())
        .collect();
    let kinds = KINDS.iter().cycle();
    let inserts = names.iter().zip(kinds);
    let inserts = inserts.map(|(name, (_, kind))| insert(&store, name, kind("0")));
    let revisions = join_all(inserts).await;
    server.command("SCRIPT FLUSH");
    let updates = names.iter().zip(&revisions).map(|(name, revision)| {
        let store = store.clone();
        async move {
            stored(
                store
                    .update(&key(name), &record("1"), revision)
                    .await
                    .unwrap(),
            )
        }
    });
    join_all(updates).await;
    for found in join_all(names.iter().map(|name| load(&store, name))).await {
        assert_eq!(found.unwrap().bytes, "1");
    }
}

#[tokio::test]
async fn aborted_calls_fail_no_other_call() {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url());
    insert(&store, "first", "x").await;
    let names: Vec<_> = (0..CONCURRENT_CALLS)
        .map(|number| number.to_string())
        .collect();
    let inserts: Vec<_> = names
        .iter()
        .map(|name| {
            let (store, key) = (store.clone(), key(name));
            tokio::spawn(async move { store.insert(&key, &record("value")).await })
        })
        .collect();
    // All commands are queued by then, and none is answered.
    tokio::task::yield_now().await;
    for insert in inserts.iter().step_by(3) {
        insert.abort();
    }
    for (number, insert) in inserts.into_iter().enumerate() {
        match insert.await {
            Ok(write) => assert!(matches!(write, Ok(Write::Stored(_))), "{write:?}"),
            Err(_) => assert_eq!(number % 3, 0),
        }
    }
}

#[tokio::test]
async fn concurrent_calls_share_one_round_trip() {
    let server = RedisServer::start(&[]).await;
    let proxy = ChaosProxy::start(server.port()).await;
    let store = store(&server.url_by(proxy.port()));
    insert(&store, "a", "one").await;
    let latency = Duration::from_millis(200);
    proxy.set(Disruption::Latency(latency));
    let mut times = vec![];
    // A busy machine may be late.
    while times.len() < 10 && times.last().is_none_or(|took| *took >= latency * 3) {
        let begin = Instant::now();
        let found = join_all((0..100).map(|_| load(&store, "a"))).await;
        times.push(begin.elapsed());
        assert!(found.iter().all(Option::is_some));
    }
    // The first goes alone, the others together behind it.
    let fastest = times.iter().min().unwrap();
    assert!(*fastest >= latency, "{times:?}");
    assert_in_time!(*fastest < latency * 3, "{times:?}");
}
