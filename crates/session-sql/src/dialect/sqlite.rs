use std::str::FromStr;

use sqlx::{
    Pool, Sqlite,
    error::DatabaseError,
    sqlite::{
        SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteQueryResult,
        SqliteSynchronous,
    },
};

use super::{Driver, Trouble, Unfinished};
use crate::{
    pace,
    queries::{FlaskQueries, Queries},
    table::TableName,
};

/// One writes at a time; three more can read beside it.
const CONNECTIONS: u32 = 4;

impl Driver for Sqlite {
    const STORE: &'static str = "sqlite";
    // SQLITE_MAX_LENGTH, less what else is in a row.
    const MAX_PAYLOAD: usize = 1_000_000_000 - 4096;
    // A change sends the bytes that were loaded as well.
    const FLASK_PAYLOAD: usize = 1 << 20;
    const NOWS_IN_INSERT: usize = 1;
    const ONE_WRITER: bool = true;
    // Its thread ends the statement; and a database in memory ends with its connection.
    const UNFINISHED: Unfinished = Unfinished::Keep;

    fn queries(table: &TableName) -> Queries {
        Queries::sqlite(table)
    }

    fn flask_queries(table: &TableName) -> FlaskQueries {
        FlaskQueries::sqlite(table)
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
        if mode(url) == Some("memory") {
            return Ok(pool.max_connections(1).connect_lazy_with(options));
        }
        let options = if mode(url) == Some("ro") {
            options
        } else {
            options
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Normal)
                // Of each connection, in KiB: the default of 2 MiB is less than a busy thousand of a million sessions.
                .pragma("cache_size", "-16384")
                // In pages: a checkpoint waits for the disk, and the changes of sessions keep to few pages, so that
                // one in place of four writes a quarter. The log has 16 MiB then.
                .pragma("wal_autocheckpoint", "4000")
        };
        Ok(pool.max_connections(CONNECTIONS).connect_lazy_with(options))
    }

    fn holds_connections(pool: &Pool<Self>) -> bool {
        let options = pool.options();
        options.get_max_connections() == 1
            && options.get_idle_timeout().is_none()
            && options.get_max_lifetime().is_none()
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

/// What the URL's `mode` is; the options, once parsed, do not tell.
fn mode(url: &str) -> Option<&str> {
    let (path, parameters) = url.split_once('?').unwrap_or((url, ""));
    if path.ends_with(":memory:") {
        return Some("memory");
    }
    parameters
        .split('&')
        .find_map(|pair| pair.strip_prefix("mode="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_is_the_urls() {
        assert_eq!(mode("sqlite::memory:"), Some("memory"));
        assert_eq!(mode("sqlite://:memory:?cache=shared"), Some("memory"));
        assert_eq!(mode("sqlite://a.db?cache=shared&mode=ro"), Some("ro"));
        assert_eq!(mode("sqlite://a.db"), None);
    }
}
