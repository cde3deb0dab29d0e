//! Servers that are killed, frozen or locked, or that end their connections.

use std::time::Duration;

use futures_util::future::join_all;
use session_core::SessionStore;
use session_sql::{SqlStore, TableName, sqlx};
use session_tests::{ChaosProxy, MariaDb, Postgres, Server, Watch, assert_in_time, with_port};
use sqlx::Connection;

use crate::{
    availability::{all_calls_fail, recovers_soon, succeeds, wait_until},
    databases::{Handle, TestDatabase, each_server},
    records::{insert, key, load, record, stored},
};

/// A database on a server that no other test uses.
pub(crate) trait OwnServer: TestDatabase {
    type Server: std::ops::Deref<Target = Server> + Send + Sync + 'static;
    /// Locks `sessions` until the connection is closed.
    const LOCK: &'static [&'static str];
    /// Counts the running statements on `sessions`, without this one.
    const RUNNING: &'static str;
    /// Makes the server take no writes, as a demotion does.
    const DEMOTE: &'static [&'static str];
    /// The user in the URL and one that a read-only server refuses.
    const USER: (&'static str, &'static str);
    /// Selects the id of a connection that used `sessions`, or 0.
    const CONNECTION_ID: &'static str;
    /// Selects the id of a connection with a running statement on `sessions`.
    const RUNNING_ID: &'static str;
    /// Ends the connection with the id `{}`.
    const END_CONNECTION: &'static str;

    async fn start() -> (Self::Server, Handle<Self>);
}

impl OwnServer for sqlx::Postgres {
    type Server = Postgres;
    const LOCK: &'static [&'static str] =
        &["BEGIN", "LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE"];
    const RUNNING: &'static str = "SELECT COUNT(*) FROM pg_stat_activity \
        WHERE datname = current_database() AND state = 'active' AND query LIKE '%\"sessions\"%' \
        AND pid <> pg_backend_pid()";
    const DEMOTE: &'static [&'static str] = &[
        "ALTER SYSTEM SET default_transaction_read_only = on",
        "SELECT pg_reload_conf()",
    ];
    const USER: (&'static str, &'static str) = ("postgres@", "postgres@");
    const CONNECTION_ID: &'static str = "SELECT COALESCE(MAX(pid), 0)::bigint FROM pg_stat_activity \
        WHERE datname = current_database() AND query LIKE '%\"sessions\"%' AND pid <> pg_backend_pid()";
    const RUNNING_ID: &'static str = "SELECT pid::bigint FROM pg_stat_activity \
        WHERE datname = current_database() AND state = 'active' AND query LIKE '%\"sessions\"%' \
        AND pid <> pg_backend_pid()";
    const END_CONNECTION: &'static str = "SELECT pg_terminate_backend({})";

    async fn start() -> (Postgres, Handle<Self>) {
        let server = Postgres::start().await;
        let url = server.url();
        (server, Handle::new(url, ()))
    }
}

impl OwnServer for sqlx::MySql {
    type Server = MariaDb;
    const LOCK: &'static [&'static str] = &["LOCK TABLES sessions WRITE"];
    const RUNNING: &'static str = "SELECT COUNT(*) FROM information_schema.processlist \
        WHERE db = DATABASE() AND command IN ('Query', 'Execute') AND info LIKE '%`sessions`%' \
        AND id <> CONNECTION_ID()";
    const DEMOTE: &'static [&'static str] = &["SET GLOBAL read_only = 1"];
    const USER: (&'static str, &'static str) = ("session:session", "plain:plain");
    const CONNECTION_ID: &'static str = "SELECT CAST(COALESCE(MAX(id), 0) AS SIGNED) FROM information_schema.processlist \
        WHERE db = DATABASE() AND id <> CONNECTION_ID()";
    const RUNNING_ID: &'static str = "SELECT CAST(id AS SIGNED) FROM information_schema.processlist \
        WHERE db = DATABASE() AND command IN ('Query', 'Execute') AND info LIKE '%`sessions`%' \
        AND id <> CONNECTION_ID()";
    const END_CONNECTION: &'static str = "KILL {}";

    async fn start() -> (MariaDb, Handle<Self>) {
        let server = MariaDb::start().await;
        let url = server.url();
        (server, Handle::new(url, ()))
    }
}

each_server!(
    a_killed_server_is_an_error_in_time_until_it_is_restarted,
    a_frozen_server_is_an_error_in_time_until_it_continues,
    a_locked_table_is_an_error_in_time_and_leaves_no_statement_running,
    no_load_fails_when_the_server_ends_connections,
    one_write_at_most_fails_when_the_server_ends_all_connections,
    a_write_whose_connection_the_server_ends_while_it_waits_fails_alone,
    a_store_can_be_made_before_its_server_runs,
    a_server_that_was_demoted_is_left_for_its_successor,
);

async fn a_killed_server_is_an_error_in_time_until_it_is_restarted<D: OwnServer>() {
    let (server, database) = D::start().await;
    let store = database.migrated(&TableName::default()).await;
    recovers_soon(&store).await;
    server.kill();
    for _ in 0..2 {
        all_calls_fail(&store).await;
    }
    server.restart().await;
    recovers_soon(&store).await;
}

async fn a_frozen_server_is_an_error_in_time_until_it_continues<D: OwnServer>() {
    let (server, database) = D::start().await;
    let store = database.migrated(&TableName::default()).await;
    let key = key();
    insert(&store, &key, &record(b"before")).await;
    server.freeze();
    for _ in 0..3 {
        all_calls_fail(&store).await;
    }
    server.thaw();
    recovers_soon(&store).await;
    assert_eq!(load(&store, &key).await.unwrap().bytes, b"before"[..]);
    wait_until(
        Duration::from_secs(5),
        |running| running == 0,
        || database.number(D::RUNNING),
    )
    .await;
}

async fn a_locked_table_is_an_error_in_time_and_leaves_no_statement_running<D: OwnServer>() {
    let (_server, database) = D::start().await;
    let store = database.migrated(&TableName::default()).await;
    recovers_soon(&store).await;
    let mut other = database.connect().await;
    for sql in D::LOCK {
        D::execute(&mut other, sql).await.unwrap();
    }
    for _ in 0..3 {
        all_calls_fail(&store).await;
    }
    wait_until(
        Duration::from_secs(5),
        |running| running == 0,
        || database.number(D::RUNNING),
    )
    .await;
    other.close().await.unwrap();
    recovers_soon(&store).await;
}

async fn no_load_fails_when_the_server_ends_connections<D: OwnServer>() {
    let (_server, database) = D::start().await;
    let store = database.migrated(&TableName::default()).await;
    let key = key();
    insert(&store, &key, &record(b"x")).await;
    let mut admin = database.connect().await;
    let mut ended = 0;
    for _ in 0..100 {
        let id = D::number(&mut admin, D::CONNECTION_ID).await.unwrap();
        if id != 0 {
            let end = D::END_CONNECTION.replace("{}", &id.to_string());
            // The connection may have ended by itself.
            ended += usize::from(D::execute(&mut admin, &end).await.is_ok());
        }
        assert!(succeeds(store.load(&key)).await, "a load failed");
    }
    assert!(ended >= 90, "only {ended} connections were ended");
}

async fn one_write_at_most_fails_when_the_server_ends_all_connections<D: OwnServer>() {
    let (_server, database) = D::start().await;
    let store = database.migrated(&TableName::default()).await;
    one_write_at_most_fails(&store, &database).await;
}

/// The last message of the server is the reply, so the connection has not broken.
async fn a_write_whose_connection_the_server_ends_while_it_waits_fails_alone<D: OwnServer>() {
    let (_server, database) = D::start().await;
    let store = database.migrated(&TableName::default()).await;
    let [waiting, next] = [key(), key()];
    for round in 0..10 {
        let mut revisions = Vec::new();
        for key in [&waiting, &next] {
            store.delete(key).await.unwrap();
            revisions.push(insert(&store, key, &record(b"one")).await);
        }
        let [mut other, mut admin] = [database.connect().await, database.connect().await];
        let lock = D::bytes(waiting.as_str().as_bytes());
        let lock = format!("UPDATE sessions SET revision = revision WHERE store_key = {lock}");
        for sql in ["BEGIN", &lock] {
            D::execute(&mut other, sql).await.unwrap();
        }
        // The write has another connection of the pool then, and the next write would get the same.
        tokio::time::sleep(Duration::from_millis(60)).await;
        let end = async {
            let running = loop {
                if let Ok(running) = D::number(&mut admin, D::RUNNING_ID).await {
                    break running;
                }
            };
            let end = D::END_CONNECTION.replace("{}", &running.to_string());
            D::execute(&mut admin, &end).await.unwrap();
        };
        let two = record(b"two");
        let (write, ()) = tokio::join!(store.update(&waiting, &two, &revisions[0]), end);
        write.expect_err("its connection was ended");
        let write = store.update(&next, &two, &revisions[1]).await;
        assert!(write.is_ok(), "round {round}: {write:?}");
    }
}

/// Ends all connections to `sessions` on `server`, as a restart does that takes a moment.
pub(crate) async fn one_write_at_most_fails<D: OwnServer>(store: &SqlStore<D>, server: &Handle<D>) {
    const SESSIONS: usize = 20;
    let mut admin = server.connect().await;
    let keys: Vec<_> = (0..SESSIONS).map(|_| key()).collect();
    let mut failed = 0;
    for round in 0..10 {
        let mut revisions = Vec::new();
        for key in &keys {
            // The writes before may all have had one connection, and this is the first on another.
            let begins = async || {
                store.delete(key).await?;
                store.insert(key, &record(b"one")).await
            };
            let mut write = begins().await;
            if write.is_err() {
                failed += 1;
                write = begins().await;
            }
            revisions.push(stored(write));
        }
        assert!(failed <= 1, "{failed} writes failed before round {round}");
        // As many connections as the pool may have.
        for loaded in join_all(keys.iter().map(|key| store.load(key))).await {
            loaded.unwrap();
        }
        loop {
            let id = D::number(&mut admin, D::CONNECTION_ID).await.unwrap();
            if id == 0 {
                break;
            }
            let end = D::END_CONNECTION.replace("{}", &id.to_string());
            // The connection may have ended by itself.
            drop(D::execute(&mut admin, &end).await);
        }
        failed = 0;
        for (key, revision) in keys.iter().zip(&revisions) {
            failed += usize::from(!succeeds(store.update(key, &record(b"two"), revision)).await);
        }
        assert!(failed <= 1, "{failed} writes failed in round {round}");
    }
}

async fn a_store_can_be_made_before_its_server_runs<D: OwnServer>() {
    let (server, database) = D::start().await;
    server.kill();
    let store = database.store(&TableName::default());
    assert!(!succeeds(store.load(&key())).await);
    assert!(!succeeds(store.migrate()).await);
    server.restart().await;
    store.migrate().await.expect("the migration succeeds");
    recovers_soon(&store).await;
}

/// The address leads to the new primary, and the old one still answers on its connections.
async fn a_server_that_was_demoted_is_left_for_its_successor<D: OwnServer>() {
    let (old, database) = D::start().await;
    let (new, successor) = D::start().await;
    for database in [&database, &successor] {
        if D::USER.0 != D::USER.1 {
            let root = Handle::<D>::new(database.url.replace(D::USER.0, "root"), ());
            root.execute("CREATE USER plain@'%' IDENTIFIED BY 'plain'")
                .await;
            root.execute("GRANT ALL ON session.* TO plain@'%'").await;
        }
        database.migrated(&TableName::default()).await;
    }
    let proxy = ChaosProxy::start(old.port()).await;
    let url = database.url.replace(D::USER.0, D::USER.1);
    let store = SqlStore::<D>::connect(&with_port(&url, old.port(), proxy.port())).unwrap();
    let key = key();
    let loads = || (0..10).map(|_| store.load(&key));
    join_all(loads()).await;
    proxy.lead_to(new.port());
    for sql in D::DEMOTE {
        database.execute(sql).await;
    }
    let (began, limit) = (Watch::start(), Duration::from_secs(2));
    while !succeeds(store.insert(&key, &record(b"new"))).await {
        assert_in_time!(began.stop(limit).await < limit, "it is not left");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for loaded in join_all(loads()).await {
        let loaded = loaded.expect("the new server answers");
        assert_eq!(loaded.expect("not the old one").bytes, b"new"[..]);
    }
}
