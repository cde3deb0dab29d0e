//! Records, keys and calls that many tests need.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, SystemTime},
};

use session_core::{
    IndexEntry, Loaded, OwnerIndex, OwnerKey, Record, Result, Revision, SessionStore, StoreKey,
    Write,
};

/// A record that expires in an hour.
pub(crate) fn record(payload: &[u8]) -> Record {
    lasting(payload, Duration::from_secs(3600))
}

/// A record that expires in `time`.
pub(crate) fn lasting(payload: &[u8], time: Duration) -> Record {
    Record {
        bytes: payload.to_vec().into(),
        expires_at: SystemTime::now() + time,
        entry: None,
    }
}

/// The record with an entry in the owner's index, until the record expires.
pub(crate) fn owned(owner: &OwnerKey, record: Record) -> Record {
    let entry = IndexEntry {
        provider_session: None,
        owner: owner.clone(),
        expires_at: record.expires_at,
    };
    Record {
        entry: Some(entry),
        ..record
    }
}

/// The keys of an owner's records, at most a thousand.
pub(crate) async fn listed(store: &dyn OwnerIndex, owner: &OwnerKey) -> Vec<StoreKey> {
    let page = store.owned_by(owner, None, 1000).await;
    let page = page.expect("the store answers");
    page.records.into_iter().map(|listed| listed.key).collect()
}

/// A record that expired a second ago.
pub(crate) fn expired(payload: &[u8]) -> Record {
    Record {
        expires_at: SystemTime::now() - Duration::from_secs(1),
        ..record(payload)
    }
}

/// A key that no other test uses.
pub(crate) fn key() -> StoreKey {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    StoreKey::from_stored(format!("test:{}:{number}", std::process::id()))
}

/// An owner that no other test uses.
pub(crate) fn owner() -> OwnerKey {
    OwnerKey::from_stored(key().as_str().replace("test:", "test:owner:"))
}

pub(crate) async fn insert(store: &dyn SessionStore, key: &StoreKey, record: &Record) -> Revision {
    stored(store.insert(key, record).await)
}

/// The revision of a record that was written.
pub(crate) fn stored(write: Result<Write>) -> Revision {
    match write.expect("the store answers") {
        Write::Stored(revision) => revision,
        Write::Refused => panic!("the write is refused"),
    }
}

pub(crate) async fn load(store: &dyn SessionStore, key: &StoreKey) -> Option<Loaded> {
    store.load(key).await.expect("the store answers")
}

/// Adds one to the number in the record, and tries again if another writer was first.
pub(crate) async fn increment(store: &dyn SessionStore, key: &StoreKey) {
    loop {
        let loaded = load(store, key).await.expect("the record exists");
        let number = u64::from_be_bytes(loaded.bytes[..].try_into().expect("eight bytes"));
        let next = record(&(number + 1).to_be_bytes());
        let write = store.update(key, &next, &loaded.revision).await;
        if write.expect("the store answers").is_stored() {
            return;
        }
    }
}

/// The error and its causes, as a log shows them.
pub(crate) fn error_chain(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
