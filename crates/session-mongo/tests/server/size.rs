//! The largest payload: refused before anything is sent, and what is not refused fits the server.

use session_core::{Error, SessionStore};
use session_mongo::MongoStore;
use session_tests::free_port;

use crate::setup::{Setup, key, owner, record, stored};

#[tokio::test]
async fn a_payload_at_the_limit_with_the_longest_keys_fits_a_document() {
    let setup = Setup::shared().await;
    let key = key();
    let mut largest = record(&vec![7; MongoStore::DEFAULT_LIMIT]);
    largest.owner = Some(owner());
    stored(setup.store.insert(&key, &largest).await.unwrap());
    let loaded = setup.store.load(&key).await.unwrap().unwrap();
    assert!(loaded.payload == largest.payload);

    largest.payload.push(7);
    let refused = setup.store.update(&key, &largest, &loaded.revision).await;
    assert!(matches!(refused, Err(Error::TooLarge { .. })));
    assert_eq!(
        setup.store.load(&key).await.unwrap().unwrap().payload.len(),
        MongoStore::DEFAULT_LIMIT
    );
}

#[tokio::test]
async fn the_limit_is_checked_before_anything_is_sent() {
    let nowhere = format!("mongodb://127.0.0.1:{}/", free_port());
    let store = MongoStore::connect(&nowhere)
        .await
        .unwrap()
        .with_limit(1000);
    for (size, too_large) in [(1000, false), (1001, true)] {
        match store.insert(&key(), &record(&vec![0; size])).await {
            Err(Error::TooLarge {
                size: 1001,
                limit: 1000,
            }) if too_large => (),
            Err(Error::Backend { .. }) if !too_large => (),
            other => panic!("{size}: {other:?}"),
        }
    }
    let raised = store.with_limit(usize::MAX);
    let over = record(&vec![0; MongoStore::DEFAULT_LIMIT + 1]);
    assert!(matches!(
        raised.insert(&key(), &over).await,
        Err(Error::TooLarge { .. })
    ));
}
