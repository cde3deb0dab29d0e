//! A process that is killed at any system call of a write leaves the old record or the new one, whole.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::{Duration, SystemTime},
};

use rustix::fs::fstat;
use session_core::{ExpiredSweep as _, Record, SessionStore as _, Write};
use session_fs::FileStore;
use session_tests::rounds;

use crate::place::{
    Place, brief, files_below, key, keys_of_ada, listed, need, of_ada, one_blocking_thread, put,
    record, tell, told, words,
};

const OLD: [u8; 300] = [b'o'; 300];
const NEW: [u8; 200] = [b'n'; 200];
/// So many that the thread that writes has made more calls of each kind than any other before it begins.
const RUN_UP: usize = 100;

/// Does what the task says, on a thread whose every call on files from then on belongs to it, and tells the answer.
#[test]
fn a_process_writes() {
    let place = Place::given_or_own();
    let (mode, write) = place.task("plain insert").split_once(' ').unwrap();
    let store = place.store().with_durability(mode == "durable");
    one_blocking_thread().block_on(async {
        let found = store.load(&key("it")).await.unwrap();
        tokio::task::spawn_blocking(run_up).await.unwrap();
        let done = match write {
            "insert" => store
                .insert(&key("it"), &of_ada(NEW))
                .await
                .unwrap()
                .is_stored(),
            "update" => {
                let revision = found.unwrap().revision;
                let far = SystemTime::now() + Duration::from_hours(9);
                let moved = Record {
                    expires_at: far,
                    ..record(NEW)
                };
                let answer = store.update(&key("it"), &listed(moved), &revision).await;
                answer.unwrap().is_stored()
            }
            "end" => {
                let revision = found.unwrap().revision;
                let marker = Record {
                    entry: listed(brief(60_000)).entry,
                    ..record(NEW)
                };
                let answer = store.update(&key("it"), &marker, &revision).await;
                answer.unwrap().is_stored()
            }
            "delete" => store.delete(&key("it")).await.is_ok(),
            other => panic!("{other}?"),
        };
        assert!(done, "{write} was refused");
        tell("answered");
    });
}

/// Strace counts each kind of call, in each thread, for itself.
fn run_up() {
    for _ in 0..RUN_UP {
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
fn a_killed_log_out_leaves_the_session_with_its_entry_or_the_marker() {
    kill_at_every_call("plain end", None);
    kill_at_every_call("durable end", None);
}

#[test]
fn a_killed_delete_leaves_the_record_or_nothing() {
    kill_at_every_call("plain delete", None);
    kill_at_every_call("durable delete", None);
}

/// The record is then written in place; that the opening of a file changes nothing, the other tests show.
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
    need("strace", "strace");
    let calls = calls_of(task, failure);
    assert!(calls.len() > 5, "{task} makes {} calls", calls.len());
    for _ in 0..rounds().div_ceil(50) {
        for call in &calls {
            kill_at(task, call, failure);
        }
    }
    calls
}

/// A system call that fails, whatever else happens.
struct Failure<'a> {
    call: &'a Call,
    error: &'a str,
}

/// A system call of the thread that writes, such as its 104th `openat`.
struct Call {
    kind: String,
    number: usize,
    line: String,
}

/// The calls that make up `task`.
fn calls_of(task: &str, failure: Option<&Failure<'_>>) -> Vec<Call> {
    let place = Place::own();
    prepare(&place, task);
    let log = place.directory().with_extension("strace");
    told(&strace(&place, log.to_str().unwrap(), failure, None, task));
    let log = fs::read_to_string(log).unwrap();
    let last_of_run_up = log.lines().rfind(|line| line.contains("\"/dev/null\""));
    let (writer, _) = last_of_run_up
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
    let begin = calls
        .iter()
        .rposition(|call| call.line.contains("/dev/null"))
        .unwrap();
    // The rest of the run-up's last round: fstat, read, write, close.
    calls.drain(..begin + 5);
    // The runtime's own calls, to wake a thread and for memory, come or not as it happens.
    calls.retain(|call| call.kind != "mmap" && !call.line.contains(r#", "\1\0\0\0\0\0\0\0", 8"#));
    // Strace does one thing to one kind of call.
    calls.retain(|call| failure.is_none_or(|failure| failure.call.kind != call.kind));
    calls
}

fn kill_at(task: &str, call: &Call, failure: Option<&Failure<'_>>) {
    let place = Place::own();
    prepare(&place, task);
    let output = strace(&place, "/dev/null", failure, Some(call), task);
    let at = format!("{task}, killed at {}", call.line);
    assert!(!output.status.success(), "{at}: it was not");
    let answered = !words(&output).is_empty();
    one_blocking_thread().block_on(async {
        whole(&place.store(), task, answered, &at).await;
        usable(&place.store(), &at).await;
        let left = staged_files(place.directory());
        assert!(left <= 1, "{at}: {left} staged files");
        assert_eq!(place.store().sweep(10).await.unwrap(), 0, "{at}");
        assert_eq!(staged_files(place.directory()), 0, "{at}: after the sweep");
    });
}

fn strace(
    place: &Place,
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
    let mut before = vec!["strace", "-f", "-qq", "-o", log, "-e", "trace=%file,%desc"];
    before.extend(inject.iter().flat_map(|inject| ["-e", inject]));
    let mut command = place.process(&before, "kills::a_process_writes", task);
    command.stdin(Stdio::null()).output().unwrap()
}

fn prepare(place: &Place, task: &str) {
    one_blocking_thread().block_on(async {
        if !task.ends_with("insert") {
            put(&place.store(), &key("it"), &of_ada(OLD)).await;
        }
    });
}

async fn whole(store: &FileStore, task: &str, answered: bool, at: &str) {
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

/// No lock is left behind.
async fn usable(store: &FileStore, at: &str) {
    let answer = if let Some(found) = store.load(&key("it")).await.unwrap() {
        let next = record("next");
        store.update(&key("it"), &next, &found.revision).await
    } else {
        store.insert(&key("it"), &record("next")).await
    };
    assert!(matches!(answer, Ok(Write::Stored(_))), "{at}");
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
