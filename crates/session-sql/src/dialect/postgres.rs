use std::str::FromStr;

use sqlx::{Pool, Postgres, error::DatabaseError, postgres::PgConnectOptions};

use super::{
    Driver, Trouble, Unfinished, pool_options,
    server::{address, lives},
};
use crate::pace;

impl Driver for Postgres {
    // A change sends the bytes that were loaded as well.
    const FLASK_LIMIT: usize = 1 << 20;
    const ONE_WRITER: bool = false;
    // Each exchange ends with a message that the driver counts, and a new connection costs the server a process.
    const UNFINISHED: Unfinished = Unfinished::Drain;
    const QUOTE: char = '"';
    const NUMBERED: bool = true;
    // Of those that are due an array is made, so that they are locked once, not once for each row they are compared with.
    // LEAST and GREATEST do not heed NULL. An instant is exact to the microsecond until the year 2255.
    const WORDS: &'static str = "
        @create CREATE TABLE IF NOT EXISTS {table} (
            store_key BYTEA NOT NULL PRIMARY KEY, revision BIGINT NOT NULL,
            expires_at BIGINT NOT NULL, sweep_at BIGINT NOT NULL,
            owner BYTEA, listed_until BIGINT, payload BYTEA NOT NULL);
            CREATE INDEX IF NOT EXISTS \"{name}_sweep_at\" ON {table} (sweep_at);
            CREATE INDEX IF NOT EXISTS \"{name}_owner\" ON {table} (owner, store_key) WHERE owner IS NOT NULL
        @create_flask CREATE TABLE IF NOT EXISTS {table} (id SERIAL NOT NULL, session_id VARCHAR(255), data BYTEA,
            expiry TIMESTAMP WITHOUT TIME ZONE, PRIMARY KEY (id), UNIQUE (session_id))
        @columns SELECT attname::text FROM pg_attribute
            WHERE attrelid = to_regclass('{table}') AND attnum > 0 AND NOT attisdropped
        @flask_facts SELECT 'unique id' FROM pg_index AS i JOIN pg_attribute AS a
            ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] AND a.attname = 'session_id'
            WHERE i.indrelid = to_regclass('{table}') AND i.indisunique AND i.indnatts = 1 AND i.indpred IS NULL
            UNION ALL SELECT 'naive expiry' FROM pg_attribute WHERE attrelid = to_regclass('{table}')
            AND attname = 'expiry' AND atttypid = 'timestamp'::regtype
        @unless_taken ON CONFLICT DO NOTHING
        @least LEAST
        @unlocked FOR UPDATE SKIP LOCKED
        @due id = ANY(ARRAY(SELECT id FROM {table} WHERE id IN ({places}) AND {expiry} <= ?
            FOR UPDATE SKIP LOCKED))
        @none ''::bytea
        @data COALESCE(data, ''::bytea)
        @id id::bigint
        @session session_id = ? AND session_id COLLATE \"C\" = ?
        @expiry CAST(EXTRACT(EPOCH FROM LEAST(GREATEST(expiry, TIMESTAMP 'epoch'),
            TIMESTAMP '9999-12-31 23:59:59')) * 1000000 AS bigint)
        @instant TIMESTAMP 'epoch' + ? * INTERVAL '1 microsecond'";

    fn pool(url: &str) -> sqlx::Result<Pool<Self>> {
        let mut options = PgConnectOptions::from_str(url)?;
        for (setting, value) in [
            ("lock_timeout", pace::LOCK.as_millis()),
            ("statement_timeout", pace::STATEMENT.as_millis()),
            // Off: on a table without statistics it would sort all of a user's records anew for each page of a list.
            ("enable_bitmapscan", 0),
        ] {
            let given = options.get_options().unwrap_or_default();
            if !given.contains(setting) {
                options = options.options([(setting, value)]);
            }
        }
        let pool =
            pool_options().before_acquire(|connection, meta| Box::pin(lives(connection, meta)));
        Ok(pool.connect_lazy_with(options))
    }

    fn address(options: &PgConnectOptions) -> String {
        address(options.get_socket(), options.get_host(), options.get_port())
    }

    fn trouble(error: &dyn DatabaseError) -> Trouble {
        match error.code().as_deref() {
            // serialization_failure, deadlock_detected, lock_not_available; unique_violation, duplicate_table and
            // duplicate_object: a second migration, which finds everything done when it begins again
            Some("40001" | "40P01" | "55P03" | "23505" | "42P07" | "42710") => Trouble::Conflict,
            // admin_shutdown, crash_shutdown, cannot_connect_now
            Some("57P01" | "57P02" | "57P03") => Trouble::Lost,
            // undefined_table, undefined_column
            Some("42P01" | "42703") => Trouble::Table,
            _ => Trouble::Other,
        }
    }

    run_by_sqlx!();
}
