use std::{fmt, future::Future};

use sqlx::{Database, Pool, SqlStr, error::DatabaseError};

use crate::{
    queries::{FlaskQueries, Queries},
    table::TableName,
};

/// A database that holds sessions: `sqlx`'s `Sqlite`, `Postgres` and `MySql`, each behind the feature of its name.
pub trait Dialect: Driver {}

impl<D: Driver> Dialect for D {}

/// What is different between the databases. Not for implementing elsewhere.
pub trait Driver: Database + fmt::Debug {
    /// The store's name in errors.
    const STORE: &'static str;
    /// Largest payload that the column and the protocol take, in bytes.
    const MAX_PAYLOAD: usize;
    /// Largest payload in Flask-Session's layout, in bytes, unless told otherwise.
    const FLASK_PAYLOAD: usize;
    /// How often an insert asks for `now`.
    const NOWS_IN_INSERT: usize;
    /// Whether writers wait for each other by asking again and again, and all of them for a whole database.
    const ONE_WRITER: bool;
    const UNFINISHED: Unfinished;

    fn queries(table: &TableName) -> Queries;

    /// The statements for Flask-Session's layout.
    fn flask_queries(table: &TableName) -> FlaskQueries;

    /// A pool that connects when first used, fit for sessions: nothing waits for longer than a request does.
    fn pool(url: &str) -> sqlx::Result<Pool<Self>>;

    /// Whether the pool has one connection and never closes it.
    fn holds_connections(pool: &Pool<Self>) -> bool;

    fn trouble(error: &dyn DatabaseError) -> Trouble;

    /// Runs one statement, prepared once per connection.
    fn run(
        connection: &mut Self::Connection,
        sql: &SqlStr,
        values: &[Value<'_>],
    ) -> impl Future<Output = sqlx::Result<Answer>> + Send;

    /// Runs one statement that takes no values and whose answer is of no interest.
    fn run_plain(
        connection: &mut Self::Connection,
        sql: &SqlStr,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// The numbers that a statement finds.
    fn numbers(
        connection: &mut Self::Connection,
        sql: &SqlStr,
        values: &[Value<'_>],
    ) -> impl Future<Output = sqlx::Result<Vec<i64>>> + Send;

    /// The names that a statement without values finds.
    fn names(
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
}

/// What a statement found and did.
#[derive(Debug, Default)]
pub struct Answer {
    pub(crate) rows: Vec<Row>,
    /// Records that the statement's condition held for.
    pub(crate) changed: u64,
}

/// A record as the database keeps it.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) store_key: Vec<u8>,
    pub(crate) payload: Vec<u8>,
    pub(crate) revision: i64,
    pub(crate) expires_at: i64,
}

/// What an error of the database means for the statement that met it, which was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Another transaction was in the way.
    Conflict,
    /// The server is ending the connection.
    Lost,
    /// The table or one of its columns may be missing.
    Table,
    /// Anything else.
    Other,
}

macro_rules! bound {
    ($query:expr, $values:expr) => {{
        let mut query = $query;
        for value in $values {
            query = match *value {
                $crate::dialect::Value::Bytes(bytes) => query.bind(bytes),
                $crate::dialect::Value::Text(text) => query.bind(text),
                $crate::dialect::Value::Owner(owner) => query.bind(owner),
                $crate::dialect::Value::Number(number) => query.bind(number),
            };
        }
        query
    }};
}

/// The methods whose text is the same for each database but whose types are not.
macro_rules! run_by_sqlx {
    ($changed:expr) => {
        async fn run(
            connection: &mut Self::Connection,
            sql: &sqlx::SqlStr,
            values: &[$crate::dialect::Value<'_>],
        ) -> sqlx::Result<$crate::dialect::Answer> {
            use futures_util::TryStreamExt as _;
            use sqlx::{Either, Executor as _, Row as _};
            use $crate::dialect::{Answer, Row};

            let query = bound!(sqlx::query::<Self>(sql.clone()), values);
            let mut answer = Answer::default();
            let mut stream = connection.fetch_many(query);
            while let Some(step) = stream.try_next().await? {
                match step {
                    Either::Left(done) => answer.changed += $changed(&done),
                    Either::Right(row) => answer.rows.push(Row {
                        store_key: row.try_get(0)?,
                        payload: row.try_get(1)?,
                        revision: row.try_get(2)?,
                        expires_at: row.try_get(3)?,
                    }),
                }
            }
            Ok(answer)
        }

        async fn run_plain(
            connection: &mut Self::Connection,
            sql: &sqlx::SqlStr,
        ) -> sqlx::Result<()> {
            use sqlx::Executor as _;

            connection.execute(sql.clone()).await.map(drop)
        }

        async fn numbers(
            connection: &mut Self::Connection,
            sql: &sqlx::SqlStr,
            values: &[$crate::dialect::Value<'_>],
        ) -> sqlx::Result<Vec<i64>> {
            let query = bound!(sqlx::query_scalar::<Self, i64>(sql.clone()), values);
            query.fetch_all(connection).await
        }

        async fn names(
            connection: &mut Self::Connection,
            sql: &sqlx::SqlStr,
        ) -> sqlx::Result<Vec<String>> {
            sqlx::query_scalar(sql.clone()).fetch_all(connection).await
        }
    };
}

// After the macro, which only what follows it can see.
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;
