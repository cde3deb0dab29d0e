//! Records are plain strings with an expiry, so programs in other languages can share them.

use std::time::Duration;

use session_core::{SessionStore, Write};
use session_tests::RedisServer;

use crate::common::{expiring_in, insert, key, load, record, store, update};

fn ttl(server: &RedisServer, name: &str) -> i64 {
    let reply = server.command(&format!("TTL session:{name}"));
    reply.trim_start_matches(':').trim().parse().unwrap()
}

#[tokio::test]
async fn a_string_set_by_another_program_is_a_session() {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url());
    server.command("SET session:a plain EX 300");
    let loaded = load(&store, "a").await.unwrap();
    assert_eq!(loaded.bytes, "plain");
    let write = store.insert(&key("a"), &record("x")).await.unwrap();
    assert_eq!(write, Write::Refused);
    let revision = update(&store, "a", &record("ours"), &loaded.revision).await;
    assert_eq!(server.command("GET session:a"), "$4\r\nours\r\n");
    assert_eq!(server.command("TYPE session:a"), "+string\r\n");
    // In whole seconds, rounded up, where the server compares; `TTL` rounds again.
    assert!((598..=601).contains(&ttl(&server, "a")));
    let sooner = expiring_in(Duration::from_secs(100), "ours");
    update(&store, "a", &sooner, &revision).await;
    assert!((98..=101).contains(&ttl(&server, "a")));
    store.delete(&key("a")).await.unwrap();
    assert_eq!(server.command("EXISTS session:a"), ":0\r\n");
}

#[tokio::test]
async fn a_change_by_another_program_refuses_ours() {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url());
    let revision = insert(&store, "a", "ours").await;
    server.command("SET session:a theirs EX 300");
    let write = store
        .update(&key("a"), &record("more"), &revision)
        .await
        .unwrap();
    assert_eq!(write, Write::Refused);
    assert_eq!(load(&store, "a").await.unwrap().bytes, "theirs");
}
