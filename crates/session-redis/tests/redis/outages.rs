//! Outages: a server that is killed, restarted empty, frozen, or silent.

use std::{
    sync::{Arc, Barrier},
    time::{Duration, Instant},
};

use session_core::SessionStore;
use session_redis::RedisStore;
use session_tests::{ChaosProxy, Disruption, RedisServer, assert_in_time, rounds};
use tokio::{runtime::Builder, time::timeout};

use crate::common::{
    MAX_RECOVERY_TIME, bounded, insert, key, load, record, recovery, store, store_with_the_defaults,
};

/// Makes calls of every kind for a while. Returns how many failed, and how many were made.
async fn calls(store: &RedisStore, time: Duration) -> (usize, usize) {
    let begin = Instant::now();
    let callers = (0..16).map(|caller| async move {
        let (mut failed, mut made) = (0, 0);
        while begin.elapsed() < time {
            let name = format!("{caller}-{made}");
            let (_, result) = match made % 3 {
                0 => bounded(async { store.load(&key(&name)).await.map(drop) }).await,
                1 => {
                    bounded(async { store.insert(&key(&name), &record("x")).await.map(drop) }).await
                }
                _ => bounded(store.delete(&key(&name))).await,
            };
            failed += usize::from(result.is_err());
            made += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        (failed, made)
    });
    let counts = futures_util::future::join_all(callers).await;
    counts
        .into_iter()
        .fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
}

#[tokio::test]
async fn calls_to_a_killed_server_fail_and_work_after_its_restart() {
    let server = RedisServer::start(&[]).await;
    let store = store_with_the_defaults(&server.url());
    insert(&store, "a", "one").await;
    let long = if rounds() > 50 { 60 } else { 4 };
    for outage in [1, long].map(Duration::from_secs) {
        let (counts, ()) = tokio::join!(calls(&store, outage), async { server.kill() });
        assert!(counts.0 > 0, "{counts:?}");
        bounded(store.load(&key("a"))).await.1.unwrap_err();
        server.restart().await;
        let took = recovery(&store).await;
        assert_in_time!(took < MAX_RECOVERY_TIME, "{took:?} after {outage:?}");
        assert_eq!(load(&store, "a").await, None, "the server restarted empty");
        let (failed, made) = calls(&store, Duration::from_millis(300)).await;
        assert_eq!(failed, 0, "of {made}");
    }
}

#[tokio::test]
async fn calls_to_a_frozen_server_fail_in_time_and_work_after_its_return() {
    let server = RedisServer::start(&[]).await;
    let store = store_with_the_defaults(&server.url());
    insert(&store, "a", "one").await;
    for outage in [1, 3].map(Duration::from_secs) {
        server.freeze();
        let (failed, made) = calls(&store, outage).await;
        assert_eq!(failed, made);
        server.thaw();
        let took = recovery(&store).await;
        assert_in_time!(took < MAX_RECOVERY_TIME, "{took:?} after {outage:?}");
        assert_eq!(load(&store, "a").await.unwrap().bytes, "one");
    }
}

#[tokio::test]
async fn calls_over_a_silent_network_fail_in_time() {
    let server = RedisServer::start(&[]).await;
    let proxy = ChaosProxy::start(server.port()).await;
    let store = store_with_the_defaults(&server.url_by(proxy.port()));
    insert(&store, "a", "one").await;
    proxy.set(Disruption::Blackhole);
    let (failed, made) = calls(&store, Duration::from_secs(2)).await;
    assert_eq!(failed, made);
    proxy.set(Disruption::None);
    let took = recovery(&store).await;
    assert_in_time!(took < MAX_RECOVERY_TIME, "{took:?}");
}

/// The connections of two threads fall silent for good, while new ones reach the server. Callers
/// who give up early get no timeout from the store.
#[tokio::test]
async fn one_silent_connection_ends_the_use_of_those_that_were_open_with_it() {
    let server = RedisServer::start(&[]).await;
    let proxy = ChaosProxy::start(server.port()).await;
    let store = store_with_the_defaults(&server.url_by(proxy.port()));
    insert(&store, "a", "one").await;
    let (other, asked) = (store.clone(), Arc::new(Barrier::new(2)));
    let thread = std::thread::spawn({
        let asked = Arc::clone(&asked);
        move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { load(&other, "a").await.unwrap() });
            asked.wait();
            asked.wait();
            runtime.block_on(async { load(&other, "a").await.unwrap() });
        }
    });
    asked.wait();
    proxy.fail_over(server.port());
    let (begin, patience) = (Instant::now(), Duration::from_millis(50));
    while timeout(patience, store.load(&key("a"))).await.is_err() {
        assert_in_time!(begin.elapsed() < MAX_RECOVERY_TIME, "it is not given up");
    }
    asked.wait();
    thread
        .join()
        .expect("the other thread's call succeeds at once");
}

#[tokio::test]
async fn a_pause_shorter_than_the_timeout_fails_no_call() {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url());
    insert(&store, "a", "one").await;
    server.command("CLIENT PAUSE 300 WRITE");
    let (failed, made) = calls(&store, Duration::from_millis(600)).await;
    assert_eq!(failed, 0, "of {made}");
}

#[tokio::test]
async fn attempts_to_connect_to_a_server_that_is_down_are_throttled() {
    let server = RedisServer::start(&[]).await;
    let proxy = ChaosProxy::start(server.port()).await;
    let store = store_with_the_defaults(&server.url_by(proxy.port()));
    insert(&store, "a", "one").await;
    server.kill();
    let before = proxy.connections();
    let (failed, made) = calls(&store, Duration::from_secs(2)).await;
    let attempts = proxy.connections() - before;
    assert!(
        failed > 10 * attempts,
        "{failed} of {made}, {attempts} connections"
    );
    assert!(attempts <= 12, "{attempts} connections in two seconds");
}
