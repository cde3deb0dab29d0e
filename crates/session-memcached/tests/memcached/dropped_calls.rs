//! Calls whose futures are dropped.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use session_tests::rounds;

use super::*;

const WRITERS: usize = 16;
const DROPPERS: usize = 8;

/// The answer to a dropped call never becomes the answer to another call.
#[tokio::test]
async fn thousands_of_dropped_calls_and_no_cross_talk() {
    let (drops, most) = (40 * rounds(), 200 * rounds());
    let node = Memcached::start(&[]).await;
    let store = open(&node.addr());
    let checks = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for _ in 0..WRITERS {
        let (store, checks) = (store.clone(), Arc::clone(&checks));
        tasks.push(tokio::spawn(async move {
            let key = key();
            let own = record(key.as_str().as_bytes());
            let mut revision = stored(store.insert(&key, &own).await);
            while checks.fetch_add(1, Ordering::Relaxed) < most {
                assert_eq!(bytes(&store, &key).await.unwrap(), own.bytes);
                revision = stored(store.update(&key, &own, &revision).await);
            }
        }));
    }
    for dropper in 0..DROPPERS {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            let key = key();
            let own = record(key.as_str().as_bytes());
            stored(store.insert(&key, &own).await);
            let (mut round, mut dropped) = (0, 0);
            while dropped < drops / DROPPERS {
                round += 1;
                let time_limit = async {
                    for _ in 0..(dropper * 7 + round * 3) % 40 {
                        tokio::task::yield_now().await;
                    }
                };
                let call = async {
                    let loaded = store.load(&key).await.unwrap().unwrap();
                    assert_eq!(loaded.bytes, own.bytes);
                    match round % 2 {
                        0 => drop(store.update(&key, &own, &loaded.revision).await.unwrap()),
                        _ => drop(store.load(&key).await.unwrap()),
                    }
                };
                tokio::select! {
                    () = call => {}
                    () = time_limit => dropped += 1,
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert!(stat(&node, "curr_connections") < 80);
}
