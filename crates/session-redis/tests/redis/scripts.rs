//! A server that no longer knows the scripts.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use session_tests::RedisServer;

use crate::common::{KINDS, Kind, assert_refused, insert, load, record, store, update};

#[tokio::test]
async fn a_script_flush_fails_no_change() {
    for (_, kind) in KINDS {
        a_script_flush_fails_none(kind).await;
    }
}

async fn a_script_flush_fails_none(kind: Kind) {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url());
    let done = AtomicBool::new(false);
    let changes = async {
        let mut revision = insert(&store, "a", kind("0")).await;
        for number in 1..2_000 {
            let next = record(kind(&number.to_string()));
            let stored = update(&store, "a", &next, &revision).await;
            assert_refused(&store, "a", &next, &revision).await;
            revision = stored;
        }
        done.store(true, Relaxed);
    };
    let flushes = async {
        while !done.load(Relaxed) {
            assert_eq!(server.command("SCRIPT FLUSH"), "+OK\r\n");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::join!(changes, flushes);
    assert_eq!(load(&store, "a").await.unwrap().bytes, kind("1999"));
}
