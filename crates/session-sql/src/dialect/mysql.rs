use std::str::FromStr;

use sqlx::{
    AssertSqlSafe, Connection, Executor, MySql, Pool,
    error::DatabaseError,
    mysql::{
        MySqlConnectOptions, MySqlConnection, MySqlDatabaseError, MySqlPoolOptions,
        MySqlQueryResult,
    },
};

use super::{Driver, Trouble, Unfinished};
use crate::{
    pace,
    queries::{FlaskQueries, Queries},
    table::TableName,
};

impl Driver for MySql {
    const STORE: &'static str = "mysql";
    // LONGBLOB holds 4 GiB, but max_allowed_packet ends at 1.
    const MAX_PAYLOAD: usize = (1 << 30) - 65_536;
    // What a BLOB holds.
    const FLASK_PAYLOAD: usize = 65_535;
    const NOWS_IN_INSERT: usize = 5;
    const ONE_WRITER: bool = false;
    // The driver does not know where the answer to a preparation ends that was dropped.
    const UNFINISHED: Unfinished = Unfinished::Close;

    fn queries(table: &TableName) -> Queries {
        Queries::mysql(table)
    }

    fn flask_queries(table: &TableName) -> FlaskQueries {
        FlaskQueries::mysql(table)
    }

    fn pool(url: &str) -> sqlx::Result<Pool<Self>> {
        let options = MySqlConnectOptions::from_str(url)?;
        let pool = MySqlPoolOptions::new()
            .acquire_timeout(pace::ACQUIRE)
            // Without a task that reaps, a pool can be made before there is a runtime.
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .after_connect(|connection, _| Box::pin(limit(connection)))
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > pace::TRUST_IDLE {
                        connection.ping().await?;
                    }
                    Ok(meta.age < pace::LIFETIME)
                })
            });
        Ok(pool.connect_lazy_with(options))
    }

    fn holds_connections(_: &Pool<Self>) -> bool {
        false
    }

    fn trouble(error: &dyn DatabaseError) -> Trouble {
        match number(error) {
            // record changed since last read, lock wait timeout, deadlock; duplicate column and duplicate key name:
            // a second migration, which finds everything done when it begins again
            1020 | 1205 | 1213 | 1060 | 1061 => Trouble::Conflict,
            // server shutdown, connection killed, disconnected as idle
            1053 | 1927 | 4031 => Trouble::Lost,
            // unknown database, unknown column, no such table, no such index
            1049 | 1054 | 1146 | 1176 => Trouble::Table,
            _ => Trouble::Other,
        }
    }

    run_by_sqlx!(affected);
}

/// Records that the condition held for; an insert that met a live record says so by an id below zero, see its statement.
fn affected(done: &MySqlQueryResult) -> u64 {
    match done.last_insert_id().cast_signed() {
        0.. => done.rows_affected(),
        _ => 0,
    }
}

fn number(error: &dyn DatabaseError) -> u16 {
    error
        .try_downcast_ref::<MySqlDatabaseError>()
        .map_or(0, MySqlDatabaseError::number)
}

/// The server ends what takes too long; autocommit, because a server may be told to begin without.
async fn limit(connection: &mut MySqlConnection) -> sqlx::Result<()> {
    let lock = pace::LOCK.as_secs();
    connection
        .execute(AssertSqlSafe(format!(
            "SET SESSION autocommit = 1, lock_wait_timeout = {lock}, innodb_lock_wait_timeout = {lock}"
        )))
        .await?;
    let seconds = pace::STATEMENT.as_secs();
    let mariadb = AssertSqlSafe(format!("SET SESSION max_statement_time = {seconds}"));
    match connection.execute(mariadb).await {
        // An unknown variable: MySQL, which limits reading alone.
        Err(sqlx::Error::Database(error)) if number(error.as_ref()) == 1193 => {
            let millis = pace::STATEMENT.as_millis();
            let mysql = AssertSqlSafe(format!("SET SESSION max_execution_time = {millis}"));
            connection.execute(mysql).await.map(drop)
        }
        done => done.map(drop),
    }
}
