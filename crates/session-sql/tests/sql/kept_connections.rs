//! The connections that calls leave to the calls after them.

use std::time::{Duration, Instant};

use session_core::SessionStore as _;
use session_sql::{SqlStore, sqlx};
use tokio::{
    runtime::{Builder, Runtime},
    time::{sleep, timeout},
};

use crate::{
    databases::{TestDatabase, each_server, unique_table},
    lost_reply::behind_proxy,
    records::{insert, key, load, record},
};

each_server!(
    calls_one_after_the_other_use_one_connection_and_no_ping,
    a_pool_of_the_application_has_its_connections_between_calls,
    a_pool_that_is_closed_gets_its_connections_back,
);

/// What is sent after a call would be sent by then.
const AFTERWARDS: Duration = Duration::from_millis(2);
const SOON: Duration = Duration::from_secs(1);

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < SOON, "{what}");
        sleep(Duration::from_millis(5)).await;
    }
}

async fn calls_one_after_the_other_use_one_connection_and_no_ping<D: TestDatabase>() {
    let (store, proxy, _guard) = behind_proxy::<D>().await;
    let key = key();
    insert(&store, &key, &record(b"one")).await;
    load(&store, &key).await.expect("the record exists");
    let mut sent = proxy.bytes_to_server();
    let mut of_each = vec![];
    for _ in 0..20 {
        load(&store, &key).await.expect("the record exists");
        sleep(AFTERWARDS).await;
        let now = proxy.bytes_to_server();
        of_each.push(now - sent);
        sent = now;
    }
    assert_eq!(proxy.connections(), 1);
    let call = of_each[0];
    assert!(of_each.iter().all(|bytes| *bytes == call), "{of_each:?}");
    // Nobody needs it any more, so the pool gets it, with one ping.
    until("it is kept", || store.pool().num_idle() == 1).await;
    let ping = proxy.bytes_to_server() - sent;
    assert!(ping > 0 && ping < call, "{ping} bytes");
}

async fn a_pool_of_the_application_has_its_connections_between_calls<D: TestDatabase>() {
    let (store, _proxy, _guard) = behind_proxy::<D>().await;
    let pool = store.pool().clone();
    let store = SqlStore::new(pool.clone());
    for _ in 0..20 {
        let _missing_table = store.load(&key()).await;
        let began = Instant::now();
        while pool.num_idle() == 0 {
            assert!(began.elapsed() < Duration::from_millis(90), "it is kept");
            sleep(Duration::from_millis(1)).await;
        }
    }
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

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// As if `migrate` ran before the server, or a worker ended after a call.
fn no_call_gets_a_connection_of_a_runtime_that_ended<D: TestDatabase>() {
    let first = runtime();
    let (store, _database) = first.block_on(async {
        let database = D::open().await;
        (database.migrated(&unique_table()).await, database)
    });
    // A call on such a connection may wait for ever.
    let insert_on = |runtime: &Runtime| {
        runtime.block_on(async {
            let (key, record) = (key(), record(b"one"));
            let insert = timeout(SOON, insert(&store, &key, &record)).await;
            insert.expect("the server answers");
        });
    };
    for _ in 0..5 {
        let worker = runtime();
        insert_on(&first);
        insert_on(&worker);
        drop(worker);
        insert_on(&runtime());
        insert_on(&first);
    }
}

#[test]
fn no_call_gets_a_connection_of_a_runtime_that_ended_on_postgres() {
    no_call_gets_a_connection_of_a_runtime_that_ended::<sqlx::Postgres>();
}

#[test]
fn no_call_gets_a_connection_of_a_runtime_that_ended_on_mariadb() {
    no_call_gets_a_connection_of_a_runtime_that_ended::<sqlx::MySql>();
}
