//! Several runtimes, as Actix has one for each worker thread.

use std::thread;

use tokio::runtime::{Builder, Runtime};

use super::*;
use session_tests::assert_in_time;

fn worker() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// As in an Actix application: the runtime that opened a connection is busy, idle or shut down when
/// another one sends a command.
#[test]
fn no_runtime_depends_on_connections_of_another() {
    let (main, second) = (worker(), worker());
    let node = main.block_on(Memcached::start(&[]));
    let store = open(&node.addr());
    let key = key();
    main.block_on(async {
        stored(store.insert(&key, &record(b"record")).await);
        assert!(bytes(&store, &key).await.is_some());
    });
    // `main` still exists, but does not poll its sockets.
    for _ in 0..3 {
        assert_eq!(second.block_on(bytes(&store, &key)).unwrap(), "record");
    }
    drop(main);
    assert_eq!(second.block_on(bytes(&store, &key)).unwrap(), "record");
    drop(second);
    assert_eq!(worker().block_on(bytes(&store, &key)).unwrap(), "record");
}

#[test]
fn worker_threads_share_a_store() {
    let main = worker();
    let node = main.block_on(Memcached::start(&[]));
    let store = open(&node.addr());
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let store = store.clone();
            thread::spawn(move || {
                worker().block_on(async {
                    for _ in 0..100 {
                        let key = key();
                        stored(store.insert(&key, &record(key.as_str().as_bytes())).await);
                        let found = bytes(&store, &key).await.unwrap();
                        assert_eq!(found, key.as_str().as_bytes());
                    }
                });
            })
        })
        .collect();
    for worker in workers {
        worker.join().unwrap();
    }
}

#[test]
fn a_runtime_that_was_shut_down_leaves_no_connections() {
    let main = worker();
    let node = main.block_on(Memcached::start(&[]));
    let store = open(&node.addr());
    for _ in 0..30 {
        let key = key();
        worker().block_on(async {
            stored(store.insert(&key, &record(b"record")).await);
            assert!(bytes(&store, &key).await.is_some());
        });
    }
    main.block_on(bytes(&store, &key()));
    let since = Instant::now();
    // The node notices a moment later that a connection was closed.
    while stat(&node, "curr_connections") > 8 {
        assert_in_time!(since.elapsed() < Duration::from_secs(2));
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_call_without_a_runtime_is_an_error() {
    let store = open("127.0.0.1:1");
    let key = key();
    let mut call = std::pin::pin!(store.load(&key));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(answer) = call.as_mut().poll(&mut context) else {
        panic!("the call is pending");
    };
    fails(&answer);
}
