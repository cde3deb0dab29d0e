//! Sweeps beside readers, writers and other sweeps: nothing that lives is lost, nobody waits for long.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use session_core::{ExpiredSweep as _, SessionStore as _, StoreKey};
use session_fs::FileStore;
use session_tests::rounds;

use crate::place::{Place, brief, files_below, key, put, record};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_live_session_is_lost_and_no_request_fails_beside_sweeps() {
    let place = Place::own();
    let store = place.store().with_threshold(50);
    let lasting: Vec<_> = (0..100).map(|n| key(&format!("lasting {n}"))).collect();
    for key in &lasting {
        put(&store, key, &record("lasting")).await;
    }
    let going = Arc::new(AtomicBool::new(true));
    let inserted = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for number in 0..8 {
        let (store, inserted) = (store.clone(), Arc::clone(&inserted));
        let writing = Arc::clone(&going);
        tasks.push(tokio::spawn(async move {
            let mut round = 0;
            while writing.load(Ordering::Relaxed) {
                let key = key(&format!("brief {number} {round}"));
                put(&store, &key, &brief(20)).await;
                inserted.fetch_add(1, Ordering::Relaxed);
                round += 1;
            }
        }));
        let (store, going, lasting) = (place.store(), Arc::clone(&going), lasting.clone());
        tasks.push(tokio::spawn(async move {
            for key in lasting.iter().cycle() {
                if !going.load(Ordering::Relaxed) {
                    return;
                }
                let found = store.load(key).await.unwrap().expect("it lives");
                assert_eq!(found.bytes, &b"lasting"[..]);
            }
        }));
    }
    let mut swept = 0;
    let end = Instant::now() + Duration::from_millis(60 * rounds() as u64);
    while Instant::now() < end {
        swept += store.sweep(64).await.unwrap();
    }
    going.store(false, Ordering::Relaxed);
    for task in join_all(tasks).await {
        task.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(30)).await;
    swept += store.sweep(usize::MAX).await.unwrap();
    assert!(swept > 0);
    // What the threshold's own sweeps removed is in no count of ours.
    assert!(swept <= inserted.load(Ordering::Relaxed) as u64);
    assert_eq!(files_below(place.directory()).len(), lasting.len());
    assert_eq!(store.sweep(1).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stores_that_sweep_at_once_count_each_record_once() {
    let place = Place::own();
    for number in 0..200 {
        let key = key(&number.to_string());
        put(&place.store(), &key, &brief(0)).await;
    }
    let sweeps = (0..4).map(|_| {
        let store = place.store();
        tokio::spawn(async move { store.sweep(1000).await.unwrap() })
    });
    let swept: Vec<_> = join_all(sweeps)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(swept.iter().sum::<u64>(), 200, "{swept:?}");
}

#[tokio::test]
async fn a_threshold_makes_a_write_sweep_and_evicts_nothing_that_lives() {
    let place = Place::own();
    for number in 0..20 {
        put(&place.store(), &key(&format!("old {number}")), &brief(0)).await;
        put(
            &place.store(),
            &key(&format!("live {number}")),
            &record("x"),
        )
        .await;
    }
    assert_eq!(
        files_below(place.directory()).len(),
        40,
        "without a threshold nothing sweeps"
    );
    put(
        &place.store().with_threshold(3),
        &key("one more"),
        &record("x"),
    )
    .await;
    let patience = Instant::now() + Duration::from_secs(10);
    while files_below(place.directory()).len() != 21 {
        assert!(
            Instant::now() < patience,
            "{}",
            files_below(place.directory()).len()
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_stay_quick_while_thousands_are_swept() {
    let place = Place::own();
    let store = place.store();
    // All in one directory, so that every step meets as many entries as it may.
    let crowd: Vec<_> = in_one_shard(2000);
    for (number, key) in crowd.iter().enumerate() {
        let record = if number % 2 == 0 {
            brief(0)
        } else {
            record("x")
        };
        put(&store, key, &record).await;
    }
    // The machine and its disk may have other work as well; `examples/measure.rs` says what is usual on yours.
    let mut took = Vec::new();
    for _ in 0..200 {
        took.push(request(&store, &crowd[1]).await);
    }
    let usual = p99(took);
    let sweeping = tokio::spawn({
        let store = place.store();
        async move { store.sweep(usize::MAX).await.unwrap() }
    });
    let mut took = Vec::new();
    while !sweeping.is_finished() {
        took.push(request(&store, &crowd[1]).await);
    }
    assert_eq!(sweeping.await.unwrap(), 1000);
    let during = p99(took);
    assert!(
        during < usual * 4 + Duration::from_millis(100),
        "{during:?}, usually {usual:?}"
    );
}

/// Loads and changes a session, and says how long that took.
async fn request(store: &FileStore, key: &StoreKey) -> Duration {
    let begun = Instant::now();
    let found = store.load(key).await.unwrap().expect("it lives");
    let answer = store.update(key, &record("y"), &found.revision).await;
    assert!(answer.unwrap().is_stored());
    begun.elapsed()
}

fn p99(mut took: Vec<Duration>) -> Duration {
    assert!(
        took.len() > 10,
        "{} requests alone came through",
        took.len()
    );
    took.sort_unstable();
    took[took.len() * 99 / 100]
}

/// Keys whose files are all in one of the 256 directories.
fn in_one_shard(count: usize) -> Vec<StoreKey> {
    use sha2::{Digest as _, Sha256};
    (0..)
        .map(|number: u64| key(&number.to_string()))
        .filter(|key| Sha256::digest(key.as_str())[0] == 0)
        .take(count)
        .collect()
}
