//! A directory that is removed or unmounted while the store is in use: every call is an error until
//! it is back, and nothing is written in its stead.

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
use session_tests::{rounds, unshare};

use crate::test_directory::{
    TestDirectory, ada, files_below, insert_new, key, of_ada, one_blocking_thread, record, report,
    reports, require_program,
};

/// An unknown session is an error too, because it could be in the missing directory.
async fn assert_missing(store: &FileStore, case: &str) {
    let it = key("it");
    let revision = session_core::Revision::new("x");
    let failed = |answer: &Error| matches!(answer, Error::Backend { .. });
    for key in [&it, &key("unknown")] {
        let loaded = store.load(key).await;
        assert!(loaded.as_ref().is_err_and(failed), "{case}: {loaded:?}");
        let inserted = store.insert(key, &of_ada("y")).await;
        assert!(inserted.as_ref().is_err_and(failed), "{case}: {inserted:?}");
        let updated = store.update(key, &of_ada("y"), &revision).await;
        assert!(updated.as_ref().is_err_and(failed), "{case}: {updated:?}");
        let deleted = store.delete(key).await;
        assert!(deleted.as_ref().is_err_and(failed), "{case}: {deleted:?}");
    }
    let listed = store.owned_by(&ada(), None, 10).await;
    assert!(listed.as_ref().is_err_and(failed), "{case}: {listed:?}");
    let swept = store.sweep(10).await;
    assert!(swept.as_ref().is_err_and(failed), "{case}: {swept:?}");
    assert!(store.check().is_err(), "{case}");
}

async fn assert_present(store: &FileStore, case: &str) {
    let found = store.load(&key("it")).await.unwrap();
    assert_eq!(found.unwrap().bytes, &b"x"[..], "{case}");
    assert!(
        store.load(&key("unknown")).await.unwrap().is_none(),
        "{case}"
    );
    let listed = store.owned_by(&ada(), None, 10).await.unwrap();
    assert_eq!(listed.records.len(), 1, "{case}");
}

fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).unwrap().count() == 0
}

#[tokio::test]
async fn a_missing_directory_is_an_error_until_it_is_back() {
    let dir = TestDirectory::new();
    let (store, directory) = (dir.store(), dir.path());
    let aside = directory.with_extension("aside");
    insert_new(&store, &key("it"), &of_ada("x")).await;
    // A clone, and a store that has only read, have found the directory as well.
    let reader = dir.store();
    assert_present(&reader, "a reader").await;

    fs::rename(directory, &aside).unwrap();
    for store in [&store, &store.clone(), &reader] {
        assert_missing(store, "moved away").await;
    }
    assert!(!directory.exists(), "the store created it again");
    fs::create_dir(directory).unwrap();
    fs::set_permissions(
        directory,
        std::os::unix::fs::PermissionsExt::from_mode(0o700),
    )
    .unwrap();
    for store in [&store, &reader] {
        assert_missing(store, "an empty one instead").await;
    }
    assert!(
        is_empty(directory),
        "something was written into the empty directory"
    );

    fs::remove_dir(directory).unwrap();
    fs::rename(&aside, directory).unwrap();
    for store in [&store, &reader] {
        assert_present(store, "moved back").await;
    }
    fs::remove_dir_all(directory).unwrap();
    assert_missing(&store, "removed").await;
    assert!(!directory.exists(), "the store created it again");
    // A new store, as of a program that was restarted, starts with an empty directory.
    let restarted = dir.store();
    insert_new(&restarted, &key("it"), &of_ada("x")).await;
    assert_present(&restarted, "set up again").await;
    assert_missing(&store, "set up again").await;
}

/// A process that starts while the directory is away sets up another one in its place. What the
/// others wrote there would be lost as soon as their directory is back.
#[tokio::test]
async fn a_store_does_not_move_to_a_directory_that_another_process_set_up() {
    let dir = TestDirectory::new();
    let (store, reader, directory) = (dir.store(), dir.store(), dir.path());
    let [aside, other] = ["aside", "other"].map(|name| directory.with_extension(name));
    insert_new(&store, &key("it"), &of_ada("x")).await;
    assert_present(&reader, "a reader").await;

    fs::rename(directory, &aside).unwrap();
    let late = dir.store();
    insert_new(&late, &key("it"), &of_ada("x")).await;
    let before = files_below(directory);
    for store in [&store, &store.clone(), &reader] {
        assert_missing(store, "another directory").await;
    }
    assert_eq!(files_below(directory), before);

    fs::rename(directory, &other).unwrap();
    fs::rename(&aside, directory).unwrap();
    let before = files_below(directory);
    for store in [&store, &reader] {
        assert_present(store, "moved back").await;
    }
    assert_missing(&late, "the first directory").await;
    assert_eq!(files_below(directory), before);
}

/// A new disk: the directory is copied, and the copy takes its place.
#[tokio::test]
async fn a_copy_can_take_the_directorys_place() {
    let dir = TestDirectory::new();
    let (store, directory) = (dir.store(), dir.path());
    let aside = directory.with_extension("aside");
    insert_new(&store, &key("it"), &of_ada("x")).await;
    fs::rename(directory, &aside).unwrap();
    let copied = Command::new("cp")
        .arg("-a")
        .args([&aside, directory])
        .status();
    assert!(copied.unwrap().success());
    assert_present(&store, "a copy").await;
}

/// Many processes start at once on an empty directory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_set_a_directory_up_at_once_use_the_same_one() {
    for round in 0..rounds() {
        let dir = TestDirectory::new();
        let stores: Vec<_> = (0..8).map(|_| dir.store()).collect();
        let tasks: Vec<_> = stores
            .iter()
            .cloned()
            .enumerate()
            .map(|(number, store)| {
                tokio::spawn(async move {
                    insert_new(&store, &key(&number.to_string()), &record("x")).await;
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        for store in &stores {
            for number in 0..stores.len() {
                let found = store.load(&key(&number.to_string())).await.unwrap();
                assert!(found.is_some(), "round {round}");
            }
        }
    }
}

/// Mounts a disk over the directory, unmounts it and mounts it again.
#[test]
fn a_process_unmounts_its_file_system() {
    let dir = TestDirectory::inherited_or_new();
    let disk = dir.task("");
    if disk.is_empty() {
        return;
    }
    let directory = dir.path();
    let run = |command: &[&str]| {
        let status = Command::new(command[0])
            .args(&command[1..])
            .arg(directory)
            .status()
            .unwrap();
        assert!(status.success(), "{command:?}");
    };
    run(&["mount", "--bind", disk]);
    one_blocking_thread().block_on(async {
        let store = FileStore::open(directory).unwrap();
        insert_new(&store, &key("it"), &of_ada("x")).await;
        // The store keeps no descriptor open, which would make the file system busy.
        run(&["umount"]);
        assert_missing(&store, "unmounted").await;
        assert!(
            is_empty(directory),
            "something was written into the mount point"
        );
        let late = FileStore::open(directory).unwrap();
        assert_missing(&store, "unmounted, and another one set up").await;
        assert!(files_below(directory).is_empty());
        run(&["mount", "--bind", disk]);
        assert_present(&store, "mounted again").await;
        assert_missing(&late, "mounted again").await;
        run(&["umount"]);
    });
    report("done");
}

#[test]
fn an_unmounted_file_system_is_an_error_and_its_mount_point_stays_empty() {
    require_program("mount", "mount");
    let dir = TestDirectory::new();
    let disk = dir.path().with_extension("disk");
    for directory in [dir.path(), &disk] {
        fs::create_dir(directory).unwrap();
        fs::set_permissions(
            directory,
            std::os::unix::fs::PermissionsExt::from_mode(0o700),
        )
        .unwrap();
    }
    let output = dir
        .command(
            &unshare(&["-m"]),
            "missing_directory::a_process_unmounts_its_file_system",
            disk.to_str().unwrap(),
        )
        .output();
    assert_eq!(reports(&output.unwrap()), ["done"]);
    assert!(!is_empty(&disk), "no disk was mounted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_removed_under_load_causes_errors_at_most() {
    let dir = TestDirectory::new();
    let running = Arc::new(AtomicBool::new(true));
    let tasks: Vec<_> = (0..4)
        .map(|number| {
            let running = Arc::clone(&running);
            let directory = dir.path().to_owned();
            tokio::spawn(async move {
                let mut round = 0;
                while running.load(Ordering::Relaxed) {
                    // Like a process that has just started, it creates the directory again.
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
    let parent = dir.path().parent().unwrap().to_owned();
    for round in 0..rounds() {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let aside = parent.join("aside");
        if round % 2 == 0 {
            let _ = fs::remove_dir_all(dir.path());
        } else if fs::rename(dir.path(), &aside).is_ok() {
            // A call that started before the move may still write into it.
            while fs::remove_dir_all(&aside).is_err() && aside.exists() {}
        }
    }
    running.store(false, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    let _ = fs::remove_dir_all(dir.path());
    assert!(
        dir.store().load(&key("it")).await.unwrap().is_none(),
        "no directory, no session"
    );
    insert_new(&dir.store(), &key("it"), &record("x")).await;
    let beside = fs::read_dir(&parent).unwrap().count();
    assert_eq!(beside, 1, "something was written beside the directory");
}
