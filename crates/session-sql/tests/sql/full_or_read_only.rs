//! Databases that are full or read-only.

use session_core::{Record, SessionStore, StoreKey};
use session_sql::{SqlStore, SqliteStore, TableName, sqlx};
use session_tests::{MariaDb, Postgres, scratch_dir};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

use crate::{
    availability::{recovers_soon, succeeds},
    databases::{Handle, TestDatabase},
    records::{insert, key, load, record},
};

#[tokio::test]
async fn a_full_sqlite_file_loads_and_deletes_sessions_and_refuses_writes() {
    let directory = scratch_dir();
    let options = SqliteConnectOptions::new()
        .filename(directory.path().join("sessions.db"))
        .create_if_missing(true)
        .pragma("max_page_count", "100");
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_lazy_with(options);
    let store = SqliteStore::new(pool);
    store.migrate().await.unwrap();
    let written = fill_and_check(&store).await;
    for key in &written {
        store.delete(key).await.expect("a session can be deleted");
    }
    assert_eq!(load(&store, &written[0]).await, None);
    recovers_soon(&store).await;
}

#[tokio::test]
async fn a_full_mariadb_loads_and_deletes_sessions_and_refuses_writes() {
    let server = MariaDb::start_with(&[
        "--innodb-file-per-table=OFF",
        "--innodb-data-file-path=ibdata1:12M",
    ])
    .await;
    let database: Handle<sqlx::MySql> = Handle::new(server.url(), ());
    let store = database.migrated(&TableName::default()).await;
    for key in fill_and_check(&store).await {
        // A deletion needs room in the undo log.
        let deleted = succeeds(store.delete(&key)).await;
        assert_eq!(
            load(&store, &key).await.is_none(),
            deleted,
            "the result is wrong"
        );
    }
}

/// Fills the database, checks that records are loaded and not half written, and returns their keys.
async fn fill_and_check<D: TestDatabase>(store: &SqlStore<D>) -> Vec<StoreKey> {
    let large = vec![7; 100_000];
    let mut written = vec![];
    let refused = loop {
        let key = key();
        if !succeeds(store.insert(&key, &record(&large))).await {
            break key;
        }
        written.push(key);
        assert!(written.len() < 1000, "the database is never full");
    };
    assert_eq!(load(store, &refused).await, None, "a part of a record");
    let first = &written[0];
    let loaded = load(store, first).await.expect("old sessions are loaded");
    assert!(loaded.bytes == large);
    let larger = Record {
        bytes: vec![8; 5_000_000].into(),
        ..record(b"")
    };
    assert!(!succeeds(store.update(first, &larger, &loaded.revision)).await);
    assert_eq!(
        load(store, first).await,
        Some(loaded),
        "the old record was changed"
    );
    written
}

#[tokio::test]
async fn a_read_only_sqlite_file_only_loads() {
    let database = sqlx::Sqlite::open().await;
    let writer = database.migrated(&TableName::default()).await;
    let key = key();
    insert(&writer, &key, &record(b"x")).await;
    let reader = SqliteStore::connect(&database.url.replace("rwc", "ro")).unwrap();
    only_loads(&reader, &key).await;
}

#[tokio::test]
async fn a_read_only_postgres_only_loads() {
    let server = Postgres::start().await;
    let database: Handle<sqlx::Postgres> = Handle::new(server.url(), ());
    let store = database.migrated(&TableName::default()).await;
    let key = key();
    insert(&store, &key, &record(b"x")).await;
    database
        .execute("ALTER SYSTEM SET default_transaction_read_only = on")
        .await;
    database.execute("SELECT pg_reload_conf()").await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    only_loads(&store, &key).await;
    database
        .execute("ALTER SYSTEM SET default_transaction_read_only = off")
        .await;
    database.execute("SELECT pg_reload_conf()").await;
    recovers_soon(&store).await;
    store.delete(&key).await.expect("a session can be deleted");
}

#[tokio::test]
async fn a_read_only_mariadb_only_loads() {
    let server = MariaDb::start().await;
    let database: Handle<sqlx::MySql> = Handle::new(server.url(), ());
    let root = Handle::<sqlx::MySql>::new(database.url.replace("session:session", "root"), ());
    root.execute("CREATE USER plain@'%' IDENTIFIED BY 'plain'")
        .await;
    root.execute("GRANT ALL ON session.* TO plain@'%'").await;
    let plain = Handle::new(database.url.replace("session:session", "plain:plain"), ());
    let store = Handle::<sqlx::MySql>::migrated(&plain, &TableName::default()).await;
    let key = key();
    insert(&store, &key, &record(b"x")).await;
    database.execute("SET GLOBAL read_only = 1").await;
    only_loads(&store, &key).await;
    database.execute("SET GLOBAL read_only = 0").await;
    recovers_soon(&store).await;
    store.delete(&key).await.expect("a session can be deleted");
}

async fn only_loads<D: TestDatabase>(store: &SqlStore<D>, stored: &StoreKey) {
    let loaded = load(store, stored).await.expect("sessions are loaded");
    assert!(!succeeds(store.insert(&key(), &record(b"x"))).await);
    assert!(!succeeds(store.update(stored, &record(b"y"), &loaded.revision)).await);
    assert!(
        !succeeds(store.delete(stored)).await,
        "a log-out was reported that did not happen"
    );
    assert_eq!(load(store, stored).await, Some(loaded));
}
