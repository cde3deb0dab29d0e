//! The client belongs to the runtime that made it, as `main`'s does in an Actix application; workers come and go.

use std::{
    thread,
    time::{Duration, Instant},
};

use session_core::{Error, SessionStore, StoreKey};
use session_mongo::MongoStore;
use tokio::{
    runtime::{Builder, Runtime},
    task::yield_now,
};

use crate::setup::{Setup, connect, key, record, stored};

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn loads(runtime: &Runtime, store: &MongoStore, key: &StoreKey) {
    for _ in 0..20 {
        let loaded = runtime.block_on(store.load(key)).unwrap();
        assert_eq!(loaded.unwrap().bytes, &b"one"[..]);
    }
}

/// Ends with a call that is under way.
fn work(store: &MongoStore, key: &StoreKey) {
    let worker = runtime();
    loads(&worker, store, key);
    let (store, key) = (store.clone(), key.clone());
    worker.block_on(async {
        tokio::spawn(async move { store.load(&key).await });
        yield_now().await;
    });
}

#[test]
fn workers_that_end_take_nothing_with_them() {
    let main = runtime();
    let setup = main.block_on(Setup::shared());
    let key = key();
    main.block_on(async { stored(setup.store.insert(&key, &record(b"one")).await.unwrap()) });
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let store = setup.store.clone();
    // As actix_web::main: one thread that does nothing but drive what was spawned on it.
    let driver = thread::spawn(move || {
        main.block_on(async { drop(ended.await) });
        drop(setup);
    });

    let survivor = runtime();
    loads(&survivor, &store, &key);
    for _ in 0..3 {
        let worker = thread::spawn({
            let (store, key) = (store.clone(), key.clone());
            move || work(&store, &key)
        });
        worker.join().unwrap();
        loads(&survivor, &store, &key);
    }
    drop(end);
    driver.join().unwrap();
}

#[test]
fn after_the_end_of_the_runtime_that_made_the_client_a_call_is_an_error_and_no_panic() {
    let main = runtime();
    let setup = main.block_on(Setup::shared());
    let maker = runtime();
    let store = maker.block_on(connect(&setup.server.url(), &setup.name));
    let key = key();
    maker.block_on(async { stored(store.insert(&key, &record(b"one")).await.unwrap()) });
    drop(maker);
    let begin = Instant::now();
    let answer = main.block_on(store.load(&key));
    assert!(matches!(answer, Err(Error::Backend { .. })), "{answer:?}");
    assert!(begin.elapsed() < Duration::from_millis(1500));
}
