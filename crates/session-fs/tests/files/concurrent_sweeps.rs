//! Sweeps with concurrent readers, writers and sweeps: no live session is removed, no request waits
//! long.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant, UNIX_EPOCH},
};

use futures_util::future::join_all;
use session_core::{ExpiredSweep as _, SessionStore as _, StoreKey};
use session_fs::FileStore;
use session_tests::{Watch, assert_in_time, rounds, sweep_up_to};

use crate::test_directory::{TestDirectory, files_below, insert_new, key, record, short_lived};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_live_session_is_removed_and_no_request_fails_during_sweeps() {
    let dir = TestDirectory::new();
    let store = dir.store().with_threshold(50);
    let lasting: Vec<_> = (0..100).map(|n| key(&format!("lasting {n}"))).collect();
    for key in &lasting {
        insert_new(&store, key, &record("lasting")).await;
    }
    let running = Arc::new(AtomicBool::new(true));
    let inserted = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for number in 0..8 {
        let (store, inserted) = (store.clone(), Arc::clone(&inserted));
        let writing = Arc::clone(&running);
        tasks.push(tokio::spawn(async move {
            let mut round = 0;
            while writing.load(Ordering::Relaxed) {
                let key = key(&format!("short-lived {number} {round}"));
                insert_new(&store, &key, &short_lived(20)).await;
                inserted.fetch_add(1, Ordering::Relaxed);
                round += 1;
            }
        }));
        let (store, running, lasting) = (dir.store(), Arc::clone(&running), lasting.clone());
        tasks.push(tokio::spawn(async move {
            for key in lasting.iter().cycle() {
                if !running.load(Ordering::Relaxed) {
                    return;
                }
                let found = store.load(key).await.unwrap().expect("the session is live");
                assert_eq!(found.bytes, &b"lasting"[..]);
            }
        }));
    }
    let mut swept = 0;
    let end = Instant::now() + Duration::from_millis(60 * rounds() as u64);
    while Instant::now() < end {
        swept += sweep_up_to(&store, 64).await;
    }
    running.store(false, Ordering::Relaxed);
    for task in join_all(tasks).await {
        task.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(30)).await;
    swept += sweep_up_to(&store, usize::MAX).await;
    assert!(swept > 0);
    // The count does not include what sweeps above the threshold removed.
    assert!(swept <= inserted.load(Ordering::Relaxed) as u64);
    assert_eq!(files_below(dir.path()).len(), lasting.len());
    assert_eq!(sweep_up_to(&store, 1).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stores_that_sweep_at_once_count_each_record_once() {
    let dir = TestDirectory::new();
    for number in 0..200 {
        let key = key(&number.to_string());
        insert_new(&dir.store(), &key, &short_lived(0)).await;
    }
    let sweeps = (0..4).map(|_| {
        let store = dir.store();
        tokio::spawn(async move { sweep_up_to(&store, 1000).await })
    });
    let swept: Vec<_> = join_all(sweeps)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(swept.iter().sum::<u64>(), 200, "{swept:?}");
}

#[tokio::test]
async fn an_insert_above_the_threshold_starts_a_sweep_and_evicts_no_live_session() {
    let dir = TestDirectory::new();
    for number in 0..20 {
        insert_new(
            &dir.store(),
            &key(&format!("old {number}")),
            &short_lived(0),
        )
        .await;
        insert_new(&dir.store(), &key(&format!("live {number}")), &record("x")).await;
    }
    assert_eq!(
        files_below(dir.path()).len(),
        40,
        "without a threshold nothing is swept"
    );
    insert_new(
        &dir.store().with_threshold(3),
        &key("one more"),
        &record("x"),
    )
    .await;
    let deadline = Instant::now() + Duration::from_secs(10);
    while files_below(dir.path()).len() != 21 {
        assert!(
            Instant::now() < deadline,
            "{}",
            files_below(dir.path()).len()
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_stay_fast_while_thousands_of_sessions_are_swept() {
    let dir = TestDirectory::new();
    let store = dir.store();
    // All in one directory, which is the worst case.
    let keys: Vec<_> = in_one_shard(2000);
    for (number, key) in keys.iter().enumerate() {
        let record = if number % 2 == 0 {
            short_lived(0)
        } else {
            record("x")
        };
        insert_new(&store, key, &record).await;
    }
    // The machine may be busy with other work. `examples/measure.rs` measures the usual times.
    let mut took = Vec::new();
    for _ in 0..200 {
        took.push(request(&store, &keys[1]).await);
    }
    let usual = p90(took);
    let sweeping = tokio::spawn({
        let store = dir.store();
        async move { sweep_up_to(&store, usize::MAX).await }
    });
    let mut took = Vec::new();
    while !sweeping.is_finished() {
        took.push(request(&store, &keys[1]).await);
    }
    assert_eq!(sweeping.await.unwrap(), 1000);
    let during = p90(took);
    assert_in_time!(
        during < usual * 4 + Duration::from_millis(100),
        "{during:?}, usually {usual:?}"
    );
}

/// With 100 calls, the live files in front must not be read 100 times.
#[tokio::test]
async fn a_sweep_continues_where_the_last_one_stopped() {
    let dir = TestDirectory::new();
    let store = dir.store();
    for (number, key) in in_one_shard(5000).iter().enumerate() {
        let record = match number % 5 {
            0 => short_lived(0),
            _ => record("x"),
        };
        insert_new(&store, key, &record).await;
    }
    let started = Instant::now();
    let swept = store.sweep_as_of(UNIX_EPOCH, 1).await.unwrap();
    assert_eq!(swept.removed, 0);
    let once = started.elapsed();

    let started = Watch::start();
    let mut calls = 0;
    while sweep_up_to(&store, 10).await == 10 {
        calls += 1;
    }
    let took = started.elapsed();
    assert_eq!(calls, 100);
    assert_eq!(files_below(dir.path()).len(), 4000);
    assert_in_time!(took < once * 15, "{took:?}, once {once:?}");
}

/// Loads and updates a session, and returns how long that took.
async fn request(store: &FileStore, key: &StoreKey) -> Duration {
    let started = Instant::now();
    let found = store.load(key).await.unwrap().expect("the session is live");
    let result = store.update(key, &record("y"), &found.revision).await;
    assert!(result.unwrap().is_stored());
    started.elapsed()
}

/// The time in which nine of ten were done. There are too few for a slower one to tell a sweep from
/// other work of the machine.
fn p90(mut took: Vec<Duration>) -> Duration {
    assert!(took.len() > 10, "only {} requests completed", took.len());
    took.sort_unstable();
    took[took.len() * 9 / 10]
}

/// Keys whose files are in the same one of the 256 directories.
fn in_one_shard(count: usize) -> Vec<StoreKey> {
    use sha2::{Digest as _, Sha256};
    (0..)
        .map(|number: u64| key(&number.to_string()))
        .filter(|key| Sha256::digest(key.as_str())[0] == 0)
        .take(count)
        .collect()
}
