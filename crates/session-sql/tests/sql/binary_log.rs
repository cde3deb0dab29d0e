//! A server of `MariaDB` or `MySQL` whose binary log holds statements.

use session_core::SessionStore;
use session_sql::{TableName, sqlx};
use session_tests::{MariaDb, sweep_up_to};

use crate::{
    databases::Handle,
    records::{error_chain, expired, insert, key, record},
};

/// Starts a server, and creates a table of each layout.
async fn start(isolation: &str) -> Handle<sqlx::MySql> {
    let server = MariaDb::start_with(&[
        "--log-bin=log",
        "--server-id=1",
        "--binlog-format=STATEMENT",
        &format!("--transaction-isolation={isolation}"),
    ])
    .await;
    Handle::new(server.url(), server)
}

#[tokio::test]
async fn mariadb_sweeps_with_a_binary_log_of_statements() {
    let database = start("REPEATABLE-READ").await;
    let store = database.migrated(&TableName::default()).await;
    insert(&store, &key(), &record(b"live")).await;
    insert(&store, &key(), &expired(b"expired")).await;
    let all_due = "UPDATE sessions SET sweep_at = 0";
    database.execute(all_due).await;
    assert_eq!(sweep_up_to(&store, 10).await, 1);

    let flask = database.store(&TableName::new("flasks").unwrap());
    let flask = flask.with_flask_layout();
    flask.migrate().await.unwrap();
    insert(&flask, &key(), &record(b"live")).await;
    insert(&flask, &key(), &expired(b"expired")).await;
    assert_eq!(sweep_up_to(&flask, 10).await, 1);
}

#[tokio::test]
async fn at_read_committed_mariadb_refuses_each_write_to_a_binary_log_of_statements() {
    let database = start("READ-COMMITTED").await;
    let store = database.migrated(&TableName::default()).await;
    let refused = store.insert(&key(), &record(b"x")).await;
    let error = error_chain(&refused.expect_err("the log cannot hold it"));
    assert!(error.contains("BINLOG_FORMAT = STATEMENT"), "{error}");
    assert!(error.contains("READ COMMITTED"), "{error}");
}
