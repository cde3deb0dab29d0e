//! Documents that another program wrote or damaged: never a panic, never another session's data.

use session_core::{Error, SessionStore};
use session_mongo::mongodb::bson::{Binary, Bson, Document, doc, spec::BinarySubtype};

use crate::setup::{Setup, key, keys_of, listed, owner, record, stored};

fn wrong_values() -> Vec<Bson> {
    let uuid = Binary {
        subtype: BinarySubtype::Uuid,
        bytes: vec![0; 16],
    };
    vec![
        Bson::Null,
        "text".into(),
        7_i64.into(),
        7.5.into(),
        true.into(),
        doc! { "payload": 1 }.into(),
        Bson::Array(vec![]),
        uuid.into(),
    ]
}

#[tokio::test]
async fn a_field_of_a_wrong_type_makes_a_record_unreadable_and_no_more() {
    let setup = Setup::shared().await;
    let (store, key, owner) = (&setup.store, key(), owner());
    let session = listed(record(b"payload"), &owner);
    stored(store.insert(&key, &session).await.unwrap());
    let revision = store.load(&key).await.unwrap().unwrap().revision;
    let good = setup.raw().find_one(doc! {}).await.unwrap().unwrap();

    for field in ["head", "rest", "revision"] {
        for wrong in wrong_values() {
            let mut bad = good.clone();
            bad.insert(field, wrong.clone());
            replace(&setup, bad).await;
            let result = store.load(&key).await;
            assert!(
                matches!(result, Err(Error::Corrupt { .. })),
                "{field} = {wrong}: {result:?}"
            );
            // A list needs only the head, so it includes records that cannot be loaded.
            let is_listed = keys_of(store, &owner).await.len() == 1;
            assert_eq!(is_listed, field != "head", "{field} = {wrong}");
            let update = store.update(&key, &session, &revision).await.unwrap();
            assert_eq!(update.is_stored(), field != "revision", "{field} = {wrong}");
        }
    }
    store.delete(&key).await.unwrap();
    assert_eq!(setup.documents().await, 0);
}

#[tokio::test]
async fn an_unreadable_record_does_not_hide_its_owners_other_sessions() {
    let setup = Setup::shared().await;
    let owner = owner();
    let [damaged, intact] = [(); 2].map(|()| key());
    for key in [&damaged, &intact] {
        let record = listed(record(b"payload"), &owner);
        stored(setup.store.insert(key, &record).await.unwrap());
    }
    let id = Binary {
        subtype: BinarySubtype::Generic,
        bytes: damaged.as_str().into(),
    };
    let damage = doc! { "$set": { "head": "text" } };
    setup
        .raw()
        .update_one(doc! { "_id": id }, damage)
        .await
        .unwrap();
    assert!(keys_of(&setup.store, &owner).await == [intact]);
}

async fn replace(setup: &Setup, document: Document) {
    let id = document.get("_id").unwrap().clone();
    setup
        .raw()
        .replace_one(doc! { "_id": id }, document)
        .await
        .unwrap();
}
