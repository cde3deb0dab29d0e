//! Who may read the files of `SQLite`.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use session_sql::{SqliteStore, sqlx};
use session_tests::scratch_dir;

use crate::{
    databases::TestDatabase,
    records::{insert, key, record},
};

#[tokio::test]
async fn nobody_else_may_read_a_file_of_sqlite_that_the_store_has_created() {
    let directory = scratch_dir();
    let file = directory.path().join("sessions.db");
    let store = stored(&file).await;
    for suffix in ["", "-wal", "-shm"] {
        assert_eq!(mode(&file, suffix), 0o600, "{suffix}");
    }
    // The last connection removes the log, and the next one creates it again.
    store.pool().close().await;
    let _again = stored(&file).await;
    for suffix in ["", "-wal", "-shm"] {
        assert_eq!(mode(&file, suffix), 0o600, "{suffix}");
    }
}

#[tokio::test]
async fn a_file_of_sqlite_that_others_share_keeps_its_mode() {
    let directory = scratch_dir();
    let with_table = directory.path().join("flask.db");
    let url = format!("sqlite://{}?mode=rwc", with_table.display());
    let mut flask = <sqlx::SqliteConnection as sqlx::Connection>::connect(&url)
        .await
        .unwrap();
    sqlx::Sqlite::execute(&mut flask, "CREATE TABLE mine (id INTEGER)")
        .await
        .unwrap();
    let of_a_group = directory.path().join("group.db");
    fs::write(&of_a_group, "").unwrap();
    for (file, kept) in [(&with_table, 0o644), (&of_a_group, 0o660)] {
        fs::set_permissions(file, fs::Permissions::from_mode(kept)).unwrap();
        let _store = stored(file).await;
        assert_eq!(mode(file, ""), kept);
        assert_eq!(mode(file, "-wal"), kept);
    }
}

/// A store with a record in the file.
async fn stored(file: &Path) -> SqliteStore {
    let store = SqliteStore::connect(&format!("sqlite://{}?mode=rwc", file.display())).unwrap();
    store.migrate().await.unwrap();
    insert(&store, &key(), &record(b"x")).await;
    store
}

fn mode(file: &Path, suffix: &str) -> u32 {
    let path = PathBuf::from(format!("{}{suffix}", file.display()));
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}
