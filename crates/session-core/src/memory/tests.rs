//! Tests of `MemoryStore`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;

use super::*;
use crate::{key::KeyPrefix, record::IndexEntry};

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

fn ada() -> OwnerKey {
    KeyPrefix::default().owner_key("ada")
}

/// A record that is kept until one instant and listed until another.
fn listed(expires_at: u64, until: u64) -> Record {
    Record {
        bytes: Bytes::from_static(b"bytes"),
        expires_at: at(expires_at),
        entry: Some(IndexEntry {
            provider_session: None,
            owner: ada(),
            expires_at: at(until),
        }),
    }
}

async fn insert(store: &MemoryStore, name: &str, record: &Record) -> Revision {
    match store.insert(&key(name), record).await.unwrap() {
        Write::Stored(revision) => revision,
        Write::Refused => panic!("{name} is taken"),
    }
}

#[tokio::test]
async fn a_record_is_swept_from_its_very_instant_on_and_found_until_it_is() {
    let (store, set_clock) = store_with_clock();
    insert(&store, "a", &listed(2_000, 2_000)).await;
    set_clock(1_999);
    assert_eq!(store.sweep(10).await.unwrap().removed, 0);
    set_clock(2_000);
    assert!(store.load(&key("a")).await.unwrap().is_some());
    assert_eq!(store.sweep(10).await.unwrap().removed, 1);
    assert!(store.load(&key("a")).await.unwrap().is_none());
    assert_eq!(store.records().len(), 0);
}

#[tokio::test]
async fn entries_go_by_their_own_time_and_no_record_is_asked() {
    let (store, set_clock) = store_with_clock();
    let revision = insert(&store, "ended", &listed(9_000, 9_000)).await;
    insert(&store, "deleted", &listed(9_000, 2_000)).await;
    insert(&store, "lives", &listed(9_000, 3_000)).await;
    let marker = listed(9_000, 2_000);
    let name = key("ended");
    let ended = store.update(&name, &marker, &revision);
    assert!(ended.await.unwrap().is_stored());
    store.delete(&key("deleted")).await.unwrap();
    assert_eq!(store.records().entries(), 3);

    set_clock(2_000);
    let page = store.owned_by(&ada(), None, 10).await.unwrap();
    assert_eq!(page.records.len(), 1);
    assert_eq!(page.records[0].key, key("lives"));
    assert_eq!(store.sweep(10).await.unwrap().removed, 0);
    assert_eq!(store.records().entries(), 1);

    set_clock(3_000);
    assert_eq!(store.sweep(10).await.unwrap().removed, 0);
    assert_eq!(store.records().entries(), 0);
    assert_eq!(store.records().len(), 2);
}

#[tokio::test]
async fn a_sweep_is_done_when_no_entry_is_left_either() {
    let (store, set_clock) = store_with_clock();
    for name in ["a", "b", "c"] {
        insert(&store, name, &listed(9_000, 2_000)).await;
    }
    set_clock(2_000);
    for (entries, is_done) in [(1, false), (0, true)] {
        let swept = store.sweep(2).await.unwrap();
        assert_eq!(
            (store.records().entries(), swept.is_done),
            (entries, is_done)
        );
    }
}

#[tokio::test]
async fn writes_keep_the_index_from_growing() {
    let (store, set_clock) = store_with_clock();
    for second in 1_000..1_200 {
        set_clock(second);
        let name = second.to_string();
        insert(&store, &name, &listed(9_000, second + 2)).await;
    }
    assert!(store.records().entries() <= 3);
}
