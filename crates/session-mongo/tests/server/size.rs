//! The size limit: the largest record fits into a document.

use session_core::SessionStore;
use session_mongo::MongoStore;

use crate::setup::{Setup, key, listed, owner, record, stored};

#[tokio::test]
async fn a_record_at_the_limit_with_the_longest_keys_fits_a_document() {
    let setup = Setup::shared().await;
    let key = key();
    let largest = listed(record(&vec![7; setup.store.limit()]), &owner());
    let revision = stored(setup.store.insert(&key, &largest).await.unwrap());
    assert!(setup.store.load(&key).await.unwrap().unwrap().bytes == largest.bytes);
    let again = setup.store.update(&key, &largest, &revision).await;
    stored(again.unwrap());
    assert!(setup.store.load(&key).await.unwrap().unwrap().bytes == largest.bytes);
}

#[tokio::test]
async fn with_limit_cannot_exceed_what_the_server_accepts() {
    let store = MongoStore::connect("mongodb://127.0.0.1/").await.unwrap();
    assert_eq!(store.limit(), MongoStore::DEFAULT_LIMIT);
    assert_eq!(store.clone().with_limit(1000).limit(), 1000);
    let most = store.with_limit(usize::MAX);
    assert_eq!(most.limit(), MongoStore::DEFAULT_LIMIT);
}
