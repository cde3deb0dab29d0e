//! The directory goes while the store is used: every answer is an error until it is back, and nothing is written where
//! it was.

use std::{
    fs,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use session_core::{Error, ExpiredSweep as _, OwnerIndex as _, SessionStore as _};
use session_fs::FileStore;
use session_tests::rounds;

use crate::place::{Place, ada, key, need, of_ada, one_blocking_thread, put, record, tell, told};

/// Not even an unknown session is absent: it could be one of those that were lost from sight.
async fn is_gone(store: &FileStore, how: &str) {
    let it = key("it");
    let revision = session_core::Revision::new("x");
    let failed = |answer: &Error| matches!(answer, Error::Backend { .. });
    for key in [&it, &key("unknown")] {
        let loaded = store.load(key).await;
        assert!(loaded.as_ref().is_err_and(failed), "{how}: {loaded:?}");
        let inserted = store.insert(key, &of_ada("y")).await;
        assert!(inserted.as_ref().is_err_and(failed), "{how}: {inserted:?}");
        let updated = store.update(key, &of_ada("y"), &revision).await;
        assert!(updated.as_ref().is_err_and(failed), "{how}: {updated:?}");
        let deleted = store.delete(key).await;
        assert!(deleted.as_ref().is_err_and(failed), "{how}: {deleted:?}");
    }
    let listed = store.owned_by(&ada(), None, 10).await;
    assert!(listed.as_ref().is_err_and(failed), "{how}: {listed:?}");
    let swept = store.sweep(10).await;
    assert!(swept.as_ref().is_err_and(failed), "{how}: {swept:?}");
    assert!(store.check().is_err(), "{how}");
}

async fn is_back(store: &FileStore, how: &str) {
    let found = store.load(&key("it")).await.unwrap();
    assert_eq!(found.unwrap().bytes, &b"x"[..], "{how}");
    assert!(
        store.load(&key("unknown")).await.unwrap().is_none(),
        "{how}"
    );
    let listed = store.owned_by(&ada(), None, 10).await.unwrap();
    assert_eq!(listed.records.len(), 1, "{how}");
}

fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).unwrap().count() == 0
}

#[tokio::test]
async fn a_directory_that_is_gone_is_an_error_and_works_when_it_is_back() {
    let place = Place::own();
    let (store, directory) = (place.store(), place.directory());
    let aside = directory.with_extension("aside");
    put(&store, &key("it"), &of_ada("x")).await;
    // The clone and a store that has only read know it as well.
    let reader = place.store();
    is_back(&reader, "a reader").await;

    fs::rename(directory, &aside).unwrap();
    for store in [&store, &store.clone(), &reader] {
        is_gone(store, "moved away").await;
    }
    assert!(!directory.exists(), "it was made again");
    fs::create_dir(directory).unwrap();
    fs::set_permissions(
        directory,
        std::os::unix::fs::PermissionsExt::from_mode(0o700),
    )
    .unwrap();
    for store in [&store, &reader] {
        is_gone(store, "an empty one in its place").await;
    }
    assert!(
        is_empty(directory),
        "something was written into the empty one"
    );

    fs::remove_dir(directory).unwrap();
    fs::rename(&aside, directory).unwrap();
    for store in [&store, &reader] {
        is_back(store, "moved back").await;
    }
    fs::remove_dir_all(directory).unwrap();
    is_gone(&store, "removed").await;
    assert!(!directory.exists(), "it was made again");
    // Whoever starts now begins with an empty directory, and the others follow.
    put(&place.store(), &key("it"), &of_ada("x")).await;
    is_back(&store, "begun again").await;
}

/// Mounts a disk over the directory, takes it away and brings it back.
#[test]
fn a_process_loses_its_file_system() {
    let place = Place::given_or_own();
    let disk = place.task("");
    if disk.is_empty() {
        return;
    }
    let directory = place.directory();
    let mount = |words: &[&str]| {
        let done = Command::new(words[0])
            .args(&words[1..])
            .arg(directory)
            .status()
            .unwrap();
        assert!(done.success(), "{words:?}");
    };
    mount(&["mount", "--bind", disk]);
    one_blocking_thread().block_on(async {
        let store = FileStore::open(directory).unwrap();
        put(&store, &key("it"), &of_ada("x")).await;
        // No descriptor is held, which would make the file system busy.
        mount(&["umount"]);
        is_gone(&store, "unmounted").await;
        assert!(
            is_empty(directory),
            "something was written into the mount point"
        );
        mount(&["mount", "--bind", disk]);
        is_back(&store, "mounted again").await;
        mount(&["umount"]);
    });
    tell("done");
}

#[test]
fn an_unmounted_file_system_is_an_error_and_nothing_is_written_into_its_mount_point() {
    need("unshare", "util-linux");
    need("mount", "mount");
    let place = Place::own();
    let disk = place.directory().with_extension("disk");
    for directory in [place.directory(), &disk] {
        fs::create_dir(directory).unwrap();
        fs::set_permissions(
            directory,
            std::os::unix::fs::PermissionsExt::from_mode(0o700),
        )
        .unwrap();
    }
    let output = place
        .process(
            &["unshare", "-r", "-m"],
            "vanished::a_process_loses_its_file_system",
            disk.to_str().unwrap(),
        )
        .output();
    assert_eq!(told(&output.unwrap()), ["done"]);
    assert!(!is_empty(&disk), "no disk was mounted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_removed_under_load_makes_errors_at_the_worst() {
    let place = Place::own();
    let going = Arc::new(AtomicBool::new(true));
    let tasks: Vec<_> = (0..4)
        .map(|number| {
            let going = Arc::clone(&going);
            let directory = place.directory().to_owned();
            tokio::spawn(async move {
                let mut round = 0;
                while going.load(Ordering::Relaxed) {
                    // As a process that has just begun: it makes the directory again.
                    let store = FileStore::new(&directory);
                    for _ in 0..10 {
                        let key = key(&format!("{number} {}", round % 50));
                        let _ = store.insert(&key, &of_ada("x")).await;
                        if let Ok(Some(found)) = store.load(&key).await {
                            assert_eq!(found.bytes, &b"x"[..]);
                            let _ = store.update(&key, &record("x"), &found.revision).await;
                        }
                        let _ = store.owned_by(&ada(), None, 10).await;
                        let _ = store.sweep(10).await;
                        round += 1;
                    }
                }
            })
        })
        .collect();
    let parent = place.directory().parent().unwrap().to_owned();
    for round in 0..rounds() {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let aside = parent.join("aside");
        if round % 2 == 0 {
            let _ = fs::remove_dir_all(place.directory());
        } else if fs::rename(place.directory(), &aside).is_ok() {
            // What was under way when it was moved may still write into it.
            while fs::remove_dir_all(&aside).is_err() && aside.exists() {}
        }
    }
    going.store(false, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    let _ = fs::remove_dir_all(place.directory());
    assert!(
        place.store().load(&key("it")).await.unwrap().is_none(),
        "no directory, no session"
    );
    put(&place.store(), &key("it"), &record("x")).await;
    let beside = fs::read_dir(&parent).unwrap().count();
    assert_eq!(beside, 1, "something was written beside the directory");
}
