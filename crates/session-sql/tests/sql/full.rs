use session_core::{Record, SessionStore, StoreKey};
use session_sql::{SqlStore, SqliteStore, TableName, sqlx};
use session_tests::{MariaDb, Postgres, scratch_dir};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

use crate::{
    databases::{Ground, Place},
    patience::{all_works_soon, succeeds},
    records::{insert, key, load, record},
};

#[tokio::test]
async fn a_full_sqlite_file_reads_and_ends_sessions_and_refuses_writes() {
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
    let written = serves_what_it_can_when_full(&store).await;
    for key in &written {
        store.delete(key).await.expect("a session can be ended");
    }
    assert_eq!(load(&store, &written[0]).await, None);
    all_works_soon(&store).await;
}

#[tokio::test]
async fn a_full_mariadb_reads_and_ends_sessions_and_refuses_writes() {
    let server = MariaDb::start_with(&[
        "--innodb-file-per-table=OFF",
        "--innodb-data-file-path=ibdata1:12M",
    ])
    .await;
    let place: Ground<sqlx::MySql> = Ground::new(server.url(), ());
    let store = place.migrated(&TableName::default()).await;
    for key in serves_what_it_can_when_full(&store).await {
        // Even a deletion takes room: in the undo log.
        let ended = succeeds(store.delete(&key)).await;
        assert_eq!(load(&store, &key).await.is_none(), ended, "the answer lies");
    }
}

/// The sessions that are there when the database is full.
async fn serves_what_it_can_when_full<D: Place>(store: &SqlStore<D>) -> Vec<StoreKey> {
    let large = vec![7; 100_000];
    let mut written = vec![];
    let refused = loop {
        let key = key();
        if !succeeds(store.insert(&key, &record(&large))).await {
            break key;
        }
        written.push(key);
        assert!(written.len() < 1000, "it is never full");
    };
    assert_eq!(load(store, &refused).await, None, "half a record");
    let first = &written[0];
    let loaded = load(store, first).await.expect("old sessions are read");
    assert!(loaded.bytes == large);
    let larger = Record {
        bytes: vec![8; 5_000_000].into(),
        ..record(b"")
    };
    assert!(!succeeds(store.update(first, &larger, &loaded.revision)).await);
    assert_eq!(
        load(store, first).await,
        Some(loaded),
        "the old record is gone"
    );
    written
}

#[tokio::test]
async fn a_read_only_sqlite_file_is_read_and_ends_nothing() {
    let place = sqlx::Sqlite::place().await;
    let writer = place.migrated(&TableName::default()).await;
    let key = key();
    insert(&writer, &key, &record(b"x")).await;
    let reader = SqliteStore::connect(&place.url.replace("rwc", "ro")).unwrap();
    only_reads(&reader, &key).await;
}

#[tokio::test]
async fn a_read_only_postgres_is_read_and_ends_nothing() {
    let server = Postgres::start().await;
    let place: Ground<sqlx::Postgres> = Ground::new(server.url(), ());
    let store = place.migrated(&TableName::default()).await;
    let key = key();
    insert(&store, &key, &record(b"x")).await;
    place
        .execute("ALTER SYSTEM SET default_transaction_read_only = on")
        .await;
    place.execute("SELECT pg_reload_conf()").await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    only_reads(&store, &key).await;
    place
        .execute("ALTER SYSTEM SET default_transaction_read_only = off")
        .await;
    place.execute("SELECT pg_reload_conf()").await;
    all_works_soon(&store).await;
    store.delete(&key).await.expect("a session can be ended");
}

#[tokio::test]
async fn a_read_only_mariadb_is_read_and_ends_nothing() {
    let server = MariaDb::start().await;
    let place: Ground<sqlx::MySql> = Ground::new(server.url(), ());
    let root = Ground::<sqlx::MySql>::new(place.url.replace("session:session", "root"), ());
    root.execute("CREATE USER plain@'%' IDENTIFIED BY 'plain'")
        .await;
    root.execute("GRANT ALL ON session.* TO plain@'%'").await;
    let plain = Ground::new(place.url.replace("session:session", "plain:plain"), ());
    let store = Ground::<sqlx::MySql>::migrated(&plain, &TableName::default()).await;
    let key = key();
    insert(&store, &key, &record(b"x")).await;
    place.execute("SET GLOBAL read_only = 1").await;
    only_reads(&store, &key).await;
    place.execute("SET GLOBAL read_only = 0").await;
    all_works_soon(&store).await;
    store.delete(&key).await.expect("a session can be ended");
}

async fn only_reads<D: Place>(store: &SqlStore<D>, held: &StoreKey) {
    let loaded = load(store, held).await.expect("sessions are read");
    assert!(!succeeds(store.insert(&key(), &record(b"x"))).await);
    assert!(!succeeds(store.update(held, &record(b"y"), &loaded.revision)).await);
    assert!(
        !succeeds(store.delete(held)).await,
        "a logout that did not happen"
    );
    assert_eq!(load(store, held).await, Some(loaded));
}
