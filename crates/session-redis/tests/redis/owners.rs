//! The index of an owner's sessions.

use std::time::{Duration, SystemTime};

use session_core::{OwnerIndex, OwnerKey, Record, SessionStore, Touch};
use session_redis::RedisStore;
use session_tests::RedisServer;

use crate::given::{ending_in, key, store, stored};

const OWNER: &str = "session:owner:1";

fn owner() -> OwnerKey {
    OwnerKey::from_stored(OWNER)
}

async fn insert(store: &RedisStore, name: &str, ttl: Duration) {
    let owned = Record {
        owner: Some(owner()),
        ..ending_in(ttl, name)
    };
    stored(store.insert(&key(name), &owned).await.unwrap());
}

fn entries(server: &RedisServer) -> usize {
    let reply = server.command(&format!("ZCARD {OWNER}"));
    reply.trim_start_matches(':').trim().parse().unwrap()
}

#[tokio::test]
async fn inserts_tidy_up_what_has_ended() {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url());
    for name in 0..20 {
        insert(&store, &name.to_string(), Duration::from_millis(30)).await;
    }
    tokio::time::sleep(Duration::from_millis(60)).await;
    for name in 20..30 {
        insert(&store, &name.to_string(), Duration::from_secs(600)).await;
    }
    assert_eq!(entries(&server), 10);
}

#[tokio::test]
async fn a_session_that_outlived_its_entry_stays_listed() {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url());
    for name in ["a", "b", "c", "d", "e", "f"] {
        insert(&store, name, Duration::from_millis(80)).await;
        let later = SystemTime::now() + Duration::from_secs(600);
        assert_eq!(store.touch(&key(name), later).await.unwrap(), Touch::Moved);
    }
    insert(&store, "ends", Duration::from_millis(90)).await;
    tokio::time::sleep(Duration::from_millis(120)).await;
    // Each of these looks at the oldest; the long-lived must not stand in the way of the one that ended.
    for name in ["x", "y", "z"] {
        insert(&store, name, Duration::from_secs(600)).await;
    }
    let mut listed: Vec<_> = store.owned_by(&owner()).await.unwrap();
    listed.sort_by(|one, two| one.0.cmp(&two.0));
    let names: Vec<_> = listed
        .iter()
        .map(|(_, loaded)| String::from_utf8_lossy(&loaded.payload))
        .collect();
    assert_eq!(names, ["a", "b", "c", "d", "e", "f", "x", "y", "z"]);
    assert_eq!(entries(&server), 9);
}

#[tokio::test]
async fn a_deleted_session_is_not_listed() {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url());
    insert(&store, "a", Duration::from_secs(600)).await;
    insert(&store, "b", Duration::from_secs(600)).await;
    store.delete(&key("a")).await.unwrap();
    let listed = store.owned_by(&owner()).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].0, key("b"));
}

#[tokio::test]
async fn an_index_that_cannot_be_written_is_an_error() {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url());
    server.command(&format!("SET {OWNER} foreign"));
    let owned = Record {
        owner: Some(owner()),
        ..ending_in(Duration::from_secs(600), "a")
    };
    store.insert(&key("a"), &owned).await.unwrap_err();
    store.owned_by(&owner()).await.unwrap_err();
}

#[tokio::test]
async fn hundreds_of_sessions_are_all_listed() {
    let server = RedisServer::start(&[]).await;
    let store = store(&server.url());
    for name in 0..300 {
        insert(&store, &name.to_string(), Duration::from_secs(600)).await;
    }
    assert_eq!(store.owned_by(&owner()).await.unwrap().len(), 300);
}
