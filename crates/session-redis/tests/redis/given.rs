//! What the tests begin with, and what they wait for.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime},
};

use session_core::{
    Bytes, IndexEntry, Loaded, OwnerIndex, OwnerKey, Record, Revision, SessionStore, StoreKey,
    Write,
};
use session_redis::RedisStore;
use session_tests::RedisServer;

/// What every call must be over within, whatever the server does.
pub(crate) const BOUND: Duration = Duration::from_millis(1_500);
/// How soon after the server's return sessions must work again.
pub(crate) const RECOVERY: Duration = Duration::from_secs(2);

pub(crate) fn store(url: &str) -> RedisStore {
    RedisStore::connect(url).unwrap()
}

pub(crate) fn key(name: &str) -> StoreKey {
    StoreKey::from_stored(format!("session:{name}"))
}

pub(crate) fn record(bytes: impl Into<Vec<u8>>) -> Record {
    ending_in(Duration::from_secs(600), bytes)
}

pub(crate) fn ending_in(ttl: Duration, bytes: impl Into<Vec<u8>>) -> Record {
    Record {
        bytes: bytes.into().into(),
        expires_at: SystemTime::now() + ttl,
        entry: None,
    }
}

/// A record that lasts for `ttl`, and the index of [`owner`] names it as long.
pub(crate) fn owned(ttl: Duration, bytes: impl Into<Vec<u8>>) -> Record {
    owned_until(SystemTime::now() + ttl, bytes)
}

pub(crate) fn owned_until(expires_at: SystemTime, bytes: impl Into<Vec<u8>>) -> Record {
    Record {
        bytes: bytes.into().into(),
        expires_at,
        entry: Some(IndexEntry {
            owner: owner(),
            expires_at,
        }),
    }
}

pub(crate) const OWNER: &str = "session:owner:1";

pub(crate) fn owner() -> OwnerKey {
    OwnerKey::from_stored(OWNER)
}

/// All pages of up to `limit` of what the index of [`owner`] names, as names and heads.
pub(crate) async fn listed(store: &RedisStore, limit: usize) -> BTreeMap<String, Bytes> {
    let mut all = BTreeMap::new();
    let mut cursor = None;
    loop {
        let page = store.owned_by(&owner(), cursor.as_ref(), limit).await;
        let page = page.unwrap();
        let records = page.records.into_iter();
        all.extend(records.map(|it| (it.key.as_str()["session:".len()..].to_owned(), it.head)));
        cursor = page.next;
        if cursor.is_none() {
            return all;
        }
    }
}

pub(crate) fn stored(write: Write) -> Revision {
    match write {
        Write::Stored(revision) => revision,
        Write::Refused => panic!("refused"),
    }
}

pub(crate) async fn insert(store: &RedisStore, name: &str, bytes: &str) -> Revision {
    stored(store.insert(&key(name), &record(bytes)).await.unwrap())
}

pub(crate) async fn update(
    store: &RedisStore,
    name: &str,
    record: &Record,
    revision: &Revision,
) -> Revision {
    stored(store.update(&key(name), record, revision).await.unwrap())
}

pub(crate) async fn load(store: &RedisStore, name: &str) -> Option<Loaded> {
    store.load(&key(name)).await.unwrap()
}

/// How long `work` took, and what came of it; a test fails if that is more than [`BOUND`].
pub(crate) async fn bounded<T>(work: impl Future<Output = T>) -> (Duration, T) {
    let begin = Instant::now();
    let result = work.await;
    let took = begin.elapsed();
    assert!(took < BOUND, "an answer took {took:?}");
    (took, result)
}

/// How long it takes until the store reads and writes.
pub(crate) async fn recovery(store: &RedisStore) -> Duration {
    let begin = Instant::now();
    loop {
        let name = format!("recovery-{:?}", begin.elapsed());
        if store.insert(&key(&name), &record("x")).await.is_ok()
            && store
                .load(&key(&name))
                .await
                .is_ok_and(|found| found.is_some())
        {
            return begin.elapsed();
        }
        assert!(
            begin.elapsed() < Duration::from_secs(15),
            "the store does not come back"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How many ordinary clients the server counts, the asking one left out.
pub(crate) fn clients(server: &RedisServer) -> usize {
    let list = server.command("CLIENT LIST TYPE normal");
    list.lines()
        .filter(|line| line.contains("lib-name=redis-rs") || line.contains("cmd=get"))
        .count()
}
