//! Sweeps remove what is over and nothing else.

use std::{
    fs::{self, File},
    time::{Duration, SystemTime},
};

use rustix::fs::{FlockOperation, flock};
use session_core::{ExpiredSweep as _, OwnerIndex as _, Record, SessionStore as _, Touch};

use crate::place::{Place, ada, files_below, key, put, record};

/// A record that lives for `millis` milliseconds.
fn brief(millis: u64) -> Record {
    Record {
        expires_at: SystemTime::now() + Duration::from_millis(millis),
        ..record("brief")
    }
}

/// Between a sweep's look at a file and its removal, another session can take the file's place.
#[tokio::test]
async fn a_sweep_looks_again_when_it_has_the_lock() {
    let place = Place::own();
    let store = place.store();
    put(&store, &key("it"), &record("alive")).await;
    let file = files_below(place.directory()).pop().unwrap();
    let alive = place.directory().with_extension("alive");
    fs::copy(&file, &alive).unwrap();
    let past = store.touch(&key("it"), SystemTime::UNIX_EPOCH).await;
    assert_eq!(past.unwrap(), Touch::Moved);

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
async fn the_owner_index_is_swept_when_its_records_are() {
    let place = Place::own();
    let store = place.store();
    put(
        &store,
        &key("brief"),
        &Record {
            owner: Some(ada()),
            ..brief(1)
        },
    )
    .await;
    put(
        &store,
        &key("lasting"),
        &Record {
            owner: Some(ada()),
            ..brief(500)
        },
    )
    .await;
    let far = SystemTime::now() + Duration::from_hours(1);
    let _ = store.touch(&key("lasting"), far).await.unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;

    assert_eq!(store.sweep(10).await.unwrap(), 1);
    assert_eq!(files_below(&place.directory().join("owners")).len(), 1);
    assert_eq!(store.owned_by(&ada()).await.unwrap().len(), 1);
    store.delete(&key("lasting")).await.unwrap();
    assert_eq!(store.sweep(10).await.unwrap(), 0);
    let shards = fs::read_dir(place.directory().join("owners")).unwrap();
    for shard in shards {
        let owners = fs::read_dir(shard.unwrap().path()).unwrap().count();
        assert_eq!(
            owners, 0,
            "the directory of an owner without sessions stays"
        );
    }
}
