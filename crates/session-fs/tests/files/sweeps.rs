//! Sweeps remove expired files and nothing else.

use std::{
    fs::{self, File},
    sync::Arc,
    time::Duration,
};

use rustix::fs::{FlockOperation, flock};
use session_core::{ExpiredSweep as _, Record, SessionStore as _, sweep_until};
use session_tests::{Watch, assert_in_time, sweep_up_to};

use crate::test_directory::{
    TestDirectory, files_below, insert_new, key, keys_of_ada, listed, of_ada, one_blocking_thread,
    record, short_lived,
};

/// After a sweep has read a file, a writer can replace it before the sweep removes it.
#[tokio::test]
async fn a_sweep_reads_a_file_again_under_the_lock() {
    let dir = TestDirectory::new();
    let store = dir.store();
    let revision = insert_new(&store, &key("it"), &record("live")).await;
    let file = files_below(dir.path()).pop().unwrap();
    let live = dir.path().with_extension("live");
    fs::copy(&file, &live).unwrap();
    let past = store.update(&key("it"), &short_lived(0), &revision).await;
    assert!(past.unwrap().is_stored());

    let shard = File::open(file.parent().unwrap()).unwrap();
    flock(&shard, FlockOperation::LockExclusive).unwrap();
    let sweeping = tokio::spawn(async move { sweep_up_to(&store, 10).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    fs::rename(&live, &file).unwrap();
    flock(&shard, FlockOperation::Unlock).unwrap();
    assert_eq!(sweeping.await.unwrap(), 0);
    assert!(dir.store().load(&key("it")).await.unwrap().is_some());
}

#[tokio::test]
async fn the_owner_index_is_swept_by_time() {
    let dir = TestDirectory::new();
    let (store, index) = (dir.store(), dir.path().join("owners"));
    insert_new(&store, &key("short-lived"), &listed(short_lived(400))).await;
    let revision = insert_new(&store, &key("lasting"), &listed(short_lived(500))).await;
    let later = store.update(&key("lasting"), &of_ada("2"), &revision).await;
    assert!(later.unwrap().is_stored());
    assert_eq!(
        files_below(&index).len(),
        2,
        "the update must rename the entry, not add another"
    );
    tokio::time::sleep(Duration::from_millis(600)).await;

    assert_eq!(sweep_up_to(&store, 10).await, 1);
    assert_eq!(files_below(&index).len(), 1);
    assert!(keys_of_ada(&store).await == [key("lasting")]);
    // The entry ends before its record.
    let found = store.load(&key("lasting")).await.unwrap().unwrap();
    let ended = Record {
        entry: listed(short_lived(0)).entry,
        ..record("ended")
    };
    let ended = store.update(&key("lasting"), &ended, &found.revision).await;
    assert!(ended.unwrap().is_stored());
    assert!(keys_of_ada(&store).await.is_empty());
    assert_eq!(sweep_up_to(&store, 10).await, 0);
    for shard in fs::read_dir(index).unwrap() {
        let owners = fs::read_dir(shard.unwrap().path()).unwrap().count();
        assert_eq!(
            owners, 0,
            "the directory of an owner without sessions was not removed"
        );
    }
    assert!(store.load(&key("lasting")).await.unwrap().is_some());
}

#[tokio::test]
async fn inserts_remove_expired_entries_without_a_sweep() {
    let dir = TestDirectory::new();
    let store = dir.store();
    for number in 0..200 {
        insert_new(&store, &key(&number.to_string()), &listed(short_lived(1))).await;
    }
    let entries = files_below(&dir.path().join("owners")).len();
    assert!(entries <= 40, "{entries} entries");
}

/// The end of a runtime waits for its threads. One that waits for another program's lock gives up.
#[test]
fn a_sweep_that_waits_for_a_lock_stops_when_its_future_is_dropped() {
    let dir = TestDirectory::new();
    one_blocking_thread().block_on(insert_new(&dir.store(), &key("it"), &short_lived(0)));
    let shard = File::open(files_below(dir.path())[0].parent().unwrap()).unwrap();
    flock(&shard, FlockOperation::LockExclusive).unwrap();
    // On a busy machine the sweep may give up before its future is dropped.
    let took = (0..5).find_map(|_| {
        let runtime = one_blocking_thread();
        let store = dir.store();
        let sweep =
            async { tokio::time::timeout(Duration::from_millis(100), store.sweep(10)).await };
        match runtime.block_on(sweep) {
            Ok(Ok(_)) => panic!("the sweep did not wait for the lock"),
            Ok(Err(_)) => return None,
            Err(_) => {}
        }
        let stopped = Watch::start();
        drop(runtime);
        Some(stopped.elapsed())
    });
    let took = took.expect("the future is dropped within a second");
    // The lock is waited for at most a second, of which a tenth is over.
    assert_in_time!(took < Duration::from_millis(700), "{took:?}");
}

/// As when a program shuts down while `sweep_until` looks at many live files.
#[test]
fn a_shutdown_during_a_sweep_takes_less_than_a_second() {
    let dir = TestDirectory::new();
    let runtime = one_blocking_thread();
    let stopped = runtime.block_on(async {
        let store = dir.store();
        for number in 0..20_000 {
            insert_new(&store, &key(&number.to_string()), &record("x")).await;
        }
        let (stop, stopping) = tokio::sync::oneshot::channel::<()>();
        let sweeping = tokio::spawn(sweep_until(Arc::new(store), Duration::ZERO, stopping));
        tokio::time::sleep(Duration::from_millis(100)).await;
        let stopped = Watch::start();
        stop.send(()).unwrap();
        sweeping.await.unwrap().unwrap();
        stopped
    });
    drop(runtime);
    let took = stopped.elapsed();
    assert_in_time!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test]
async fn a_sweep_stops_when_its_future_is_dropped() {
    let dir = TestDirectory::new();
    let store = dir.store();
    insert_new(&store, &key("it"), &short_lived(0)).await;
    let file = files_below(dir.path()).pop().unwrap();
    let shard = file.file_name().unwrap().to_str().unwrap()[..2].to_owned();
    // So many that a busy machine drops the future before the end; copied, which is faster.
    for number in 0..20_000 {
        let copy = file.with_file_name(format!("{shard}{number:062x}"));
        fs::copy(&file, copy).unwrap();
    }
    let sweep = tokio::time::timeout(Duration::from_millis(2), store.sweep(usize::MAX));
    assert!(sweep.await.is_err(), "the sweep ended before the timeout");
    let mut left = usize::MAX;
    loop {
        let now = files_below(dir.path()).len();
        if now == left {
            break;
        }
        left = now;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(left > 0, "the sweep was not stopped");
    assert_eq!(sweep_up_to(&store, usize::MAX).await, left as u64);
}
