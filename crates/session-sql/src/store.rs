use std::{fmt, sync::Arc};

use session_core::{Error, Loaded, Revision};
use sqlx::{Pool, SqlStr};

use crate::{
    attempts::{Attempts, Kind},
    dialect::{Answer, Dialect, Row, Trouble, Value},
    fault::Fault,
    instant::from_millis,
    lease::Lease,
    queries::Queries,
    table::TableName,
};

/// Sessions in a table of a SQL database.
///
/// `D` is `sqlx`'s name of the database; [`SqliteStore`](crate::SqliteStore),
/// [`PostgresStore`](crate::PostgresStore) and [`MySqlStore`](crate::MySqlStore) are the three there are. A clone
/// sees the same sessions.
pub struct SqlStore<D: Dialect> {
    pub(crate) pool: Pool<D>,
    pub(crate) table: TableName,
    pub(crate) queries: Arc<Queries>,
    pub(crate) limit: usize,
}

impl<D: Dialect> SqlStore<D> {
    /// The largest payload accepted unless [`with_limit`](Self::with_limit) says otherwise: 16 MiB less 64 KiB.
    ///
    /// What a `MariaDB` with its default `max_allowed_packet` takes, with room for the rest of the statement.
    pub const DEFAULT_LIMIT: usize = (16 << 20) - (64 << 10);

    /// Sessions in the table `sessions` of the database that `pool` leads to. No I/O: the first use connects.
    ///
    /// Of the pool only whole connections are used, each for one call; the transactions of the application are its
    /// own. How long a call may wait is the pool's to say (`acquire_timeout`, 30 s unless set) and the server's
    /// (`statement_timeout` and its like); [`connect`](Self::connect) sets all of them below a request's patience.
    pub fn new(pool: Pool<D>) -> Self {
        let table = TableName::default();
        Self {
            pool,
            queries: Arc::new(D::queries(&table)),
            table,
            limit: Self::DEFAULT_LIMIT,
        }
    }

    /// Keeps the sessions in `table`; defaults to `sessions`.
    #[must_use]
    pub fn with_table(self, table: TableName) -> Self {
        Self {
            queries: Arc::new(D::queries(&table)),
            table,
            ..self
        }
    }

    /// Accepts payloads of up to `bytes`, or of what the database can hold if that is less.
    ///
    /// On `MySQL` the server's `max_allowed_packet` has to be some 64 KiB larger. Defaults to
    /// [`DEFAULT_LIMIT`](Self::DEFAULT_LIMIT).
    #[must_use]
    pub fn with_limit(self, bytes: usize) -> Self {
        Self {
            limit: bytes.min(D::MAX_PAYLOAD),
            ..self
        }
    }

    /// The pool that the store uses.
    pub fn pool(&self) -> &Pool<D> {
        &self.pool
    }

    pub(crate) fn check_size(&self, payload: &[u8]) -> Result<(), Error> {
        let (size, limit) = (payload.len(), self.limit);
        if size > limit {
            return Err(Error::TooLarge { size, limit });
        }
        Ok(())
    }

    /// Runs one statement, again if another transaction was in its way.
    pub(crate) async fn run(
        &self,
        kind: Kind,
        sql: &SqlStr,
        values: &[Value<'_>],
    ) -> Result<Answer, Error> {
        let mut attempts = Attempts::at(kind);
        loop {
            let error = match self.run_once(sql, values).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if let Err(error) = attempts.after::<D>(error).await {
                return Err(self.explained(error).await);
            }
        }
    }

    async fn run_once(&self, sql: &SqlStr, values: &[Value<'_>]) -> sqlx::Result<Answer> {
        let mut lease = Lease::<D>::of(&self.pool).await?;
        let outcome = D::run(lease.connection(), sql, values).await;
        lease.end(outcome)
    }

    /// The error as a caller sees it; one that may be due to a missing table is looked into.
    pub(crate) async fn explained(&self, source: sqlx::Error) -> Error {
        let suspicious = matches!(&source, sqlx::Error::Database(error)
            if D::trouble(error.as_ref()) == Trouble::Table);
        // The database may tell a missing table from a broken statement by the text of its error alone.
        if suspicious && !matches!(self.layout().await, Ok(layout) if layout.is_current()) {
            let table = self.table.to_string();
            return Error::backend(D::STORE, Fault::NotMigrated { table, source });
        }
        Error::backend(D::STORE, source)
    }
}

impl Row {
    pub(crate) fn loaded(self) -> Result<Loaded, Error> {
        let expires_at = from_millis(self.expires_at)
            .ok_or_else(|| Error::corrupt("the record ends before 1970"))?;
        Ok(Loaded {
            payload: self.payload,
            expires_at,
            revision: Revision::from(self.revision.cast_unsigned()),
        })
    }
}

impl<D: Dialect> Clone for SqlStore<D> {
    fn clone(&self) -> Self {
        Self {
            pool: self.pool.clone(),
            table: self.table.clone(),
            queries: Arc::clone(&self.queries),
            limit: self.limit,
        }
    }
}

impl<D: Dialect> fmt::Debug for SqlStore<D> {
    /// Without the pool, whose own `Debug` shows the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlStore")
            .field("database", &D::STORE)
            .field("table", &self.table)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
