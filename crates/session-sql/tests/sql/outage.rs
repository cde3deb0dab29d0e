use std::time::Duration;

use session_core::SessionStore;
use session_sql::{TableName, sqlx};
use session_tests::{MariaDb, Postgres, Server};
use sqlx::Connection;

use crate::{
    databases::{Ground, Place, each_server},
    patience::{all_works_soon, nothing_works, succeeds, until},
    records::{insert, key, load, record},
};

/// A server of the test's own.
trait Own: Place {
    type Server: std::ops::Deref<Target = Server> + Send + Sync + 'static;
    /// Locks `sessions` until the connection is closed.
    const LOCK: &'static [&'static str];
    /// Counts the statements that use `sessions` now, but this one.
    const RUNNING: &'static str;
    /// Ends the connection of whoever used `sessions` last.
    const OTHERS: &'static str;
    const END: &'static str;

    async fn start() -> (Self::Server, Ground<Self>);
}

impl Own for sqlx::Postgres {
    type Server = Postgres;
    const LOCK: &'static [&'static str] =
        &["BEGIN", "LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE"];
    const RUNNING: &'static str = "SELECT COUNT(*) FROM pg_stat_activity \
        WHERE state = 'active' AND query LIKE '%\"sessions\"%' AND pid <> pg_backend_pid()";
    const OTHERS: &'static str = "SELECT COALESCE(MAX(pid), 0)::bigint FROM pg_stat_activity \
        WHERE query LIKE '%\"sessions\"%' AND pid <> pg_backend_pid()";
    const END: &'static str = "SELECT pg_terminate_backend({})";

    async fn start() -> (Postgres, Ground<Self>) {
        let server = Postgres::start().await;
        let url = server.url();
        (server, Ground::new(url, ()))
    }
}

impl Own for sqlx::MySql {
    type Server = MariaDb;
    const LOCK: &'static [&'static str] = &["LOCK TABLES sessions WRITE"];
    const RUNNING: &'static str = "SELECT COUNT(*) FROM information_schema.processlist \
        WHERE command IN ('Query', 'Execute') AND info LIKE '%`sessions`%' AND id <> CONNECTION_ID()";
    const OTHERS: &'static str = "SELECT CAST(COALESCE(MAX(id), 0) AS SIGNED) FROM information_schema.processlist \
        WHERE user = 'session' AND id <> CONNECTION_ID()";
    const END: &'static str = "KILL {}";

    async fn start() -> (MariaDb, Ground<Self>) {
        let server = MariaDb::start().await;
        let url = server.url();
        (server, Ground::new(url, ()))
    }
}

each_server!(
    a_killed_server_is_an_error_in_time_and_a_restarted_one_serves,
    a_frozen_server_is_an_error_in_time_and_a_thawed_one_serves,
    a_locked_table_is_an_error_in_time_and_leaves_no_statement_running,
    no_read_fails_when_the_server_ends_connections,
    a_store_can_be_made_before_its_server_runs,
);

async fn a_killed_server_is_an_error_in_time_and_a_restarted_one_serves<D: Own>() {
    let (server, place) = D::start().await;
    let store = place.migrated(&TableName::default()).await;
    all_works_soon(&store).await;
    server.kill();
    for _ in 0..2 {
        nothing_works(&store).await;
    }
    server.restart().await;
    all_works_soon(&store).await;
}

async fn a_frozen_server_is_an_error_in_time_and_a_thawed_one_serves<D: Own>() {
    let (server, place) = D::start().await;
    let store = place.migrated(&TableName::default()).await;
    let key = key();
    insert(&store, &key, &record(b"before")).await;
    server.freeze();
    for _ in 0..3 {
        nothing_works(&store).await;
    }
    server.thaw();
    all_works_soon(&store).await;
    assert_eq!(load(&store, &key).await.unwrap().bytes, b"before"[..]);
    until(
        Duration::from_secs(5),
        |left| left == 0,
        || place.number(D::RUNNING),
    )
    .await;
}

async fn a_locked_table_is_an_error_in_time_and_leaves_no_statement_running<D: Own>() {
    let (_server, place) = D::start().await;
    let store = place.migrated(&TableName::default()).await;
    all_works_soon(&store).await;
    let mut other = place.connect().await;
    for sql in D::LOCK {
        D::execute(&mut other, sql).await.unwrap();
    }
    for _ in 0..3 {
        nothing_works(&store).await;
    }
    until(
        Duration::from_secs(5),
        |left| left == 0,
        || place.number(D::RUNNING),
    )
    .await;
    other.close().await.unwrap();
    all_works_soon(&store).await;
}

async fn no_read_fails_when_the_server_ends_connections<D: Own>() {
    let (_server, place) = D::start().await;
    let store = place.migrated(&TableName::default()).await;
    let key = key();
    insert(&store, &key, &record(b"x")).await;
    let mut admin = place.connect().await;
    let mut ended = 0;
    for _ in 0..100 {
        let id = D::number(&mut admin, D::OTHERS).await.unwrap();
        if id != 0 {
            let end = D::END.replace("{}", &id.to_string());
            // Gone by itself, perhaps.
            ended += usize::from(D::execute(&mut admin, &end).await.is_ok());
        }
        assert!(succeeds(store.load(&key)).await, "a read failed");
    }
    assert!(ended >= 90, "only {ended} connections were ended");
}

async fn a_store_can_be_made_before_its_server_runs<D: Own>() {
    let (server, place) = D::start().await;
    server.kill();
    let store = place.store(&TableName::default());
    assert!(!succeeds(store.load(&key())).await);
    assert!(!succeeds(store.migrate()).await);
    server.restart().await;
    store.migrate().await.expect("the migration succeeds");
    all_works_soon(&store).await;
}
