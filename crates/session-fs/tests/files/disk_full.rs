//! A disk that is full or read-only: what is stored can be read, nothing is lost, a logout still works.
//!
//! The disk is a file system in memory, mounted where this process alone can see it.

use std::fs;

use session_core::{Error, ExpiredSweep as _, Record, SessionStore as _, StoreKey};
use session_fs::FileStore;

use crate::place::{
    Place, brief, files_below, key, keys_of_ada, listed, need, of_ada, one_blocking_thread, put,
    record, tell, told,
};

/// Mounts a disk with the options of the task over the directory, and runs what it names.
const ON_A_DISK: &str =
    "mount -t tmpfs -o $OPTIONS tmpfs $SESSION_FS_TEST_DIRECTORY && exec \"$@\"";

fn on_a_disk(options: &str, test: &str, task: &str) {
    need("unshare", "util-linux");
    need("mount", "mount");
    let place = Place::own();
    fs::create_dir(place.directory()).unwrap();
    let before = ["unshare", "-r", "-m", "sh", "-c", ON_A_DISK, "sh"];
    let mut command = place.process(&before, test, task);
    let output = command.env("OPTIONS", options).output().unwrap();
    assert_eq!(told(&output), ["done"], "{options}");
    assert!(
        files_below(place.directory()).is_empty(),
        "no disk was mounted"
    );
}

#[test]
fn a_disk_without_space_loses_nothing_and_lets_log_out() {
    on_a_disk(
        "size=256k,mode=0700",
        "disk_full::a_process_fills_the_disk",
        "4000",
    );
    // A page for each file, and not one byte more in any of them.
    on_a_disk(
        "size=256k,mode=0700",
        "disk_full::a_process_fills_the_disk",
        "100",
    );
}

#[test]
fn a_disk_without_inodes_loses_nothing_and_lets_log_out() {
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

/// Fills the disk with sessions, then reads, ends and removes them; in a directory without bounds, just a few.
#[test]
fn a_process_fills_the_disk() {
    let place = Place::given_or_own();
    let size: usize = place.task("0").parse().unwrap();
    let bounded = size > 0;
    one_blocking_thread().block_on(async {
        let store = place.store();
        let mut stored = Vec::new();
        for number in 0..if bounded { 1000 } else { 5 } {
            match store
                .insert(&key(&number.to_string()), &numbered(number, size))
                .await
            {
                Ok(answer) => {
                    assert!(answer.is_stored());
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
        assert!(no_staged(&place), "after the inserts");

        for number in &stored {
            let key = key(&number.to_string());
            let found = store
                .load(&key)
                .await
                .unwrap()
                .expect("it was answered as stored");
            assert_eq!(found.bytes, numbered(*number, size).bytes);
            if bounded && size > 300 {
                let grown = store
                    .update(&key, &record(vec![7; 8000]), &found.revision)
                    .await;
                assert!(grown.is_err(), "the disk was not full");
                assert_eq!(store.load(&key).await.unwrap().as_ref(), Some(&found));
            }
            logs_out(&store, &key, &found.revision).await;
        }
        assert!(no_staged(&place), "after the updates");
        assert!(
            keys_of_ada(&store).await.is_empty(),
            "the list still names ended sessions"
        );
        for number in stored {
            store.delete(&key(&number.to_string())).await.unwrap();
        }
        // The deletes have freed the space.
        put(&store, &key("again"), &numbered(1, size)).await;
    });
    tell("done");
}

/// What a logout does to a record: a small one takes its place, and its entry ends.
async fn logs_out(store: &FileStore, key: &StoreKey, revision: &session_core::Revision) {
    let ended = Record {
        entry: listed(brief(0)).entry,
        ..record("a marker that says: this session was ended")
    };
    let answer = store.update(key, &ended, revision).await.unwrap();
    assert!(answer.is_stored());
    let found = store.load(key).await.unwrap().unwrap();
    assert_eq!(found.bytes, ended.bytes);
    let stale = store.update(key, &record("back"), revision).await.unwrap();
    assert!(!stale.is_stored(), "the session came back");
}

#[test]
fn a_read_only_disk_is_read_and_every_write_is_an_error() {
    on_a_disk(
        "size=1m,mode=0700",
        "disk_full::a_process_finds_its_disk_read_only",
        "remount",
    );
}

/// Stores a session, makes the disk read-only if it is one, and tries everything.
#[test]
fn a_process_finds_its_disk_read_only() {
    let place = Place::given_or_own();
    let read_only = place.task("") == "remount";
    one_blocking_thread().block_on(async {
        let store = place.store();
        put(&store, &key("it"), &record("x")).await;
        if read_only {
            remount(&place, "ro");
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
            remount(&place, "rw");
            let again = store
                .update(&key("it"), &record("z"), &found.revision)
                .await;
            assert!(again.unwrap().is_stored(), "the disk can be written again");
        }
        if let Some(found) = store.load(&key("other")).await.unwrap() {
            let over = store
                .update(&key("other"), &brief(0), &found.revision)
                .await;
            assert!(over.unwrap().is_stored());
        }
        assert_eq!(store.sweep(10).await.unwrap(), u64::from(!read_only));
    });
    tell("done");
}

fn remount(place: &Place, option: &str) {
    let option = format!("remount,{option}");
    let mut mount = std::process::Command::new("mount");
    let done = mount
        .args(["-o", &option])
        .arg(place.directory())
        .status()
        .unwrap();
    assert!(done.success());
}

fn numbered(number: usize, size: usize) -> Record {
    of_ada(format!("{number:0size$}"))
}

fn no_staged(place: &Place) -> bool {
    files_below(place.directory())
        .iter()
        .all(|file| !file.to_string_lossy().contains(".staged-"))
}
