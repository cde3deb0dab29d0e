//! What the tests begin with, and what they wait for.

use std::time::{Duration, Instant, SystemTime};

use session_core::{Loaded, Record, Revision, SessionStore, StoreKey, Write};
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

pub(crate) fn record(payload: impl Into<Vec<u8>>) -> Record {
    ending_in(Duration::from_secs(600), payload)
}

pub(crate) fn ending_in(ttl: Duration, payload: impl Into<Vec<u8>>) -> Record {
    Record {
        payload: payload.into(),
        expires_at: SystemTime::now() + ttl,
        owner: None,
    }
}

pub(crate) fn stored(write: Write) -> Revision {
    match write {
        Write::Stored(revision) => revision,
        Write::Refused => panic!("refused"),
    }
}

pub(crate) async fn insert(store: &RedisStore, name: &str, payload: &str) -> Revision {
    stored(store.insert(&key(name), &record(payload)).await.unwrap())
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
        .filter(|line| {
            line.contains("lib-name=redis-rs")
                || line.contains("cmd=get")
                || line.contains("cmd=pttl")
        })
        .count()
}
