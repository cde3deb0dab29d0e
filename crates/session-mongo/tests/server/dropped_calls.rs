//! Calls that are dropped before their reply: no reply reaches another call, no connection leaks.

use std::time::{Duration, Instant};

use session_core::SessionStore;
use session_mongo::mongodb::bson::{Bson, doc};
use tokio::time::{sleep, timeout};

use crate::setup::{Setup, connect, key, record, stored, unique, with_long_timeouts};
use session_tests::assert_in_time;

/// From 0, before the command is sent, to 2 ms, after its reply.
fn drop_after(round: u32) -> Duration {
    Duration::from_micros(u64::from(round % 20) * 100)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_reply_reaches_another_call_when_500_are_dropped() {
    let setup = Setup::own_server().await;
    let store = connect(&with_long_timeouts(&setup.server), &setup.name).await;
    let keys: Vec<_> = (0..8).map(|_| key()).collect();
    for key in &keys {
        stored(
            setup
                .store
                .insert(key, &record(key.as_str().as_bytes()))
                .await
                .unwrap(),
        );
    }
    let mut dropped = 0;
    for round in 0..20_000_u32 {
        let key = &keys[round as usize % keys.len()];
        let neighbour = &keys[(round as usize + 1) % keys.len()];
        if timeout(drop_after(round), store.load(neighbour))
            .await
            .is_err()
        {
            dropped += 1;
        }
        let loaded = store.load(key).await.unwrap().unwrap();
        assert!(
            loaded.bytes == key.as_str().as_bytes(),
            "a reply went to another call"
        );
        if dropped == 500 {
            return;
        }
    }
    panic!("only {dropped} calls were dropped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_dropped_calls_leak_no_connection() {
    let setup = Setup::own_server().await;
    let url = format!("{}&maxPoolSize=20", with_long_timeouts(&setup.server));
    let store = connect(&url, &setup.name).await;
    let before = connections(&setup).await;
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..20 {
        let store = store.clone();
        tasks.spawn(async move {
            for round in 0..100 {
                let key = key();
                drop(timeout(drop_after(task + round), store.insert(&key, &record(b"x"))).await);
            }
        });
    }
    tasks.join_all().await;

    // Expected: a pool of 20, and two connections that monitor the server.
    let started = Instant::now();
    loop {
        let now = connections(&setup).await;
        if now <= before + 22 {
            break;
        }
        assert_in_time!(
            started.elapsed() < Duration::from_secs(5),
            "{before} connections became {now}"
        );
        sleep(Duration::from_millis(100)).await;
    }
    let name = unique();
    let key = key();
    stored(store.insert(&key, &record(name.as_bytes())).await.unwrap());
    assert!(store.load(&key).await.unwrap().unwrap().bytes == name.as_bytes());
}

async fn connections(setup: &Setup) -> i64 {
    let status = setup
        .admin()
        .run_command(doc! { "serverStatus": 1 })
        .await
        .unwrap();
    match status.get_document("connections").unwrap().get("current") {
        Some(Bson::Int32(count)) => (*count).into(),
        Some(Bson::Int64(count)) => *count,
        other => panic!("connections: {other:?}"),
    }
}
