//! Redis Cluster: all slots, moving slots, dead nodes, and an owner's index on another node.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use session_core::{Record, SessionStore, Write};
use session_redis::{RedisStore, redis::cluster::ClusterClient};
use session_tests::{RedisCluster, RedisServer, assert_in_time, rounds};

use crate::{
    common::{
        KINDS, Kind, MAX_RECOVERY_TIME, OWNER, SERVER_ROW, assert_refused, bounded, changes_sent,
        insert, key, limited, listed, load, owned, owned_until, patient, record, recovery, store,
        store_with_the_defaults, stored, update,
    },
    failover::until,
};

fn on(cluster: &RedisCluster) -> RedisStore {
    store(&cluster.urls().join(","))
}

fn on_with_the_defaults(cluster: &RedisCluster) -> RedisStore {
    store_with_the_defaults(&cluster.urls().join(","))
}

fn number(node: &RedisServer, line: &str) -> u16 {
    let reply = node.command(line);
    reply
        .trim_start_matches(':')
        .trim()
        .parse()
        .unwrap_or_else(|_| panic!("{line}: {reply}"))
}

fn id(node: &RedisServer) -> String {
    let reply = node.command("CLUSTER MYID");
    reply.lines().nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn every_slot_is_served_and_an_owners_sessions_are_listed_across_nodes() {
    let cluster = RedisCluster::start().await;
    let store = RedisStore::cluster(ClusterClient::builder(cluster.urls())).unwrap();
    let store = patient(store);
    for name in 0..60 {
        let name = name.to_string();
        let session = owned(Duration::from_secs(600), name.clone());
        let revision = stored(store.insert(&key(&name), &session).await.unwrap());
        stored(
            store
                .update(&key(&name), &session, &revision)
                .await
                .unwrap(),
        );
    }
    for node in cluster.nodes() {
        assert!(
            number(node, "DBSIZE") > 5,
            "each node has some of the records"
        );
    }
    for limit in [7, 1000] {
        let listed = listed(&store, limit).await;
        assert_eq!(listed.len(), 60);
        assert!(listed.iter().all(|(name, head)| name == head));
    }
}

/// The record and the owner's index are on two nodes, and one of the two cannot be written.
#[tokio::test]
async fn a_failed_write_leaves_no_session_that_the_index_does_not_name() {
    let cluster = RedisCluster::start().await;
    let store = on(&cluster);
    let slot = |key: &str| number(&cluster.nodes()[0], &format!("CLUSTER KEYSLOT {key}"));
    let node_of = |key: &str| match slot(key) {
        ..=5_460 => &cluster.nodes()[0],
        5_461..=10_922 => &cluster.nodes()[1],
        _ => &cluster.nodes()[2],
    };
    let index = node_of(OWNER);
    let elsewhere = |name: &usize| node_of(&format!("session:{name}")).port() != index.port();
    let name = (0..1_000).find(elsewhere).unwrap().to_string();
    let record = node_of(&format!("session:{name}"));
    let entered = || {
        let reply = index.command(&format!("ZSCORE {OWNER} session:{name}"));
        reply
            .lines()
            .nth(1)
            .map(|entered| entered.parse::<u128>().unwrap())
    };
    let in_seconds = |seconds| owned(Duration::from_secs(seconds), seconds.to_string());
    let time = |record: &Record| {
        let time = record.entry.as_ref().unwrap().expires_at;
        time.duration_since(UNIX_EPOCH).unwrap().as_millis()
    };
    for node in cluster.nodes() {
        node.command("CONFIG SET cluster-require-full-coverage no");
    }

    index.command(&format!("SET {OWNER} foreign"));
    store
        .insert(&key(&name), &in_seconds(600))
        .await
        .unwrap_err();
    assert_eq!(load(&store, &name).await, None);
    index.command(&format!("DEL {OWNER}"));
    let session = in_seconds(600);
    let revision = stored(store.insert(&key(&name), &session).await.unwrap());
    assert_eq!(entered(), Some(time(&session)));

    record.command("CONFIG SET min-replicas-to-write 1");
    let earlier = in_seconds(60);
    store
        .update(&key(&name), &earlier, &revision)
        .await
        .unwrap_err();
    assert_eq!(
        entered(),
        Some(time(&session)),
        "an entry becomes earlier only after the record was written"
    );
    let later = in_seconds(900);
    store
        .update(&key(&name), &later, &revision)
        .await
        .unwrap_err();
    assert_eq!(
        entered(),
        Some(time(&later)),
        "an entry becomes later before the record is written"
    );
    record.command("CONFIG SET min-replicas-to-write 0");

    update(&store, &name, &earlier, &revision).await;
    assert_eq!(entered(), Some(time(&earlier)));
    for seconds in [1200, 30] {
        let refused = store
            .update(&key(&name), &in_seconds(seconds), &revision)
            .await;
        assert_eq!(refused.unwrap(), Write::Refused);
        assert!(entered() >= Some(time(&earlier)));
    }
}

/// Each writer moves the entry to another time, earlier or later.
#[tokio::test]
async fn concurrent_writers_leave_no_entry_that_ends_before_its_record() {
    let cluster = RedisCluster::start().await;
    let store = on(&cluster);
    let session = |seconds: u64| {
        let until = SystemTime::now() + Duration::from_secs(seconds);
        let millis = until.duration_since(UNIX_EPOCH).unwrap().as_millis();
        owned_until(until, millis.to_string())
    };
    stored(store.insert(&key("a"), &session(600)).await.unwrap());
    for round in 0..rounds() as u64 {
        let writers = (0..4).map(async |writer| {
            for step in 0..4 {
                let loaded = load(&store, "a").await.unwrap();
                let seconds = 60 + (round * 7 + writer * 13 + step * 29) * 37 % 500;
                let (key, record) = (key("a"), session(seconds));
                let _ = store.update(&key, &record, &loaded.revision).await.unwrap();
            }
        });
        futures_util::future::join_all(writers).await;
        let expires = load(&store, "a").await.unwrap().bytes;
        let expires: i64 = std::str::from_utf8(&expires).unwrap().parse().unwrap();
        let scores = cluster.nodes().iter().filter_map(|node| {
            let reply = node.command(&format!("ZSCORE {OWNER} session:a"));
            reply.lines().nth(1)?.parse::<i64>().ok()
        });
        let entered = scores.max().expect("the index names the record");
        assert!(entered >= expires, "{}", expires - entered);
    }
}

#[tokio::test]
async fn calls_succeed_while_a_slot_moves() {
    for (_, kind) in KINDS {
        succeed_while_a_slot_moves(kind).await;
    }
}

async fn succeed_while_a_slot_moves(kind: Kind) {
    let cluster = RedisCluster::start().await;
    // With no more rights than the README names, which a redirection needs too.
    let nodes: Vec<_> = cluster.nodes().iter().collect();
    let rows = [SERVER_ROW, "a node of a Cluster"];
    let url = cluster.urls().join(",");
    let store = store(&limited(&url, &nodes, "session:*", &rows));
    let mut revision = insert(&store, "counter", kind("0")).await;
    let slot = number(&cluster.nodes()[0], "CLUSTER KEYSLOT session:counter");
    let holder = cluster
        .nodes()
        .iter()
        .position(|node| number(node, "DBSIZE") == 1)
        .unwrap();
    let (from, to) = (&cluster.nodes()[holder], &cluster.nodes()[(holder + 1) % 3]);
    let moved = AtomicBool::new(false);
    let moving = async {
        to.command(&format!("CLUSTER SETSLOT {slot} IMPORTING {}", id(from)));
        from.command(&format!("CLUSTER SETSLOT {slot} MIGRATING {}", id(to)));
        tokio::time::sleep(Duration::from_millis(100)).await;
        let migrate = format!("MIGRATE 127.0.0.1 {} session:counter 0 1000", to.port());
        assert_eq!(from.command(&migrate), "+OK\r\n");
        // One node still owns the slot, and the other one has the key. So every command is
        // redirected to the importing node.
        tokio::time::sleep(Duration::from_millis(200)).await;
        for node in [to, from] {
            let reply = node.command(&format!("CLUSTER SETSLOT {slot} NODE {}", id(to)));
            assert_eq!(reply, "+OK\r\n");
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        moved.store(true, Relaxed);
    };
    let mut count = 0;
    let changing = async {
        while !moved.load(Relaxed) {
            let loaded = load(&store, "counter").await.expect("the session exists");
            assert_eq!(loaded.revision, revision);
            count += 1;
            let next = record(kind(&count.to_string()));
            let stored = update(&store, "counter", &next, &revision).await;
            assert_refused(&store, "counter", &next, &revision).await;
            revision = stored;
        }
    };
    tokio::join!(moving, changing);
    assert!(count > 50, "{count}");
    assert_eq!(
        load(&store, "counter").await.unwrap().bytes,
        kind(&count.to_string())
    );
    assert_eq!(number(to, "DBSIZE"), 1);
}

#[tokio::test]
async fn a_dead_node_fails_only_its_own_sessions_until_it_returns() {
    let cluster = RedisCluster::start().await;
    for node in cluster.nodes() {
        node.command("CONFIG SET cluster-require-full-coverage no");
    }
    let store = on_with_the_defaults(&cluster);
    for name in 0..30 {
        insert(&store, &name.to_string(), "x").await;
    }
    let dead = &cluster.nodes()[1];
    let mut its_own = HashSet::new();
    for name in 0..30 {
        let slot = number(dead, &format!("CLUSTER KEYSLOT session:{name}"));
        if (5_461..=10_922).contains(&slot) {
            its_own.insert(name);
        }
    }
    for outage in ["killed", "frozen"] {
        if outage == "killed" {
            dead.kill();
        } else {
            dead.freeze();
        }
        for name in 0..30 {
            let (_, result) = bounded(store.load(&key(&name.to_string()))).await;
            assert_eq!(
                result.is_err(),
                its_own.contains(&name),
                "{outage}, {name}: {result:?}"
            );
        }
        if outage == "killed" {
            dead.restart().await;
        } else {
            dead.thaw();
        }
        cluster.agrees().await;
        let took = recovery(&store).await;
        assert_in_time!(took < MAX_RECOVERY_TIME, "{took:?}");
        for name in 0..30 {
            let (_, result) = bounded(store.load(&key(&name.to_string()))).await;
            let found = result.unwrap();
            if !its_own.contains(&name) {
                assert!(found.is_some());
            } else if found.is_none() {
                insert(&store, &name.to_string(), "x").await;
            }
        }
    }
}

#[tokio::test]
async fn with_all_nodes_down_calls_fail_in_time_and_the_store_recovers() {
    let cluster = RedisCluster::start().await;
    let store = on_with_the_defaults(&cluster);
    insert(&store, "a", "one").await;
    for node in cluster.nodes() {
        node.kill();
    }
    for _ in 0..50 {
        bounded(store.load(&key("a"))).await.1.unwrap_err();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for node in cluster.nodes() {
        node.restart().await;
    }
    cluster.agrees().await;
    let took = recovery(&store).await;
    assert_in_time!(took < MAX_RECOVERY_TIME, "{took:?}");
}

#[tokio::test]
async fn the_driver_never_sends_a_write_again() {
    let cluster = RedisCluster::start().await;
    let (other, store) = (on(&cluster), on_with_the_defaults(&cluster));
    let revision = insert(&other, "a", "one").await;
    load(&store, "a").await;
    // From here on the connection knows the command for a change, and the server the script.
    let revision = update(&store, "a", &record("one"), &revision).await;
    for node in cluster.nodes() {
        node.command("CONFIG RESETSTAT");
        // The node answers after the caller's timeout, but early enough to count a second attempt.
        node.command("CLIENT PAUSE 900 WRITE");
    }
    bounded(store.update(&key("a"), &record("two"), &revision))
        .await
        .1
        .unwrap_err();
    let calls = || -> usize { cluster.nodes().iter().map(changes_sent).sum() };
    until("carried out", || calls() > 0).await;
    // A second attempt would have waited for the same end of the pause.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(calls(), 1);
    let write = other
        .update(&key("a"), &record("three"), &revision)
        .await
        .unwrap();
    assert!(matches!(write, Write::Stored(_) | Write::Refused));
}
