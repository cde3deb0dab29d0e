use std::{fmt, sync::Arc};

use session_core::{Error, Loaded, Revision};
use sqlx::Pool;

use crate::{
    dialect::{Dialect, Row},
    flask::FlaskSqlStore,
    instant::from_millis,
    lane::Lane,
    place::Place,
    queries::Queries,
    table::TableName,
};

/// Sessions in a table of a SQL database.
///
/// `D` is `sqlx`'s name of the database; [`SqliteStore`](crate::SqliteStore),
/// [`PostgresStore`](crate::PostgresStore) and [`MySqlStore`](crate::MySqlStore) are the three there are. A clone
/// sees the same sessions.
pub struct SqlStore<D: Dialect> {
    pub(crate) place: Place<D, Queries>,
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
            place: Place {
                pool,
                queries: Arc::new(D::queries(&table)),
                table,
                lane: Lane::of::<D>(),
                limit: Self::DEFAULT_LIMIT,
            },
        }
    }

    /// Keeps the sessions in `table`; defaults to `sessions`.
    #[must_use]
    pub fn with_table(mut self, table: TableName) -> Self {
        self.place.queries = Arc::new(D::queries(&table));
        self.place.table = table;
        self
    }

    /// Accepts payloads of up to `bytes`, or of what the database can hold if that is less.
    ///
    /// On `MySQL` the server's `max_allowed_packet` has to be some 64 KiB larger. Defaults to
    /// [`DEFAULT_LIMIT`](Self::DEFAULT_LIMIT).
    #[must_use]
    pub fn with_limit(mut self, bytes: usize) -> Self {
        self.place.limit = bytes.min(D::MAX_PAYLOAD);
        self
    }

    /// The same pool and table, with rows as Flask-Session lays them out.
    ///
    /// The limit is then at most [`FlaskSqlStore::DEFAULT_LIMIT`].
    #[must_use]
    pub fn with_flask_layout(self) -> FlaskSqlStore<D> {
        FlaskSqlStore::of(self.place)
    }

    /// The pool that the store uses.
    pub fn pool(&self) -> &Pool<D> {
        &self.place.pool
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
            place: self.place.clone(),
        }
    }
}

impl<D: Dialect> fmt::Debug for SqlStore<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlStore")
            .field("place", &self.place)
            .finish()
    }
}
