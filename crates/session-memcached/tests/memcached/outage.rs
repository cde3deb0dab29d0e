//! Outages: a node that is killed, restarted, frozen, silent or slow.

use session_tests::{ChaosProxy, Disruption, assert_in_time};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// How often a call is measured, if a busy machine is late.
const TRIES: usize = 5;

/// Each kind of call fails, and within `limit`.
async fn every_call_fails(store: &MemcachedStore, key: &StoreKey, limit: Duration) {
    let revision = Revision::from(1);
    for call in 0..4 {
        let mut times = vec![];
        while times.last().is_none_or(|took| *took >= limit) {
            assert_in_time!(times.len() < TRIES, "call {call} took {times:?}");
            let since = Instant::now();
            match call {
                0 => fails(&store.load(key).await),
                1 => fails(&store.insert(key, &record(b"new")).await),
                2 => fails(&store.update(key, &record(b"new"), &revision).await),
                _ => fails(&store.delete(key).await),
            }
            times.push(since.elapsed());
        }
    }
}

#[tokio::test]
async fn a_store_can_be_created_while_its_node_is_down() {
    let node = Memcached::start(&[]).await;
    node.kill();
    let store = open(&node.addr());
    every_call_fails(&store, &key(), Duration::from_millis(100)).await;
    node.restart().await;
    assert_eq!(recovered(&store, &key()).await, None);
}

#[tokio::test]
async fn a_name_is_resolved_when_connecting() {
    let node = Memcached::start(&[]).await;
    let store = open(&format!("localhost:{}", node.port()));
    let key = key();
    stored(store.insert(&key, &record(b"record")).await);
    assert_eq!(bytes(&store, &key).await.unwrap(), "record");
    let unknown = open_with_the_default("no-such-host.invalid");
    every_call_fails(&unknown, &key, SECOND).await;
}

#[tokio::test]
async fn calls_to_a_killed_node_fail_at_once_and_it_is_empty_after_its_restart() {
    let node = Memcached::start(&[]).await;
    let store = open(&node.addr());
    let key = key();
    stored(store.insert(&key, &record(b"record")).await);
    node.kill();
    every_call_fails(&store, &key, Duration::from_millis(100)).await;
    node.restart().await;
    assert_eq!(recovered(&store, &key).await, None);
    stored(store.insert(&key, &record(b"new")).await);
}

/// A connection that died while it was idle causes no error.
#[tokio::test]
async fn a_restart_between_two_requests_fails_no_call() {
    let node = Memcached::start(&[]).await;
    let store = open(&node.addr());
    for _ in 0..5 {
        let key = key();
        stored(store.insert(&key, &record(b"record")).await);
        assert!(bytes(&store, &key).await.is_some());
        node.restart().await;
        assert_eq!(bytes(&store, &key).await, None);
    }
}

#[tokio::test]
async fn calls_to_a_frozen_node_fail_in_time_and_work_within_two_seconds_of_its_return() {
    let node = Memcached::start(&[]).await;
    let store = open_with_the_default(&node.addr());
    let (old, other) = (key(), key());
    stored(open(&node.addr()).insert(&old, &record(b"old")).await);
    // So that it has a connection.
    recovered(&store, &old).await;
    node.freeze();
    every_call_fails(&store, &other, SECOND).await;
    // All at once: no call waits until another one has timed out.
    let mut times = vec![];
    while times.last().is_none_or(|took| *took >= SECOND) {
        assert_in_time!(times.len() < TRIES, "{times:?}");
        let since = Instant::now();
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let (store, key) = (store.clone(), key());
                tokio::spawn(async move { store.load(&key).await })
            })
            .collect();
        for task in tasks {
            fails(&task.await.unwrap());
        }
        times.push(since.elapsed());
    }
    node.thaw();
    assert_eq!(recovered(&store, &old).await.unwrap(), "old");
}

#[tokio::test]
async fn the_timeout_is_the_one_that_was_set() {
    let node = Memcached::start(&[]).await;
    let store = open(&node.addr()).with_timeout(Duration::from_millis(80));
    node.freeze();
    every_call_fails(&store, &key(), Duration::from_millis(250)).await;
    node.thaw();
}

#[tokio::test]
async fn calls_over_a_silent_network_fail_in_time() {
    let node = Memcached::start(&[]).await;
    let proxy = ChaosProxy::start(node.port()).await;
    let store = open_with_the_default(&format!("127.0.0.1:{}", proxy.port()));
    let key = key();
    proxy.set(Disruption::Blackhole);
    every_call_fails(&store, &key, SECOND).await;
    proxy.set(Disruption::None);
    recovered(&store, &key).await;
}

/// An answer that comes too late is discarded.
#[tokio::test]
async fn a_late_answer_is_an_error_and_no_other_calls_answer() {
    let node = Memcached::start(&[]).await;
    let proxy = ChaosProxy::start(node.port()).await;
    let store = open_with_the_default(&format!("127.0.0.1:{}", proxy.port()));
    let keys: Vec<_> = (0..5).map(|_| key()).collect();
    for key in &keys {
        let own = record(key.as_str().as_bytes());
        stored(open(&node.addr()).insert(key, &own).await);
        // So that it has a connection.
        recovered(&store, key).await;
    }
    for key in &keys {
        proxy.set(Disruption::Latency(Duration::from_millis(600)));
        fails(&store.load(key).await);
        proxy.set(Disruption::None);
        for key in &keys {
            // A busy machine may be late again.
            let found = recovered(&store, key).await;
            assert_eq!(found.unwrap(), key.as_str().as_bytes());
        }
    }
}

#[tokio::test]
async fn connections_reset_under_load_fail_no_read_and_mix_up_no_replies() {
    let node = Memcached::start(&[]).await;
    let proxy = ChaosProxy::start(node.port()).await;
    let store = open(&format!("127.0.0.1:{}", proxy.port()));
    let keys: Vec<_> = (0..8).map(|_| key()).collect();
    for key in &keys {
        stored(store.insert(key, &record(key.as_str().as_bytes())).await);
    }
    let tasks: Vec<_> = keys
        .into_iter()
        .map(|key| {
            let store = store.clone();
            tokio::spawn(async move {
                for _ in 0..300 {
                    assert_eq!(
                        recovered(&store, &key).await.unwrap(),
                        key.as_str().as_bytes()
                    );
                }
            })
        })
        .collect();
    while !tasks.iter().all(tokio::task::JoinHandle::is_finished) {
        tokio::time::sleep(Duration::from_millis(20)).await;
        proxy.reset_connections();
    }
    for task in tasks {
        task.await.unwrap();
    }
}
