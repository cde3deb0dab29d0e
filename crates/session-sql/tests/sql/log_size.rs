//! How large the log of `SQLite` stays.

use std::fs;

use session_sql::{
    SqliteStore,
    sqlx::{Connection as _, Executor as _, SqliteConnection},
};
use session_tests::scratch_dir;

use crate::records::{insert, key, record};

#[tokio::test]
async fn a_log_that_a_long_read_made_large_gives_its_space_back() {
    let directory = scratch_dir();
    let file = directory.path().join("sessions.db");
    let url = format!("sqlite://{}?mode=rwc", file.display());
    let store = SqliteStore::connect(&url).unwrap();
    store.migrate().await.unwrap();
    let log = || {
        fs::metadata(directory.path().join("sessions.db-wal"))
            .unwrap()
            .len()
    };

    let mut backup = SqliteConnection::connect(&url).await.unwrap();
    backup
        .execute("BEGIN; SELECT COUNT(*) FROM sqlite_schema")
        .await
        .unwrap();
    let large = vec![b'x'; 1_000_000];
    for _ in 0..60 {
        insert(&store, &key(), &record(&large)).await;
    }
    assert!(log() > 48 << 20, "the log has {} bytes", log());

    backup.execute("COMMIT").await.unwrap();
    // The first write empties the log, the second begins it again.
    for _ in 0..2 {
        insert(&store, &key(), &record(b"x")).await;
    }
    assert!(log() <= 32 << 20, "the log still has {} bytes", log());
}
