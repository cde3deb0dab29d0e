use std::str::FromStr;

use sqlx::{
    Connection, Pool, Postgres,
    error::DatabaseError,
    postgres::{PgConnectOptions, PgPoolOptions, PgQueryResult},
};

use super::{Driver, Trouble, Unfinished};
use crate::{
    pace,
    queries::{FlaskQueries, Queries},
    table::TableName,
};

impl Driver for Postgres {
    const STORE: &'static str = "postgres";
    // A message has 2³⁰ - 1 bytes at most.
    const MAX_PAYLOAD: usize = (1 << 30) - 65_536;
    // A change sends the bytes that were loaded as well.
    const FLASK_PAYLOAD: usize = 1 << 20;
    const NOWS_IN_INSERT: usize = 1;
    const ONE_WRITER: bool = false;
    // Each exchange ends with a message that the driver counts, and a new connection costs the server a process.
    const UNFINISHED: Unfinished = Unfinished::Drain;

    fn queries(table: &TableName) -> Queries {
        Queries::postgres(table)
    }

    fn flask_queries(table: &TableName) -> FlaskQueries {
        FlaskQueries::postgres(table)
    }

    fn pool(url: &str) -> sqlx::Result<Pool<Self>> {
        let mut options = PgConnectOptions::from_str(url)?;
        for (setting, limit) in [
            ("lock_timeout", pace::LOCK),
            ("statement_timeout", pace::STATEMENT),
        ] {
            let given = options.get_options().unwrap_or_default();
            if !given.contains(setting) {
                options = options.options([(setting, limit.as_millis())]);
            }
        }
        let pool = PgPoolOptions::new()
            .acquire_timeout(pace::ACQUIRE)
            // Without a task that reaps, a pool can be made before there is a runtime.
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
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
        match error.code().as_deref() {
            // serialization_failure, deadlock_detected, lock_not_available; unique_violation and duplicate_table: a
            // second migration, which finds everything done when it begins again
            Some("40001" | "40P01" | "55P03" | "23505" | "42P07") => Trouble::Conflict,
            // admin_shutdown, crash_shutdown, cannot_connect_now
            Some("57P01" | "57P02" | "57P03") => Trouble::Lost,
            // undefined_table, undefined_column
            Some("42P01" | "42703") => Trouble::Table,
            _ => Trouble::Other,
        }
    }

    run_by_sqlx!(PgQueryResult::rows_affected);
}
