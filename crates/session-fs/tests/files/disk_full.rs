//! A full or read-only disk: stored sessions can be read, none is removed, and log-outs still work.
//!
//! The disk is a file system in memory. Its mount is visible to the test's process only.

use std::fs;

use session_core::{Error, Record, SessionStore as _, StoreKey};
#[cfg(feature = "flask")]
use session_fs::CachelibStore;
use session_fs::FileStore;
use session_tests::{sweep_up_to, unshare};

use crate::test_directory::{
    TestDirectory, files_below, insert_new, key, keys_of_ada, listed, of_ada, one_blocking_thread,
    record, report, reports, require_program, short_lived,
};

/// Mounts a disk over the directory, then runs the command in its arguments.
const ON_A_DISK: &str =
    "mount -t tmpfs -o $OPTIONS tmpfs $SESSION_FS_TEST_DIRECTORY && exec \"$@\"";

fn on_a_disk(options: &str, test: &str, task: &str) {
    require_program("mount", "mount");
    let dir = TestDirectory::new();
    fs::create_dir(dir.path()).unwrap();
    let wrapper = [&unshare(&["-m"])[..], &["sh", "-c", ON_A_DISK, "sh"]].concat();
    let mut command = dir.command(&wrapper, test, task);
    let output = command.env("OPTIONS", options).output().unwrap();
    assert_eq!(reports(&output), ["done"], "{options}");
    assert!(files_below(dir.path()).is_empty(), "no disk was mounted");
}

#[test]
fn a_disk_without_space_keeps_all_sessions_and_allows_log_outs() {
    on_a_disk(
        "size=256k,mode=0700",
        "disk_full::a_process_fills_the_disk",
        "4000",
    );
    // Each file takes exactly one page.
    on_a_disk(
        "size=256k,mode=0700",
        "disk_full::a_process_fills_the_disk",
        "100",
    );
}

#[test]
fn a_disk_without_inodes_keeps_all_sessions_and_allows_log_outs() {
    on_a_disk(
        "nr_inodes=40,mode=0700",
        "disk_full::a_process_fills_the_disk",
        "300",
    );
    on_a_disk(
        "nr_inodes=12,mode=0700",
        "disk_full::a_process_fills_the_disk",
        "300",
    );
}

/// Fills the disk with sessions, then loads, ends and deletes them. If the disk has no limit,
/// stores only a few.
#[test]
fn a_process_fills_the_disk() {
    let dir = TestDirectory::inherited_or_new();
    let size: usize = dir.task("0").parse().unwrap();
    let limited = size > 0;
    one_blocking_thread().block_on(async {
        let store = dir.store();
        let mut stored = Vec::new();
        for number in 0..if limited { 1000 } else { 5 } {
            match store
                .insert(&key(&number.to_string()), &numbered(number, size))
                .await
            {
                Ok(result) => {
                    assert!(result.is_stored());
                    stored.push(number);
                }
                Err(error) => assert!(matches!(error, Error::Backend { .. }), "{error:?}"),
            }
        }
        assert!(
            !stored.is_empty() && (stored.len() < 1000),
            "{} stored",
            stored.len()
        );
        assert!(has_no_staged_files(&dir), "after the inserts");

        for number in &stored {
            let key = key(&number.to_string());
            let found = store
                .load(&key)
                .await
                .unwrap()
                .expect("the insert was answered as stored");
            assert_eq!(found.bytes, numbered(*number, size).bytes);
            if limited && size > 300 {
                let grown = store
                    .update(&key, &record(vec![7; 8000]), &found.revision)
                    .await;
                assert!(grown.is_err(), "the disk was not full");
                assert_eq!(store.load(&key).await.unwrap().as_ref(), Some(&found));
            }
            log_out(&store, &key, &found.revision).await;
        }
        assert!(has_no_staged_files(&dir), "after the updates");
        assert!(
            keys_of_ada(&store).await.is_empty(),
            "the list still names ended sessions"
        );
        for number in stored {
            store.delete(&key(&number.to_string())).await.unwrap();
        }
        // The deletes have freed space.
        insert_new(&store, &key("again"), &numbered(1, size)).await;
    });
    report("done");
}

#[cfg(feature = "flask")]
#[test]
fn a_disk_without_space_allows_log_outs_of_sessions_shared_with_flask() {
    on_a_disk(
        "size=64k,mode=0700",
        "disk_full::a_process_fills_the_disk_of_flask",
        "4000",
    );
}

/// As the process above. A log-out stores nil, and then deletes the record.
#[cfg(feature = "flask")]
#[test]
fn a_process_fills_the_disk_of_flask() {
    const NIL: [u8; 1] = [0xc0];
    let dir = TestDirectory::inherited_or_new();
    let size: usize = dir.task("0").parse().unwrap();
    one_blocking_thread().block_on(async {
        let store = CachelibStore::new(dir.path());
        let mut stored = Vec::new();
        for number in 0..if size > 0 { 100 } else { 5 } {
            let key = key(&number.to_string());
            if let Ok(result) = store.insert(&key, &numbered(number, size)).await {
                assert!(result.is_stored());
                stored.push(key);
            }
        }
        assert!((1..100).contains(&stored.len()), "{} stored", stored.len());
        for key in &stored {
            let found = store.load(key).await.unwrap().unwrap();
            if size > 0 && key == &stored[0] {
                let change = record(vec![b'x'; size]);
                let change = store.update(key, &change, &found.revision).await;
                change.unwrap_err();
            }
            let ended = store.update(key, &record(NIL), &found.revision).await;
            assert!(ended.unwrap().is_stored());
            let found = store.load(key).await.unwrap();
            assert!(
                found.is_none_or(|it| it.bytes == NIL[..]),
                "it has not ended"
            );
            store.delete(key).await.unwrap();
        }
        assert!(files_below(dir.path()).is_empty());
    });
    report("done");
}

/// Replaces the record by a small one and ends its entry, as a log-out does.
async fn log_out(store: &FileStore, key: &StoreKey, revision: &session_core::Revision) {
    let ended = Record {
        entry: listed(short_lived(0)).entry,
        ..record("a tombstone: this session has ended")
    };
    let result = store.update(key, &ended, revision).await.unwrap();
    assert!(result.is_stored());
    let found = store.load(key).await.unwrap().unwrap();
    assert_eq!(found.bytes, ended.bytes);
    let stale = store.update(key, &record("back"), revision).await.unwrap();
    assert!(!stale.is_stored(), "the session came back");
}

#[test]
fn a_read_only_disk_can_be_read_and_every_write_is_an_error() {
    on_a_disk(
        "size=1m,mode=0700",
        "disk_full::a_process_finds_its_disk_read_only",
        "remount",
    );
}

/// Stores a session, makes the disk read-only if the task says so, and tries every call.
#[test]
fn a_process_finds_its_disk_read_only() {
    let dir = TestDirectory::inherited_or_new();
    let read_only = dir.task("") == "remount";
    one_blocking_thread().block_on(async {
        let store = dir.store();
        insert_new(&store, &key("it"), &record("x")).await;
        if read_only {
            remount(&dir, "ro");
        }
        let found = store
            .load(&key("it"))
            .await
            .unwrap()
            .expect("it can be read");
        let inserted = store.insert(&key("other"), &of_ada("y")).await;
        assert_eq!(inserted.is_err(), read_only, "{inserted:?}");
        let updated = store
            .update(&key("it"), &record("y"), &found.revision)
            .await;
        assert_eq!(updated.is_err(), read_only, "{updated:?}");
        assert_eq!(store.delete(&key("it")).await.is_err(), read_only);
        assert_eq!(store.check().is_err(), read_only);
        if read_only {
            remount(&dir, "rw");
            let again = store
                .update(&key("it"), &record("z"), &found.revision)
                .await;
            assert!(again.unwrap().is_stored(), "the disk can be written again");
        }
        if let Some(found) = store.load(&key("other")).await.unwrap() {
            let expired = store
                .update(&key("other"), &short_lived(0), &found.revision)
                .await;
            assert!(expired.unwrap().is_stored());
        }
        assert_eq!(sweep_up_to(&store, 10).await, u64::from(!read_only));
    });
    report("done");
}

fn remount(dir: &TestDirectory, option: &str) {
    let option = format!("remount,{option}");
    let mut mount = std::process::Command::new("mount");
    let status = mount
        .args(["-o", &option])
        .arg(dir.path())
        .status()
        .unwrap();
    assert!(status.success());
}

fn numbered(number: usize, size: usize) -> Record {
    of_ada(format!("{number:0size$}"))
}

fn has_no_staged_files(dir: &TestDirectory) -> bool {
    files_below(dir.path())
        .iter()
        .all(|file| !file.to_string_lossy().contains(".staged-"))
}
