//! What differs between the databases: SQL fragments, connections, and the classes of errors.

use std::{fmt, future::Future};

use sqlx::{Connection, Database, Pool, SqlStr, error::DatabaseError, pool::PoolOptions};

use crate::timeouts;

/// A database that holds sessions: `sqlx`'s `Sqlite`, `Postgres` and `MySql`, each behind the
/// Cargo feature of its name.
pub trait Dialect: Driver {}

impl<D: Driver> Dialect for D {}

/// What differs between the databases. Not to be implemented elsewhere.
pub trait Driver: Database + fmt::Debug {
    /// Whether the database has one writer at a time, and waiting writers poll for its lock.
    const ONE_WRITER: bool;
    const AFTER_CANCEL: AfterCancel;
    /// The character before and after a name.
    const QUOTE: char;
    /// Whether placeholders for values are numbered.
    const NUMBERED_PLACEHOLDERS: bool;
    /// Named SQL fragments, each written as `@name text` after a space.
    ///
    /// Statements refer to a fragment as `{name}`, and so do fragments before it. A `{name}`
    /// without a fragment is left out of the statement.
    const FRAGMENTS: &'static str;

    /// Selects the server's time in microseconds since 1970, as text, and then its version. `None` if it
    /// is no server.
    const ABOUT: Option<&'static str>;
    /// The oldest versions of the servers that speak its protocol.
    const OLDEST: &'static [(&'static str, (u32, u32))];

    /// A pool whose waits are within a request's time. It connects when it is first used.
    fn pool(url: &str) -> sqlx::Result<Pool<Self>>;

    /// Where the database is, as errors name it.
    fn address(options: &<Self::Connection as Connection>::Options) -> String;

    /// Whether these options refuse a connection without TLS.
    fn needs_tls(_: &<Self::Connection as Connection>::Options) -> bool {
        false
    }

    /// Why the connection must not be used, if what is between this process and the server mixes up
    /// the connections' statements.
    fn check_statements(
        _: &mut Self::Connection,
        _: &<Self::Connection as Connection>::Options,
    ) -> impl Future<Output = sqlx::Result<Option<&'static str>>> + Send {
        async { Ok(None) }
    }

    /// What to do about an error, where neither the server nor the driver says it.
    fn explanation(_: &sqlx::Error) -> Option<&'static str> {
        None
    }

    /// What to change, if a connection is refused for a reason that does not pass by itself.
    fn remedy(_: &sqlx::Error) -> Option<&'static str> {
        None
    }

    /// The class of an error that the database reported.
    fn error_class(error: &dyn DatabaseError) -> ErrorClass;

    /// Runs one statement, which each connection prepares once.
    fn run(
        connection: &mut Self::Connection,
        sql: &SqlStr,
        values: &[Value<'_>],
    ) -> impl Future<Output = sqlx::Result<QueryResult>> + Send;

    /// The texts that a statement without values selects.
    fn texts(
        connection: &mut Self::Connection,
        sql: &SqlStr,
    ) -> impl Future<Output = sqlx::Result<Vec<String>>> + Send;
}

/// What to do with a connection whose call was dropped before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterCancel {
    /// The pool gets it back at once, because there is no reply to read.
    Reuse,
    /// The pool gets it back when the rest of the reply is read. It is closed if that takes too
    /// long.
    Drain,
    /// It is closed, because the end of the reply cannot be found for certain.
    Close,
}

/// A value bound to a statement.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    Bytes(&'a [u8]),
    OptionalBytes(Option<&'a [u8]>),
    Text(&'a str),
    Number(i64),
    OptionalNumber(Option<i64>),
}

/// The result of a statement.
#[derive(Debug, Default)]
pub struct QueryResult {
    pub(crate) rows: Vec<Row>,
    /// How many records matched the condition of a change, also if they were equal before.
    pub(crate) changed: u64,
}

/// The four columns that each `SELECT` of a store has. A column that is not needed is filled with
/// something else.
#[derive(Debug)]
pub struct Row {
    pub(crate) key: Vec<u8>,
    pub(crate) bytes: Vec<u8>,
    /// The revision in the library's own layout, the `id` in Flask-Session's.
    pub(crate) number: i64,
    /// In microseconds since 1970.
    pub(crate) expires_at: i64,
}

/// What kind of error a statement met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// Another transaction was in the way. The statement was not carried out.
    Conflict,
    /// The key of the record to insert exists.
    KeyExists,
    /// The connection broke, or the server is ending it. The statement may have been carried out.
    Disconnected,
    /// The server takes no writes: it was demoted, or made read-only. The statement was not carried
    /// out.
    ReadOnly,
    /// The table or one of its columns may be missing.
    TableMissing,
    Other,
}

pub(crate) fn error_class<D: Driver>(error: &sqlx::Error) -> ErrorClass {
    match error {
        sqlx::Error::Database(error) => D::error_class(error.as_ref()),
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => ErrorClass::Disconnected,
        _ => ErrorClass::Other,
    }
}

/// The options of every pool: no background task, and no statement other than those of the calls.
pub(crate) fn pool_options<D: Driver>() -> PoolOptions<D> {
    PoolOptions::new()
        .acquire_timeout(timeouts::ACQUIRE)
        // These two need a background task, and a pool can be made before there is a runtime.
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

/// The methods of [`Driver`] with the same text but other types in each database.
macro_rules! statement_methods {
    () => {
        async fn run(
            connection: &mut Self::Connection,
            sql: &sqlx::SqlStr,
            values: &[$crate::dialect::Value<'_>],
        ) -> sqlx::Result<$crate::dialect::QueryResult> {
            use futures_util::TryStreamExt as _;
            use sqlx::{Either, Executor as _, Row as _};
            use $crate::dialect::{QueryResult, Row, Value};

            let mut query = sqlx::query::<Self>(sql.clone());
            for value in values {
                query = match *value {
                    Value::Bytes(bytes) => query.bind(bytes),
                    Value::OptionalBytes(bytes) => query.bind(bytes),
                    Value::Text(text) => query.bind(text),
                    Value::Number(number) => query.bind(number),
                    Value::OptionalNumber(number) => query.bind(number),
                };
            }
            let mut result = QueryResult::default();
            let mut stream = connection.fetch_many(query);
            while let Some(step) = stream.try_next().await? {
                match step {
                    Either::Left(done) => result.changed += done.rows_affected(),
                    Either::Right(row) => result.rows.push(Row {
                        key: row.try_get(0)?,
                        bytes: row.try_get(1)?,
                        number: row.try_get(2)?,
                        expires_at: row.try_get(3)?,
                    }),
                }
            }
            Ok(result)
        }

        async fn texts(
            connection: &mut Self::Connection,
            sql: &sqlx::SqlStr,
        ) -> sqlx::Result<Vec<String>> {
            sqlx::query_scalar(sql.clone()).fetch_all(connection).await
        }
    };
}

#[cfg(any(feature = "postgres", feature = "mysql"))]
mod server;

// Modules after the macro can use it.
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;
