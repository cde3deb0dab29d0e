//! `PostgreSQL`.

use std::{pin::pin, str::FromStr};

use sqlx::{
    AssertSqlSafe, ConnectOptions, Executor, Pool, Postgres, SqlSafeStr,
    error::DatabaseError,
    postgres::{PgConnectOptions, PgConnection, PgDatabaseError, PgSeverity, PgSslMode},
};
use tokio::time::timeout;

use super::{
    AfterCancel, Driver, ErrorClass, pool_options,
    server::{address, is_usable},
};
use crate::timeouts;

/// The driver numbers its statements, so those of two programs have the same names.
const MIXED_UP: &str = "\
    the connection leads to a pooler that mixes up the prepared statements of its clients, such as \
    PgBouncer in transaction mode: a load can run another program's deletion. Use PgBouncer 1.21 or \
    newer and set max_prepared_statements, or use its session mode";

/// What `PgBouncer` does by default, also with a parameter in `options`.
const REFUSED_PARAMETER: &str = "\
    in the configuration of PgBouncer set ignore_startup_parameters = extra_float_digits, options";

/// Whether the server knows another statement, or none, by the name of ours.
fn is_of_another_statement(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(DatabaseError::code);
    // invalid_sql_statement_name, duplicate_prepared_statement
    matches!(code.as_deref(), Some("26000" | "42P05"))
}

/// Whether the server stops or starts: `admin_shutdown`, `crash_shutdown`, `cannot_connect_now`.
fn is_restart(error: &dyn DatabaseError) -> bool {
    matches!(error.code().as_deref(), Some("57P01" | "57P02" | "57P03"))
}

/// Whether `options` give `setting` a value: `-c setting=1`, `-csetting=1` or `--setting=1`, of which
/// the server takes a `-` in the name for a `_`.
fn sets(options: &str, setting: &str) -> bool {
    let mut follows = false;
    words(options).iter().any(|word| {
        let value = word.strip_prefix("--").or(word.strip_prefix("-c"));
        let value = if std::mem::replace(&mut follows, word == "-c") {
            Some(word.as_str())
        } else {
            value
        };
        let name = value.and_then(|value| value.split_once('='));
        name.is_some_and(|(name, _)| name.replace('-', "_").eq_ignore_ascii_case(setting))
    })
}

/// The words of `options`, in which a backslash keeps a space from ending one.
fn words(options: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut characters = options.chars();
    while let Some(character) = characters.next() {
        match (character, words.last_mut()) {
            ('\\', Some(word)) => word.extend(characters.next()),
            (it, Some(word)) if !it.is_whitespace() => word.push(it),
            _ => words.push(String::new()),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

impl Driver for Postgres {
    const ONE_WRITER: bool = false;
    // The driver knows where a reply ends, and a new connection costs the server a process.
    const AFTER_CANCEL: AfterCancel = AfterCancel::Drain;
    const QUOTE: char = '"';
    const NUMBERED_PLACEHOLDERS: bool = true;
    const ABOUT: Option<&'static str> = Some(
        "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint::text
        UNION ALL SELECT current_setting('server_version')",
    );
    const OLDEST: &'static [(&'static str, (u32, u32))] = &[("PostgreSQL", (9, 5))];
    const FRAGMENTS: &'static str = "
        @create CREATE TABLE IF NOT EXISTS {table} (
            store_key BYTEA NOT NULL PRIMARY KEY, revision BIGINT NOT NULL,
            expires_at BIGINT NOT NULL, sweep_at BIGINT NOT NULL,
            owner BYTEA, provider_session BYTEA, listed_until BIGINT, payload BYTEA NOT NULL);
            CREATE INDEX IF NOT EXISTS \"{name}_sweep_at\" ON {table} (sweep_at);
            CREATE INDEX IF NOT EXISTS \"{name}_owner\" ON {table} (owner, store_key) WHERE owner IS NOT NULL;
            CREATE INDEX IF NOT EXISTS \"{name}_provider_session\" ON {table} (provider_session, store_key)
            WHERE provider_session IS NOT NULL
        @columns SELECT attname::text FROM pg_attribute
            WHERE attrelid = to_regclass('{table}') AND attnum > 0 AND NOT attisdropped
        @indexes SELECT 'index ' || a.attname FROM pg_index AS i JOIN pg_attribute AS a
            ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
            LEFT JOIN pg_attribute AS b ON b.attrelid = i.indrelid AND b.attnum = i.indkey[1]
            WHERE i.indrelid = to_regclass('{table}') AND i.indisvalid AND CASE
            WHEN a.attname = 'store_key' THEN i.indisunique AND i.indnatts = 1 AND i.indpred IS NULL
            WHEN a.attname IN ('owner', 'provider_session') THEN b.attname = 'store_key' AND
                COALESCE(pg_get_expr(i.indpred, i.indrelid), '(' || a.attname || ' IS NOT NULL)')
                = '(' || a.attname || ' IS NOT NULL)'
            ELSE i.indpred IS NULL END
            UNION ALL SELECT 'incomplete ' || a.attname FROM pg_index AS i JOIN pg_class AS c
            ON c.oid = i.indexrelid JOIN pg_attribute AS a
            ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
            WHERE i.indrelid = to_regclass('{table}') AND NOT i.indisvalid
            AND c.relname = CAST('{name}_' || a.attname AS name)
        @create_store_key CREATE UNIQUE INDEX CONCURRENTLY \"{name}_store_key\" ON {table} (store_key)
        @drop_store_key DROP INDEX CONCURRENTLY {prefix}\"{name}_store_key\"
        @drop_sweep_at DROP INDEX CONCURRENTLY {prefix}\"{name}_sweep_at\"
        @drop_owner DROP INDEX CONCURRENTLY {prefix}\"{name}_owner\"
        @drop_provider_session DROP INDEX CONCURRENTLY {prefix}\"{name}_provider_session\"
        @create_provider_session CREATE INDEX CONCURRENTLY \"{name}_provider_session\" ON {table} (provider_session, store_key) WHERE provider_session IS NOT NULL
        @create_sweep_at CREATE INDEX CONCURRENTLY \"{name}_sweep_at\" ON {table} (sweep_at)
        @create_owner CREATE INDEX CONCURRENTLY \"{name}_owner\" ON {table} (owner, store_key) WHERE owner IS NOT NULL
        @on_conflict ON CONFLICT DO NOTHING
        @least LEAST
        @skip_locked FOR UPDATE SKIP LOCKED";

    fn pool(url: &str) -> sqlx::Result<Pool<Self>> {
        let mut options = PgConnectOptions::from_str(url)?;
        for (setting, value) in [
            ("lock_timeout", timeouts::LOCK.as_millis()),
            ("statement_timeout", timeouts::STATEMENT.as_millis()),
            // Off: on a table without statistics it sorts all of an owner's records for each page
            // of a list.
            ("enable_bitmapscan", 0),
        ] {
            if !sets(options.get_options().unwrap_or_default(), setting) {
                options = options.options([(setting, value)]);
            }
        }
        let pool =
            pool_options().before_acquire(|connection, meta| Box::pin(is_usable(connection, meta)));
        Ok(pool.connect_lazy_with(options))
    }

    fn address(options: &PgConnectOptions) -> String {
        address(options.get_socket(), options.get_host(), options.get_port())
    }

    fn needs_tls(options: &PgConnectOptions) -> bool {
        let mode = options.get_ssl_mode();
        !matches!(
            mode,
            PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Prefer
        )
    }

    async fn check_statements(
        connection: &mut PgConnection,
        options: &PgConnectOptions,
    ) -> sqlx::Result<Option<&'static str>> {
        // Nobody else has a statement with this result.
        let mine = i64::from(getrandom::u32().unwrap_or(7));
        let sql = AssertSqlSafe(format!("SELECT {mine}::bigint")).into_sql_str();
        for use_other in [false, true] {
            let mut other = None;
            if use_other {
                // A pooler gives this transaction the server's connection that was used last, so
                // that the next statement runs on another one.
                let opened = options.connect().await.map_err(|error| match error {
                    // A full server: to try again and again would keep it full. The connection that
                    // is checked is sound.
                    sqlx::Error::Database(refused) if !is_restart(refused.as_ref()) => {
                        sqlx::Error::Configuration(refused.into_error())
                    }
                    error => error,
                });
                let connection = other.insert(opened?);
                connection.execute("BEGIN").await?;
            }
            let found = sqlx::query_scalar::<_, i64>(sql.clone()).fetch_one(&mut *connection);
            let mut found = pin!(found);
            let found = if let Ok(found) = timeout(timeouts::POOLER, &mut found).await {
                found
            } else {
                // It may wait for the only connection that the pooler has.
                drop(other);
                found.await
            };
            match found {
                Ok(found) if found == mine => {}
                Ok(_) | Err(sqlx::Error::ColumnDecode { .. } | sqlx::Error::RowNotFound) => {
                    return Ok(Some(MIXED_UP));
                }
                Err(error) if is_of_another_statement(&error) => return Ok(Some(MIXED_UP)),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn explanation(error: &sqlx::Error) -> Option<&'static str> {
        is_of_another_statement(error).then_some(MIXED_UP)
    }

    fn remedy(error: &sqlx::Error) -> Option<&'static str> {
        let message = error.as_database_error()?.message();
        let refused = message.starts_with("unsupported startup parameter");
        refused.then_some(REFUSED_PARAMETER)
    }

    fn error_class(error: &dyn DatabaseError) -> ErrorClass {
        let reported = error.try_downcast_ref::<PgDatabaseError>();
        // Whatever the reason: nothing follows on this connection. So do poolers say that theirs to
        // the server has ended.
        let ended =
            |it: &PgDatabaseError| matches!(it.severity(), PgSeverity::Fatal | PgSeverity::Panic);
        if reported.is_some_and(ended) {
            return ErrorClass::Disconnected;
        }
        match error.code().as_deref() {
            // serialization_failure, deadlock_detected, lock_not_available. Also unique_violation,
            // duplicate_table and duplicate_object: another migration was first, and this one finds
            // its table at the next attempt.
            Some("40001" | "40P01" | "55P03" | "23505" | "42P07" | "42710") => ErrorClass::Conflict,
            // PostgreSQL 9.5 tells the severity in its own language.
            _ if is_restart(error) => ErrorClass::Disconnected,
            // read_only_sql_transaction
            Some("25006") => ErrorClass::ReadOnly,
            // undefined_table, undefined_column
            Some("42P01" | "42703") => ErrorClass::TableMissing,
            _ => ErrorClass::Other,
        }
    }

    statement_methods!();
}

#[cfg(test)]
mod tests {
    use super::sets;

    #[test]
    fn only_the_whole_name_of_a_setting_is_found() {
        for options in [
            "-c lock_timeout=1",
            "-clock_timeout=1",
            "--lock_timeout=1",
            "--lock-timeout=1",
            "-c a=b -c LOCK_TIMEOUT=1",
            r"-c search_path=a\ b  -c lock_timeout=1",
        ] {
            assert!(sets(options, "lock_timeout"), "{options}");
        }
        for options in [
            "",
            "-c",
            "-c deadlock_timeout=1",
            "-c lock_timeout_of_mine=1",
            "-c a=lock_timeout",
            "lock_timeout=1",
            r"-c search_path=a\ lock_timeout=1",
            r"-c search_path=a\ -clock_timeout=1",
        ] {
            assert!(!sets(options, "lock_timeout"), "{options}");
        }
    }
}
