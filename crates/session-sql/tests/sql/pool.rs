//! The pool: cancelled calls, a pool without free connections, and the limits of a connection.

use std::time::Duration;

use session_core::SessionStore;
use session_sql::{
    SqlStore,
    sqlx::{ConnectOptions, MySql, Postgres, pool::PoolConnection},
};
use session_tests::{Deadline, Watch, assert_in_time};
use tokio::time::timeout;

use crate::{
    availability::{all_calls_fail, recovers_soon},
    databases::{TestDatabase, each_database, unique_table},
    records::{insert, key, load, record},
};

/// Within this time a place comes back that is not lost.
const RECOVERY: Duration = Duration::from_secs(30);

each_database!(
    cancelled_calls_leave_every_connection_and_no_unread_reply,
    an_exhausted_pool_is_an_error_in_time
);

async fn cancelled_calls_leave_every_connection_and_no_unread_reply<D: TestDatabase>() {
    let database = D::open().await;
    let store = database.migrated(&unique_table()).await;
    let keys: Vec<_> = (0..20).map(|_| key()).collect();
    for key in &keys {
        insert(&store, key, &record(key.as_str().as_bytes())).await;
    }
    let mut cancelled = 0;
    let mut micros = 0;
    while cancelled < 2000 {
        let calls = keys.iter().enumerate().map(|(number, key)| {
            let (store, key) = (store.clone(), key.clone());
            // From before the first step of a call until after its last.
            micros = (micros + 37) % 4000;
            let limit = Duration::from_micros(micros);
            tokio::spawn(timeout(limit, async move {
                if number % 3 == 0 {
                    let again = record(key.as_str().as_bytes());
                    drop(store.insert(&key, &again).await);
                }
                let loaded = load(&store, &key).await.expect("the record exists");
                assert_eq!(
                    loaded.bytes,
                    key.as_str().as_bytes(),
                    "the reply of another call"
                );
            }))
        });
        for call in calls.collect::<Vec<_>>() {
            cancelled += usize::from(
                call.await
                    .expect("no call has the reply of another")
                    .is_err(),
            );
        }
    }
    drop(every_connection(&store).await);
    for key in &keys {
        let loaded = load(&store, key).await.expect("the record exists");
        assert_eq!(
            loaded.bytes,
            key.as_str().as_bytes(),
            "the reply of another call"
        );
    }
}

async fn an_exhausted_pool_is_an_error_in_time<D: TestDatabase>() {
    let database = D::open().await;
    let store = database.migrated(&unique_table()).await;
    let held = every_connection(&store).await;
    all_calls_fail(&store).await;
    drop(held);
    recovers_soon(&store).await;
}

/// Takes as many connections as the pool may have.
async fn every_connection<D: TestDatabase>(store: &SqlStore<D>) -> Vec<PoolConnection<D>> {
    let pool = store.pool();
    let most = pool.options().get_max_connections();
    let mut held = vec![];
    let deadline = Deadline::within(RECOVERY);
    while held.len() < most as usize {
        // A server that still closes abandoned connections is slow to open one.
        match pool.acquire().await {
            Ok(connection) => held.push(connection),
            Err(error) => {
                deadline.not_yet(format_args!("only {} connections: {error}", held.len()));
            }
        }
    }
    deadline.met("all connections").await;
    held
}

#[test]
fn mariadb_has_the_limits_of_the_pool() {
    session_core::conformance::run(async {
        let store = MySql::open().await.migrated(&unique_table()).await;
        let limits = "SELECT CAST(@@autocommit = 1 AND @@lock_wait_timeout = 1 AND @@innodb_lock_wait_timeout = 1 \
            /*M! AND @@max_statement_time = 2 */ /*!50708 AND @@max_execution_time = 2000 */ AS SIGNED)";
        let mut connection = store.pool().acquire().await.expect("the server answers");
        let set = MySql::number(&mut connection, limits).await;
        assert_eq!(set.expect("the limits can be read"), 1);
    });
}

#[tokio::test]
async fn postgres_has_the_limits_of_the_pool_beside_those_of_the_url() {
    let database = Postgres::open().await;
    for (options, expected) in [
        ("", [1000, 2000, 0]),
        ("?options[my.lock_timeout]=500", [1000, 2000, 0]),
        ("?application_name=lock_timeout", [1000, 2000, 0]),
        ("?options[lock_timeout]=300", [300, 2000, 0]),
        (
            "?options=-clock_timeout%3D300%20--statement-timeout%3D400",
            [300, 400, 0],
        ),
        ("?options=-c%20ENABLE_BITMAPSCAN%3Don", [1000, 2000, 1]),
    ] {
        let url = format!("{}{options}", database.url);
        let store = SqlStore::<Postgres>::connect(&url).expect("the URL is valid");
        let connect = store.pool().connect_options();
        let mut connection = connect.connect().await.expect("the server answers");
        let names = ["lock_timeout", "statement_timeout", "enable_bitmapscan"];
        for (name, expected) in names.into_iter().zip(expected) {
            let setting = format!(
                "SELECT replace(replace(setting, 'on', '1'), 'off', '0')::bigint FROM pg_settings WHERE name = '{name}'"
            );
            let set = Postgres::number(&mut connection, &setting).await;
            assert_eq!(
                set.expect("it can be read"),
                expected,
                "{name} of {options}"
            );
        }
    }
}

#[tokio::test]
async fn a_constructor_neither_connects_nor_waits() {
    let began = Watch::start();
    for url in [
        "postgres://u:p@192.0.2.1/d",
        "mysql://u:p@192.0.2.1/d",
        "sqlite:///no/such/file",
    ] {
        session_sql::connect(url).expect("the URL is valid");
    }
    let limit = Duration::from_millis(100);
    let took = began.stop(limit).await;
    assert_in_time!(took < limit, "{took:?}");
}
