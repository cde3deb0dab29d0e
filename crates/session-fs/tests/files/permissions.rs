//! Other users can neither read nor redirect what the store writes: modes, owners, links, names.

use std::{
    error::Error as _,
    fs::{self, DirBuilder, Permissions},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use rustix::{
    fs::Mode,
    process::{geteuid, umask},
};
use session_core::{
    IndexEntry, OwnerKey, Record, SessionStore as _, StoreKey, config::ConfigError,
};
use session_fs::FileStore;
use session_tests::{scratch_dir, sweep_up_to};

use crate::test_directory::{
    TestDirectory, files_below, insert_new, key, of_ada, one_blocking_thread, record, report,
    reports, require_program,
};

/// Writes a file of each kind under the umask of the task, and checks every mode.
#[test]
fn a_process_with_a_umask_sets_exact_modes() {
    let dir = TestDirectory::inherited_or_new();
    let task = dir.task("027").to_owned();
    let before = umask(Mode::from_raw_mode(u32::from_str_radix(&task, 8).unwrap()));
    one_blocking_thread().block_on(async {
        let store = dir.store();
        let revision = insert_new(&store, &key("it"), &of_ada("1")).await;
        let _ = store
            .update(&key("it"), &record("2"), &revision)
            .await
            .unwrap();
    });
    umask(before);
    let mut checked = 0;
    assert_exact_modes(dir.path(), &mut checked);
    assert_eq!(
        checked, 8,
        "root, marker, shard, record, owners, shard, owner, entry"
    );
    report("exact");
}

#[test]
fn modes_are_exact_whatever_the_umask() {
    for mask in ["000", "022", "077", "177", "277"] {
        let dir = TestDirectory::new();
        let test = "permissions::a_process_with_a_umask_sets_exact_modes";
        let output = dir.command(&[], test, mask).output().unwrap();
        assert_eq!(reports(&output), ["exact"], "{mask}");
    }
}

#[test]
fn a_file_mode_can_be_chosen() {
    let dir = TestDirectory::new();
    one_blocking_thread().block_on(async {
        let store = dir.store().with_mode("0700".parse().unwrap());
        insert_new(&store, &key("it"), &record("1")).await;
    });
    let file = files_below(dir.path()).pop().unwrap();
    assert_eq!(fs::metadata(file).unwrap().mode() & 0o7777, 0o700);
}

#[test]
fn a_directory_that_others_can_write_is_refused() {
    for mode in [0o777, 0o770, 0o720, 0o702, 0o1777] {
        let dir = TestDirectory::new();
        DirBuilder::new().create(dir.path()).unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(mode)).unwrap();
        assert_refused(dir.path(), "run chmod 0700 on it");
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        FileStore::open(dir.path()).expect("others may read it");
    }
}

#[test]
fn a_link_or_a_file_instead_of_the_directory_is_refused() {
    let outside = scratch_dir();
    let dir = TestDirectory::new();
    let target = outside.path().join("target");
    DirBuilder::new().mode(0o700).create(&target).unwrap();
    symlink(&target, dir.path()).unwrap();
    assert_refused(dir.path(), "not a symbolic link");
    assert_refused(&dir.path().join(""), "not a symbolic link");
    assert_refused(&dir.path().join("."), "not a symbolic link");
    assert!(files_below(&target).is_empty());

    fs::remove_file(dir.path()).unwrap();
    fs::write(dir.path(), "a file").unwrap();
    assert_refused(dir.path(), "must be a directory");
}

#[test]
fn a_directory_that_cannot_be_created_is_refused() {
    let dir = TestDirectory::new();
    fs::write(dir.path(), "a file").unwrap();
    assert_refused(&dir.path().join("below"), "must be a directory");
    assert_refused(Path::new("/proc/sessions"), "that this program can write");
}

/// Opens the directory and reports the error.
#[test]
fn a_process_opens_a_directory_of_another_user() {
    let dir = TestDirectory::inherited_or_new();
    if dir.task("") == "refused" {
        let error = FileStore::open(dir.path()).unwrap_err();
        report(error);
    } else {
        FileStore::open(dir.path()).expect("the directory belongs to this user");
    }
}

/// Only root can give a directory to another user. Other users try a system directory of root's.
#[test]
fn a_directory_of_another_user_is_refused() {
    if !geteuid().is_root() {
        // Otherwise the store would be made there.
        let owner = fs::metadata("/usr").unwrap().uid();
        assert_ne!(owner, geteuid().as_raw(), "/usr belongs to this user");
        assert_refused(
            Path::new("/usr"),
            "must belong to the user that runs this program",
        );
        return;
    }
    require_program("setpriv", "util-linux");
    let dir = TestDirectory::new();
    DirBuilder::new().create(dir.path()).unwrap();
    let parent = dir.path().parent().unwrap();
    fs::set_permissions(parent, Permissions::from_mode(0o755)).unwrap();
    let test = "permissions::a_process_opens_a_directory_of_another_user";
    let nobody = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ];
    let reported = reports(&dir.command(&nobody, test, "refused").output().unwrap());
    assert!(
        reported[0].contains("(65534), not to user 0"),
        "{reported:?}"
    );
}

/// Makes a shard inaccessible and tries calls in it. For root they succeed all the same.
#[test]
fn a_process_lacks_permission() {
    let dir = TestDirectory::inherited_or_new();
    one_blocking_thread().block_on(async {
        let store = dir.store();
        insert_new(&store, &key("it"), &record("x")).await;
        let shard = files_below(dir.path())[0].parent().unwrap().to_owned();
        fs::set_permissions(&shard, Permissions::from_mode(0o000)).unwrap();
        let lacking = !geteuid().is_root();
        assert_eq!(store.load(&key("it")).await.is_err(), lacking);
        assert_eq!(
            store.insert(&key("it"), &record("y")).await.is_err(),
            lacking
        );
        assert!(store.delete(&key("none")).await.is_ok());
        fs::set_permissions(&shard, Permissions::from_mode(0o700)).unwrap();
        assert_eq!(
            store.load(&key("it")).await.unwrap().unwrap().bytes,
            &b"x"[..]
        );
        report(format!("lacking: {lacking}"));
    });
}

#[test]
fn a_process_without_permission_answers_errors_and_recovers() {
    require_program("setpriv", "util-linux");
    let dir = TestDirectory::new();
    let parent = dir.path().parent().unwrap();
    fs::set_permissions(parent, Permissions::from_mode(0o777)).unwrap();
    let nobody = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ];
    let wrapper: &[&str] = if geteuid().is_root() { &nobody } else { &[] };
    let output = dir
        .command(wrapper, "permissions::a_process_lacks_permission", "")
        .output();
    assert_eq!(reports(&output.unwrap()), ["lacking: true"]);
}

/// Keys that would lead out of the directory if they were used as file names.
#[tokio::test]
async fn no_key_leads_out_of_the_directory() {
    let dir = TestDirectory::new();
    let parent = dir.path().parent().unwrap();
    let canary = parent.join("canary");
    fs::write(&canary, "unchanged").unwrap();
    let store = dir.store();
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
            entry: Some(IndexEntry {
                owner,
                provider_session: None,
                expires_at,
            }),
            ..record(name)
        };
        insert_new(&store, &key, &record).await;
    }
    for name in keys {
        let found = store
            .load(&StoreKey::from_stored(name))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(found.bytes, name.as_bytes());
    }
    assert_eq!(sweep_up_to(&store, 100).await, 0);
    assert_eq!(files_below(dir.path()).len(), 2 * keys.len());
    assert_eq!(
        fs::read_dir(parent).unwrap().count(),
        2,
        "something was written beside the directory"
    );
    assert_eq!(fs::read_to_string(&canary).unwrap(), "unchanged");
}

fn assert_refused(directory: &Path, advice: &str) {
    let error: ConfigError = FileStore::open(directory).unwrap_err();
    let text = error.to_string();
    // Removes a trailing slash.
    let path: PathBuf = directory.components().collect();
    let path = path.display().to_string();
    assert!(text.starts_with(&path) && text.contains(advice), "{text}");
    assert!(!text.contains('\n') && !text.contains("SESSION_"), "{text}");
    one_blocking_thread().block_on(async {
        let inserted = FileStore::new(directory)
            .insert(&key("it"), &record("x"))
            .await;
        let error = inserted.expect_err("the store accepts the directory");
        let cause = error.source().expect("the error has a source").to_string();
        assert!(cause.starts_with(&path), "{cause}");
    });
}

fn assert_exact_modes(path: &Path, checked: &mut usize) {
    let meta = fs::symlink_metadata(path).unwrap();
    let expected = match meta.file_type() {
        kind if kind.is_dir() => 0o700,
        // The marker. Nobody can change a link, whatever its mode.
        kind if kind.is_symlink() => return *checked += 1,
        _ => 0o600,
    };
    assert_eq!(meta.mode() & 0o7777, expected, "{}", path.display());
    *checked += 1;
    if meta.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            assert_exact_modes(&entry.unwrap().path(), checked);
        }
    }
}
