//! Records are plain strings with an expiry, so programs in other languages can share them.

use std::time::{Duration, SystemTime};

use session_core::{SessionStore, Touch, Write};
use session_tests::RedisServer;

use crate::given::{insert, key, load, record, store, stored};

fn ttl(server: &RedisServer, name: &str) -> i64 {
    let reply = server.command(&format!("TTL session:{name}"));
    reply.trim_start_matches(':').trim().parse().unwrap()
}

#[tokio::test]
async fn what_another_program_set_is_a_session() {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url());
    server.command("SET session:a plain EX 300");
    let loaded = load(&store, "a").await.unwrap();
    assert_eq!(loaded.payload, b"plain");
    let left = loaded.expires_at.duration_since(SystemTime::now()).unwrap();
    assert!(
        left > Duration::from_secs(298) && left <= Duration::from_secs(300),
        "{left:?}"
    );
    let write = store.insert(&key("a"), &record("x")).await.unwrap();
    assert_eq!(write, Write::Refused);
    stored(
        store
            .update(&key("a"), &record("ours"), &loaded.revision)
            .await
            .unwrap(),
    );
    assert_eq!(server.command("GET session:a"), "$4\r\nours\r\n");
    assert_eq!(server.command("TYPE session:a"), "+string\r\n");
    assert!((598..=600).contains(&ttl(&server, "a")));
    let sooner = SystemTime::now() + Duration::from_secs(100);
    assert_eq!(store.touch(&key("a"), sooner).await.unwrap(), Touch::Moved);
    assert!((98..=100).contains(&ttl(&server, "a")));
    store.delete(&key("a")).await.unwrap();
    assert_eq!(server.command("EXISTS session:a"), ":0\r\n");
}

#[tokio::test]
async fn another_programs_change_refuses_ours() {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url());
    let revision = insert(&store, "a", "ours").await;
    server.command("SET session:a theirs EX 300");
    let write = store
        .update(&key("a"), &record("more"), &revision)
        .await
        .unwrap();
    assert_eq!(write, Write::Refused);
    assert_eq!(load(&store, "a").await.unwrap().payload, b"theirs");
}
