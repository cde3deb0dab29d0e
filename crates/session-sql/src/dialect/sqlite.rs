use std::str::FromStr;

use sqlx::{
    Pool, Sqlite,
    error::DatabaseError,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::{Driver, Trouble, Unfinished, pool_options};
use crate::pace;

/// One writes at a time; three more can read beside it.
const CONNECTIONS: u32 = 4;

impl Driver for Sqlite {
    // A change sends the bytes that were loaded as well.
    const FLASK_LIMIT: usize = 1 << 20;
    const ONE_WRITER: bool = true;
    // Its thread ends the statement; and a database in memory ends with its connection.
    const UNFINISHED: Unfinished = Unfinished::Keep;
    const QUOTE: char = '"';
    const NUMBERED: bool = false;
    // The payload is the last column: what follows it is behind all its pages. An index lives in the schema of its table,
    // which the index's own name has to say.
    //
    // SQLite writes the index of every column that a statement sets, the others that of every column that gets another
    // value. So the lean update names none that an index has, and holds where none has to change.
    //
    // An expiry is as SQLAlchemy writes it, `2026-11-21 00:42:40.800486`, or with a `T`, or with fewer digits or none.
    const WORDS: &'static str = "
        @create CREATE TABLE IF NOT EXISTS {table} (
            store_key BLOB NOT NULL PRIMARY KEY, revision INTEGER NOT NULL,
            expires_at INTEGER NOT NULL, sweep_at INTEGER NOT NULL,
            owner BLOB, listed_until INTEGER, payload BLOB NOT NULL);
            CREATE INDEX IF NOT EXISTS {prefix}\"{name}_sweep_at\" ON \"{name}\" (sweep_at);
            CREATE INDEX IF NOT EXISTS {prefix}\"{name}_owner\" ON \"{name}\" (owner, store_key)
            WHERE owner IS NOT NULL
        @create_flask CREATE TABLE IF NOT EXISTS {table} (id INTEGER NOT NULL, session_id VARCHAR(255), data BLOB, \
            expiry DATETIME, PRIMARY KEY (id), UNIQUE (session_id))
        @columns SELECT name FROM pragma_table_info('{name}', {schema})
            UNION ALL SELECT 'in memory' FROM pragma_database_list
            WHERE name = COALESCE({schema}, 'main') AND file = ''
        @flask_facts SELECT 'unique id' FROM pragma_index_list('{name}', {schema}) AS list
            WHERE list.\"unique\" AND NOT list.partial
            AND (SELECT group_concat(name) FROM pragma_index_info(list.name, {schema})) = 'session_id'
            UNION ALL SELECT 'naive expiry' FROM pragma_table_info('{name}', {schema})
        @unless_taken ON CONFLICT DO NOTHING
        @lean_update UPDATE {table} SET payload = ?, revision = revision + 1, expires_at = ?,
            listed_until = COALESCE(?, listed_until)
            WHERE sweep_at <= ? AND owner IS COALESCE(?, owner) AND store_key = ? AND revision = ?;
        @least MIN
        @due id IN ({places}) AND {expiry} <= ?
        @none x''
        @data CAST(COALESCE(data, x'') AS BLOB)
        @id id
        @session session_id = ? AND session_id = ? COLLATE BINARY
        @expiry COALESCE(unixepoch(substr(expiry, 1, 19)) * 1000000
            + CAST(substr(substr(expiry, 21) || '000000', 1, 6) AS INTEGER), 0)
        @instant (SELECT strftime('%Y-%m-%d %H:%M:%S', micros / 1000000, 'unixepoch')
            || printf('.%06d', micros % 1000000) FROM (SELECT ? AS micros))";

    fn pool(url: &str) -> sqlx::Result<Pool<Self>> {
        let options = SqliteConnectOptions::from_str(url)?.busy_timeout(pace::BUSY);
        // A file does not hang up, there is nothing to ask or to renew; a database in memory ends with its connection.
        let pool = pool_options();
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

    fn address(options: &SqliteConnectOptions) -> String {
        options.get_filename().display().to_string()
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

    run_by_sqlx!();
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
