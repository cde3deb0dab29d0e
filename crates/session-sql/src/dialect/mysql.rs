use std::str::FromStr;

use sqlx::{
    AssertSqlSafe, Executor, MySql, Pool,
    error::DatabaseError,
    mysql::{MySqlConnectOptions, MySqlConnection, MySqlDatabaseError},
};

use super::{
    Driver, Trouble, Unfinished, pool_options,
    server::{address, lives},
};
use crate::pace;

impl Driver for MySql {
    // What a BLOB holds.
    const FLASK_LIMIT: usize = 65_535;
    const ONE_WRITER: bool = false;
    // The driver does not know where the answer to a preparation ends that was dropped.
    const UNFINISHED: Unfinished = Unfinished::Close;
    const QUOTE: char = '`';
    const NUMBERED: bool = false;
    // A page must not be sought in the order of all keys, and a sweep that scanned a small table would lock the live
    // records too, and wait for those that others hold: so the indexes are forced.
    //
    // Of an expiry whole seconds are kept, rounded down: MySQL would round to the nearest.
    const WORDS: &'static str = "
        @create CREATE TABLE IF NOT EXISTS {table} (
            store_key VARBINARY(255) NOT NULL PRIMARY KEY, revision BIGINT NOT NULL,
            expires_at BIGINT NOT NULL, sweep_at BIGINT NOT NULL,
            owner VARBINARY(255), listed_until BIGINT, payload LONGBLOB NOT NULL,
            INDEX sweep_at (sweep_at), INDEX owner (owner, store_key)) ENGINE = InnoDB
        @create_flask CREATE TABLE IF NOT EXISTS {table} (id INTEGER NOT NULL AUTO_INCREMENT,
            session_id VARCHAR(255), data BLOB, expiry DATETIME, PRIMARY KEY (id), UNIQUE (session_id))
        @columns SELECT CAST(column_name AS CHAR) FROM information_schema.columns WHERE {here}
        @flask_facts SELECT 'unique id' FROM information_schema.statistics WHERE {here} AND non_unique = 0
            GROUP BY index_name
            HAVING COUNT(*) = 1 AND MAX(column_name) = 'session_id' AND MAX(sub_part) IS NULL
            UNION ALL SELECT 'naive expiry' FROM information_schema.columns
            WHERE {here} AND column_name = 'expiry' AND data_type = 'datetime'
            UNION ALL SELECT CONCAT('room ', character_octet_length) FROM information_schema.columns
            WHERE {here} AND column_name = 'data'
        @here table_schema = COALESCE({schema}, DATABASE()) AND table_name = '{name}'
        @least LEAST
        @unlocked FOR UPDATE SKIP LOCKED
        @by_sweep_at FORCE INDEX (sweep_at)
        @by_owner FORCE INDEX (owner)
        @by_key FORCE INDEX (PRIMARY)
        @due_of due
        @as_due AS due FORCE INDEX (PRIMARY)
        @due id IN ({places}) AND {expiry} <= ?
        @none x''
        @data COALESCE(data, x'')
        @id CAST(id AS SIGNED)
        @session session_id = ?
            AND CAST(CONVERT(session_id USING utf8mb4) AS BINARY) = CAST(? AS BINARY)
        @expiry COALESCE(TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', expiry), 0)
        @instant TIMESTAMPADD(SECOND, ? DIV 1000000, TIMESTAMP'1970-01-01 00:00:00')";

    fn pool(url: &str) -> sqlx::Result<Pool<Self>> {
        let pool = pool_options()
            .after_connect(|connection, _| Box::pin(limit(connection)))
            .before_acquire(|connection, meta| Box::pin(lives(connection, meta)));
        Ok(pool.connect_lazy_with(MySqlConnectOptions::from_str(url)?))
    }

    fn address(options: &MySqlConnectOptions) -> String {
        address(options.get_socket(), options.get_host(), options.get_port())
    }

    fn trouble(error: &dyn DatabaseError) -> Trouble {
        let error = error.try_downcast_ref::<MySqlDatabaseError>();
        match error.map_or(0, MySqlDatabaseError::number) {
            // duplicate entry: of the ways to insert, those that are told of it otherwise hide other errors too
            1062 => Trouble::Taken,
            // record changed since last read, lock wait timeout, deadlock
            1020 | 1205 | 1213 => Trouble::Conflict,
            // server shutdown, connection killed, disconnected as idle
            1053 | 1927 | 4031 => Trouble::Lost,
            // unknown column, no such table, no such index
            1054 | 1146 | 1176 => Trouble::Table,
            _ => Trouble::Other,
        }
    }

    run_by_sqlx!();
}

/// The server ends what takes too long; autocommit, because a server may be told to begin without.
///
/// Each server executes one of the two comments and skips the other: `MariaDB` limits every statement, `MySQL` reading
/// alone.
async fn limit(connection: &mut MySqlConnection) -> sqlx::Result<()> {
    let lock = pace::LOCK.as_secs();
    let (seconds, millis) = (pace::STATEMENT.as_secs(), pace::STATEMENT.as_millis());
    let sql = format!(
        "SET SESSION autocommit = 1, lock_wait_timeout = {lock}, innodb_lock_wait_timeout = {lock} \
         /*M! , max_statement_time = {seconds} */ /*!50708 , max_execution_time = {millis} */"
    );
    connection.execute(AssertSqlSafe(sql)).await.map(drop)
}
