//! Files, directories, links, pipes and sockets that the store did not create stay unchanged and
//! block nothing.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, DirBuilder},
    os::unix::{
        ffi::OsStringExt as _,
        fs::{DirBuilderExt as _, MetadataExt as _, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::fs::{CWD, Mode, mkfifoat};
use session_core::{Error, Revision, SessionStore as _};
use session_tests::{assert_in_time, scratch_dir, sweep_up_to};

use crate::test_directory::{
    TestDirectory, files_below, insert_new, key, keys_of_ada, listed, of_ada, record, short_lived,
    with_causes,
};

#[tokio::test]
async fn two_hundred_foreign_files_stay_intact_and_block_nothing() {
    let dir = TestDirectory::new();
    let outside = scratch_dir();
    let canary = outside.path().join("canary");
    fs::write(&canary, "unchanged").unwrap();
    let store = dir.store();
    insert_new(&store, &key("before"), &of_ada("1")).await;

    let directories = directories_below(dir.path());
    let planted = plant(&directories, &canary);
    assert!(planted.len() >= 200, "{} planted", planted.len());
    let before = snapshot(dir.path());

    let started = Instant::now();
    insert_new(&store, &key("second"), &of_ada("2")).await;
    assert_eq!(keys_of_ada(&store).await.len(), 2);
    assert_eq!(sweep_up_to(&store, 1000).await, 0);
    for name in ["before", "second"] {
        let found = store.load(&key(name)).await.unwrap().unwrap();
        let expired = store
            .update(&key(name), &listed(short_lived(0)), &found.revision)
            .await;
        assert!(expired.unwrap().is_stored());
    }
    assert_eq!(sweep_up_to(&store, 1000).await, 2);
    assert!(keys_of_ada(&store).await.is_empty());
    assert_in_time!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );

    let after = snapshot(dir.path());
    for path in &planted {
        assert_eq!(after.get(path), before.get(path), "{path:?}");
    }
    let not_planted = |path: &&PathBuf| !planted.contains(path);
    assert_eq!(
        after
            .keys()
            .filter(not_planted)
            .filter(|path| path.is_file())
            .count(),
        0
    );
    assert_eq!(fs::read_to_string(&canary).unwrap(), "unchanged");
}

#[tokio::test]
async fn a_foreign_file_instead_of_a_shard_fails_the_records_of_that_shard_only() {
    let dir = TestDirectory::new();
    let store = dir.store();
    insert_new(&store, &key("before"), &record("1")).await;
    let shard = files_below(dir.path())[0].parent().unwrap().to_owned();
    fs::rename(&shard, dir.path().join("aside")).unwrap();
    fs::write(&shard, "foreign").unwrap();

    let failed = store.insert(&key("before"), &record("2")).await;
    assert!(matches!(failed, Err(Error::Backend { .. })), "{failed:?}");
    insert_new(&store, &key("second"), &record("3")).await;
    assert_eq!(sweep_up_to(&store, 10).await, 0);
    assert_eq!(fs::read_to_string(&shard).unwrap(), "foreign");

    fs::remove_file(&shard).unwrap();
    fs::rename(dir.path().join("aside"), &shard).unwrap();
    assert!(store.load(&key("before")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_foreign_file_with_a_records_name_is_neither_followed_nor_replaced() {
    let outside = scratch_dir();
    let canary = outside.path().join("canary");
    fs::write(&canary, "unchanged").unwrap();
    for kind in 0..EMPTY {
        let dir = TestDirectory::new();
        let store = dir.store();
        insert_new(&store, &key("it"), &record("x")).await;
        let file = files_below(dir.path()).pop().unwrap();
        fs::remove_file(&file).unwrap();
        create_foreign(kind, &file, &canary);
        let before = snapshot(dir.path());

        let loaded = store.load(&key("it")).await;
        assert!(
            matches!(loaded, Err(Error::Corrupt { .. })),
            "{kind}: {loaded:?}"
        );
        let text = with_causes(&loaded.unwrap_err());
        let told = format!(
            "{}: another program wrote this file: move it away",
            file.display()
        );
        assert!(text.contains(&told), "{text}");
        let inserted = store.insert(&key("it"), &record("y")).await;
        assert!(!inserted.unwrap().is_stored(), "{kind}");
        let updated = store
            .update(&key("it"), &record("z"), &Revision::new("x"))
            .await
            .unwrap();
        assert!(!updated.is_stored(), "{kind}");
        store.delete(&key("it")).await.unwrap();
        assert_eq!(sweep_up_to(&store, 10).await, 0, "{kind}");
        assert_eq!(snapshot(dir.path()), before, "{kind}");
        assert_eq!(fs::read_to_string(&canary).unwrap(), "unchanged", "{kind}");
    }
}

#[tokio::test]
async fn a_foreign_marker_is_an_error_that_names_it_and_stays() {
    for kind in [0, 1] {
        let dir = TestDirectory::new();
        DirBuilder::new().mode(0o700).create(dir.path()).unwrap();
        let marker = dir.path().join(".set-up");
        create_foreign(kind, &marker, Path::new(""));
        let before = snapshot(dir.path());
        let text = with_causes(&dir.store().load(&key("it")).await.unwrap_err());
        let told = format!("{} was not made by this library", marker.display());
        assert!(text.contains(&told), "{text}");
        dir.store()
            .insert(&key("it"), &record("x"))
            .await
            .unwrap_err();
        assert_eq!(snapshot(dir.path()), before);
    }
}

/// The record would be readable. It is refused because it is behind a link.
#[tokio::test]
async fn a_link_to_a_genuine_record_is_not_followed() {
    let dir = TestDirectory::new();
    let outside = scratch_dir();
    let store = dir.store();
    let revision = insert_new(&store, &key("it"), &record("x")).await;
    let file = files_below(dir.path()).pop().unwrap();
    let moved = outside.path().join("record");
    fs::rename(&file, &moved).unwrap();
    symlink(&moved, &file).unwrap();

    let loaded = store.load(&key("it")).await;
    assert!(matches!(loaded, Err(Error::Corrupt { .. })), "{loaded:?}");
    let updated = store.update(&key("it"), &record("y"), &revision).await;
    assert!(!updated.unwrap().is_stored());
    assert!(fs::symlink_metadata(&file).unwrap().is_symlink());
}

/// `root` and all directories below it.
fn directories_below(root: &Path) -> Vec<PathBuf> {
    let mut all = vec![root.to_owned()];
    let mut at = 0;
    while at < all.len() {
        let below = fs::read_dir(&all[at])
            .unwrap()
            .map(|entry| entry.unwrap().path());
        all.extend(below.filter(|path| path.is_dir()));
        at += 1;
    }
    all
}

const KINDS: usize = 6;
const EMPTY: usize = 5;

fn plant(directories: &[PathBuf], canary: &Path) -> Vec<PathBuf> {
    let mut planted = Vec::new();
    for directory in directories {
        let shard = directory
            .file_name()
            .unwrap()
            .to_string_lossy()
            .into_owned();
        let like_a_record = |digit: char| {
            let rest = digit.to_string().repeat(64 - shard.len().min(64));
            OsString::from(format!("{shard}{rest}"))
        };
        let like_an_entry =
            |digit: char| OsString::from(format!("{}-{:016x}", digit.to_string().repeat(64), 7));
        for kind in 0..KINDS {
            let digit = char::from_digit(u32::try_from(kind).unwrap(), 16).unwrap();
            // An empty file with the name of a record or an index entry is this store's.
            let not_empty = if kind == EMPTY { 0 } else { kind };
            for name in [like_an_entry(digit), like_a_record(digit)] {
                let path = directory.join(name);
                if fs::symlink_metadata(&path).is_err() {
                    create_foreign(not_empty, &path, canary);
                    planted.push(path);
                }
            }
            for name in [
                OsString::from(format!("foreign-{kind}")),
                OsString::from_vec([b"\xff\xfe not utf-8", kind.to_string().as_bytes()].concat()),
                OsString::from(format!("{kind}").repeat(255)),
                OsString::from(format!(".staged-{}", format!("{kind}").repeat(16))),
                OsString::from(format!(".staged-{kind}")),
                OsString::from(format!("{kind}{kind}")),
            ] {
                let path = directory.join(name);
                if fs::symlink_metadata(&path).is_err() {
                    create_foreign(kind, &path, canary);
                    planted.push(path);
                }
            }
        }
    }
    planted
}

fn create_foreign(kind: usize, path: &Path, canary: &Path) {
    match kind {
        0 => fs::write(path, "foreign text").unwrap(),
        1 => DirBuilder::new().mode(0o755).create(path).unwrap(),
        2 => symlink(canary, path).unwrap(),
        3 => mkfifoat(CWD, path, Mode::RWXU).unwrap(),
        4 => make_socket(path),
        _ => fs::write(path, "").unwrap(),
    }
}

/// The path of a new socket has at most about a hundred bytes, so the socket is renamed afterwards.
fn make_socket(path: &Path) {
    let short = scratch_dir();
    let socket = short.path().join("s");
    drop(UnixListener::bind(&socket).unwrap());
    fs::rename(socket, path).unwrap();
}

/// Mode, inode, and content or link target of everything below `root`.
fn snapshot(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut all = BTreeMap::new();
    for directory in directories_below(root) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let content = if meta.is_file() {
                fs::read(&path).unwrap().escape_ascii().to_string()
            } else if meta.is_symlink() {
                fs::read_link(&path).unwrap().display().to_string()
            } else {
                String::new()
            };
            all.insert(path, format!("{:o} {} {content}", meta.mode(), meta.ino()));
        }
    }
    all
}
