use std::{path::Path, str::FromStr};

use sqlx::{
    ConnectOptions, Pool, Sqlite,
    error::DatabaseError,
    sqlite::{
        SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteQueryResult,
        SqliteSynchronous,
    },
};

use super::{Driver, Trouble};
use crate::{pace, queries::Queries, table::TableName};

/// One writes at a time; three more can read beside it.
const CONNECTIONS: u32 = 4;

impl Driver for Sqlite {
    const STORE: &'static str = "sqlite";
    // SQLITE_MAX_LENGTH, less what else is in a row.
    const MAX_PAYLOAD: usize = 1_000_000_000 - 4096;
    const NOWS_IN_INSERT: usize = 1;
    const REMOTE: bool = false;

    fn queries(table: &TableName) -> Queries {
        Queries::sqlite(table)
    }

    fn pool(url: &str) -> sqlx::Result<Pool<Self>> {
        let options = SqliteConnectOptions::from_str(url)?.busy_timeout(pace::BUSY);
        let pool = SqlitePoolOptions::new()
            .acquire_timeout(pace::ACQUIRE)
            // A file does not hang up, there is nothing to ask or to renew; a database in memory ends with its
            // connection.
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None);
        if in_memory(&options) {
            return Ok(pool.max_connections(1).connect_lazy_with(options));
        }
        let options = if has(&options, "mode", "ro") {
            options
        } else {
            options
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Normal)
        };
        Ok(pool.max_connections(CONNECTIONS).connect_lazy_with(options))
    }

    fn unusable(pool: &Pool<Self>) -> bool {
        let options = pool.options();
        let lasting = options.get_max_connections() == 1
            && options.get_idle_timeout().is_none()
            && options.get_max_lifetime().is_none();
        in_memory(&pool.connect_options()) && !lasting
    }

    fn trouble(error: &dyn DatabaseError) -> Trouble {
        let extended = error.code().and_then(|code| code.parse::<i32>().ok());
        match extended.map(|code| code & 0xff) {
            // SQLITE_BUSY, SQLITE_LOCKED
            Some(5 | 6) => Trouble::Conflict,
            // SQLITE_ERROR, which a missing table is only one of
            Some(1) => Trouble::Table,
            _ => Trouble::Other,
        }
    }

    run_by_sqlx!(SqliteQueryResult::rows_affected);
}

fn in_memory(options: &SqliteConnectOptions) -> bool {
    has(options, "mode", "memory") || options.get_filename() == Path::new(":memory:")
}

/// Whether the options, spelt as a URL, contain the parameter: they can be read in no other way.
fn has(options: &SqliteConnectOptions, name: &str, value: &str) -> bool {
    options
        .to_url_lossy()
        .query_pairs()
        .any(|pair| pair == (name.into(), value.into()))
}
