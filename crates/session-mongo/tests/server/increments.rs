//! Two processes increment a counter in one session.

use std::{env, process::Command, time::Duration};

use session_core::{SessionStore, StoreKey, Write};
use session_mongo::{CollectionName, MongoStore};
use tokio::time::sleep;

use crate::setup::{Setup, connect, key, record, stored, with_long_timeouts};

const TOTAL: u64 = 10_000;
/// Tells the second process, which runs this same test, where the counter is.
const TARGET: &str = "SESSION_TEST_INCREMENTS";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_increments_by_two_processes_are_exact() {
    if let Ok(target) = env::var(TARGET) {
        let mut parts = target.split(' ');
        let (url, name, key) = (
            parts.next().unwrap(),
            parts.next().unwrap(),
            parts.next().unwrap(),
        );
        let name = CollectionName::new(name).unwrap();
        count(
            &connect(url, &name).await,
            &StoreKey::from_stored(key),
            TOTAL / 2,
        )
        .await;
        return;
    }
    let setup = Setup::own_server().await;
    let url = with_long_timeouts(&setup.server);
    let store = connect(&url, &setup.name).await;
    let key = key();
    stored(
        setup
            .store
            .insert(&key, &record(&0_u64.to_be_bytes()))
            .await
            .unwrap(),
    );
    let target = format!("{} {} {}", url, setup.name.as_str(), key.as_str());
    let mut second = Command::new(env::current_exe().unwrap());
    second
        .args([
            "--exact",
            "increments::ten_thousand_increments_by_two_processes_are_exact",
        ])
        .env(TARGET, target);
    let second = tokio::task::spawn_blocking(move || second.output().unwrap());
    count(&store, &key, TOTAL / 2).await;
    let second = second.await.unwrap();
    assert!(
        second.status.success(),
        "{}",
        String::from_utf8_lossy(&second.stdout)
    );
    assert_eq!(
        value(&store.load(&key).await.unwrap().unwrap().bytes),
        TOTAL
    );
}

async fn count(store: &MongoStore, key: &StoreKey, times: u64) {
    for _ in 0..times {
        increment(store, key).await;
    }
}

async fn increment(store: &MongoStore, key: &StoreKey) {
    for attempt in 1.. {
        let loaded = store.load(key).await.unwrap().unwrap();
        let next = record(&(value(&loaded.bytes) + 1).to_be_bytes());
        if let Write::Stored(_) = store.update(key, &next, &loaded.revision).await.unwrap() {
            return;
        }
        sleep(Duration::from_micros(300 * attempt)).await;
    }
}

fn value(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes.try_into().unwrap())
}
