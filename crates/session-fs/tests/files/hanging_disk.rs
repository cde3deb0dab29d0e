//! A disk that hangs: calls fail in time, other blocking work goes on, and what was given up before
//! it began is not carried out later.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use session_core::SessionStore as _;
use session_tests::assert_in_time;
use tokio::{
    runtime::Builder,
    task::spawn_blocking,
    time::{sleep, timeout},
};

use crate::test_directory::{
    TestDirectory, files_below, insert_new, key, one_blocking_thread, record, report, reports,
    require_program,
};

/// How many operations the store has at once: see the README.
const AT_ONCE: usize = 16;
/// As many as a worker of Actix has on a machine with sixteen cores.
const BLOCKING_THREADS: usize = 32;
const CALLS: usize = 200;
/// How long each open hangs, in microseconds.
const HANG: &str = "1000000";
/// A session is inserted after four opens.
const INSERTED: Duration = Duration::from_secs(6);

#[test]
fn a_disk_that_hangs_stops_no_other_work_and_carries_out_nothing_that_was_given_up() {
    require_program("strace", "strace");
    let dir = TestDirectory::new();
    one_blocking_thread().block_on(insert_new(&dir.store(), &key("it"), &record("x")));
    let hanging = format!("inject=openat:delay_enter={HANG}");
    let path = dir.path().to_str().unwrap();
    let strace = [
        "strace",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        &hanging,
        "-P",
        path,
    ];
    let test = "hanging_disk::a_process_uses_a_disk_that_hangs";
    let output = dir.command(&strace, test, "hangs").output().unwrap();
    let numbers: Vec<usize> = reports(&output)
        .iter()
        .map(|report| report.parse().unwrap())
        .collect();
    let [answered, took, inserted] = numbers[..] else {
        panic!("{numbers:?}");
    };
    assert_eq!(answered, 0);
    assert_in_time!(took < 500, "other blocking work took {took} ms");
    assert!(
        (1..=AT_ONCE).contains(&inserted),
        "{inserted} were carried out"
    );
}

#[test]
fn a_process_uses_a_disk_that_hangs() {
    let dir = TestDirectory::inherited_or_new();
    let hangs = !dir.task("").is_empty();
    let patience = Duration::from_millis(if hangs { 500 } else { 60_000 });
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
        .unwrap();
    let store = dir.store();
    let before = files_below(dir.path()).len();
    runtime.block_on(async {
        let inserts = (0..CALLS).map(|number| {
            let store = &store;
            async move {
                let (key, record) = (key(&format!("late {number}")), record("x"));
                timeout(patience, store.insert(&key, &record)).await.is_ok()
            }
        });
        let answered = join_all(inserts).await;
        report(answered.iter().filter(|it| **it).count());

        let begin = Instant::now();
        spawn_blocking(|| ()).await.unwrap();
        report(begin.elapsed().as_millis());
        if hangs {
            sleep(INSERTED).await;
        }
    });
    let inserted = files_below(dir.path()).len() - before;
    report(inserted);
    assert!(hangs || inserted == CALLS, "{inserted} were carried out");
}
