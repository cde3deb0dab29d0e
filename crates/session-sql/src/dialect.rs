use std::{fmt, future::Future};

use sqlx::{Connection, Database, Pool, SqlStr, error::DatabaseError, pool::PoolOptions};

use crate::pace;

/// A database that holds sessions: `sqlx`'s `Sqlite`, `Postgres` and `MySql`, each behind the feature of its name.
pub trait Dialect: Driver {}

impl<D: Driver> Dialect for D {}

/// What is different between the databases. Not for implementing elsewhere.
pub trait Driver: Database + fmt::Debug {
    /// Largest record in Flask-Session's layout, in bytes, unless told otherwise.
    const FLASK_LIMIT: usize;
    /// Whether writers wait for each other by asking again and again, and all of them for a whole database.
    const ONE_WRITER: bool;
    const UNFINISHED: Unfinished;
    /// What encloses a name.
    const QUOTE: char;
    /// Whether the places for values are numbered.
    const NUMBERED: bool;
    /// Each word that stands between braces in the statements, after an `@`, and what it stands for, in which there may
    /// be words that come after it. What is not among them the database can do without.
    const WORDS: &'static str;

    /// A pool that connects when first used, fit for sessions: nothing waits for longer than a request does.
    fn pool(url: &str) -> sqlx::Result<Pool<Self>>;

    /// Where the database is, as an error names it.
    fn address(options: &<Self::Connection as Connection>::Options) -> String;

    fn trouble(error: &dyn DatabaseError) -> Trouble;

    /// Runs one statement, prepared once per connection.
    fn run(
        connection: &mut Self::Connection,
        sql: &SqlStr,
        values: &[Value<'_>],
    ) -> impl Future<Output = sqlx::Result<Answer>> + Send;

    /// The texts that a statement without values finds.
    fn texts(
        connection: &mut Self::Connection,
        sql: &SqlStr,
    ) -> impl Future<Output = sqlx::Result<Vec<String>>> + Send;
}

/// What becomes of a connection whose call was dropped in its middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfinished {
    /// It goes back: nothing is on a wire.
    Keep,
    /// It goes back when the rest of the exchange has been read, and is closed if that takes too long.
    Drain,
    /// It is closed: where the rest of the exchange ends cannot be told for certain.
    Close,
}

/// A value bound to a statement.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    Bytes(&'a [u8]),
    Text(&'a str),
    Owner(Option<&'a [u8]>),
    Number(i64),
    Until(Option<i64>),
}

/// What a statement found and did.
#[derive(Debug, Default)]
pub struct Answer {
    pub(crate) rows: Vec<Row>,
    /// Records that the statement's condition held for.
    pub(crate) changed: u64,
}

/// Four columns that a statement finds; each layout has them say what it needs.
#[derive(Debug)]
pub struct Row {
    pub(crate) key: Vec<u8>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) number: i64,
    /// In microseconds since 1970.
    pub(crate) expires_at: i64,
}

/// What an error of the database means for the statement that met it, which was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Another transaction was in the way.
    Conflict,
    /// There is a row under the key of the one to insert.
    Taken,
    /// The server is ending the connection.
    Lost,
    /// The table or one of its columns may be missing.
    Table,
    /// Anything else.
    Other,
}

/// How a pool is used here: a connection is lent for a call, and nothing is done beside the calls.
pub(crate) fn pool_options<D: Driver>() -> PoolOptions<D> {
    PoolOptions::new()
        .acquire_timeout(pace::ACQUIRE)
        // Without a task that reaps, a pool can be made before there is a runtime.
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

/// The methods whose text is the same for each database but whose types are not.
macro_rules! run_by_sqlx {
    () => {
        async fn run(
            connection: &mut Self::Connection,
            sql: &sqlx::SqlStr,
            values: &[$crate::dialect::Value<'_>],
        ) -> sqlx::Result<$crate::dialect::Answer> {
            use futures_util::TryStreamExt as _;
            use sqlx::{Either, Executor as _, Row as _};
            use $crate::dialect::{Answer, Row, Value};

            let mut query = sqlx::query::<Self>(sql.clone());
            for value in values {
                query = match *value {
                    Value::Bytes(bytes) => query.bind(bytes),
                    Value::Text(text) => query.bind(text),
                    Value::Owner(owner) => query.bind(owner),
                    Value::Number(number) => query.bind(number),
                    Value::Until(until) => query.bind(until),
                };
            }
            let mut answer = Answer::default();
            let mut stream = connection.fetch_many(query);
            while let Some(step) = stream.try_next().await? {
                match step {
                    Either::Left(done) => answer.changed += done.rows_affected(),
                    Either::Right(row) => answer.rows.push(Row {
                        key: row.try_get(0)?,
                        bytes: row.try_get(1)?,
                        number: row.try_get(2)?,
                        expires_at: row.try_get(3)?,
                    }),
                }
            }
            Ok(answer)
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

// After the macro, which only what follows it can see.
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;
