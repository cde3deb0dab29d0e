//! A disk that answers ESTALE, as a file system of the network does after its server restarted, and
//! a directory without permission to write: errors while it lasts, and no session counts as absent.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use rustix::process::geteuid;
use session_core::{Error, ExpiredSweep, OwnerIndex, Record, config::ConfigError};
#[cfg(feature = "flask")]
use session_fs::CachelibStore;
use session_fs::FileStore;

use crate::test_directory::{
    TestDirectory, ada, files_below, insert_new, key, of_ada, one_blocking_thread, record, report,
    reports, require_program, with_causes,
};

/// How many system calls on the store's directories fail in each run.
const FAILING: usize = 25;

/// A store of this crate.
enum Tested {
    Files(FileStore),
    #[cfg(feature = "flask")]
    Flask(CachelibStore),
}

impl Tested {
    fn files(dir: &TestDirectory) -> Self {
        Self::Files(dir.store().with_durability(true))
    }

    #[cfg(feature = "flask")]
    fn flask(dir: &TestDirectory) -> Self {
        Self::Flask(CachelibStore::new(dir.path()))
    }

    fn store(&self) -> &dyn ExpiredSweep {
        match self {
            Self::Files(store) => store,
            #[cfg(feature = "flask")]
            Self::Flask(store) => store,
        }
    }

    fn index(&self) -> Option<&dyn OwnerIndex> {
        match self {
            Self::Files(store) => Some(store),
            #[cfg(feature = "flask")]
            Self::Flask(_) => None,
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        match self {
            Self::Files(store) => store.check(),
            #[cfg(feature = "flask")]
            Self::Flask(store) => store.check(),
        }
    }

    /// With an owner if the store lists sessions by owner.
    fn record(&self, bytes: &str) -> Record {
        match self.index() {
            Some(_) => of_ada(bytes),
            None => record(bytes),
        }
    }
}

/// Makes each call of the store until all system calls work again. Reports whether some were errors.
fn use_until_all_works(new: impl Fn(&TestDirectory) -> Tested) {
    let dir = TestDirectory::inherited_or_new();
    let tested = new(&dir);
    let store = tested.store();
    let mut failed = 0;
    let mut note = |error: Option<&Error>| {
        if let Some(error) = error {
            failed += 1;
            assert!(matches!(error, Error::Backend { .. }), "{error:?}");
            let text = with_causes(error);
            let told = text.contains(dir.path().to_str().unwrap())
                && text.contains("Stale file handle (os error 116)");
            assert!(told, "an operator has to know what failed and why: {text}");
        }
        error.is_none()
    };
    one_blocking_thread().block_on(async {
        if dir.task("").is_empty() {
            insert_new(store, &key("it"), &tested.record("0")).await;
        }
        for round in 0..=FAILING {
            let loaded = store.load(&key("it")).await;
            note(loaded.as_ref().err());
            if let Ok(found) = loaded {
                let found = found.expect("the session counts as absent");
                let next = tested.record(&round.to_string());
                let updated = store.update(&key("it"), &next, &found.revision).await;
                if note(updated.as_ref().err()) {
                    assert!(updated.unwrap().is_stored(), "the record counts as absent");
                }
            }
            let inserted = store.insert(&key("it"), &record("second")).await;
            if note(inserted.as_ref().err()) {
                assert!(!inserted.unwrap().is_stored(), "a second one was stored");
            }
            if let Some(index) = tested.index() {
                let listed = index.owned_by(&ada(), None, 10).await;
                if note(listed.as_ref().err()) {
                    assert_eq!(listed.unwrap().records.len(), 1, "the list omits a session");
                }
            }
            let swept = store.sweep(10).await;
            if note(swept.as_ref().err()) {
                assert_eq!(swept.unwrap().removed, 0, "a live session was removed");
            }
            // As long as it fails, the record is there, and otherwise it is not.
            let other = key(&format!("other {round}"));
            let inserted = store.insert(&other, &record("x")).await;
            if note(inserted.as_ref().err()) {
                let deleted = store.delete(&other).await;
                note(deleted.as_ref().err());
                if let Ok(found) = store.load(&other).await {
                    assert!(deleted.is_err() || found.is_none(), "it came back");
                }
            }
        }
        // It runs on another thread, whose calls are counted from the first one again.
        let works = (0..=FAILING).find(|_| tested.check().is_ok());
        assert!(works.is_some(), "{:?}", tested.check());
        let last = store.load(&key("it")).await.unwrap();
        assert!(last.is_some());
    });
    report(failed > 0);
}

#[test]
fn a_process_uses_a_disk_that_answers_estale() {
    use_until_all_works(Tested::files);
}

#[cfg(feature = "flask")]
#[test]
fn a_process_shares_a_disk_that_answers_estale_with_flask() {
    use_until_all_works(Tested::flask);
}

/// Lets each of these system calls fail, on what is in the store's directory before the test starts.
fn fail(test: &str, calls: &[&str], new: impl Fn(&TestDirectory) -> Tested) {
    require_program("strace", "strace");
    for call in calls {
        let dir = TestDirectory::new();
        let tested = new(&dir);
        let first = tested.record("0");
        one_blocking_thread().block_on(insert_new(tested.store(), &key("it"), &first));
        let mut paths = files_below(dir.path());
        for file in files_below(dir.path()) {
            paths.extend(file.ancestors().skip(1).map(Path::to_owned));
        }
        paths.retain(|path| path.starts_with(dir.path()));
        let failing = format!("inject={call}:error=ESTALE:when=1..{FAILING}");
        let mut strace = vec!["strace", "-f", "-qq", "-o", "/dev/null", "-e", &failing];
        for path in &paths {
            strace.extend(["-P", path.to_str().unwrap()]);
        }
        let output = dir.command(&strace, test, "fail").output().unwrap();
        assert_eq!(reports(&output), ["true"], "{call}");
    }
}

/// Not `write`: the staged file that it writes has another name each time, which `strace` cannot be
/// told. `disk_full.rs` lets it fail.
#[test]
fn whatever_call_answers_estale_no_session_counts_as_absent_and_the_store_recovers() {
    let test = "stale_handle::a_process_uses_a_disk_that_answers_estale";
    let calls = [
        "openat",
        "fstat",
        "flock",
        "read",
        "readlinkat",
        "getdents64",
        "mkdirat",
        "fchmodat",
        "unlinkat",
        "linkat",
        "renameat",
        "fsync",
    ];
    fail(test, &calls, Tested::files);
}

#[cfg(feature = "flask")]
#[test]
fn whatever_call_answers_estale_no_session_shared_with_flask_counts_as_absent() {
    let test = "stale_handle::a_process_shares_a_disk_that_answers_estale_with_flask";
    let calls = [
        "openat",
        "fstat",
        "flock",
        "read",
        "readlinkat",
        "getdents64",
        "unlinkat",
        "linkat",
        "renameat",
    ];
    fail(test, &calls, Tested::flask);
}

/// Takes the right to write from all directories. For root, all calls succeed all the same.
fn use_without_the_right_to_write(new: impl Fn(&TestDirectory) -> Tested) {
    let dir = TestDirectory::inherited_or_new();
    let tested = new(&dir);
    let store = tested.store();
    one_blocking_thread().block_on(async {
        let revision = insert_new(store, &key("it"), &tested.record("x")).await;
        let before = files_below(dir.path());
        set_modes(dir.path(), 0o500);
        let lacking = !geteuid().is_root();
        let found = store.load(&key("it")).await.unwrap();
        assert_eq!(found.unwrap().bytes, &b"x"[..], "it can be read");
        if let Some(index) = tested.index() {
            let listed = index.owned_by(&ada(), None, 10).await.unwrap();
            assert_eq!(listed.records.len(), 1);
        }
        let next = tested.record("y");
        let inserted = store.insert(&key("other"), &next).await;
        assert_eq!(inserted.is_err(), lacking, "{inserted:?}");
        let updated = store.update(&key("it"), &next, &revision).await;
        assert_eq!(updated.is_err(), lacking, "{updated:?}");
        let deleted = store.delete(&key("it")).await;
        assert_eq!(deleted.is_err(), lacking, "{deleted:?}");
        assert_eq!(tested.check().is_err(), lacking);
        set_modes(dir.path(), 0o700);
        if lacking {
            assert_eq!(files_below(dir.path()), before);
            let updated = store.update(&key("it"), &next, &revision).await;
            assert!(updated.unwrap().is_stored(), "it can be written again");
        }
        report(lacking);
    });
}

#[test]
fn a_process_cannot_write_its_directory() {
    use_without_the_right_to_write(Tested::files);
}

#[cfg(feature = "flask")]
#[test]
fn a_process_cannot_write_the_directory_that_it_shares_with_flask() {
    use_without_the_right_to_write(Tested::flask);
}

fn set_modes(directory: &Path, mode: u32) {
    fs::set_permissions(directory, Permissions::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            set_modes(&path, mode);
        }
    }
    fs::set_permissions(directory, Permissions::from_mode(mode)).unwrap();
}

/// Runs a test as a user who is not root.
fn as_nobody(test: &str) {
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
    let output = dir.command(wrapper, test, "").output().unwrap();
    assert_eq!(reports(&output), ["true"]);
}

#[test]
fn a_directory_that_cannot_be_written_is_read_and_every_write_is_an_error() {
    as_nobody("stale_handle::a_process_cannot_write_its_directory");
}

#[cfg(feature = "flask")]
#[test]
fn a_directory_of_flask_that_cannot_be_written_is_read_and_every_write_is_an_error() {
    as_nobody("stale_handle::a_process_cannot_write_the_directory_that_it_shares_with_flask");
}
