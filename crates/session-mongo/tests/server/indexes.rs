//! `ensure_indexes`: safe if called concurrently, refused in a foreign collection, and not needed
//! by sessions.

use std::sync::Arc;

use session_core::{Error, Result, SessionStore};
use session_mongo::mongodb::bson::{
    Binary, Bson, DateTime, doc, oid::ObjectId, spec::BinarySubtype,
};
use session_tests::rounds;
use tokio::task::JoinSet;

use crate::{
    failpoints::{FAIL_POINT, fail},
    setup::{Setup, connect, key, keys_of, listed, owner, record, stored, unique},
};

#[tokio::test(flavor = "multi_thread")]
async fn twenty_concurrent_calls_create_the_indexes_and_none_fails() {
    let setup = Arc::new(Setup::shared().await);
    for _ in 0..rounds().div_ceil(10) {
        setup.raw().drop().await.unwrap();
        let mut tasks = JoinSet::new();
        for _ in 0..20 {
            let setup = Arc::clone(&setup);
            tasks.spawn(async move { setup.store.ensure_indexes().await });
        }
        for result in tasks.join_all().await {
            result.unwrap();
        }
        let mut names = setup.raw().list_index_names().await.unwrap();
        names.sort();
        assert_eq!(
            names,
            ["_id_", "expires_at_1", "owner_1__id_1_listed_until_1"]
        );
    }
    setup.store.ensure_indexes().await.unwrap();
}

#[tokio::test]
async fn sessions_of_this_library_are_accepted() {
    let setup = Setup::shared().await;
    stored(
        setup
            .store
            .insert(&key(), &record(b"payload"))
            .await
            .unwrap(),
    );
    setup.store.ensure_indexes().await.unwrap();
}

#[tokio::test]
async fn a_collection_of_flask_session_is_refused_and_named() {
    let setup = Setup::shared().await;
    let val = Binary {
        subtype: BinarySubtype::Generic,
        bytes: b"\x80".to_vec(),
    };
    let flask = doc! {
        "_id": ObjectId::new(),
        "id": "session:x",
        "val": val,
        "expiration": DateTime::now(),
    };
    setup.raw().insert_one(flask).await.unwrap();
    let reason = reason(setup.store.ensure_indexes().await);
    assert!(reason.contains("Flask-Session"), "{reason}");
    assert_eq!(setup.raw().list_index_names().await.unwrap(), ["_id_"]);
}

#[tokio::test]
async fn a_collection_of_foreign_documents_is_refused() {
    let ids: [Bson; 4] = [
        unique().into(),
        7.into(),
        doc! { "a": 1 }.into(),
        ObjectId::new().into(),
    ];
    let setup = Setup::shared().await;
    for id in ids {
        setup.raw().drop().await.unwrap();
        let foreign = doc! { "_id": id, "expires_at": DateTime::now() };
        setup.raw().insert_one(foreign).await.unwrap();
        let reason = reason(setup.store.ensure_indexes().await);
        assert!(reason.contains("SESSION_MONGODB_COLLECT"), "{reason}");
    }
}

#[tokio::test]
async fn an_index_of_the_same_name_with_other_options_is_an_error() {
    let setup = Setup::shared().await;
    let keys = doc! { "expires_at": 1 };
    let index = doc! { "key": keys, "name": "expires_at_1", "expireAfterSeconds": 3600 };
    let command = doc! { "createIndexes": setup.name.as_str(), "indexes": [index] };
    setup
        .client
        .database("flask_session")
        .run_command(command)
        .await
        .unwrap();
    assert!(matches!(
        setup.store.ensure_indexes().await,
        Err(Error::Backend { .. })
    ));
}

#[tokio::test]
async fn sessions_work_without_the_right_to_create_indexes() {
    const UNAUTHORIZED: i32 = 13;
    let _alone = FAIL_POINT.lock().await;
    let setup = Setup::shared().await;
    let app = unique();
    let store = connect(
        &format!("{}?appName={app}", setup.server.url()),
        &setup.name,
    )
    .await;
    fail(
        &setup,
        &app,
        &["createIndexes"],
        1,
        doc! { "errorCode": UNAUTHORIZED },
    )
    .await;
    assert!(matches!(
        store.ensure_indexes().await,
        Err(Error::Backend { .. })
    ));

    let (key, owner) = (key(), owner());
    let record = listed(record(b"payload"), &owner);
    stored(store.insert(&key, &record).await.unwrap());
    assert!(keys_of(&store, &owner).await == [key.clone()]);
    assert_eq!(
        store.load(&key).await.unwrap().unwrap().bytes,
        &b"payload"[..]
    );
}

fn reason(result: Result<()>) -> String {
    let Err(Error::Unsuitable { source, .. }) = result else {
        panic!("not refused: {result:?}");
    };
    source.to_string()
}
