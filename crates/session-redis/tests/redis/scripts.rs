//! A server that no longer knows the scripts.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use session_core::SessionStore;
use session_tests::RedisServer;

use crate::common::{insert, key, record, store, stored};

#[tokio::test]
async fn a_script_flush_fails_no_change() {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url());
    let done = AtomicBool::new(false);
    let changes = async {
        let mut revision = insert(&store, "a", "0").await;
        for number in 1..2_000 {
            let write = store
                .update(&key("a"), &record(number.to_string()), &revision)
                .await;
            revision = stored(write.unwrap());
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
    assert_eq!(server.command("GET session:a"), "$4\r\n1999\r\n");
}
