use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::*;

const DROPS: usize = 2000;
const CHECKS: usize = 10_000;

/// Calls that nobody waits for any more leave no answer behind for another call.
#[tokio::test]
async fn two_thousand_dropped_calls_and_no_cross_talk() {
    let node = Memcached::start(&[]).await;
    let store = open(&node.addr());
    let checks = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for _ in 0..16 {
        let (store, checks) = (store.clone(), Arc::clone(&checks));
        tasks.push(tokio::spawn(async move {
            let key = key();
            let own = record(key.as_str().as_bytes());
            let mut revision = stored(store.insert(&key, &own).await);
            while checks.fetch_add(1, Ordering::Relaxed) < CHECKS {
                assert_eq!(payload(&store, &key).await.unwrap(), own.payload);
                revision = stored(store.update(&key, &own, &revision).await);
            }
        }));
    }
    for worker in 0..8 {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            let key = key();
            let own = record(key.as_str().as_bytes());
            stored(store.insert(&key, &own).await);
            for round in 0..DROPS / 8 {
                let patience = Duration::from_micros(((worker * 131 + round * 37) % 500) as u64);
                let call = async {
                    let loaded = store.load(&key).await.unwrap().unwrap();
                    assert_eq!(loaded.payload, own.payload);
                    match round % 3 {
                        0 => drop(store.update(&key, &own, &loaded.revision).await.unwrap()),
                        1 => drop(store.touch(&key, SystemTime::now() + HOUR).await.unwrap()),
                        _ => drop(store.load(&key).await.unwrap()),
                    }
                };
                // Late or not: both are meant.
                let _ = tokio::time::timeout(patience, call).await;
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert!(stat(&node, "curr_connections") < 80);
}
