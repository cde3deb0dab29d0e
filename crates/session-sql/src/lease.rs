use sqlx::{Pool, pool::PoolConnection};

use crate::dialect::Driver;

/// A connection of the pool for one call.
///
/// Unless the call comes to its end the connection is closed: a future that was dropped in its middle leaves half an
/// exchange on the wire, and the next call must not read the rest of it. `SQLite` has no wire, and a database in
/// memory ends with its connection.
pub(crate) struct Lease<D: Driver>(Option<PoolConnection<D>>);

impl<D: Driver> Lease<D> {
    pub(crate) async fn of(pool: &Pool<D>) -> sqlx::Result<Self> {
        pool.acquire()
            .await
            .map(|connection| Self(Some(connection)))
    }

    pub(crate) fn connection(&mut self) -> &mut D::Connection {
        self.0
            .as_mut()
            .expect("a lease holds its connection until it ends")
    }

    /// Gives the connection back, unless `outcome` shows that it broke.
    pub(crate) fn end<T>(mut self, outcome: sqlx::Result<T>) -> sqlx::Result<T> {
        if matches!(outcome, Ok(_) | Err(sqlx::Error::Database(_))) {
            self.0.take();
        }
        outcome
    }
}

impl<D: Driver> Drop for Lease<D> {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take()
            && D::REMOTE
        {
            // Not `close`, which talks to a server that may not answer.
            drop(connection.detach());
        }
    }
}
