//! Log-ins to a genuine `MySQL`, whose default accounts have `caching_sha2_password`.
//!
//! `cargo test -p session-sql --all-features --test mysql`, with `SESSION_TEST_SERVERS` naming a
//! folder with a `MySQL`, such as `cargo xtask matrix mysql` makes. Without `--all-features` it
//! tests the error that names the features.
#![allow(clippy::unwrap_used, reason = "all of this is tests")]

use session_core::{Result, SessionStore, StoreKey};
use session_sql::MySqlStore;
use session_tests::MariaDb;

/// A server, which the harness starts as it starts a `MariaDB`.
async fn mysql() -> MariaDb {
    let folder = std::env::var_os("SESSION_TEST_SERVERS");
    folder.expect("SESSION_TEST_SERVERS must name the folder of a genuine MySQL");
    MariaDb::start().await
}

/// A store whose pool has no connection yet.
fn store(server: &MariaDb, parameters: &str) -> MySqlStore {
    MySqlStore::connect(&format!("{}{parameters}", server.url())).expect("the URL is valid")
}

/// Logs in, which is what the first call of a store does.
async fn log_in(server: &MariaDb, parameters: &str) -> Result<()> {
    let store = store(server, parameters);
    store.migrate().await?;
    let key = StoreKey::from_stored("a:1".to_owned());
    store.load(&key).await.map(drop)
}

/// What the server knows of the connection's encryption: empty if there is none.
#[cfg(any(feature = "tls", feature = "mysql-rsa"))]
async fn cipher(server: &MariaDb, parameters: &str) -> String {
    let store = store(server, parameters);
    let status = "SELECT variable_value FROM performance_schema.session_status \
        WHERE variable_name = 'Ssl_cipher'";
    let cipher = session_sql::sqlx::query_scalar(status)
        .fetch_one(store.pool())
        .await;
    cipher.unwrap()
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn with_tls_an_account_can_log_in_also_after_a_restart_of_the_server() {
    let server = mysql().await;
    log_in(&server, "").await.unwrap();
    // The server offers TLS, and the driver takes it.
    assert_ne!(cipher(&server, "").await, "");
    server.restart().await;
    log_in(&server, "?ssl-mode=REQUIRED").await.unwrap();
}

#[cfg(feature = "mysql-rsa")]
#[tokio::test]
async fn with_rsa_an_account_can_log_in_without_tls_also_after_a_restart_of_the_server() {
    let server = mysql().await;
    let plain = "?ssl-mode=DISABLED";
    log_in(&server, plain).await.unwrap();
    assert_eq!(cipher(&server, plain).await, "");
    server.restart().await;
    log_in(&server, plain).await.unwrap();
}

/// The log-in fails, then succeeds because another program's log-in is remembered, then fails.
#[cfg(not(feature = "mysql-rsa"))]
#[tokio::test]
async fn without_rsa_and_tls_the_error_names_both_features_also_after_a_restart_of_the_server() {
    let server = mysql().await;
    is_told(&server).await;
    other_program_logs_in(&server);
    log_in(&server, "?ssl-mode=DISABLED").await.unwrap();
    server.restart().await;
    is_told(&server).await;
}

#[cfg(not(feature = "mysql-rsa"))]
async fn is_told(server: &MariaDb) {
    let error = log_in(server, "?ssl-mode=DISABLED").await.unwrap_err();
    let first: &(dyn std::error::Error + 'static) = &error;
    let chain: Vec<_> = std::iter::successors(Some(first), |error| error.source())
        .map(ToString::to_string)
        .collect();
    let chain = chain.join(": ");
    let address = format!("127.0.0.1:{}", server.port());
    for part in [&address, "feature \"tls\"", "\"mysql-rsa\" of session-sql"] {
        assert!(chain.contains(part), "{chain}");
    }
    assert!(!chain.contains("session:session"), "{chain}");
}

#[cfg(not(feature = "mysql-rsa"))]
fn other_program_logs_in(server: &MariaDb) {
    let status = std::process::Command::new("mariadb")
        .args(["--no-defaults", "--protocol=tcp", "--host=127.0.0.1"])
        .arg(format!("--port={}", server.port()))
        .args(["--user=session", "--password=session", "--ssl"])
        .args(["--execute", "SELECT 1"])
        .status();
    assert!(status.expect("mariadb is installed").success());
}
