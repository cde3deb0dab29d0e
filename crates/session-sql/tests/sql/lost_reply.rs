//! Replies that never arrive, on connections that stay open: no place in the pool is held for long.

use std::{
    any::Any,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use session_core::{
    ExpiredSweep as _, KeyPrefix, OwnerIndex as _, Record, Revision, SessionStore as _, StoreKey,
};
use session_sql::{SqlStore, TableName};
use session_tests::{ChaosProxy, Disruption, Watch};

use crate::{
    availability::{recovers_soon, succeeds},
    databases::{Handle, TestDatabase, each_server, unique_table},
    records::{key, owned, record},
};
use tokio::time::timeout;

/// More than a pool has connections.
const ROUNDS: usize = 30;
/// The limit of a call that no request waits for, and some time to spare.
const SLOW_CALL: Duration = Duration::from_secs(10);
/// After a call, a place in the pool is held for at most a second.
const RELEASE: Duration = Duration::from_secs(2);

each_server!(
    a_lost_ping_costs_no_place_in_the_pool,
    a_lost_reply_ends_every_call_and_costs_no_place,
);

/// A store whose traffic passes a proxy.
pub(crate) async fn behind_proxy<D: TestDatabase>()
-> (SqlStore<D>, ChaosProxy, Box<dyn Any + Send + Sync>) {
    let (database, table, proxy) = database_behind_proxy::<D>().await;
    (database.store(&table), proxy, database.guard)
}

/// A database to which all traffic passes a proxy, and a store's table in it.
pub(crate) async fn database_behind_proxy<D: TestDatabase>() -> (Handle<D>, TableName, ChaosProxy) {
    let mut database = D::open().await;
    let table = unique_table();
    let port = database.url.rsplit(':').next().unwrap().split('/').next();
    let port = port.unwrap().to_owned();
    let proxy = ChaosProxy::start(port.parse().unwrap()).await;
    drop(database.migrated(&table).await);
    database.url = database.url.replace(&port, &proxy.port().to_string());
    (database, table, proxy)
}

/// Whether the reply came that was to be lost. On a busy machine a ping may have come before.
async fn happened(proxy: &ChaosProxy) -> bool {
    let began = Instant::now();
    while proxy.disruption() != Disruption::None && began.elapsed() < Duration::from_secs(1) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    proxy.disruption() == Disruption::None
}

/// The pool pings each connection that comes back to it.
async fn a_lost_ping_costs_no_place_in_the_pool<D: TestDatabase>() {
    let (store, proxy, _guard) = behind_proxy::<D>().await;
    let (mut failed, mut lost) = (0, 0);
    for _ in 0..2 * ROUNDS {
        // A new connection has more replies, so the first call is not the one whose ping is lost.
        failed += usize::from(!succeeds(store.load(&key())).await);
        tokio::time::sleep(Duration::from_millis(5)).await;
        proxy.set(Disruption::LoseReply(1));
        failed += usize::from(!succeeds(store.load(&key())).await);
        lost += usize::from(happened(&proxy).await);
        proxy.set(Disruption::None);
        if lost == ROUNDS {
            break;
        }
    }
    assert_eq!(lost, ROUNDS, "too few replies came");
    recovers_soon(&store).await;
    assert!(failed < ROUNDS / 3, "{failed} calls failed");
}

async fn a_lost_reply_ends_every_call_and_costs_no_place<D: TestDatabase>() {
    // A statement has two replies, one for its preparation; the log-in of a connection has more.
    let losses = (0..6).flat_map(|before| (0..4).map(move |call| (before, call)));
    join_all(losses.map(|(before, call)| one_lost_reply::<D>(before, call))).await;
}

/// A record that is in the store, which may fail at first, because many open connections at once.
async fn inserted<D: TestDatabase>(store: &SqlStore<D>, record: &Record) -> (StoreKey, Revision) {
    for _ in 0..10 {
        let key = key();
        if store.insert(&key, record).await.is_ok()
            && let Ok(Some(loaded)) = store.load(&key).await
        {
            return (key, loaded.revision);
        }
    }
    panic!("the server does not answer");
}

/// Loses a reply during one of four kinds of calls.
async fn one_lost_reply<D: TestDatabase>(before: usize, call: usize) {
    let (store, proxy, _guard) = behind_proxy::<D>().await;
    let owner = KeyPrefix::default().owner_key("ada");
    let record = owned(&owner, record(b"x"));
    let (key, revision) = inserted(&store, &record).await;
    proxy.reset_connections();
    proxy.set(Disruption::LoseReply(before));
    let calls = async {
        for _ in 0..4 {
            match call {
                0 => drop(store.sweep(500).await),
                1 => drop(store.migrate().await),
                2 => drop(succeeds(store.owned_by(&owner, None, 10)).await),
                _ => {
                    succeeds(store.load(&key)).await;
                    succeeds(store.update(&key, &record, &revision)).await;
                    succeeds(store.delete(&key)).await;
                }
            }
        }
    };
    let ended = timeout(SLOW_CALL, calls).await;
    assert!(ended.is_ok(), "call {call} has no end, reply {before}");
    proxy.set(Disruption::None);
    let began = Watch::start();
    while store.pool().size() as usize != store.pool().num_idle() {
        let place = format!("call {call}, reply {before}: a place is held");
        assert!(began.stop(RELEASE).await < RELEASE, "{place}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    recovers_soon(&store).await;
}
