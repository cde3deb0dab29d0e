//! `SQLite`.

use std::{path::Path, str::FromStr};

use sqlx::{
    Pool, Sqlite,
    error::DatabaseError,
    sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous},
};

use super::{AfterCancel, Driver, ErrorClass, pool_options};
use crate::{sqlalchemy_url::sqlite_mode, timeouts};

/// One connection writes at a time, and three more can read.
const CONNECTIONS: u32 = 4;

impl Driver for Sqlite {
    const ONE_WRITER: bool = true;
    // Its thread finishes the statement. And a database in memory must not lose its connection.
    const AFTER_CANCEL: AfterCancel = AfterCancel::Reuse;
    const QUOTE: char = '"';
    const NUMBERED_PLACEHOLDERS: bool = false;
    // The payload is the last column, because SQLite reads all pages of a column to find what
    // follows it. An index lives in the schema of its table, so the index's name includes the
    // schema.
    //
    // SQLite writes the index of every column that a statement sets; the other databases write only
    // the indexes of columns that get another value. So the first update sets no indexed column,
    // and matches only records whose indexed columns keep their values.
    const ABOUT: Option<&'static str> = None;
    // It comes with the driver.
    const OLDEST: &'static [(&'static str, (u32, u32))] = &[];
    const FRAGMENTS: &'static str = "
        @create CREATE TABLE IF NOT EXISTS {table} (
            store_key BLOB NOT NULL PRIMARY KEY, revision INTEGER NOT NULL,
            expires_at INTEGER NOT NULL, sweep_at INTEGER NOT NULL,
            owner BLOB, provider_session BLOB, listed_until INTEGER, payload BLOB NOT NULL);
            {create_sweep_at}; {create_owner}; {create_provider_session}
        @create_store_key CREATE UNIQUE INDEX IF NOT EXISTS {prefix}\"{name}_store_key\" ON \"{name}\" (store_key)
        @create_sweep_at CREATE INDEX IF NOT EXISTS {prefix}\"{name}_sweep_at\" ON \"{name}\" (sweep_at)
        @create_owner CREATE INDEX IF NOT EXISTS {prefix}\"{name}_owner\" ON \"{name}\" (owner, store_key) WHERE owner IS NOT NULL
        @create_provider_session CREATE INDEX IF NOT EXISTS {prefix}\"{name}_provider_session\" ON \"{name}\" (provider_session, store_key) WHERE provider_session IS NOT NULL
        @columns SELECT name FROM pragma_table_info('{name}', {schema})
            UNION ALL SELECT 'in memory' FROM pragma_database_list
            WHERE name = COALESCE({schema}, 'main') AND file = ''
        @indexes SELECT 'index ' || i.name FROM pragma_index_list('{name}', {schema}) AS list,
            pragma_index_info(list.name, {schema}) AS i WHERE i.seqno = 0 AND CASE
            WHEN i.name = 'store_key' THEN list.\"unique\" AND NOT list.partial AND
                (SELECT COUNT(*) FROM pragma_index_info(list.name, {schema})) = 1
            WHEN i.name IN ('owner', 'provider_session') THEN EXISTS (SELECT 1 FROM pragma_index_info(list.name, {schema})
                WHERE seqno = 1 AND name = 'store_key')
            ELSE NOT list.partial END
        @on_conflict ON CONFLICT DO NOTHING
        @update_without_indexes UPDATE {table} SET payload = ?, revision = ?, expires_at = ?,
            listed_until = COALESCE(?, listed_until)
            WHERE sweep_at <= ? AND owner IS COALESCE(?, owner)
            AND provider_session IS COALESCE(?, provider_session) AND store_key = ? AND revision = ?;
        @least MIN";

    fn pool(url: &str) -> sqlx::Result<Pool<Self>> {
        let options = SqliteConnectOptions::from_str(url)?.busy_timeout(timeouts::BUSY);
        // Connections to a file do not break, so they are neither pinged nor replaced. A database
        // in memory ends with its connection.
        let pool = pool_options();
        if sqlite_mode(url) == Some("memory") {
            return Ok(pool.max_connections(1).connect_lazy_with(options));
        }
        let options = if sqlite_mode(url) == Some("ro") {
            options
        } else {
            options
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Normal)
                // In KiB, for each connection. The default of 2 MiB is less than what a thousand
                // busy sessions among a million need.
                .pragma("cache_size", "-16384")
                // In pages: four times the default, which is a log of 16 MiB. A checkpoint waits
                // for the disk, and changes of sessions touch few pages, so that one checkpoint in
                // place of four writes a quarter.
                .pragma("wal_autocheckpoint", "4000")
                // In bytes: what the log keeps on the disk after a long read let it grow.
                .pragma("journal_size_limit", "33554432")
        };
        let file = options.get_filename().to_owned();
        let pool = pool.after_connect(move |connection, _| {
            let file = file.clone();
            Box::pin(async move { hide_new_file(connection, &file).await })
        });
        Ok(pool.max_connections(CONNECTIONS).connect_lazy_with(options))
    }

    fn address(options: &SqliteConnectOptions) -> String {
        options.get_filename().display().to_string()
    }

    fn error_class(error: &dyn DatabaseError) -> ErrorClass {
        let extended = error.code().and_then(|code| code.parse::<i32>().ok());
        match extended.map(|code| code & 0xff) {
            // SQLITE_BUSY, SQLITE_LOCKED
            Some(5 | 6) => ErrorClass::Conflict,
            // SQLITE_ERROR, of which a missing table is one case
            Some(1) => ErrorClass::TableMissing,
            _ => ErrorClass::Other,
        }
    }

    statement_methods!();
}

/// Lets only the account of this process read a file that this connection has created.
///
/// `SQLite` makes it readable for all, and its log is as the file is. A file that has a table, or
/// that a group may write to, was made by somebody else, who may share it.
async fn hide_new_file(connection: &mut SqliteConnection, file: &Path) -> sqlx::Result<()> {
    let tables = "SELECT COUNT(*) FROM sqlite_schema";
    if sqlx::query_scalar::<_, i64>(tables)
        .fetch_one(connection)
        .await?
        > 0
    {
        return Ok(());
    }
    #[cfg(unix)]
    for suffix in ["", "-wal", "-shm"] {
        use std::{fs, os::unix::fs::PermissionsExt as _};

        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        let permissions = fs::metadata(&name).map(|found| found.permissions());
        if let Ok(mut permissions) = permissions
            && permissions.mode() & 0o133 == 0
        {
            permissions.set_mode(0o600);
            fs::set_permissions(&name, permissions)?;
        }
    }
    Ok(())
}
