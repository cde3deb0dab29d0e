//! Flask-Session's layout: the store contract, its documents, and its differences from the own
//! layout.

#![cfg(feature = "flask")]

use std::time::Duration;

use session_core::{Error, Result, SessionStore, Write, conformance::Fixture};
use session_mongo::{
    CollectionName, FlaskMongoStore,
    mongodb::bson::{Binary, DateTime, Document, doc, oid::ObjectId, spec::BinarySubtype},
};
use session_tests::Mongo;

use crate::setup::{
    SERVER, Setup, connect, key, record, record_for, stored, unique, with_long_timeouts,
};

async fn open() -> Fixture<FlaskMongoStore> {
    let server = SERVER.get_or_start(Mongo::start).await;
    let name = CollectionName::new(&format!("flask_{}", unique())).unwrap();
    let open = async || {
        connect(&with_long_timeouts(&server), &name)
            .await
            .with_flask_layout()
    };
    let (store, second) = (open().await, open().await);
    store.ensure_indexes().await.unwrap();
    Fixture::new(store)
        .with_second(second.into())
        .with_told_expiry()
        .keeping(server)
}

session_core::conformance_tests!(open());

async fn flask() -> (Setup, FlaskMongoStore) {
    let setup = Setup::shared().await;
    let store = setup.store.clone().with_flask_layout();
    (setup, store)
}

/// A document as Flask-Session writes it.
fn document(id: &str, val: &[u8], expiration: DateTime) -> Document {
    let val = Binary {
        subtype: BinarySubtype::Generic,
        bytes: val.to_vec(),
    };
    doc! { "_id": ObjectId::new(), "id": id, "val": val, "expiration": expiration }
}

fn in_an_hour() -> DateTime {
    DateTime::from_system_time(record(b"").expires_at)
}

#[tokio::test]
async fn a_session_of_flask_is_read_changed_and_deleted_in_place() {
    let (setup, store) = flask().await;
    store.ensure_indexes().await.unwrap();
    let key = key();
    let theirs = document(key.as_str(), b"\x81\xa1a\x01", in_an_hour());
    setup.raw().insert_one(&theirs).await.unwrap();

    let loaded = store.load(&key).await.unwrap().unwrap();
    assert_eq!(loaded.bytes, &b"\x81\xa1a\x01"[..]);
    stored(
        store
            .update(&key, &record(b"ours"), &loaded.revision)
            .await
            .unwrap(),
    );
    let now = setup.raw().find_one(doc! {}).await.unwrap().unwrap();
    assert_eq!(now.get("_id"), theirs.get("_id"));
    assert_eq!(
        now.keys().collect::<Vec<_>>(),
        ["_id", "id", "val", "expiration"]
    );
    let insert = store.insert(&key, &record(b"new")).await.unwrap();
    assert_eq!(insert, Write::Refused);
    store.delete(&key).await.unwrap();
    assert_eq!(setup.documents().await, 0);
}

#[tokio::test]
async fn a_stored_session_is_a_document_of_flask() {
    let (setup, store) = flask().await;
    let key = key();
    let session = record(b"ours");
    stored(store.insert(&key, &session).await.unwrap());
    let found = setup
        .raw()
        .find_one(doc! { "id": key.as_str() })
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.get_binary_generic("val").unwrap(), b"ours");
    let expected = DateTime::from_system_time(session.expires_at);
    assert_eq!(found.get_datetime("expiration").unwrap(), &expected);
}

#[tokio::test]
async fn a_concurrent_change_by_flask_is_not_overwritten() {
    let (setup, store) = flask().await;
    let key = key();
    let revision = stored(store.insert(&key, &record(b"ours")).await.unwrap());
    let mut theirs = document(key.as_str(), b"theirs", in_an_hour());
    theirs.remove("_id");
    let filter = doc! { "id": key.as_str() };
    setup
        .raw()
        .update_one(filter, doc! { "$set": theirs })
        .await
        .unwrap();
    let update = store
        .update(&key, &record(b"late"), &revision)
        .await
        .unwrap();
    assert_eq!(update, Write::Refused);
    assert_eq!(
        store.load(&key).await.unwrap().unwrap().bytes,
        &b"theirs"[..]
    );
}

/// session-core decides whether it has ended. The server may take a minute to remove it.
#[tokio::test]
async fn an_expired_session_of_flask_is_found_with_its_expiry() {
    let (setup, store) = flask().await;
    store.ensure_indexes().await.unwrap();
    let key = key();
    let past = record_for(b"", Duration::ZERO).expires_at - Duration::from_secs(5);
    let past = DateTime::from_system_time(past);
    let theirs = document(key.as_str(), b"theirs", past);
    setup.raw().insert_one(theirs).await.unwrap();
    let found = store.load(&key).await.unwrap().unwrap();
    assert_eq!(found.expires_at, Some(past.to_system_time()));
    let insert = store.insert(&key, &record(b"ours")).await.unwrap();
    assert_eq!(insert, Write::Refused);
}

#[tokio::test]
async fn sessions_that_flask_stored_twice_are_reported_and_deleted_together() {
    let (setup, store) = flask().await;
    let key = key();
    for val in [b"one", b"two"] {
        let theirs = document(key.as_str(), val, in_an_hour());
        setup.raw().insert_one(theirs).await.unwrap();
    }
    let message = error_message(store.ensure_indexes().await);
    assert!(message.contains("two documents with one id"), "{message}");
    store.delete(&key).await.unwrap();
    assert_eq!(setup.documents().await, 0);
}

#[tokio::test]
async fn a_session_of_flask_above_the_limit_is_read_and_can_be_replaced() {
    let (setup, store) = flask().await;
    let key = key();
    let large = vec![7; 3 * FlaskMongoStore::DEFAULT_LIMIT];
    let theirs = document(key.as_str(), &large, in_an_hour());
    setup.raw().insert_one(theirs).await.unwrap();
    let loaded = store.load(&key).await.unwrap().unwrap();
    stored(
        store
            .update(&key, &record(b"\xc0"), &loaded.revision)
            .await
            .unwrap(),
    );
}

#[tokio::test]
async fn the_two_layouts_refuse_each_others_collections() {
    let (setup, store) = flask().await;
    stored(setup.store.insert(&key(), &record(b"own")).await.unwrap());
    let message = error_message(store.ensure_indexes().await);
    assert!(
        message.contains("not in Flask-Session's layout"),
        "{message}"
    );

    setup.raw().delete_many(doc! {}).await.unwrap();
    stored(store.insert(&key(), &record(b"flask")).await.unwrap());
    let message = error_message(setup.store.ensure_indexes().await);
    assert!(message.contains("in Flask-Session's layout"), "{message}");
}

fn error_message(result: Result<()>) -> String {
    let Err(Error::Unsuitable { source, .. }) = result else {
        panic!("not refused: {result:?}");
    };
    source.to_string()
}

#[tokio::test]
async fn the_limit_is_at_most_one_mebibyte() {
    let (setup, store) = flask().await;
    assert_eq!(store.limit(), 1 << 20);
    let lower = setup.store.with_limit(1000).with_flask_layout();
    assert_eq!(lower.limit(), 1000);
}
