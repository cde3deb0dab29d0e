//! The databases that can be measured.

use std::{any::Any, fmt::Write};

use session_sql::{Dialect, MySqlStore, PostgresStore, SqliteStore, sqlx};
use session_tests::{MariaDb, Postgres, scratch_dir};
use sqlx::{AssertSqlSafe, Executor};

use crate::{BoxResult, measure};

/// A database whose store is measured.
pub(crate) trait Measured: Dialect {
    /// An expression of 300 bytes.
    const PAYLOAD: &'static str;
    /// Removes the limit that the store's pool sets on a statement.
    const NO_TIMEOUT: &'static str;
    /// The beginning of a literal of bytes.
    const BYTES: &'static str;

    fn bytes(bytes: &[u8]) -> String {
        let mut literal = Self::BYTES.to_owned();
        for byte in bytes {
            write!(literal, "{byte:02x}").expect("a String takes every write");
        }
        literal + "'"
    }

    fn execute(
        connection: &mut Self::Connection,
        sql: String,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;
}

macro_rules! execute {
    () => {
        async fn execute(connection: &mut Self::Connection, sql: String) -> sqlx::Result<()> {
            connection.execute(AssertSqlSafe(sql)).await.map(drop)
        }
    };
}

impl Measured for sqlx::Sqlite {
    const PAYLOAD: &'static str = "zeroblob(300)";
    const NO_TIMEOUT: &'static str = "PRAGMA busy_timeout = 10000";
    const BYTES: &'static str = "x'";

    execute!();
}

impl Measured for sqlx::Postgres {
    const PAYLOAD: &'static str = "decode(repeat('07', 300), 'hex')";
    const NO_TIMEOUT: &'static str = "SET statement_timeout = 0; SET lock_timeout = 0";
    const BYTES: &'static str = "'\\x";

    execute!();
}

impl Measured for sqlx::MySql {
    const PAYLOAD: &'static str = "REPEAT('7', 300)";
    const NO_TIMEOUT: &'static str = "SET SESSION autocommit = 1 \
        /*M! , max_statement_time = 0 */ /*!50708 , max_execution_time = 0 */";
    const BYTES: &'static str = "x'";

    execute!();
}

/// A server that runs for as long as this value.
pub(crate) type Running = Box<dyn Any>;

/// Starts a database of the kind `name`: its URL, and what keeps it.
pub(crate) async fn start(name: &str) -> (String, Running) {
    match name {
        "postgres" => {
            let server = Postgres::start().await;
            (server.url(), Box::new(server))
        }
        "mariadb" => {
            // Memory for the table, and room in the log for the inserts. Otherwise a save waits for
            // the disk for seconds.
            let server = MariaDb::start_with(&[
                "--innodb-buffer-pool-size=2G",
                "--innodb-log-file-size=512M",
            ])
            .await;
            (server.url(), Box::new(server))
        }
        "sqlite" => {
            let directory = scratch_dir();
            let file = directory.path().join("sessions.db");
            let url = format!("sqlite://{}?mode=rwc", file.display());
            (url, Box::new(directory))
        }
        url => (url.to_owned(), Box::new(())),
    }
}

/// Measures a database of the kind `name`, or the one at a URL.
pub(crate) async fn measure_database(name: &str) -> BoxResult<()> {
    let (url, _running) = start(name).await;
    match url.split(':').next() {
        Some("sqlite") => measure(SqliteStore::connect(&url)?).await,
        Some("postgres" | "postgresql") => measure(PostgresStore::connect(&url)?).await,
        _ => measure(MySqlStore::connect(&url)?).await,
    }
}
