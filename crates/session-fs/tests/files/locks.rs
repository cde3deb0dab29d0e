//! A lock that is never released makes an error of a write. A killed process releases its lock.

use std::{
    fs::File,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::fs::{FlockOperation, flock};
use session_core::{Error, SessionStore as _};

use crate::test_directory::{
    TestDirectory, files_below, insert_new, key, record, require_program, with_causes,
};
use session_tests::assert_in_time;

#[tokio::test]
async fn a_lock_that_is_never_released_is_an_error_within_the_lock_timeout() {
    let dir = TestDirectory::new();
    let store = dir.store();
    insert_new(&store, &key("it"), &record("x")).await;
    let found = store.load(&key("it")).await.unwrap().unwrap();
    let shard = File::open(files_below(dir.path())[0].parent().unwrap()).unwrap();
    flock(&shard, FlockOperation::LockExclusive).unwrap();

    let started = Instant::now();
    let next = record("y");
    let key = key("it");
    let updates = (0..8).map(|_| store.update(&key, &next, &found.revision));
    let mut texts = Vec::new();
    for result in futures_util::future::join_all(updates).await {
        assert!(matches!(result, Err(Error::Backend { .. })), "{result:?}");
        let text = with_causes(&result.unwrap_err());
        assert!(text.contains(dir.path().to_str().unwrap()), "{text}");
        texts.push(text);
    }
    for by in [
        "another process held the lock",
        "the writes of this process before it",
    ] {
        assert!(texts.iter().any(|text| text.contains(by)), "{texts:?}");
    }
    let took = started.elapsed();
    assert_in_time!(took < Duration::from_secs(4), "eight of them took {took:?}");
    assert_eq!(
        store.load(&key).await.unwrap().unwrap().bytes,
        &b"x"[..],
        "reads need no lock"
    );

    flock(&shard, FlockOperation::Unlock).unwrap();
    assert!(
        store
            .update(&key, &next, &found.revision)
            .await
            .unwrap()
            .is_stored()
    );
}

/// The lock of a killed process is free at once.
#[tokio::test]
async fn a_killed_process_leaves_no_lock() {
    require_program("flock", "util-linux");
    let dir = TestDirectory::new();
    let store = dir.store();
    insert_new(&store, &key("it"), &record("x")).await;
    let shard = files_below(dir.path())[0].parent().unwrap().to_owned();
    let mut holder = Command::new("flock")
        .arg(&shard)
        .args(["sh", "-c", "echo held; exec cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = [0; 4];
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut output).unwrap();
    assert!(
        store.delete(&key("it")).await.is_err(),
        "nobody held the lock"
    );
    // Closing its input ends the inner process, which holds the lock as well.
    drop(holder.stdin.take());
    holder.kill().unwrap();
    holder.wait().unwrap();
    store.delete(&key("it")).await.unwrap();
}
