//! The client belongs to the runtime that created it, which is `main`'s in an Actix application.
//! Other runtimes, such as those of workers, may use it and end.

use std::thread;

use session_core::{Error, SessionStore, StoreKey};
use session_mongo::MongoStore;
use session_tests::{Watch, assert_in_time};
use tokio::{
    runtime::{Builder, Runtime},
    task::yield_now,
};

use crate::{
    outage::RESULT_LIMIT,
    setup::{Setup, connect, key, record, stored},
};

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn loads(runtime: &Runtime, store: &MongoStore, key: &StoreKey) {
    for _ in 0..20 {
        let loaded = runtime.block_on(store.load(key)).unwrap();
        assert_eq!(loaded.unwrap().bytes, &b"one"[..]);
    }
}

/// Loads, and ends the runtime during a call.
fn run_worker(store: &MongoStore, key: &StoreKey) {
    let worker = runtime();
    loads(&worker, store, key);
    let (store, key) = (store.clone(), key.clone());
    worker.block_on(async {
        tokio::spawn(async move { store.load(&key).await });
        yield_now().await;
    });
}

#[test]
fn the_end_of_a_workers_runtime_disturbs_no_other_runtime() {
    let main = runtime();
    let setup = main.block_on(Setup::shared());
    let key = key();
    main.block_on(async { stored(setup.store.insert(&key, &record(b"one")).await.unwrap()) });
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let store = setup.store.clone();
    // Like actix_web::main: a thread that only drives the tasks that were spawned on it.
    let driver = thread::spawn(move || {
        main.block_on(async { drop(ended.await) });
        drop(setup);
    });

    let surviving = runtime();
    loads(&surviving, &store, &key);
    for _ in 0..3 {
        let worker = thread::spawn({
            let (store, key) = (store.clone(), key.clone());
            move || run_worker(&store, &key)
        });
        worker.join().unwrap();
        loads(&surviving, &store, &key);
    }
    drop(end);
    driver.join().unwrap();
}

#[test]
fn after_the_end_of_the_clients_runtime_a_call_is_an_error_and_no_panic() {
    let main = runtime();
    let setup = main.block_on(Setup::shared());
    let client_runtime = runtime();
    let store = client_runtime.block_on(connect(&setup.server.url(), &setup.name));
    let key = key();
    client_runtime.block_on(async { stored(store.insert(&key, &record(b"one")).await.unwrap()) });
    drop(client_runtime);
    let started = Watch::start();
    let result = main.block_on(store.load(&key));
    assert!(matches!(result, Err(Error::Backend { .. })), "{result:?}");
    let took = main.block_on(started.stop(RESULT_LIMIT));
    assert_in_time!(took < RESULT_LIMIT, "{took:?}");
}
