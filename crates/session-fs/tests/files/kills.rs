//! A process that is killed at any system call of a write leaves the complete old record or the
//! complete new one.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::{Duration, SystemTime},
};

use rustix::fs::fstat;
use session_core::{Record, SessionStore as _, Write};
use session_fs::FileStore;
use session_tests::{rounds, sweep_up_to};

use crate::test_directory::{
    TestDirectory, files_below, insert_new, key, keys_of_ada, listed, of_ada, one_blocking_thread,
    record, report, reports, reports_before_exit, require_program, short_lived,
};

const OLD: [u8; 300] = [b'o'; 300];
const NEW: [u8; 200] = [b'n'; 200];
/// Calls of each kind that the writing thread makes first, so that it has made more than any other
/// thread and can be identified by their number.
const WARM_UP_CALLS: usize = 100;

/// Performs the write that the task names, and reports when it is answered. After the warm-up,
/// every file operation of the blocking thread belongs to that write.
#[test]
fn a_process_writes() {
    let dir = TestDirectory::inherited_or_new();
    let (mode, write) = dir.task("plain insert").split_once(' ').unwrap();
    let store = dir.store().with_durability(mode == "durable");
    one_blocking_thread().block_on(async {
        let found = store.load(&key("it")).await.unwrap();
        tokio::task::spawn_blocking(warm_up).await.unwrap();
        let stored = match write {
            "insert" => store
                .insert(&key("it"), &of_ada(NEW))
                .await
                .unwrap()
                .is_stored(),
            "update" => {
                let revision = found.unwrap().revision;
                let far = SystemTime::now() + Duration::from_secs(9 * 3600);
                let refreshed = Record {
                    expires_at: far,
                    ..record(NEW)
                };
                let result = store
                    .update(&key("it"), &listed(refreshed), &revision)
                    .await;
                result.unwrap().is_stored()
            }
            "end" => {
                let revision = found.unwrap().revision;
                let tombstone = Record {
                    entry: listed(short_lived(60_000)).entry,
                    ..record(NEW)
                };
                let result = store.update(&key("it"), &tombstone, &revision).await;
                result.unwrap().is_stored()
            }
            "delete" => store.delete(&key("it")).await.is_ok(),
            other => panic!("unknown write: {other}"),
        };
        assert!(stored, "{write} was refused");
        report("answered");
    });
}

/// Strace counts the calls of each kind separately for each thread.
fn warm_up() {
    for _ in 0..WARM_UP_CALLS {
        let mut file = File::options()
            .read(true)
            .write(true)
            .open("/dev/null")
            .unwrap();
        fstat(&file).unwrap();
        assert_eq!(file.read(&mut [0]).unwrap(), 0);
        assert_eq!(file.write(&[0]).unwrap(), 1);
    }
}

#[test]
fn a_killed_insert_leaves_nothing_or_the_record() {
    kill_at_every_call("plain insert", None);
    kill_at_every_call("durable insert", None);
}

#[test]
fn a_killed_update_leaves_the_old_record_or_the_new_one() {
    kill_at_every_call("plain update", None);
    kill_at_every_call("durable update", None);
}

#[test]
fn a_killed_log_out_leaves_the_session_with_its_entry_or_the_tombstone() {
    kill_at_every_call("plain end", None);
    kill_at_every_call("durable end", None);
}

#[test]
fn a_killed_delete_leaves_the_record_or_nothing() {
    kill_at_every_call("plain delete", None);
    kill_at_every_call("durable delete", None);
}

/// On a full disk the record is overwritten in place. `openat` itself fails here, so no kill is
/// tested at it; the other tests cover that.
#[test]
fn a_killed_update_on_a_full_disk_leaves_the_old_record_or_the_new_one() {
    let calls = calls_of("plain update", None);
    let staging = calls.iter().find(|call| call.line.contains("\".staged-"));
    let full = Failure {
        call: staging.unwrap(),
        error: "ENOSPC",
    };
    let calls = kill_at_every_call("plain update", Some(&full));
    assert!(
        calls.iter().any(|call| call.kind == "pwrite64"),
        "nothing was written in place"
    );
}

fn kill_at_every_call(task: &str, failure: Option<&Failure<'_>>) -> Vec<Call> {
    require_program("strace", "strace");
    let calls = calls_of(task, failure);
    assert!(calls.len() > 5, "{task} makes {} calls", calls.len());
    for _ in 0..rounds().div_ceil(50) {
        for call in &calls {
            kill_at(task, call, failure);
        }
    }
    calls
}

/// A system call that strace makes fail.
struct Failure<'a> {
    call: &'a Call,
    error: &'a str,
}

/// A system call of the writing thread, such as its 104th `openat`.
struct Call {
    kind: String,
    number: usize,
    line: String,
}

/// The system calls that `task` makes.
fn calls_of(task: &str, failure: Option<&Failure<'_>>) -> Vec<Call> {
    let dir = TestDirectory::new();
    prepare(&dir, task);
    let log = dir.path().with_extension("strace");
    reports(&strace(&dir, log.to_str().unwrap(), failure, None, task));
    let log = fs::read_to_string(log).unwrap();
    let last_of_warm_up = log.lines().rfind(|line| line.contains("\"/dev/null\""));
    let (writer, _) = last_of_warm_up
        .and_then(|line| line.split_once(' '))
        .unwrap();
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let mut calls = Vec::new();
    for line in log.lines().filter_map(|line| line.strip_prefix(writer)) {
        let Some((kind, _)) = line
            .trim()
            .split_once('(')
            .filter(|_| !line.contains("resumed>"))
        else {
            continue;
        };
        let number = numbers.entry(kind.to_owned()).or_default();
        *number += 1;
        calls.push(Call {
            kind: kind.to_owned(),
            number: *number,
            line: line.trim().to_owned(),
        });
    }
    let last_warm_up = calls
        .iter()
        .rposition(|call| call.line.contains("/dev/null"))
        .unwrap();
    // The last round of the warm-up also calls fstat, read, write and close.
    calls.drain(..last_warm_up + 5);
    // The runtime's own calls, for memory and to wake a thread, vary between runs.
    calls.retain(|call| call.kind != "mmap" && !call.line.contains(r#", "\1\0\0\0\0\0\0\0", 8"#));
    // Strace can inject only one fault for each kind of call.
    calls.retain(|call| failure.is_none_or(|failure| failure.call.kind != call.kind));
    calls
}

fn kill_at(task: &str, call: &Call, failure: Option<&Failure<'_>>) {
    let dir = TestDirectory::new();
    prepare(&dir, task);
    let output = strace(&dir, "/dev/null", failure, Some(call), task);
    let at = format!("{task}, killed at {}", call.line);
    assert!(!output.status.success(), "{at}: the process was not killed");
    let answered = !reports_before_exit(&output).is_empty();
    one_blocking_thread().block_on(async {
        assert_complete(&dir.store(), task, answered, &at).await;
        assert_unlocked(&dir.store(), &at).await;
        let left = staged_files(dir.path());
        assert!(left <= 1, "{at}: {left} staged files");
        assert_eq!(sweep_up_to(&dir.store(), 10).await, 0, "{at}");
        assert_eq!(staged_files(dir.path()), 0, "{at}: after the sweep");
    });
}

fn strace(
    dir: &TestDirectory,
    log: &str,
    failure: Option<&Failure<'_>>,
    kill: Option<&Call>,
    task: &str,
) -> Output {
    let kill = kill.map(|call| (call, "signal=SIGKILL".to_owned()));
    let fail = failure.map(|failure| (failure.call, format!("error={}", failure.error)));
    let inject: Vec<_> = [kill, fail]
        .into_iter()
        .flatten()
        .map(|(call, what)| format!("inject={}:{what}:when={}", call.kind, call.number))
        .collect();
    let mut wrapper = vec!["strace", "-f", "-qq", "-o", log, "-e", "trace=%file,%desc"];
    wrapper.extend(inject.iter().flat_map(|inject| ["-e", inject]));
    let mut command = dir.command(&wrapper, "kills::a_process_writes", task);
    command.stdin(Stdio::null()).output().unwrap()
}

fn prepare(dir: &TestDirectory, task: &str) {
    one_blocking_thread().block_on(async {
        if !task.ends_with("insert") {
            insert_new(&dir.store(), &key("it"), &of_ada(OLD)).await;
        }
    });
}

async fn assert_complete(store: &FileStore, task: &str, answered: bool, at: &str) {
    let found = store
        .load(&key("it"))
        .await
        .unwrap_or_else(|error| panic!("{at}: {error:?}"));
    let bytes = found.map(|found| found.bytes.to_vec());
    let (old, new) = (Some(OLD.to_vec()), Some(NEW.to_vec()));
    let (before, after) = match task.rsplit_once(' ').unwrap().1 {
        "insert" => (None, new),
        "delete" => (old, None),
        _ => (old, new),
    };
    assert!(bytes == after || (bytes == before && !answered), "{at}");
    let listed = keys_of_ada(store).await;
    assert_eq!(
        listed.len(),
        usize::from(bytes.is_some()),
        "{at}: not listed"
    );
}

/// The killed process left no lock.
async fn assert_unlocked(store: &FileStore, at: &str) {
    let result = if let Some(found) = store.load(&key("it")).await.unwrap() {
        let next = record("next");
        store.update(&key("it"), &next, &found.revision).await
    } else {
        store.insert(&key("it"), &record("next")).await
    };
    assert!(matches!(result, Ok(Write::Stored(_))), "{at}");
}

fn staged_files(directory: &Path) -> usize {
    let is_staged = |file: &PathBuf| {
        file.file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with(".staged-")
    };
    files_below(directory)
        .iter()
        .filter(|file| is_staged(file))
        .count()
}
