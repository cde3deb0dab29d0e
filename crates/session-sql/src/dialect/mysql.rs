//! `MySQL` and `MariaDB`.

use std::str::FromStr;

use sqlx::{
    AssertSqlSafe, Executor, MySql, Pool,
    error::DatabaseError,
    mysql::{MySqlConnectOptions, MySqlConnection, MySqlDatabaseError, MySqlSslMode},
};

use super::{
    AfterCancel, Driver, ErrorClass, pool_options,
    server::{address, is_usable},
};
use crate::timeouts;

impl Driver for MySql {
    const ONE_WRITER: bool = false;
    // The driver cannot tell where the reply to an abandoned prepare ends.
    const AFTER_CANCEL: AfterCancel = AfterCancel::Close;
    const QUOTE: char = '`';
    const NUMBERED_PLACEHOLDERS: bool = false;
    // The indexes are forced. Without that, a page of a list may be read in the order of all keys.
    // And a sweep may scan a small table, lock live records too, and wait for locked ones.
    const ABOUT: Option<&'static str> = Some(
        "SELECT CAST(CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS UNSIGNED) AS CHAR)
        UNION ALL SELECT CAST(VERSION() AS CHAR)",
    );
    const OLDEST: &'static [(&'static str, (u32, u32))] =
        &[("MariaDB", (10, 6)), ("MySQL", (8, 0))];
    const FRAGMENTS: &'static str = "
        @create CREATE TABLE IF NOT EXISTS {table} (
            store_key VARBINARY(255) NOT NULL PRIMARY KEY, revision BIGINT NOT NULL,
            expires_at BIGINT NOT NULL, sweep_at BIGINT NOT NULL,
            owner VARBINARY(255), provider_session VARBINARY(255), listed_until BIGINT,
            payload LONGBLOB NOT NULL, INDEX sweep_at (sweep_at), INDEX owner (owner, store_key),
            INDEX provider_session (provider_session, store_key)) ENGINE = InnoDB
        @columns SELECT CAST(column_name AS CHAR) FROM information_schema.columns WHERE {here}
        @indexes SELECT IF(is_hidden, CONCAT('hidden ', name, ' ALTER TABLE {table} ALTER INDEX ', name,
            /*M! ' NOT IGNORED', */ /*!80000 ' VISIBLE', */ ''),
            CONCAT('index ', IF(name = 'PRIMARY', 'store_key', name))) FROM
            (SELECT index_name AS name, GROUP_CONCAT(column_name ORDER BY seq_in_index) AS columns_of,
            MAX(0 /*M!100600 OR ignored = 'YES' */ /*!80000 OR is_visible = 'NO' */) AS is_hidden
            FROM information_schema.statistics WHERE {here} AND sub_part IS NULL GROUP BY index_name) AS found
            WHERE columns_of LIKE CASE name
            WHEN 'PRIMARY' THEN 'store_key' WHEN 'owner' THEN 'owner,store_key%'
            WHEN 'provider_session' THEN 'provider_session,store_key%' ELSE CONCAT(name, '%') END
            UNION ALL SELECT CONCAT('room ', character_octet_length) FROM information_schema.columns
            WHERE {here} AND column_name = 'payload'
        @packet UNION ALL SELECT CONCAT('packet ',@@max_allowed_packet)
        @create_store_key ALTER TABLE {table} ADD PRIMARY KEY (store_key), ALGORITHM = INPLACE, LOCK = NONE
        @create_sweep_at ALTER TABLE {table} ADD INDEX sweep_at (sweep_at), ALGORITHM = INPLACE, LOCK = NONE
        @create_owner ALTER TABLE {table} ADD INDEX owner (owner, store_key), ALGORITHM = INPLACE, LOCK = NONE
        @create_provider_session ALTER TABLE {table} ADD INDEX provider_session (provider_session, store_key), ALGORITHM = INPLACE, LOCK = NONE
        @here table_schema = COALESCE({schema}, DATABASE()) AND table_name = '{name}'
        @least LEAST
        @skip_locked FOR UPDATE SKIP LOCKED
        @by_sweep_at FORCE INDEX (sweep_at)
        @by_owner FORCE INDEX (owner)
        @by_provider_session FORCE INDEX (provider_session)
        @by_key FORCE INDEX (PRIMARY)
        @delete_alias expired
        @delete_source AS expired FORCE INDEX (PRIMARY)";

    fn pool(url: &str) -> sqlx::Result<Pool<Self>> {
        let pool = pool_options()
            .after_connect(|connection, _| Box::pin(set_limits(connection)))
            .before_acquire(|connection, meta| Box::pin(is_usable(connection, meta)));
        Ok(pool.connect_lazy_with(MySqlConnectOptions::from_str(url)?))
    }

    fn address(options: &MySqlConnectOptions) -> String {
        address(options.get_socket(), options.get_host(), options.get_port())
    }

    fn needs_tls(options: &MySqlConnectOptions) -> bool {
        let mode = options.get_ssl_mode();
        !matches!(mode, MySqlSslMode::Disabled | MySqlSslMode::Preferred)
    }

    fn explanation(error: &sqlx::Error) -> Option<&'static str> {
        let sqlx::Error::Configuration(cause) = error else {
            return None;
        };
        let needs = cause.to_string().contains("mysql-rsa");
        needs.then_some(NEEDS_TLS_OR_RSA)
    }

    fn error_class(error: &dyn DatabaseError) -> ErrorClass {
        let error = error.try_downcast_ref::<MySqlDatabaseError>();
        match error.map_or(0, MySqlDatabaseError::number) {
            // duplicate entry. INSERT IGNORE would not fail, but would hide other errors too.
            1062 => ErrorClass::KeyExists,
            // record changed since last read, lock wait timeout, deadlock
            1020 | 1205 | 1213 => ErrorClass::Conflict,
            // server shutdown, connection killed, disconnected as idle
            1053 | 1927 | 4031 => ErrorClass::Disconnected,
            // --read-only, read only mode
            1290 | 1836 => ErrorClass::ReadOnly,
            // unknown column, no such table, no such index
            1054 | 1146 | 1176 => ErrorClass::TableMissing,
            _ => ErrorClass::Other,
        }
    }

    statement_methods!();
}

/// The driver names a feature of its own, and not that the next log-in may succeed without it.
const NEEDS_TLS_OR_RSA: &str = "\
    the server asks for the password, and this connection cannot hide it: connect with TLS (the \
    feature \"tls\" of session-sql, and no ssl-mode=DISABLED in the URL), or enable the feature \
    \"mysql-rsa\" of session-sql. Without either, the server lets this account in only while it \
    remembers another program's log-in, until it restarts";

/// Sets the server's limits on locks and statements, and autocommit, which a server may have off.
///
/// Each server executes one of the two comments and skips the other. `MariaDB` limits every
/// statement, `MySQL` only those that read.
async fn set_limits(connection: &mut MySqlConnection) -> sqlx::Result<()> {
    let (lock, statement) = (timeouts::LOCK.as_secs(), timeouts::STATEMENT);
    let (seconds, millis) = (statement.as_secs(), statement.as_millis());
    let sql = format!(
        "SET SESSION autocommit = 1, lock_wait_timeout = {lock}, innodb_lock_wait_timeout = {lock} \
         /*M! , max_statement_time = {seconds} */ /*!50708 , max_execution_time = {millis} */"
    );
    connection.execute(AssertSqlSafe(sql)).await.map(drop)
}
