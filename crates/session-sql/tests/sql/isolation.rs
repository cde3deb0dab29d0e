use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use session_core::{ExpiredSweep, SessionStore, Write};
use session_sql::{SqlStore, sqlx};
use sqlx::{Executor, mysql::MySqlPoolOptions, postgres::PgPoolOptions};

use crate::{
    databases::{Place, own_table},
    records::{ended, increment, insert, key, load, record},
};

const WRITERS: usize = 8;
/// Of each writer; five operations each.
const TURNS: usize = 10_000 / 5 / WRITERS;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_shows_no_deadlock_between_sweep_and_writers() {
    for level in ["repeatable read", "serializable"] {
        let place = sqlx::Postgres::place().await;
        let table = own_table();
        place.migrated(&table).await;
        let separator = if place.url.contains('?') { '&' } else { '?' };
        let option = format!(
            "options[default_transaction_isolation]={}",
            level.replace(' ', "%20")
        );
        let pool = PgPoolOptions::new()
            .connect_lazy(&format!("{}{separator}{option}", place.url))
            .unwrap();
        let isolation: String = sqlx::query_scalar("SHOW transaction_isolation")
            .fetch_one(&pool)
            .await
            .unwrap();
        assert_eq!(isolation, level);
        let store = SqlStore::new(pool);
        write_beside_a_sweep(store.clone().with_table(table)).await;
        let theirs = own_table();
        place.theirs(&theirs).await;
        write_beside_a_sweep(store.with_table(theirs).with_flask_layout()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_shows_no_deadlock_between_sweep_and_writers() {
    for set in [
        "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    ] {
        let place = sqlx::MySql::place().await;
        let table = own_table();
        place.migrated(&table).await;
        let pool = MySqlPoolOptions::new().after_connect(move |connection, _| {
            Box::pin(async move { connection.execute(set).await.map(drop) })
        });
        let pool = pool.connect_lazy(&place.url).unwrap();
        let store = SqlStore::new(pool);
        write_beside_a_sweep(store.clone().with_table(table)).await;
        let theirs = own_table();
        place.theirs(&theirs).await;
        write_beside_a_sweep(store.with_table(theirs).with_flask_layout()).await;
    }
}

/// Any error fails the test, and so does a record lost to the sweep.
async fn write_beside_a_sweep<S: ExpiredSweep + Clone>(store: S) {
    let counter = key();
    insert(&store, &counter, &record(&0_u64.to_be_bytes())).await;
    let writing = Arc::new(AtomicBool::new(true));
    let sweeps: Vec<_> = (0..2)
        .map(|_| {
            let (store, writing) = (store.clone(), Arc::clone(&writing));
            tokio::spawn(async move {
                let mut swept = 0;
                while writing.load(Ordering::Relaxed) {
                    swept += store.sweep(500).await.expect("the sweep meets no deadlock");
                }
                swept
            })
        })
        .collect();
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let (store, counter) = (store.clone(), counter.clone());
            tokio::spawn(async move {
                for _ in 0..TURNS {
                    take_a_turn(&store, &counter).await;
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
    let sum = load(&store, &counter).await.expect("it lives").bytes;
    assert_eq!(sum, ((WRITERS * TURNS) as u64).to_be_bytes()[..]);
}

async fn take_a_turn(store: &dyn SessionStore, counter: &session_core::StoreKey) {
    insert(store, &key(), &ended(b"for the sweep")).await;
    let own = key();
    let revision = insert(store, &own, &record(b"one")).await;
    let updated = store.update(&own, &record(b"two"), &revision).await;
    let Write::Stored(revision) = updated.expect("no deadlock") else {
        panic!("nobody else changes it");
    };
    let ends = store.update(&own, &ended(b"end"), &revision).await;
    assert!(ends.expect("no deadlock").is_stored());
    increment(store, counter).await;
}
