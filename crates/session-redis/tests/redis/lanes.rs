//! One connection per worker thread, and what becomes of it.

use std::{
    pin::pin,
    sync::{Arc, Barrier},
    task::{Context, Waker},
    thread,
    time::{Duration, Instant},
};

use session_core::SessionStore;
use session_redis::RedisStore;
use session_tests::RedisServer;
use tokio::runtime::{Builder, Runtime};

use crate::given::{BOUND, bounded, clients, insert, key, load, store};

fn worker() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

#[tokio::test]
async fn each_worker_thread_has_one_connection_and_they_end_with_the_store() {
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
                // The runtimes live on and must be driven to see their connections end.
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
async fn a_thread_that_ends_leaves_no_connection_behind() {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url());
    for _ in 0..5 {
        let (store, runtime) = (store.clone(), tokio::runtime::Handle::current());
        // A thread of its own that borrows the test's runtime, as blocking work does.
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
fn a_runtime_that_is_gone_is_not_used_again() {
    let servers = worker();
    let server = servers.block_on(RedisServer::start(&[]));
    let store = store(&server.url());
    for _ in 0..3 {
        let runtime = worker();
        runtime.block_on(async { bounded(load(&store, "absent")).await });
    }
}

#[test]
fn a_runtime_that_stands_still_keeps_nobody_waiting() {
    let (first, second) = (worker(), worker());
    let server = first.block_on(RedisServer::start(&[]));
    let store = store(&server.url());
    first.block_on(insert(&store, "a", "one"));
    let begin = Instant::now();
    let found = second.block_on(load(&store, "a"));
    assert_eq!(found.unwrap().bytes, "one");
    assert!(begin.elapsed() < Duration::from_millis(300));
    assert_eq!(first.block_on(load(&store, "a")).unwrap().bytes, "one");
}

#[test]
fn without_a_runtime_there_is_an_error_and_no_panic() {
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
async fn a_store_can_be_made_before_its_server() {
    let server = RedisServer::start(&[]).await;
    server.kill();
    let store = store(&server.url());
    bounded(store.load(&key("a"))).await.1.unwrap_err();
    server.restart().await;
    let begin = Instant::now();
    while store.load(&key("a")).await.is_err() {
        assert!(begin.elapsed() < BOUND);
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
