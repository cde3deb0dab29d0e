//! Nobody else can read or lead astray what the store writes: modes, owners, links, names.

use std::{
    error::Error as _,
    fs::{self, DirBuilder, Permissions},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use rustix::{fs::Mode, process::umask};
use session_core::{
    ExpiredSweep as _, IndexEntry, OwnerKey, Record, SessionStore as _, StoreKey,
    config::ConfigError,
};
use session_fs::FileStore;
use session_tests::scratch_dir;

use crate::place::{
    Place, files_below, key, need, of_ada, one_blocking_thread, put, record, tell, told,
};

/// Writes one of everything under the umask that the task names, and checks every mode.
#[test]
fn a_process_with_a_umask_makes_exact_modes() {
    let place = Place::given_or_own();
    let task = place.task("027").to_owned();
    let before = umask(Mode::from_raw_mode(u32::from_str_radix(&task, 8).unwrap()));
    one_blocking_thread().block_on(async {
        let store = place.store();
        let revision = put(&store, &key("it"), &of_ada("1")).await;
        let _ = store
            .update(&key("it"), &record("2"), &revision)
            .await
            .unwrap();
    });
    umask(before);
    let mut checked = 0;
    exact_modes(place.directory(), &mut checked);
    assert_eq!(
        checked, 8,
        "root, marker, shard, record, owners, shard, owner, entry"
    );
    tell("exact");
}

#[test]
fn modes_are_exact_whatever_the_umask() {
    for mask in ["000", "022", "077", "177", "277"] {
        let place = Place::own();
        let test = "permissions::a_process_with_a_umask_makes_exact_modes";
        let output = place.process(&[], test, mask).output().unwrap();
        assert_eq!(told(&output), ["exact"], "{mask}");
    }
}

#[test]
fn a_file_mode_can_be_chosen() {
    let place = Place::own();
    one_blocking_thread().block_on(async {
        let store = place.store().with_mode("0700".parse().unwrap());
        put(&store, &key("it"), &record("1")).await;
    });
    let file = files_below(place.directory()).pop().unwrap();
    assert_eq!(fs::metadata(file).unwrap().mode() & 0o7777, 0o700);
}

#[test]
fn a_directory_that_others_can_write_is_refused() {
    for mode in [0o777, 0o770, 0o720, 0o702, 0o1777] {
        let place = Place::own();
        DirBuilder::new().create(place.directory()).unwrap();
        fs::set_permissions(place.directory(), Permissions::from_mode(mode)).unwrap();
        refused(place.directory(), "run chmod 0700 on it");
        fs::set_permissions(place.directory(), Permissions::from_mode(0o755)).unwrap();
        FileStore::open(place.directory()).expect("others may look at it");
    }
}

#[test]
fn a_link_or_a_file_in_the_place_of_the_directory_is_refused() {
    let outside = scratch_dir();
    let place = Place::own();
    let target = outside.path().join("target");
    DirBuilder::new().mode(0o700).create(&target).unwrap();
    symlink(&target, place.directory()).unwrap();
    refused(place.directory(), "not a symbolic link");
    refused(&place.directory().join(""), "not a symbolic link");
    refused(&place.directory().join("."), "not a symbolic link");
    assert!(files_below(&target).is_empty());

    fs::remove_file(place.directory()).unwrap();
    fs::write(place.directory(), "a file").unwrap();
    refused(place.directory(), "must be a directory");
}

#[test]
fn a_directory_that_cannot_be_made_is_refused() {
    let place = Place::own();
    fs::write(place.directory(), "a file").unwrap();
    refused(&place.directory().join("below"), "must be a directory");
    refused(Path::new("/proc/sessions"), "that this program can write");
}

/// Checks the directory and says what the refusal was.
#[test]
fn a_process_is_refused_a_directory_of_another_user() {
    let place = Place::given_or_own();
    if place.task("") == "refused" {
        let error = FileStore::open(place.directory()).unwrap_err();
        tell(error);
    } else {
        FileStore::open(place.directory()).expect("the directory is ours");
    }
}

/// Only root can give a directory away: elsewhere the system's own, which is root's, serves.
#[test]
fn a_directory_of_another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        refused(
            Path::new("/usr"),
            "must belong to the user that runs this program",
        );
        return;
    }
    need("setpriv", "util-linux");
    let place = Place::own();
    DirBuilder::new().create(place.directory()).unwrap();
    let parent = place.directory().parent().unwrap();
    fs::set_permissions(parent, Permissions::from_mode(0o755)).unwrap();
    let test = "permissions::a_process_is_refused_a_directory_of_another_user";
    let nobody = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ];
    let said = told(&place.process(&nobody, test, "refused").output().unwrap());
    assert!(said[0].contains("(65534), not to user 0"), "{said:?}");
}

/// Names that would lead out of the directory, were they taken as they are.
#[tokio::test]
async fn no_key_leads_out_of_the_directory() {
    let place = Place::own();
    let parent = place.directory().parent().unwrap();
    let canary = parent.join("canary");
    fs::write(&canary, "alive").unwrap();
    let store = place.store();
    let keys = [
        "../canary",
        "..",
        ".",
        "/",
        "../../../../etc/passwd",
        "/etc/passwd",
        "a/../../canary",
        "%2e%2e%2fcanary",
        "..\\canary",
        "canary\0",
        "",
        "\u{202e}",
        "con",
        "owners",
        "00",
        "~root",
        "`id`",
        "$(id)",
        ".staged-0000000000000000",
    ];
    for name in keys {
        let key = StoreKey::from_stored(name);
        let expires_at = record(name).expires_at;
        let owner = OwnerKey::from_stored(name);
        let record = Record {
            entry: Some(IndexEntry { owner, expires_at }),
            ..record(name)
        };
        put(&store, &key, &record).await;
    }
    for name in keys {
        let found = store
            .load(&StoreKey::from_stored(name))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(found.bytes, name.as_bytes());
    }
    assert_eq!(store.sweep(100).await.unwrap(), 0);
    assert_eq!(files_below(place.directory()).len(), 2 * keys.len());
    assert_eq!(
        fs::read_dir(parent).unwrap().count(),
        2,
        "something lies beside the directory"
    );
    assert_eq!(fs::read_to_string(&canary).unwrap(), "alive");
}

fn refused(directory: &Path, advice: &str) {
    let error: ConfigError = FileStore::open(directory).unwrap_err();
    let text = error.to_string();
    // Without a slash at its end.
    let path: PathBuf = directory.components().collect();
    let path = path.display().to_string();
    assert!(text.starts_with(&path) && text.contains(advice), "{text}");
    assert!(!text.contains('\n') && !text.contains("SESSION_"), "{text}");
    one_blocking_thread().block_on(async {
        let inserted = FileStore::new(directory)
            .insert(&key("it"), &record("x"))
            .await;
        let error = inserted.expect_err("the store works all the same");
        let cause = error.source().expect("a failure has a cause").to_string();
        let by_the_system = cause == "the operating system refused";
        assert!(by_the_system || cause.starts_with(&path), "{cause}");
    });
}

fn exact_modes(path: &Path, checked: &mut usize) {
    let meta = fs::symlink_metadata(path).unwrap();
    let expected = if meta.is_dir() { 0o700 } else { 0o600 };
    assert_eq!(meta.mode() & 0o7777, expected, "{}", path.display());
    *checked += 1;
    if meta.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            exact_modes(&entry.unwrap().path(), checked);
        }
    }
}
