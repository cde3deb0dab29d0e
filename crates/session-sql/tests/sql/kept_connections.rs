//! The connections that calls leave to the calls after them.

use std::{
    thread,
    time::{Duration, Instant},
};

use futures_util::FutureExt as _;
use session_core::SessionStore as _;
use session_sql::{SqlStore, SqliteStore, sqlx};
use session_tests::{assert_in_time, eventually, scratch_dir};
use tokio::{
    runtime::{Builder, Runtime},
    time::{sleep, timeout},
};

use crate::{
    databases::{TestDatabase, each_server, unique_table},
    lost_reply::behind_proxy,
    records::{insert, key, load, record},
    unreachable_server::REQUEST,
};

each_server!(
    calls_one_after_the_other_need_few_pings,
    a_pool_of_the_application_has_its_connections_between_calls,
    a_pool_that_is_closed_gets_its_connections_back,
    a_connection_that_was_idle_is_not_used_without_a_ping,
    own_queries_get_their_turn_beside_a_busy_store,
);

/// What never happens has not happened after this time.
const SOON: Duration = Duration::from_secs(10);

pub(crate) async fn until(what: &str, is_so: impl Fn() -> bool) {
    eventually(SOON, what, async || is_so()).await;
}

async fn calls_one_after_the_other_need_few_pings<D: TestDatabase>() {
    const CALLS: usize = 200;
    let (store, proxy, _guard) = behind_proxy::<D>().await;
    let key = key();
    insert(&store, &key, &record(b"one")).await;
    let loads = async |calls: usize| {
        let before = proxy.bytes_to_server();
        for _ in 0..calls {
            load(&store, &key).await.expect("the record exists");
        }
        proxy.bytes_to_server() - before
    };
    let all_are_idle = || store.pool().num_idle() == proxy.open_connections();
    let (mut call, mut ping, mut many) = (usize::MAX, usize::MAX, usize::MAX);
    // Now and then another connection is opened, while one is pinged.
    for _ in 0..5 {
        until("it is kept", all_are_idle).await;
        call = call.min(loads(1).await);
        let before = proxy.bytes_to_server();
        until("it is kept", all_are_idle).await;
        // None if the ping came before the bytes were counted.
        let sent = proxy.bytes_to_server() - before;
        ping = if sent == 0 { ping } else { ping.min(sent) };
        many = many.min(loads(CALLS).await);
    }
    assert!(ping < call, "{ping} bytes");
    let pings = (many - CALLS * call) / ping;
    assert!(pings < CALLS / 4, "{pings} pings");
    assert!(proxy.connections() <= 5, "{}", proxy.connections());
}

async fn a_pool_of_the_application_has_its_connections_between_calls<D: TestDatabase>() {
    let (store, _proxy, _guard) = behind_proxy::<D>().await;
    let pool = store.pool().clone();
    let store = SqlStore::new(pool.clone());
    let mut fastest = Duration::MAX;
    for _ in 0..20 {
        let began = Instant::now();
        let _missing_table = store.load(&key()).await;
        while pool.num_idle() < (pool.size() as usize).max(1) {
            assert_in_time!(began.elapsed() < SOON, "it never comes back");
            sleep(Duration::from_millis(1)).await;
        }
        fastest = fastest.min(began.elapsed());
    }
    // One that is kept comes back after 50 ms.
    assert_in_time!(fastest < Duration::from_millis(40), "{fastest:?}");
}

async fn a_pool_that_is_closed_gets_its_connections_back<D: TestDatabase>() {
    let (store, proxy, _guard) = behind_proxy::<D>().await;
    let key = key();
    insert(&store, &key, &record(b"one")).await;
    let closed = timeout(SOON, store.pool().close()).await;
    closed.expect("no connection is kept");
    until("a connection is open", || proxy.open_connections() == 0).await;
    store.load(&key).await.expect_err("the pool is closed");
}

/// As after a blocking handler, or when the process was stopped.
async fn a_connection_that_was_idle_is_not_used_without_a_ping<D: TestDatabase>() {
    let (store, proxy, _guard) = behind_proxy::<D>().await;
    insert(&store, &key(), &record(b"one")).await;
    proxy.reset_connections();
    thread::sleep(Duration::from_millis(1100));
    insert(&store, &key(), &record(b"two")).await;
}

async fn own_queries_get_their_turn_beside_a_busy_store<D: TestDatabase>() {
    let (store, _proxy, _guard) = behind_proxy::<D>().await;
    own_queries_get_their_turn(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_queries_get_their_turn_beside_a_busy_file() {
    let directory = scratch_dir();
    let store = sqlite(&format!("{}/s.db?mode=rwc", directory.path().display()));
    own_queries_get_their_turn(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_queries_get_their_turn_beside_a_busy_database_in_memory() {
    own_queries_get_their_turn(sqlite(":memory:")).await;
}

async fn own_queries_get_their_turn<D: TestDatabase>(store: SqlStore<D>) {
    store.migrate().await.unwrap();
    let busy: Vec<_> = (0..20)
        .map(|_| {
            let (store, key) = (store.clone(), key());
            tokio::spawn(async move {
                loop {
                    load(&store, &key).await;
                }
            })
        })
        .collect();
    for _ in 0..20 {
        sleep(Duration::from_millis(20)).await;
        drop(store.pool().acquire().await.expect("a connection"));
    }
    for task in busy {
        task.abort();
    }
}

fn sqlite(path: &str) -> SqliteStore {
    SqliteStore::connect(&format!("sqlite:{path}")).unwrap()
}

#[test]
fn a_database_in_memory_outlives_the_runtime_of_a_call() {
    let (first, store, key) = (runtime(), sqlite(":memory:"), key());
    first.block_on(async {
        store.migrate().await.unwrap();
        insert(&store, &key, &record(b"one")).await;
        sleep(Duration::from_millis(20)).await;
    });
    drop(first);
    thread::sleep(Duration::from_millis(100));
    let loaded = runtime().block_on(load(&store, &key));
    assert!(loaded.is_some());
}

#[test]
fn a_connection_is_given_back_although_another_runtime_ended() {
    let (first, second) = (runtime(), runtime());
    let directory = scratch_dir();
    let store = sqlite(&format!("{}/s.db?mode=rwc", directory.path().display()));
    first.block_on(store.migrate()).unwrap();
    second.block_on(insert(&store, &key(), &record(b"one")));
    drop(first);
    second.block_on(async {
        let all_are_idle = || u32::try_from(store.pool().num_idle()) == Ok(store.pool().size());
        until("a connection is kept", all_are_idle).await;
    });
}

#[test]
fn a_call_that_is_dropped_outside_a_runtime_is_no_panic() {
    let (first, store, key) = (runtime(), sqlite(":memory:"), key());
    first.block_on(store.migrate()).unwrap();
    let mut call = store.load(&key);
    first.block_on(async { assert!((&mut call).now_or_never().is_none()) });
    drop(call);
}

#[tokio::test]
async fn an_exhausted_pool_is_an_error_in_time_for_each_call() {
    let directory = scratch_dir();
    let store = sqlite(&format!("{}/s.db?mode=rwc", directory.path().display()));
    store.migrate().await.unwrap();
    let mut held = vec![];
    for _ in 0..store.pool().options().get_max_connections() {
        held.push(store.pool().acquire().await.unwrap());
    }
    let mut fastest = [Duration::MAX; 8];
    // A busy machine may be late once.
    for _ in 0..3 {
        let mut calls = vec![];
        for _ in &fastest {
            let store = store.clone();
            calls.push(tokio::spawn(async move {
                let began = Instant::now();
                store.load(&key()).await.expect_err("no connection");
                began.elapsed()
            }));
            sleep(Duration::from_millis(100)).await;
        }
        for (call, fastest) in calls.into_iter().zip(&mut fastest) {
            *fastest = call.await.unwrap().min(*fastest);
        }
        if fastest.iter().all(|took| *took < REQUEST) {
            return;
        }
    }
    panic!("{fastest:?}");
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// As if `migrate` ran on a runtime of its own, before the server.
fn no_call_gets_a_connection_of_a_runtime_that_ended<D: TestDatabase>() {
    let first = runtime();
    let (store, _database) = first.block_on(async {
        let database = D::open().await;
        (database.migrated(&unique_table()).await, database)
    });
    drop(first);
    let insert_on = |runtime: Runtime| {
        runtime.block_on(async {
            let (key, record) = (key(), record(b"one"));
            // A call on such a connection may wait for ever.
            let insert = timeout(REQUEST, store.insert(&key, &record)).await;
            insert.is_ok_and(|insert| insert.is_ok())
        })
    };
    let failed = (0..10).filter(|_| !insert_on(runtime())).count();
    // On a busy machine the pool may get a connection back just before its runtime ends, and sqlx
    // lends it to another one.
    assert!(failed < 4, "{failed} calls of ten failed");
}

#[test]
fn no_call_gets_a_connection_of_a_runtime_that_ended_on_postgres() {
    no_call_gets_a_connection_of_a_runtime_that_ended::<sqlx::Postgres>();
}

#[test]
fn no_call_gets_a_connection_of_a_runtime_that_ended_on_mariadb() {
    no_call_gets_a_connection_of_a_runtime_that_ended::<sqlx::MySql>();
}
