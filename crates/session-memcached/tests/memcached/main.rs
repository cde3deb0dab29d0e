//! Tests `MemcachedStore` against real nodes.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod commands_sent;
mod conformance;
mod connections;
mod cut_replies;
mod dropped_calls;
mod eviction;
mod expiry;
mod flask_items;
mod keys;
mod missing_byte;
mod nodes;
mod outage;
mod runtimes;
mod size_limit;

use std::time::{Duration, Instant, SystemTime};

use session_core::{
    Bytes, Error, KeyPrefix, Record, Result, Revision, SessionId, SessionStore, StoreKey, Write,
};
use session_memcached::MemcachedStore;
use session_tests::{Memcached, Watch, assert_in_time};

const HOUR: Duration = Duration::from_secs(3600);

/// A store for tests in which each call is answered: how quick the machine is makes no difference.
fn open(nodes: &str) -> MemcachedStore {
    open_with_the_default(nodes).with_timeout(Duration::from_secs(10))
}

/// A store for tests in which calls get no answer.
fn open_with_the_default(nodes: &str) -> MemcachedStore {
    MemcachedStore::connect(nodes).unwrap()
}

fn key() -> StoreKey {
    KeyPrefix::default().hashed_key(&SessionId::random(SessionId::DEFAULT_BYTES))
}

fn record(bytes: &[u8]) -> Record {
    record_until(bytes, SystemTime::now() + HOUR)
}

fn record_until(bytes: &[u8], expires_at: SystemTime) -> Record {
    Record {
        bytes: Bytes::copy_from_slice(bytes),
        expires_at,
        entry: None,
    }
}

#[track_caller]
fn stored(answer: Result<Write>) -> Revision {
    match answer.unwrap() {
        Write::Stored(revision) => revision,
        Write::Refused => panic!("the write was refused"),
    }
}

async fn bytes(store: &MemcachedStore, key: &StoreKey) -> Option<Bytes> {
    store.load(key).await.unwrap().map(|loaded| loaded.bytes)
}

/// Asserts that the call failed with `Error::Backend`.
#[track_caller]
fn fails<T: std::fmt::Debug>(answer: &Result<T>) {
    assert!(
        matches!(
            answer,
            Err(Error::Backend {
                store: "memcached",
                ..
            })
        ),
        "{answer:?}"
    );
}

/// The same, within a second since `since`, less the stalls of the machine.
#[track_caller]
fn fails_soon<T: std::fmt::Debug>(answer: &Result<T>, since: Watch) {
    fails(answer);
    assert_in_time!(
        since.elapsed() < Duration::from_secs(1),
        "{:?}",
        since.elapsed()
    );
}

/// A number in the node's `stats`.
fn stat(node: &Memcached, name: &str) -> u64 {
    let text = node.command("stats");
    text.lines()
        .find_map(|line| line.strip_prefix(&format!("STAT {name} ")))
        .and_then(|number| number.trim().parse().ok())
        .unwrap_or_else(|| panic!("no {name} in {text}"))
}

/// Loads until a load succeeds. Panics if that takes longer than a node may need to recover.
async fn recovered(store: &MemcachedStore, key: &StoreKey) -> Option<Bytes> {
    let since = Instant::now();
    loop {
        match store.load(key).await {
            Ok(loaded) => return loaded.map(|loaded| loaded.bytes),
            Err(error) => assert_in_time!(
                since.elapsed() < Duration::from_secs(2),
                "still failing: {error:?}"
            ),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
