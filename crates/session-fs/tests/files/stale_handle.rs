//! A disk that answers ESTALE, as a file system of the network does after its server restarted, and
//! a directory without permission to write: errors while it lasts, and no session counts as absent.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use rustix::process::geteuid;
use session_core::{Error, ExpiredSweep as _, OwnerIndex as _, SessionStore as _};

use crate::test_directory::{
    TestDirectory, ada, files_below, insert_new, key, of_ada, one_blocking_thread, record, report,
    reports, require_program, with_causes,
};

/// How many system calls on the store's directories fail in each run.
const FAILING: usize = 25;

/// Each call of the store until all system calls work again. Reports how many were errors.
#[test]
fn a_process_uses_a_disk_that_answers_estale() {
    let dir = TestDirectory::inherited_or_new();
    let task = dir.task("").to_owned();
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
        let store = dir.store();
        if task.is_empty() {
            insert_new(&store, &key("it"), &of_ada("0")).await;
        }
        for round in 0..=FAILING {
            let loaded = store.load(&key("it")).await;
            note(loaded.as_ref().err());
            if let Ok(found) = loaded {
                let found = found.expect("the session counts as absent");
                let next = of_ada(round.to_string());
                let updated = store.update(&key("it"), &next, &found.revision).await;
                if note(updated.as_ref().err()) {
                    assert!(updated.unwrap().is_stored(), "the record counts as absent");
                }
            }
            let inserted = store.insert(&key("it"), &record("second")).await;
            if note(inserted.as_ref().err()) {
                assert!(!inserted.unwrap().is_stored(), "a second one was stored");
            }
            let listed = store.owned_by(&ada(), None, 10).await;
            if note(listed.as_ref().err()) {
                assert_eq!(listed.unwrap().records.len(), 1, "the list omits a session");
            }
            let swept = store.sweep(10).await;
            if note(swept.as_ref().err()) {
                assert_eq!(swept.unwrap(), 0, "a live session was removed");
            }
            // As long as it fails, the record is there, and otherwise it is not.
            let other = key(&format!("other {round}"));
            if store.insert(&other, &record("x")).await.is_ok() {
                let deleted = store.delete(&other).await;
                note(deleted.as_ref().err());
                if let Ok(found) = store.load(&other).await {
                    assert!(deleted.is_err() || found.is_none(), "it came back");
                }
            }
        }
        // It runs on another thread, whose calls are counted from the first one again.
        let check = (0..=FAILING).find(|_| store.check().is_ok());
        assert!(check.is_some(), "{:?}", store.check());
        let last = store.load(&key("it")).await.unwrap();
        assert!(last.is_some());
    });
    report(failed > 0);
}

#[test]
fn whatever_call_answers_estale_no_session_counts_as_absent_and_the_store_recovers() {
    require_program("strace", "strace");
    for call in [
        "openat",
        "fstat",
        "flock",
        "read",
        "readlinkat",
        "getdents64",
        "unlinkat",
        "linkat",
        "renameat",
    ] {
        let dir = TestDirectory::new();
        one_blocking_thread().block_on(insert_new(&dir.store(), &key("it"), &of_ada("0")));
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
        let test = "stale_handle::a_process_uses_a_disk_that_answers_estale";
        let output = dir.command(&strace, test, "fail").output().unwrap();
        assert_eq!(reports(&output), ["true"], "{call}");
    }
}

/// Takes the right to write from all directories. For root, all calls succeed all the same.
#[test]
fn a_process_cannot_write_its_directory() {
    let dir = TestDirectory::inherited_or_new();
    one_blocking_thread().block_on(async {
        let store = dir.store();
        let revision = insert_new(&store, &key("it"), &of_ada("x")).await;
        let before = files_below(dir.path());
        set_modes(dir.path(), 0o500);
        let lacking = !geteuid().is_root();
        let found = store.load(&key("it")).await.unwrap();
        assert_eq!(found.unwrap().bytes, &b"x"[..], "it can be read");
        let listed = store.owned_by(&ada(), None, 10).await.unwrap();
        assert_eq!(listed.records.len(), 1);
        let inserted = store.insert(&key("other"), &of_ada("y")).await;
        assert_eq!(inserted.is_err(), lacking, "{inserted:?}");
        let updated = store.update(&key("it"), &of_ada("y"), &revision).await;
        assert_eq!(updated.is_err(), lacking, "{updated:?}");
        let deleted = store.delete(&key("it")).await;
        assert_eq!(deleted.is_err(), lacking, "{deleted:?}");
        assert_eq!(store.check().is_err(), lacking);
        set_modes(dir.path(), 0o700);
        if lacking {
            assert_eq!(files_below(dir.path()), before);
            let updated = store.update(&key("it"), &of_ada("y"), &revision).await;
            assert!(updated.unwrap().is_stored(), "it can be written again");
        }
        report(lacking);
    });
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

#[test]
fn a_directory_that_cannot_be_written_is_read_and_every_write_is_an_error() {
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
    let test = "stale_handle::a_process_cannot_write_its_directory";
    let output = dir.command(wrapper, test, "").output().unwrap();
    assert_eq!(reports(&output), ["true"]);
}
