//! Writers and sweeps at the strict isolation levels: no deadlock surfaces.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use session_core::{ExpiredSweep, SessionStore, Write, conformance::rounds};
use session_sql::{SqlStore, sqlx};
use session_tests::sweep_up_to;
use sqlx::{Executor, mysql::MySqlPoolOptions, postgres::PgPoolOptions};

use crate::{
    databases::{Handle, TestDatabase, unique_table},
    records::{expired, increment, insert, key, load, record},
};

pub(crate) const POSTGRES_LEVELS: [&str; 2] = ["repeatable read", "serializable"];
pub(crate) const MARIADB_LEVELS: [&str; 2] = [
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE",
];

const WRITERS: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_shows_no_deadlock_between_sweeps_and_writers() {
    for level in POSTGRES_LEVELS {
        let database = sqlx::Postgres::open().await;
        let table = unique_table();
        database.migrated(&table).await;
        let store = postgres_store(&database, level).await;
        write_during_sweeps(store.with_table(table)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_shows_no_deadlock_between_sweeps_and_writers() {
    for level in MARIADB_LEVELS {
        let database = sqlx::MySql::open().await;
        let table = unique_table();
        database.migrated(&table).await;
        let store = mariadb_store(&database, level);
        write_during_sweeps(store.with_table(table)).await;
    }
}

/// A store whose transactions have the isolation level.
pub(crate) async fn postgres_store(
    database: &Handle<sqlx::Postgres>,
    level: &str,
) -> SqlStore<sqlx::Postgres> {
    let separator = if database.url.contains('?') { '&' } else { '?' };
    let option = format!(
        "options[default_transaction_isolation]={}",
        level.replace(' ', "%20")
    );
    let pool = PgPoolOptions::new()
        .connect_lazy(&format!("{}{separator}{option}", database.url))
        .unwrap();
    let isolation: String = sqlx::query_scalar("SHOW transaction_isolation")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(isolation, level);
    SqlStore::new(pool)
}

/// A store whose connections run `level` first.
pub(crate) fn mariadb_store(
    database: &Handle<sqlx::MySql>,
    level: &'static str,
) -> SqlStore<sqlx::MySql> {
    let pool = MySqlPoolOptions::new().after_connect(move |connection, _| {
        Box::pin(async move { connection.execute(level).await.map(drop) })
    });
    SqlStore::new(pool.connect_lazy(&database.url).unwrap())
}

/// Fails on any error, and if a sweep removes a live record.
pub(crate) async fn write_during_sweeps<S: ExpiredSweep + Clone>(store: S) {
    let counter = key();
    insert(&store, &counter, &record(&0_u64.to_be_bytes())).await;
    let writing = Arc::new(AtomicBool::new(true));
    let sweeps: Vec<_> = (0..2)
        .map(|_| {
            let (store, writing) = (store.clone(), Arc::clone(&writing));
            tokio::spawn(async move {
                let mut swept = 0;
                while writing.load(Ordering::Relaxed) {
                    swept += sweep_up_to(&store, 500).await;
                }
                swept
            })
        })
        .collect();
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let (store, counter) = (store.clone(), counter.clone());
            tokio::spawn(async move {
                for _ in 0..rounds() {
                    one_round(&store, &counter).await;
                }
            })
        })
        .collect();
    for task in writers {
        task.await.expect("no write meets a deadlock");
    }
    writing.store(false, Ordering::Relaxed);
    let mut swept = 0;
    for task in sweeps {
        swept += task.await.expect("no sweep meets a deadlock");
    }
    assert!(swept > 0, "the sweeps had nothing to do");
    let sum = load(&store, &counter)
        .await
        .expect("the counter exists")
        .bytes;
    assert_eq!(sum, ((WRITERS * rounds()) as u64).to_be_bytes()[..]);
}

/// Five operations.
async fn one_round(store: &dyn SessionStore, counter: &session_core::StoreKey) {
    insert(store, &key(), &expired(b"for the sweep")).await;
    let own = key();
    let revision = insert(store, &own, &record(b"one")).await;
    let updated = store.update(&own, &record(b"two"), &revision).await;
    let Write::Stored(revision) = updated.expect("no deadlock") else {
        panic!("no other writer changes the record");
    };
    let end = store.update(&own, &expired(b"end"), &revision).await;
    assert!(end.expect("no deadlock").is_stored());
    increment(store, counter).await;
}
