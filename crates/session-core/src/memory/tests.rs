use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::*;
use crate::key::KeyPrefix;

/// A store whose clock stands still until it is told to move.
fn store_with_clock() -> (MemoryStore, impl Fn(u64)) {
    let now = Arc::new(AtomicU64::new(1_000));
    let clock = Arc::clone(&now);
    let store = MemoryStore::new().with_clock(Arc::new(move || at(clock.load(Ordering::Relaxed))));
    (store, move |seconds| now.store(seconds, Ordering::Relaxed))
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn key(name: &str) -> StoreKey {
    StoreKey::from_stored(name)
}

fn owned(expires_at: u64) -> Record {
    Record {
        payload: b"payload".to_vec(),
        expires_at: at(expires_at),
        owner: Some(KeyPrefix::default().owner_key("ada")),
    }
}

#[tokio::test]
async fn a_record_ends_at_the_very_instant_of_the_clock_given() {
    let (store, set_clock) = store_with_clock();
    assert!(
        store
            .insert(&key("a"), &owned(2_000))
            .await
            .unwrap()
            .is_stored()
    );
    set_clock(1_999);
    assert!(store.load(&key("a")).await.unwrap().is_some());
    set_clock(2_000);
    assert!(store.load(&key("a")).await.unwrap().is_none());
    assert_eq!(
        store.touch(&key("a"), at(3_000)).await.unwrap(),
        Touch::Refused
    );
    assert_eq!(store.sweep(10).await.unwrap(), 1);
    assert_eq!(store.records().len(), 0);
}

#[tokio::test]
async fn entries_go_when_their_time_has_passed_and_their_record_is_absent() {
    let (store, set_clock) = store_with_clock();
    let owner = KeyPrefix::default().owner_key("ada");
    for name in ["ends", "deleted", "touched"] {
        assert!(
            store
                .insert(&key(name), &owned(2_000))
                .await
                .unwrap()
                .is_stored()
        );
    }
    store.delete(&key("deleted")).await.unwrap();
    assert_eq!(
        store.touch(&key("touched"), at(3_000)).await.unwrap(),
        Touch::Moved
    );
    assert_eq!(store.records().entries(), 3);

    set_clock(2_000);
    assert_eq!(store.sweep(10).await.unwrap(), 1);
    assert_eq!(store.records().entries(), 1);
    assert_eq!(store.owned_by(&owner).await.unwrap().len(), 1);

    set_clock(3_000);
    assert_eq!(store.sweep(10).await.unwrap(), 1);
    assert_eq!(store.records().entries(), 0);
}

#[tokio::test]
async fn writes_alone_keep_the_index_from_growing() {
    let (store, set_clock) = store_with_clock();
    for second in 1_000..1_200 {
        set_clock(second);
        let name = key(&second.to_string());
        assert!(
            store
                .insert(&name, &owned(second + 2))
                .await
                .unwrap()
                .is_stored()
        );
        store.delete(&name).await.unwrap();
    }
    assert!(store.records().entries() <= 3);
}
