//! Rows that Flask-Session stored are loaded, updated and deleted.

use std::time::SystemTime;

use session_core::{SessionStore, Write};

use super::tables::FlaskDatabase;
use crate::{
    databases::{each_database, unique_table},
    records::{insert, key, load, record},
};

/// An expiry after the end of every test.
const FUTURE: &str = "'2999-12-31 23:59:59'";

each_database!(
    a_row_that_flask_stored_is_loaded_updated_and_deleted,
    a_concurrent_save_of_flask_is_not_overwritten,
    a_row_that_expired_or_has_no_expiry_is_loaded_and_updated,
    a_row_without_data_is_a_record_without_bytes,
    a_refresh_moves_the_expiry_and_nothing_else,
    all_bytes_that_flask_wrote_are_loaded_unchanged
);

async fn a_row_that_flask_stored_is_loaded_updated_and_deleted<D: FlaskDatabase>() {
    let (database, table, key) = (D::open().await, unique_table(), key());
    let store = database.with_flask_table(&table).await;
    database
        .insert_row(&table, key.as_str(), b"\x81\xa1a\x01", FUTURE)
        .await;
    let id = database.number(&id_of::<D>(&table, &key)).await;

    let loaded = load(&store, &key).await.expect("Flask's session exists");
    assert_eq!(loaded.bytes, b"\x81\xa1a\x01"[..]);
    let update = store.update(&key, &record(b"ours"), &loaded.revision).await;
    assert!(update.unwrap().is_stored());
    assert_eq!(load(&store, &key).await.unwrap().bytes, b"ours"[..]);
    assert_eq!(database.number(&id_of::<D>(&table, &key)).await, id);
    let insert = store.insert(&key, &record(b"new")).await.unwrap();
    assert_eq!(insert, Write::Refused);
    assert_eq!(database.rows(&table).await, 1);
    store.delete(&key).await.unwrap();
    assert_eq!(database.rows(&table).await, 0);
}

async fn a_concurrent_save_of_flask_is_not_overwritten<D: FlaskDatabase>() {
    let (database, table, key) = (D::open().await, unique_table(), key());
    let store = database.with_flask_table(&table).await;
    let revision = insert(&store, &key, &record(b"ours")).await;
    database
        .execute(&format!("UPDATE {table} SET data = {}", D::bytes(b"flask")))
        .await;
    let update = store.update(&key, &record(b"late"), &revision).await;
    assert_eq!(update.unwrap(), Write::Refused);
    assert_eq!(load(&store, &key).await.unwrap().bytes, b"flask"[..]);
}

/// `session-core` decides whether a session has expired. The store treats all rows alike.
async fn a_row_that_expired_or_has_no_expiry_is_loaded_and_updated<D: FlaskDatabase>() {
    let (database, table) = (D::open().await, unique_table());
    let store = database.with_flask_table(&table).await;
    for expiry in ["NULL", "'2001-01-01 00:00:00'", "'1955-11-05 06:00:00'"] {
        let key = key();
        database
            .insert_row(&table, key.as_str(), b"flask", expiry)
            .await;
        let id = database.number(&id_of::<D>(&table, &key)).await;
        let loaded = load(&store, &key).await.expect("the row exists");
        assert_eq!(loaded.bytes, b"flask"[..]);
        let expires_at = loaded.expires_at.expect("the layout has an expiry");
        assert!(expires_at < SystemTime::now(), "{expiry}");
        let insert = store.insert(&key, &record(b"x")).await;
        assert_eq!(insert.unwrap(), Write::Refused, "{expiry}");

        let update = store.update(&key, &record(b"ours"), &loaded.revision).await;
        assert!(update.unwrap().is_stored(), "{expiry}");
        let loaded = load(&store, &key).await.expect("the row exists");
        assert_eq!(loaded.bytes, b"ours"[..]);
        assert!(loaded.expires_at > Some(SystemTime::now()), "{expiry}");
        assert_eq!(database.number(&id_of::<D>(&table, &key)).await, id);
    }
}

async fn a_row_without_data_is_a_record_without_bytes<D: FlaskDatabase>() {
    let (database, table, key) = (D::open().await, unique_table(), key());
    let store = database.with_flask_table(&table).await;
    database
        .execute(&format!(
            "INSERT INTO {table} (session_id, expiry) VALUES ('{}', {FUTURE})",
            key.as_str()
        ))
        .await;
    let loaded = load(&store, &key).await.expect("the row exists");
    assert_eq!(loaded.bytes, b""[..]);
    let update = store.update(&key, &record(b"ours"), &loaded.revision).await;
    assert!(update.unwrap().is_stored());
}

async fn a_refresh_moves_the_expiry_and_nothing_else<D: FlaskDatabase>() {
    let (database, table, key) = (D::open().await, unique_table(), key());
    let store = database.with_flask_table(&table).await;
    database
        .insert_row(&table, key.as_str(), b"flask", FUTURE)
        .await;
    let before = load(&store, &key).await.unwrap();
    let same = record(b"flask");
    // The second changes no column in a database that keeps whole seconds.
    for _ in 0..2 {
        let update = store.update(&key, &same, &before.revision).await;
        assert!(update.unwrap().is_stored());
    }
    let after = load(&store, &key).await.unwrap();
    assert_eq!(after.bytes, before.bytes);
    assert_eq!(after.revision, before.revision);
    assert!(after.expires_at < before.expires_at);
}

/// The store decodes nothing. `session-core` decides what a pickle or a damaged payload is.
async fn all_bytes_that_flask_wrote_are_loaded_unchanged<D: FlaskDatabase>() {
    let (database, table) = (D::open().await, unique_table());
    let store = database.with_flask_table(&table).await;
    let pickle = b"\x80\x04\x95\x0a\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x01a\x94K\x01s.";
    for bytes in [&pickle[..], b"{\"a\":1}", b"\xc0", b"", b"\0'\\\xff"] {
        let key = key();
        database
            .insert_row(&table, key.as_str(), bytes, FUTURE)
            .await;
        assert_eq!(load(&store, &key).await.unwrap().bytes, bytes);
    }
}

fn id_of<D: FlaskDatabase>(table: &session_sql::TableName, key: &session_core::StoreKey) -> String {
    let bigint = D::BIGINT.replace("{}", "id");
    format!(
        "SELECT {bigint} FROM {table} WHERE session_id = '{}'",
        key.as_str()
    )
}
