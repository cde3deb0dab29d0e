use session_core::{SessionStore, Touch, Write};

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
    a_row_without_expiry_or_past_it_is_absent_and_its_place_is_taken,
    a_row_without_data_is_a_session_without_bytes,
    a_touch_moves_the_expiry_and_nothing_else,
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
    assert_eq!(loaded.payload, b"\x81\xa1a\x01");
    let update = store.update(&key, &record(b"ours"), &loaded.revision).await;
    assert!(update.unwrap().is_stored());
    assert_eq!(load(&store, &key).await.unwrap().payload, b"ours");
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
    assert_eq!(load(&store, &key).await.unwrap().payload, b"theirs");
}

async fn a_row_without_expiry_or_past_it_is_absent_and_its_place_is_taken<D: FlaskPlace>() {
    let (place, table) = (D::place().await, own_table());
    let store = place.theirs(&table).await;
    for expiry in ["NULL", "'2001-01-01 00:00:00'"] {
        let key = key();
        place.put(&table, key.as_str(), b"theirs", expiry).await;
        let id = place.number(&id_of::<D>(&table, &key)).await;
        let revision = session_core::Revision::new(b"theirs".to_vec());
        assert_eq!(load(&store, &key).await, None, "{expiry}");
        let update = store.update(&key, &record(b"x"), &revision).await;
        assert_eq!(update.unwrap(), Write::Refused, "{expiry}");
        let touch = store.touch(&key, record(b"").expires_at).await;
        assert_eq!(touch.unwrap(), Touch::Refused, "{expiry}");

        insert(&store, &key, &record(b"ours")).await;
        assert_eq!(load(&store, &key).await.unwrap().payload, b"ours");
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
    assert_eq!(loaded.payload, b"");
    let update = store.update(&key, &record(b"ours"), &loaded.revision).await;
    assert!(update.unwrap().is_stored());
}

async fn a_touch_moves_the_expiry_and_nothing_else<D: FlaskPlace>() {
    let (place, table, key) = (D::place().await, own_table(), key());
    let store = place.theirs(&table).await;
    place.put(&table, key.as_str(), b"theirs", FUTURE).await;
    let before = load(&store, &key).await.unwrap();
    let touch = store.touch(&key, record(b"").expires_at).await.unwrap();
    assert_eq!(touch, Touch::Moved);
    let after = load(&store, &key).await.unwrap();
    assert_eq!(after.payload, before.payload);
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
        assert_eq!(load(&store, &key).await.unwrap().payload, bytes);
    }
}

fn id_of<D: FlaskPlace>(table: &session_sql::TableName, key: &session_core::StoreKey) -> String {
    let bigint = D::BIGINT.replace("{}", "id");
    format!(
        "SELECT {bigint} FROM {table} WHERE session_id = '{}'",
        key.as_str()
    )
}
