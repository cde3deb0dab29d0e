//! A durable store flushes each write in a safe order before it answers. A failing disk is an
//! error.

use std::{fs, process::Stdio};

use session_core::SessionStore as _;
use session_fs::FileStore;
use session_tests::rounds;

use crate::test_directory::{
    TestDirectory, key, one_blocking_thread, record, report, reports, require_program,
};

const CALLS: &str = "trace=fsync,fdatasync,rename,renameat,renameat2,linkat,unlinkat,write";

/// Writes durably `rounds()` times, and reports the result of each write.
#[test]
fn a_process_writes_durably() {
    let dir = TestDirectory::inherited_or_new();
    let store = dir.store().with_durability(true);
    one_blocking_thread().block_on(async {
        let inserted = store.insert(&key("it"), &record("0")).await;
        report(format!("insert {}", inserted.is_ok()));
        for round in 0..rounds() {
            let Some(found) = store.load(&key("it")).await.unwrap() else {
                return;
            };
            let next = record(round.to_string());
            let written = store.update(&key("it"), &next, &found.revision).await;
            assert!(
                dir.task("").contains("fail") || written.is_ok(),
                "{written:?}"
            );
            report(format!("update {}", written.is_ok()));
        }
        report(format!("delete {}", store.delete(&key("it")).await.is_ok()));
    });
}

#[test]
fn a_durable_write_is_flushed_then_renamed_then_flushed() {
    require_program("strace", "strace");
    let dir = TestDirectory::new();
    let log = dir.path().with_extension("strace");
    let strace = [
        "strace",
        "-f",
        "-y",
        "-qq",
        "-o",
        log.to_str().unwrap(),
        "-e",
        CALLS,
    ];
    let output = dir
        .command(&strace, "power_loss::a_process_writes_durably", "x")
        .output();
    assert_eq!(reports(&output.unwrap()).len(), rounds() + 2);

    let root = dir.path().to_str().unwrap();
    let log = fs::read_to_string(&log).unwrap();
    let calls: String = log
        .lines()
        .filter(|line| line.contains(root))
        .map(letter)
        .collect();
    // Creating a directory flushes its parent. The insert, the updates and the delete follow.
    let updates = "wFrD".repeat(rounds());
    assert!(calls.ends_with(&format!("wFluD{updates}uD")), "{calls}");
    assert_eq!(calls.matches('w').count(), rounds() + 1, "{calls}");
}

#[test]
fn a_process_makes_directories() {
    let dir = TestDirectory::inherited_or_new();
    FileStore::open(dir.path().join("a/b/c")).unwrap();
}

#[test]
fn each_directory_that_is_made_is_flushed() {
    require_program("strace", "strace");
    let dir = TestDirectory::new();
    let log = dir.path().with_extension("strace");
    let log = log.to_str().unwrap();
    let strace = ["strace", "-f", "-y", "-qq", "-o", log, "-e", "trace=fsync"];
    let mut command = dir.command(&strace, "power_loss::a_process_makes_directories", "x");
    assert!(command.output().unwrap().status.success());
    let log = fs::read_to_string(log).unwrap();
    let root = dir.path().to_str().unwrap();
    for made_in in ["", "/a", "/a/b", "/a/b/c"] {
        assert!(
            log.contains(&format!("<{root}{made_in}>")),
            "{made_in:?}: {log}"
        );
    }
}

#[test]
fn a_disk_that_fails_to_flush_is_never_answered_as_stored() {
    require_program("strace", "strace");
    for when in ["1+", "4+", "5+", "6+"] {
        let dir = TestDirectory::new();
        let fail = format!("inject=fsync:error=EIO:when={when}");
        let strace = [
            "strace",
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            "trace=fsync",
            "-e",
            &fail,
        ];
        let mut command = dir.command(&strace, "power_loss::a_process_writes_durably", "fail");
        let reported = reports(
            &command
                .stderr(Stdio::null())
                .env("SESSION_TEST_ROUNDS", "3")
                .output()
                .unwrap(),
        );
        assert!(
            reported.iter().any(|word| word.ends_with("false")),
            "{when}: {reported:?}"
        );
        assert!(
            !reported.contains(&"update true".to_owned()),
            "{when}: {reported:?}"
        );

        // The disk works again.
        one_blocking_thread().block_on(async {
            let store = dir.store();
            let found = store.load(&key("it")).await.unwrap();
            if let Some(found) = found {
                let result = store
                    .update(&key("it"), &record("after"), &found.revision)
                    .await;
                assert!(result.unwrap().is_stored(), "{when}");
            } else {
                let result = store.insert(&key("it"), &record("after")).await;
                assert!(result.unwrap().is_stored(), "{when}");
            }
        });
    }
}

/// One letter for a system call: `w`rite, `l`ink, `r`ename, `u`nlink, `F`lush of a file, `D` for
/// the flush of a directory.
fn letter(line: &str) -> char {
    match line.split_once(' ').map(|(_, call)| call.trim_start()) {
        Some(call) if call.starts_with("fsync") && call.contains("/.staged-") => 'F',
        Some(call) if call.starts_with("fsync") => 'D',
        Some(call) => call.chars().next().unwrap_or('?'),
        None => '?',
    }
}
