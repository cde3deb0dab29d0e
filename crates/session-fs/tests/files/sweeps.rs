//! Sweeps remove what is over and nothing else.

use std::{
    fs::{self, File},
    time::Duration,
};

use rustix::fs::{FlockOperation, flock};
use session_core::{ExpiredSweep as _, Record, SessionStore as _};

use crate::place::{Place, brief, files_below, key, keys_of_ada, listed, of_ada, put, record};

/// Between a sweep's look at a file and its removal, another session can take the file's place.
#[tokio::test]
async fn a_sweep_looks_again_when_it_has_the_lock() {
    let place = Place::own();
    let store = place.store();
    let revision = put(&store, &key("it"), &record("alive")).await;
    let file = files_below(place.directory()).pop().unwrap();
    let alive = place.directory().with_extension("alive");
    fs::copy(&file, &alive).unwrap();
    let past = store.update(&key("it"), &brief(0), &revision).await;
    assert!(past.unwrap().is_stored());

    let shard = File::open(file.parent().unwrap()).unwrap();
    flock(&shard, FlockOperation::LockExclusive).unwrap();
    let sweeping = tokio::spawn(async move { store.sweep(10).await.unwrap() });
    tokio::time::sleep(Duration::from_millis(200)).await;
    fs::rename(&alive, &file).unwrap();
    flock(&shard, FlockOperation::Unlock).unwrap();
    assert_eq!(sweeping.await.unwrap(), 0);
    assert!(place.store().load(&key("it")).await.unwrap().is_some());
}

#[tokio::test]
async fn the_owner_index_is_swept_by_time() {
    let place = Place::own();
    let (store, index) = (place.store(), place.directory().join("owners"));
    put(&store, &key("brief"), &listed(brief(400))).await;
    let revision = put(&store, &key("lasting"), &listed(brief(500))).await;
    let later = store.update(&key("lasting"), &of_ada("2"), &revision).await;
    assert!(later.unwrap().is_stored());
    assert_eq!(
        files_below(&index).len(),
        2,
        "an entry moves, and is not doubled"
    );
    tokio::time::sleep(Duration::from_millis(600)).await;

    assert_eq!(store.sweep(10).await.unwrap(), 1);
    assert_eq!(files_below(&index).len(), 1);
    assert!(keys_of_ada(&store).await == [key("lasting")]);
    // Its record ends before it does: the entry goes by its own time.
    let found = store.load(&key("lasting")).await.unwrap().unwrap();
    let ended = Record {
        entry: listed(brief(0)).entry,
        ..record("ended")
    };
    let ended = store.update(&key("lasting"), &ended, &found.revision).await;
    assert!(ended.unwrap().is_stored());
    assert!(keys_of_ada(&store).await.is_empty());
    assert_eq!(store.sweep(10).await.unwrap(), 0);
    for shard in fs::read_dir(index).unwrap() {
        let owners = fs::read_dir(shard.unwrap().path()).unwrap().count();
        assert_eq!(
            owners, 0,
            "the directory of an owner without sessions stays"
        );
    }
    assert!(store.load(&key("lasting")).await.unwrap().is_some());
}

#[tokio::test]
async fn dead_entries_go_with_new_ones_without_any_sweep() {
    let place = Place::own();
    let store = place.store();
    for number in 0..200 {
        put(&store, &key(&number.to_string()), &listed(brief(1))).await;
    }
    let entries = files_below(&place.directory().join("owners")).len();
    assert!(entries <= 40, "{entries} entries");
}

#[tokio::test]
async fn a_sweep_that_nobody_waits_for_stops() {
    let place = Place::own();
    let store = place.store();
    for number in 0..2000 {
        put(&store, &key(&number.to_string()), &brief(0)).await;
    }
    let sweep = tokio::time::timeout(Duration::from_millis(2), store.sweep(usize::MAX));
    assert!(sweep.await.is_err(), "the sweep was quicker");
    tokio::time::sleep(Duration::from_millis(50)).await;
    let left = files_below(place.directory()).len();
    assert!(left > 0, "it went on to the end");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(files_below(place.directory()).len(), left, "it goes on");
    assert_eq!(store.sweep(usize::MAX).await.unwrap(), left as u64);
}
