//! Files, directories, links, pipes and sockets that the store did not make stay as they are, and hold nothing up.

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
use session_core::{Error, ExpiredSweep as _, Revision, SessionStore as _};
use session_tests::scratch_dir;

use crate::place::{Place, brief, files_below, key, keys_of_ada, listed, of_ada, put, record};

#[tokio::test]
async fn two_hundred_strangers_stay_intact_and_hang_nothing() {
    let place = Place::own();
    let outside = scratch_dir();
    let canary = outside.path().join("canary");
    fs::write(&canary, "alive").unwrap();
    let store = place.store();
    put(&store, &key("before"), &of_ada("1")).await;

    let places = everywhere(place.directory());
    let planted = plant(&places, &canary);
    assert!(planted.len() >= 200, "{} planted", planted.len());
    let before = picture(place.directory());

    let begun = Instant::now();
    put(&store, &key("second"), &of_ada("2")).await;
    assert_eq!(keys_of_ada(&store).await.len(), 2);
    assert_eq!(store.sweep(1000).await.unwrap(), 0);
    for name in ["before", "second"] {
        let found = store.load(&key(name)).await.unwrap().unwrap();
        let over = store
            .update(&key(name), &listed(brief(0)), &found.revision)
            .await;
        assert!(over.unwrap().is_stored());
    }
    assert_eq!(store.sweep(1000).await.unwrap(), 2);
    assert!(keys_of_ada(&store).await.is_empty());
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );

    let after = picture(place.directory());
    for path in &planted {
        assert_eq!(after.get(path), before.get(path), "{path:?}");
    }
    let ours = |path: &&PathBuf| !planted.contains(path);
    assert_eq!(
        after
            .keys()
            .filter(ours)
            .filter(|path| path.is_file())
            .count(),
        0
    );
    assert_eq!(fs::read_to_string(&canary).unwrap(), "alive");
}

#[tokio::test]
async fn a_stranger_in_the_place_of_a_directory_fails_its_records_and_no_others() {
    let place = Place::own();
    let store = place.store();
    put(&store, &key("before"), &record("1")).await;
    let shard = files_below(place.directory())[0]
        .parent()
        .unwrap()
        .to_owned();
    fs::rename(&shard, place.directory().join("aside")).unwrap();
    fs::write(&shard, "a stranger's").unwrap();

    let failed = store.insert(&key("before"), &record("2")).await;
    assert!(matches!(failed, Err(Error::Backend { .. })), "{failed:?}");
    put(&store, &key("second"), &record("3")).await;
    assert_eq!(store.sweep(10).await.unwrap(), 0);
    assert_eq!(fs::read_to_string(&shard).unwrap(), "a stranger's");

    fs::remove_file(&shard).unwrap();
    fs::rename(place.directory().join("aside"), &shard).unwrap();
    assert!(store.load(&key("before")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_strangers_thing_under_a_records_name_is_neither_followed_nor_replaced() {
    let outside = scratch_dir();
    let canary = outside.path().join("canary");
    fs::write(&canary, "alive").unwrap();
    for kind in 0..KINDS {
        let place = Place::own();
        let store = place.store();
        put(&store, &key("it"), &record("x")).await;
        let file = files_below(place.directory()).pop().unwrap();
        fs::remove_file(&file).unwrap();
        make(kind, &file, &canary);
        let before = picture(place.directory());

        let loaded = store.load(&key("it")).await;
        assert!(
            matches!(loaded, Err(Error::Corrupt { .. })),
            "{kind}: {loaded:?}"
        );
        let inserted = store.insert(&key("it"), &record("y")).await;
        assert!(!inserted.unwrap().is_stored(), "{kind}");
        let updated = store
            .update(&key("it"), &record("z"), &Revision::new("x"))
            .await
            .unwrap();
        assert!(!updated.is_stored(), "{kind}");
        store.delete(&key("it")).await.unwrap();
        assert_eq!(store.sweep(10).await.unwrap(), 0, "{kind}");
        assert_eq!(picture(place.directory()), before, "{kind}");
        assert_eq!(fs::read_to_string(&canary).unwrap(), "alive", "{kind}");
    }
}

/// The record itself would be readable: that it is behind a link is what counts.
#[tokio::test]
async fn a_link_to_a_genuine_record_is_not_followed() {
    let place = Place::own();
    let outside = scratch_dir();
    let store = place.store();
    let revision = put(&store, &key("it"), &record("x")).await;
    let file = files_below(place.directory()).pop().unwrap();
    let moved = outside.path().join("record");
    fs::rename(&file, &moved).unwrap();
    symlink(&moved, &file).unwrap();

    let loaded = store.load(&key("it")).await;
    assert!(matches!(loaded, Err(Error::Corrupt { .. })), "{loaded:?}");
    let updated = store.update(&key("it"), &record("y"), &revision).await;
    assert!(!updated.unwrap().is_stored());
    assert!(fs::symlink_metadata(&file).unwrap().is_symlink());
}

/// The directories of the store, and names in them that its own files could have.
fn everywhere(root: &Path) -> Vec<PathBuf> {
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
            // An empty file with the name of an index entry is one; everything else is not.
            let full = if kind == EMPTY { 0 } else { kind };
            make(full, &directory.join(like_an_entry(digit)), canary);
            planted.push(directory.join(like_an_entry(digit)));
            for name in [
                OsString::from(format!("stranger-{kind}")),
                OsString::from_vec([b"\xff\xfe not utf-8", kind.to_string().as_bytes()].concat()),
                OsString::from(format!("{kind}").repeat(255)),
                like_a_record(digit),
                OsString::from(format!(".staged-{}", format!("{kind}").repeat(16))),
                OsString::from(format!(".staged-{kind}")),
                OsString::from(format!("{kind}{kind}")),
            ] {
                let path = directory.join(name);
                if fs::symlink_metadata(&path).is_err() {
                    make(kind, &path, canary);
                    planted.push(path);
                }
            }
        }
    }
    planted
}

fn make(kind: usize, path: &Path, canary: &Path) {
    match kind {
        0 => fs::write(path, "a stranger's text").unwrap(),
        1 => DirBuilder::new().mode(0o755).create(path).unwrap(),
        2 => symlink(canary, path).unwrap(),
        3 => mkfifoat(CWD, path, Mode::RWXU).unwrap(),
        4 => make_socket(path),
        _ => fs::write(path, "").unwrap(),
    }
}

/// A socket's path may have some hundred bytes only: it gets its name afterwards.
fn make_socket(path: &Path) {
    let short = scratch_dir();
    let socket = short.path().join("s");
    drop(UnixListener::bind(&socket).unwrap());
    fs::rename(socket, path).unwrap();
}

/// What everything below `root` is: kind and mode, inode, content or target.
fn picture(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut all = BTreeMap::new();
    for directory in everywhere(root) {
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
