use std::thread;

use tokio::runtime::{Builder, Runtime};

use super::*;

fn worker() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// As in an Actix application: what opened a connection is busy, idle or gone when the next one needs it.
#[test]
fn connections_of_one_runtime_are_no_others_concern() {
    let (main, second) = (worker(), worker());
    let node = main.block_on(Memcached::start(&[]));
    let store = open(&node.addr());
    let key = key();
    main.block_on(async {
        stored(store.insert(&key, &record(b"record")).await);
        assert!(bytes(&store, &key).await.is_some());
    });
    // `main` is alive and never looks at its sockets.
    for _ in 0..3 {
        assert_eq!(second.block_on(bytes(&store, &key)).unwrap(), "record");
    }
    drop(main);
    assert_eq!(second.block_on(bytes(&store, &key)).unwrap(), "record");
    drop(second);
    assert_eq!(worker().block_on(bytes(&store, &key)).unwrap(), "record");
}

#[test]
fn workers_on_threads_of_their_own_share_a_store() {
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
fn runtimes_that_are_gone_leave_no_connections() {
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
    // The node notices a closed connection a moment later.
    while stat(&node, "curr_connections") > 8 {
        assert!(since.elapsed() < Duration::from_secs(2));
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn outside_a_runtime_is_an_error() {
    let store = open("127.0.0.1:1");
    let key = key();
    let mut call = std::pin::pin!(store.load(&key));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(answer) = call.as_mut().poll(&mut context) else {
        panic!("a call that cannot be made is waiting");
    };
    fails(&answer, Instant::now(), Duration::from_secs(1));
}
