//! A walk over all records, while the server is started again.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use session_core::{Cursor, KeyPrefix, Scan, SessionStore};
use session_tests::RedisServer;

use crate::common::{key, limited, record, store, stored};

const RECORDS: usize = 2000;

/// The next page, after the server has come back.
async fn page(
    store: &session_redis::RedisStore,
    cursor: Option<&Cursor>,
    found: &mut BTreeSet<String>,
) -> Option<Cursor> {
    let page = store.records(&KeyPrefix::default(), cursor, 100).await;
    let page = page.unwrap();
    found.extend(page.records.iter().map(|it| it.key.as_str().to_owned()));
    page.next
}

#[tokio::test]
async fn a_walk_misses_nothing_although_the_server_was_started_again() {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url());
    let keys: Vec<_> = (0..RECORDS).map(|it| key(&format!("{it:064x}"))).collect();
    let records = record("1");
    // All at once would take longer than a call may, on a busy machine.
    for some in keys.chunks(100) {
        for write in join_all(some.iter().map(|key| store.insert(key, &records))).await {
            stored(write.unwrap());
        }
    }
    let (mut found, mut cursor) = (BTreeSet::new(), None);
    for restart in [true, false, true] {
        cursor = page(&store, cursor.as_ref(), &mut found).await;
        assert!(cursor.is_some() && found.len() < RECORDS);
        if restart {
            assert_eq!(server.command("SAVE"), "+OK\r\n");
            server.restart().await;
        }
    }
    while cursor.is_some() {
        cursor = page(&store, cursor.as_ref(), &mut found).await;
    }
    assert_eq!(found.len(), RECORDS);
}

#[tokio::test]
async fn a_walk_over_a_million_keys_never_holds_up_the_server() {
    let server = RedisServer::start(&["--enable-debug-command", "yes"]).await;
    for part in 0..20 {
        let reply = server.command(&format!("DEBUG POPULATE 50000 other{part} 300"));
        assert_eq!(reply, "+OK\r\n");
    }
    assert_eq!(server.command("CONFIG RESETSTAT"), "+OK\r\n");
    let store = store(&server.url());
    let (mut found, mut cursor) = (BTreeSet::new(), None);
    loop {
        cursor = page(&store, cursor.as_ref(), &mut found).await;
        if cursor.is_none() {
            break;
        }
    }
    let calls = server.command("INFO commandstats");
    assert!(!calls.contains("cmdstat_keys"), "{calls}");
    let (_, scan) = calls.split_once("cmdstat_scan:").unwrap();
    let (_, each) = scan.split_once("usec_per_call=").unwrap();
    let each: f64 = each.split(',').next().unwrap().parse().unwrap();
    assert!(each < 5_000.0, "a command takes {each} microseconds");
}

#[tokio::test]
async fn a_walk_needs_no_right_to_info() {
    let server = RedisServer::start(&[]).await;
    let all = store(&server.url());
    let _written = all
        .insert(&key(&"a".repeat(64)), &record("1"))
        .await
        .unwrap();
    let address = limited(&server.url(), &[&server], "session:*", &["each server"]);
    assert_eq!(server.command("ACL SETUSER app +scan"), "+OK\r\n");
    let mut found = BTreeSet::new();
    assert!(page(&store(&address), None, &mut found).await.is_none());
    assert_eq!(found.len(), 1);
}
