//! Each worker thread has one connection: when it is opened, and when it ends.

use std::{
    pin::pin,
    sync::{Arc, Barrier},
    task::{Context, Waker},
    thread,
    time::{Duration, Instant},
};

use session_core::SessionStore;
use session_redis::RedisStore;
use session_tests::{RedisServer, assert_in_time};
use tokio::runtime::{Builder, Runtime};

use crate::common::{
    MAX_CALL_TIME, bounded, clients, insert, key, load, store, store_with_the_defaults,
};

/// A runtime whose calls have a connection of their own.
pub(crate) fn worker() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

#[tokio::test]
async fn each_worker_thread_has_one_connection_until_the_store_is_dropped() {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url());
    let together = Arc::new(Barrier::new(4));
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let (store, together) = (store.clone(), Arc::clone(&together));
            thread::spawn(move || {
                let runtime = worker();
                runtime.block_on(async {
                    let loads = (0..20).map(|_| load(&store, "absent"));
                    futures_util::future::join_all(loads).await;
                });
                drop(store);
                together.wait();
                // The runtimes are still there. They must run to notice that their connections
                // ended.
                together.wait();
                runtime.block_on(async { tokio::time::sleep(Duration::from_millis(50)).await });
                together.wait();
                together.wait();
            })
        })
        .collect();
    together.wait();
    assert_eq!(clients(&server), 3);
    drop(store);
    together.wait();
    together.wait();
    assert_eq!(clients(&server), 0);
    together.wait();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[tokio::test]
async fn a_thread_that_ends_closes_its_connection() {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url());
    for _ in 0..5 {
        let (store, runtime) = (store.clone(), tokio::runtime::Handle::current());
        // Another thread that uses the test's runtime, as `spawn_blocking` does.
        let thread =
            thread::spawn(move || runtime.block_on(async { load(&store, "absent").await }));
        while !thread.is_finished() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        thread.join().unwrap();
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(clients(&server), 0);
}

#[test]
fn a_runtime_that_was_shut_down_is_not_used_again() {
    let servers = worker();
    let server = servers.block_on(RedisServer::start(&[]));
    let store = store(&server.url());
    for _ in 0..3 {
        let runtime = worker();
        runtime.block_on(async { bounded(load(&store, "absent")).await });
    }
}

#[test]
fn an_idle_runtime_delays_no_other_runtime() {
    let (first, second) = (worker(), worker());
    let server = first.block_on(RedisServer::start(&[]));
    let store = store(&server.url());
    first.block_on(insert(&store, "a", "one"));
    let begin = Instant::now();
    let found = second.block_on(load(&store, "a"));
    assert_eq!(found.unwrap().bytes, "one");
    // What the idle runtime alone could go on with would wait until the timeout.
    assert_in_time!(begin.elapsed() < Duration::from_secs(5));
    assert_eq!(first.block_on(load(&store, "a")).unwrap().bytes, "one");
}

#[test]
fn a_call_without_a_runtime_is_an_error_and_no_panic() {
    let store = RedisStore::connect("redis://127.0.0.1:1/").unwrap();
    let key = key("a");
    let load = pin!(store.load(&key));
    let mut load = load;
    let answer = load.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(
        matches!(answer, std::task::Poll::Ready(Err(_))),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_store_can_be_created_while_its_server_is_down() {
    let server = RedisServer::start(&[]).await;
    server.kill();
    let store = store_with_the_defaults(&server.url());
    bounded(store.load(&key("a"))).await.1.unwrap_err();
    server.restart().await;
    let begin = Instant::now();
    while store.load(&key("a")).await.is_err() {
        assert_in_time!(begin.elapsed() < MAX_CALL_TIME);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    insert(&store, "a", "one").await;
}

#[tokio::test]
async fn a_dropped_call_leaves_the_connection_usable() {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url());
    for name in 0..20 {
        insert(&store, &name.to_string(), &name.to_string()).await;
    }
    for round in 0..200 {
        let name = (round % 20).to_string();
        let abandoned = tokio::time::timeout(Duration::from_micros(round * 3), load(&store, &name));
        drop(abandoned.await);
        let next = ((round + 1) % 20).to_string();
        assert_eq!(load(&store, &next).await.unwrap().bytes, next.as_bytes());
    }
    assert_eq!(clients(&server), 1);
}
