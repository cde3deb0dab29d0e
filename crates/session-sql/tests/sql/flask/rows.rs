use std::time::SystemTime;

use session_core::{SessionStore, Write};

use super::tables::FlaskPlace;
use crate::{
    databases::{each_database, own_table},
    records::{insert, key, load, record},
};

/// Far enough away for every test.
const FUTURE: &str = "'2999-12-31 23:59:59'";

each_database!(
    what_flask_stored_is_read_changed_and_ended_in_place,
    what_flask_saves_in_between_is_not_overwritten,
    a_row_without_expiry_or_past_it_is_found_and_may_be_changed,
    a_row_without_data_is_a_session_without_bytes,
    a_refresh_moves_the_expiry_and_nothing_else,
    every_kind_of_bytes_that_flask_wrote_is_handed_over_as_it_is
);

async fn what_flask_stored_is_read_changed_and_ended_in_place<D: FlaskPlace>() {
    let (place, table, key) = (D::place().await, own_table(), key());
    let store = place.theirs(&table).await;
    place
        .put(&table, key.as_str(), b"\x81\xa1a\x01", FUTURE)
        .await;
    let id = place.number(&id_of::<D>(&table, &key)).await;

    let loaded = load(&store, &key).await.expect("Flask's session is there");
    assert_eq!(loaded.bytes, b"\x81\xa1a\x01"[..]);
    let update = store.update(&key, &record(b"ours"), &loaded.revision).await;
    assert!(update.unwrap().is_stored());
    assert_eq!(load(&store, &key).await.unwrap().bytes, b"ours"[..]);
    assert_eq!(place.number(&id_of::<D>(&table, &key)).await, id);
    let insert = store.insert(&key, &record(b"new")).await.unwrap();
    assert_eq!(insert, Write::Refused);
    assert_eq!(place.rows(&table).await, 1);
    store.delete(&key).await.unwrap();
    assert_eq!(place.rows(&table).await, 0);
}

async fn what_flask_saves_in_between_is_not_overwritten<D: FlaskPlace>() {
    let (place, table, key) = (D::place().await, own_table(), key());
    let store = place.theirs(&table).await;
    let revision = insert(&store, &key, &record(b"ours")).await;
    place
        .execute(&format!(
            "UPDATE {table} SET data = {}",
            crate::databases::literal::<D>(b"theirs")
        ))
        .await;
    let update = store.update(&key, &record(b"late"), &revision).await;
    assert_eq!(update.unwrap(), Write::Refused);
    assert_eq!(load(&store, &key).await.unwrap().bytes, b"theirs"[..]);
}

/// Core judges it; to the store it is a row like any other.
async fn a_row_without_expiry_or_past_it_is_found_and_may_be_changed<D: FlaskPlace>() {
    let (place, table) = (D::place().await, own_table());
    let store = place.theirs(&table).await;
    for expiry in ["NULL", "'2001-01-01 00:00:00'", "'1955-11-05 06:00:00'"] {
        let key = key();
        place.put(&table, key.as_str(), b"theirs", expiry).await;
        let id = place.number(&id_of::<D>(&table, &key)).await;
        let loaded = load(&store, &key).await.expect("the row is there");
        assert_eq!(loaded.bytes, b"theirs"[..]);
        let told = loaded.expires_at.expect("the layout tells it");
        assert!(told < SystemTime::now(), "{expiry}");
        let insert = store.insert(&key, &record(b"x")).await;
        assert_eq!(insert.unwrap(), Write::Refused, "{expiry}");

        let update = store.update(&key, &record(b"ours"), &loaded.revision).await;
        assert!(update.unwrap().is_stored(), "{expiry}");
        let loaded = load(&store, &key).await.expect("the row is there");
        assert_eq!(loaded.bytes, b"ours"[..]);
        assert!(loaded.expires_at > Some(SystemTime::now()), "{expiry}");
        assert_eq!(place.number(&id_of::<D>(&table, &key)).await, id);
    }
}

async fn a_row_without_data_is_a_session_without_bytes<D: FlaskPlace>() {
    let (place, table, key) = (D::place().await, own_table(), key());
    let store = place.theirs(&table).await;
    place
        .execute(&format!(
            "INSERT INTO {table} (session_id, expiry) VALUES ('{}', {FUTURE})",
            key.as_str()
        ))
        .await;
    let loaded = load(&store, &key).await.expect("the row is there");
    assert_eq!(loaded.bytes, b""[..]);
    let update = store.update(&key, &record(b"ours"), &loaded.revision).await;
    assert!(update.unwrap().is_stored());
}

async fn a_refresh_moves_the_expiry_and_nothing_else<D: FlaskPlace>() {
    let (place, table, key) = (D::place().await, own_table(), key());
    let store = place.theirs(&table).await;
    place.put(&table, key.as_str(), b"theirs", FUTURE).await;
    let before = load(&store, &key).await.unwrap();
    let same = record(b"theirs");
    // The second changes nothing at all in a database that keeps whole seconds.
    for _ in 0..2 {
        let update = store.update(&key, &same, &before.revision).await;
        assert!(update.unwrap().is_stored());
    }
    let after = load(&store, &key).await.unwrap();
    assert_eq!(after.bytes, before.bytes);
    assert_eq!(after.revision, before.revision);
    assert!(after.expires_at < before.expires_at);
}

/// Nothing here decodes: what a pickle is, or damaged, core says.
async fn every_kind_of_bytes_that_flask_wrote_is_handed_over_as_it_is<D: FlaskPlace>() {
    let (place, table) = (D::place().await, own_table());
    let store = place.theirs(&table).await;
    let pickle = b"\x80\x04\x95\x0a\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x01a\x94K\x01s.";
    for bytes in [&pickle[..], b"{\"a\":1}", b"\xc0", b"", b"\0'\\\xff"] {
        let key = key();
        place.put(&table, key.as_str(), bytes, FUTURE).await;
        assert_eq!(load(&store, &key).await.unwrap().bytes, bytes);
    }
}

fn id_of<D: FlaskPlace>(table: &session_sql::TableName, key: &session_core::StoreKey) -> String {
    let bigint = D::BIGINT.replace("{}", "id");
    format!(
        "SELECT {bigint} FROM {table} WHERE session_id = '{}'",
        key.as_str()
    )
}
