//! Flask-Session's layout: the store contract, its documents, and what sets it apart from our own.

use std::time::Duration;

use session_core::{Error, Result, SessionStore, Write, conformance::Fixture};
use session_mongo::{
    CollectionName, FlaskMongoStore,
    mongodb::bson::{Binary, DateTime, Document, doc, oid::ObjectId, spec::BinarySubtype},
};
use session_tests::Mongo;

use crate::setup::{SERVER, Setup, connect, key, patient, record, record_for, stored, unique};

async fn open() -> Fixture<FlaskMongoStore> {
    let server = SERVER.get_or_start(Mongo::start).await;
    let name = CollectionName::new(&format!("flask_{}", unique())).unwrap();
    let open = async || connect(&patient(&server), &name).await.with_flask_layout();
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

/// As Flask-Session writes it.
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
async fn what_flask_stored_is_read_changed_and_ended_in_place() {
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
async fn what_we_store_is_what_flask_looks_for() {
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
async fn what_flask_saves_in_between_is_not_overwritten() {
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

/// Whether it has ended is core's to say: the server may take a minute to remove it.
#[tokio::test]
async fn an_expired_session_of_flask_is_found_with_its_end() {
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
async fn sessions_that_flask_stored_twice_are_named_and_end_together() {
    let (setup, store) = flask().await;
    let key = key();
    for val in [b"one", b"two"] {
        let theirs = document(key.as_str(), val, in_an_hour());
        setup.raw().insert_one(theirs).await.unwrap();
    }
    let reason = reason(store.ensure_indexes().await);
    assert!(reason.contains("two documents with one id"), "{reason}");
    store.delete(&key).await.unwrap();
    assert_eq!(setup.documents().await, 0);
}

#[tokio::test]
async fn a_session_of_flask_beyond_our_limit_is_read_and_can_be_ended() {
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
    let told = reason(store.ensure_indexes().await);
    assert!(told.contains("not in Flask-Session's layout"), "{told}");

    setup.raw().delete_many(doc! {}).await.unwrap();
    stored(store.insert(&key(), &record(b"flask")).await.unwrap());
    let told = reason(setup.store.ensure_indexes().await);
    assert!(told.contains("in Flask-Session's layout"), "{told}");
}

fn reason(answer: Result<()>) -> String {
    let Err(Error::Backend { source, .. }) = answer else {
        panic!("not refused: {answer:?}");
    };
    source.to_string()
}
