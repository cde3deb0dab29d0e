//! What a durable store has answered is on the disk, in the order that makes it safe; a disk that fails is an error.

use std::{fs, process::Stdio};

use session_core::SessionStore as _;
use session_tests::rounds;

use crate::place::{Place, key, need, one_blocking_thread, record, tell, told};

const CALLS: &str = "trace=fsync,fdatasync,rename,renameat,renameat2,linkat,unlinkat,write";

/// Writes durably, as often as a round is repeated, and tells how each write ended.
#[test]
fn a_process_writes_durably() {
    let place = Place::given_or_own();
    let store = place.store().with_durability(true);
    one_blocking_thread().block_on(async {
        let inserted = store.insert(&key("it"), &record("0")).await;
        tell(format!("insert {}", inserted.is_ok()));
        for round in 0..rounds() {
            let Some(found) = store.load(&key("it")).await.unwrap() else {
                return;
            };
            let next = record(round.to_string());
            let written = store.update(&key("it"), &next, &found.revision).await;
            assert!(
                place.task("").contains("fail") || written.is_ok(),
                "{written:?}"
            );
            tell(format!("update {}", written.is_ok()));
        }
        tell(format!("delete {}", store.delete(&key("it")).await.is_ok()));
    });
}

#[test]
fn a_durable_write_is_flushed_then_renamed_then_flushed() {
    need("strace", "strace");
    let place = Place::own();
    let log = place.directory().with_extension("strace");
    let before = [
        "strace",
        "-f",
        "-y",
        "-qq",
        "-o",
        log.to_str().unwrap(),
        "-e",
        CALLS,
    ];
    let output = place
        .process(&before, "power_loss::a_process_writes_durably", "x")
        .output();
    assert_eq!(told(&output.unwrap()).len(), rounds() + 2);

    let root = place.directory().to_str().unwrap();
    let log = fs::read_to_string(&log).unwrap();
    let calls: String = log
        .lines()
        .filter(|line| line.contains(root))
        .map(letter)
        .collect();
    // Each new directory flushes the one above it; then the insert, the updates and the delete.
    let updates = "wFrD".repeat(rounds());
    assert!(calls.ends_with(&format!("wFluD{updates}uD")), "{calls}");
    assert_eq!(calls.matches('w').count(), rounds() + 1, "{calls}");
}

#[test]
fn a_disk_that_fails_to_flush_is_never_answered_as_stored() {
    need("strace", "strace");
    for when in ["1+", "4+", "5+", "6+"] {
        let place = Place::own();
        let fail = format!("inject=fsync:error=EIO:when={when}");
        let before = [
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
        let mut command = place.process(&before, "power_loss::a_process_writes_durably", "fail");
        let said = told(
            &command
                .stderr(Stdio::null())
                .env("SESSION_TEST_ROUNDS", "3")
                .output()
                .unwrap(),
        );
        assert!(
            said.iter().any(|word| word.ends_with("false")),
            "{when}: {said:?}"
        );
        assert!(
            !said.contains(&"update true".to_owned()),
            "{when}: {said:?}"
        );

        // The same disk, working again.
        one_blocking_thread().block_on(async {
            let store = place.store();
            let found = store.load(&key("it")).await.unwrap();
            if let Some(found) = found {
                let answer = store
                    .update(&key("it"), &record("after"), &found.revision)
                    .await;
                assert!(answer.unwrap().is_stored(), "{when}");
            } else {
                let answer = store.insert(&key("it"), &record("after")).await;
                assert!(answer.unwrap().is_stored(), "{when}");
            }
        });
    }
}

/// A letter for a system call: `w`rite, `l`ink, `r`ename, `u`nlink, `F`lush of a file, `D` of a directory.
fn letter(line: &str) -> char {
    match line.split_once(' ').map(|(_, call)| call.trim_start()) {
        Some(call) if call.starts_with("fsync") && call.contains("/.staged-") => 'F',
        Some(call) if call.starts_with("fsync") => 'D',
        Some(call) => call.chars().next().unwrap_or('?'),
        None => '?',
    }
}
