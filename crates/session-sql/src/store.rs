use std::{fmt, panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt as _;
use session_core::Result;
use sqlx::{Pool, SqlStr};

use crate::{
    attempts::{Attempts, Kind},
    dialect::{Answer, Dialect, Trouble, Value},
    fault::Fault,
    lane::Lane,
    layout::{Layout, flask::Flask, own::Own},
    lease::Lease,
    queries::Queries,
    table::TableName,
};

/// Sessions in a table of a SQL database.
///
/// `D` is `sqlx`'s name of the database; [`SqliteStore`](crate::SqliteStore),
/// [`PostgresStore`](crate::PostgresStore) and [`MySqlStore`](crate::MySqlStore) are the three there are. A clone
/// sees the same sessions.
pub type SqlStore<D> = SqlTable<D, Own>;

/// Sessions in a table of Flask-Session with `SQLAlchemy`: `id`, `session_id`, `data`, `expiry`.
///
/// Made by [`SqlStore::with_flask_layout`](SqlTable::with_flask_layout). Flask-Session has no revisions: a change is
/// refused unless the very bytes that were loaded are still there. There is no owner index, and no index on the expiry.
/// Keys have 1 to 255 characters of graphic ASCII, as every key made by a [`KeyPrefix`](session_core::KeyPrefix) has.
///
/// `MySQL` and `MariaDB` keep whole seconds here, so a session may end up to a second early, and never late.
pub type FlaskSqlStore<D> = SqlTable<D, Flask>;

/// What an [`SqlStore`] and a [`FlaskSqlStore`] are: a table in the layout `L`.
pub struct SqlTable<D: Dialect, L> {
    pub(crate) pool: Pool<D>,
    pub(crate) table: TableName,
    pub(crate) queries: Arc<Queries>,
    lane: Lane,
    /// The largest record, in bytes.
    pub(crate) limit: usize,
    layout: std::marker::PhantomData<L>,
}

/// What every column and every protocol takes in one statement, with room for the rest of it.
const MOST: usize = 1_000_000_000 - 65_536;

impl<D: Dialect> SqlTable<D, Own> {
    /// The largest record accepted unless [`with_limit`](Self::with_limit) says otherwise: 16 MiB less 64 KiB.
    ///
    /// What a `MariaDB` with its default `max_allowed_packet` takes, with room for the rest of the statement.
    pub const DEFAULT_LIMIT: usize = (16 << 20) - (64 << 10);

    /// Sessions in the table `sessions` of the database that `pool` leads to. No I/O: the first use connects.
    ///
    /// Of the pool only whole connections are used, each for one call; the transactions of the application are its
    /// own. How long a call may wait is the pool's to say (`acquire_timeout`, 30 s unless set) and the server's
    /// (`statement_timeout` and its like); [`connect`](Self::connect) sets all of them below a request's patience.
    pub fn new(pool: Pool<D>) -> Self {
        Self::of(
            pool,
            TableName::default(),
            Lane::of::<D>(),
            Self::DEFAULT_LIMIT,
        )
    }

    /// Keeps the sessions in `table`; defaults to `sessions`.
    #[must_use]
    pub fn with_table(self, table: TableName) -> Self {
        Self::of(self.pool, table, self.lane, self.limit)
    }

    /// Accepts records of up to `bytes`, or of what the database can hold if that is less.
    ///
    /// On `MySQL` the server's `max_allowed_packet` has to be some 64 KiB larger. Defaults to
    /// [`DEFAULT_LIMIT`](Self::DEFAULT_LIMIT).
    #[must_use]
    pub fn with_limit(mut self, bytes: usize) -> Self {
        self.limit = bytes.min(MOST);
        self
    }

    /// The same pool and table, with rows as Flask-Session lays them out.
    ///
    /// The limit is then at most [`FlaskSqlStore::DEFAULT_LIMIT`](SqlTable::DEFAULT_LIMIT).
    #[must_use]
    pub fn with_flask_layout(self) -> FlaskSqlStore<D> {
        let limit = self.limit.min(FlaskSqlStore::<D>::DEFAULT_LIMIT);
        SqlTable::of(self.pool, self.table, self.lane, limit)
    }
}

impl<D: Dialect> SqlTable<D, Flask> {
    /// The largest record accepted unless [`with_limit`](Self::with_limit) says otherwise: on `MySQL` and `MariaDB` the
    /// 65,535 bytes that Flask's `blob` holds, else 1 MiB, because a change sends the bytes that were loaded as well.
    pub const DEFAULT_LIMIT: usize = D::FLASK_LIMIT;

    /// Accepts records of up to `bytes`; at most half of what one statement can carry.
    ///
    /// More than [`DEFAULT_LIMIT`](Self::DEFAULT_LIMIT) on `MySQL` and `MariaDB` needs a wider column than Flask-Session
    /// makes, which [`migrate`](Self::migrate) checks.
    #[must_use]
    pub fn with_limit(mut self, bytes: usize) -> Self {
        self.limit = bytes.min(MOST / 2);
        self
    }
}

impl<D: Dialect, L: Layout> SqlTable<D, L> {
    fn of(pool: Pool<D>, table: TableName, lane: Lane, limit: usize) -> Self {
        Self {
            pool,
            queries: Arc::new(L::queries::<D>(&table)),
            table,
            lane,
            limit,
            layout: std::marker::PhantomData,
        }
    }

    /// The pool that the store uses.
    pub fn pool(&self) -> &Pool<D> {
        &self.pool
    }

    /// Runs one statement, again if another transaction was in its way.
    pub(crate) async fn run(
        &self,
        kind: Kind,
        sql: &SqlStr,
        values: &[Value<'_>],
    ) -> Result<Answer> {
        self.again(kind, || self.run_once(kind, sql, values)).await
    }

    /// Does what `call` does, as often as its failures allow.
    pub(crate) async fn again<T, F>(&self, kind: Kind, call: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let mut attempts = Attempts::at(kind);
        loop {
            let fault = match call().await {
                Ok(done) => return Ok(done),
                Err(fault) => attempts.after::<D>(fault).await,
            };
            if let Err(fault) = fault {
                return Err(self.explained(kind, fault).await.error::<D>());
            }
        }
    }

    async fn run_once(
        &self,
        kind: Kind,
        sql: &SqlStr,
        values: &[Value<'_>],
    ) -> Result<Answer, Fault> {
        // Before the connection, so that those who wait leave the connections to those who read.
        let _turn = match kind {
            Kind::Read => None,
            _ => self.lane.turn().await,
        };
        let mut lease = Lease::<D>::of(&self.pool, kind).await?;
        let call = AssertUnwindSafe(D::run(lease.connection(), sql, values)).catch_unwind();
        // `sqlx` panics over a reply that lacks a byte.
        let outcome = call.await.unwrap_or_else(|_| {
            Err(sqlx::Error::Protocol(
                "the server's reply could not be read".into(),
            ))
        });
        match lease.end(outcome) {
            Err(sqlx::Error::Database(error)) if D::trouble(error.as_ref()) == Trouble::Taken => {
                Ok(Answer::default())
            }
            outcome => Ok(outcome?),
        }
    }

    pub(crate) fn unfit(&self, lack: &str) -> Fault {
        Fault::Unfit(format!("the table {} {lack}", self.table))
    }

    /// A fault that may be due to the table is looked into.
    async fn explained(&self, kind: Kind, fault: Fault) -> Fault {
        match &fault {
            // The database may tell a missing table from a broken statement by the text of its error alone.
            Fault::Statement(sqlx::Error::Database(error))
                if kind != Kind::Migration && D::trouble(error.as_ref()) == Trouble::Table =>
            {
                match self.is_made(kind).await {
                    Ok(false) => self.unfit("does not exist: run migrate() once before serving"),
                    Err(unfit @ Fault::Unfit(_)) => unfit,
                    _ => fault,
                }
            }
            _ => fault,
        }
    }
}

impl<D: Dialect, L> Clone for SqlTable<D, L> {
    fn clone(&self) -> Self {
        Self {
            pool: self.pool.clone(),
            table: self.table.clone(),
            queries: Arc::clone(&self.queries),
            lane: self.lane.clone(),
            ..*self
        }
    }
}

impl<D: Dialect, L: fmt::Debug> fmt::Debug for SqlTable<D, L> {
    /// Without the pool, whose own `Debug` shows the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlTable")
            .field("database", &D::NAME)
            .field("table", &self.table)
            .field("layout", &self.layout)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
