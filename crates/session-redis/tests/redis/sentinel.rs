//! A primary that Sentinels name, and its failover.

use std::time::{Duration, Instant};

use session_core::{SessionStore, Write};
use session_redis::{
    RedisStore,
    redis::{
        self, Client, ConnectionAddr,
        sentinel::{SentinelClientBuilder, SentinelServerType},
    },
};
use session_tests::{RedisSentinel, RedisServer, assert_in_time};

use crate::{
    common::{
        SERVER_ROW, bounded, insert, key, limited, load, patient, record, recovery, rights,
        store_with_the_defaults,
    },
    failover::MAX_PROMOTION_TIME,
};

async fn wait_for_replication(replica: &RedisServer, name: &str) {
    let begin = Instant::now();
    while replica.command(&format!("EXISTS session:{name}")) != ":1\r\n" {
        assert_in_time!(
            begin.elapsed() < Duration::from_secs(5),
            "{name} is not replicated"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn sessions_survive_a_failover() {
    let servers = RedisSentinel::start().await;
    let store = store_with_the_defaults(&servers.url());
    let revision = insert(&store, "a", "one").await;
    wait_for_replication(servers.replica(), "a").await;
    servers.primary().kill();
    let begin = Instant::now();
    while servers.primary_port() != Some(servers.replica().port()) {
        let _ = bounded(store.load(&key("a"))).await;
        assert_in_time!(
            begin.elapsed() < MAX_PROMOTION_TIME,
            "the replica is not promoted"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let took = recovery(&store).await;
    assert_in_time!(took < Duration::from_secs(4), "{took:?}");
    assert_eq!(load(&store, "a").await.unwrap().bytes, "one");
    let write = store
        .update(&key("a"), &record("two"), &revision)
        .await
        .unwrap();
    assert!(matches!(write, Write::Stored(_)));
}

#[tokio::test]
async fn the_store_follows_a_planned_failover() {
    let servers = RedisSentinel::start().await;
    let (port, name) = (servers.sentinel().port(), servers.service());
    let store = RedisStore::sentinel([move || {
        let address = ConnectionAddr::Tcp("127.0.0.1".to_owned(), port);
        SentinelClientBuilder::new([address], name, SentinelServerType::Master)?.build()
    }]);
    insert(&store, "a", "one").await;
    wait_for_replication(servers.replica(), "a").await;
    let sentinel = Client::open(format!("redis://127.0.0.1:{port}")).unwrap();
    let failover = redis::cmd("SENTINEL").arg(&["FAILOVER", name]).to_owned();
    let begin = Instant::now();
    // The Sentinel answers "no good replica" until it has checked the replica.
    while let Err(error) = failover.query::<()>(&mut sentinel.get_connection().unwrap()) {
        assert_in_time!(begin.elapsed() < MAX_PROMOTION_TIME, "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    loop {
        let name = format!("after-{}", begin.elapsed().as_millis());
        let write = bounded(store.insert(&key(&name), &record("x"))).await.1;
        let exists = servers.replica().command(&format!("EXISTS session:{name}"));
        if write.is_ok()
            && exists == ":1\r\n"
            && servers.primary_port() == Some(servers.replica().port())
        {
            break;
        }
        assert_in_time!(begin.elapsed() < MAX_PROMOTION_TIME, "{write:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The old primary is a replica by now, and would refuse the deletion.
    assert_eq!(load(&store, "a").await.unwrap().bytes, "one");
    store.delete(&key("a")).await.unwrap();
    assert_eq!(servers.replica().command("EXISTS session:a"), ":0\r\n");
}

/// The user of the Sentinel and that of the servers have no more rights than the README says.
#[tokio::test]
async fn a_sentinel_with_an_acl_is_asked_by_its_user() {
    let servers = RedisSentinel::start().await;
    let (port, name) = (servers.sentinel().port(), servers.service());
    let mut admin = Client::open(format!("redis://127.0.0.1:{port}")).unwrap();
    let user = format!(
        "SETUSER app on >secret{}",
        rights("a Sentinel that has an ACL")
    );
    let user: Vec<_> = user.split(' ').collect();
    redis::cmd("ACL").arg(user).exec(&mut admin).unwrap();
    let both = [servers.primary(), servers.replica()];
    let rows = [SERVER_ROW, "a server that Sentinels name"];
    limited("", &both, "session:*", &rows);
    let store = RedisStore::sentinel([move || {
        let address = ConnectionAddr::Tcp("127.0.0.1".to_owned(), port);
        SentinelClientBuilder::new([address], name, SentinelServerType::Master)?
            .set_client_to_sentinel_username("app")
            .set_client_to_sentinel_password("secret")
            .set_client_to_redis_username("app")
            .set_client_to_redis_password("secret")
            .build()
    }]);
    let store = patient(store);
    insert(&store, "a", "one").await;
    // The Sentinel is asked again.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(load(&store, "a").await.unwrap().bytes, "one");
}

#[tokio::test]
async fn without_a_sentinel_calls_fail_in_time() {
    let store = store_with_the_defaults("redis+sentinel://127.0.0.1:1,127.0.0.1:2/mymaster/0");
    bounded(store.load(&key("a"))).await.1.unwrap_err();
}
