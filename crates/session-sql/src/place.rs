use std::{fmt, panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt as _;
use session_core::Error;
use sqlx::{Pool, SqlStr};

use crate::{
    attempts::{Attempts, Kind},
    dialect::{Answer, Dialect, Trouble, Value},
    fault::Fault,
    lane::Lane,
    layout::{Layout, Statements},
    lease::Lease,
    table::TableName,
};

/// A table, the statements for its layout, and the way they are sent.
pub(crate) struct Place<D: Dialect, Q> {
    pub(crate) pool: Pool<D>,
    pub(crate) table: TableName,
    pub(crate) queries: Arc<Q>,
    pub(crate) lane: Lane,
    /// The largest payload, in bytes.
    pub(crate) limit: usize,
}

impl<D: Dialect, Q: Statements> Place<D, Q> {
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
            match self.run_once(kind, sql, values).await {
                Ok(answer) => return Ok(answer),
                Err(error) => self.next(&mut attempts, error).await?,
            }
        }
    }

    /// The numbers that a statement which changes nothing finds.
    pub(crate) async fn numbers(
        &self,
        sql: &SqlStr,
        values: &[Value<'_>],
    ) -> Result<Vec<i64>, Error> {
        let mut attempts = Attempts::at(Kind::Read);
        loop {
            match self.numbers_once(sql, values).await {
                Ok(numbers) => return Ok(numbers),
                Err(error) => self.next(&mut attempts, error).await?,
            }
        }
    }

    /// Waits for the next attempt after `error`, which is the answer if there is none.
    pub(crate) async fn next(
        &self,
        attempts: &mut Attempts,
        error: sqlx::Error,
    ) -> Result<(), Error> {
        match attempts.after::<D>(error).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.explained(error).await),
        }
    }

    async fn run_once(
        &self,
        kind: Kind,
        sql: &SqlStr,
        values: &[Value<'_>],
    ) -> sqlx::Result<Answer> {
        // Before the connection, so that those who wait leave the connections to those who read.
        let _turn = match kind {
            Kind::Read => None,
            _ => self.lane.turn().await,
        };
        let mut lease = Lease::<D>::of(&self.pool).await?;
        let outcome = unharmed(D::run(lease.connection(), sql, values)).await;
        lease.end(outcome)
    }

    async fn numbers_once(&self, sql: &SqlStr, values: &[Value<'_>]) -> sqlx::Result<Vec<i64>> {
        let mut lease = Lease::<D>::of(&self.pool).await?;
        let outcome = unharmed(D::numbers(lease.connection(), sql, values)).await;
        lease.end(outcome)
    }

    /// The error as a caller sees it; one that may be due to the table is looked into.
    pub(crate) async fn explained(&self, source: sqlx::Error) -> Error {
        let suspicious = matches!(&source, sqlx::Error::Database(error)
            if D::trouble(error.as_ref()) == Trouble::Table);
        // The database may tell a missing table from a broken statement by the text of its error alone.
        if !suspicious {
            return Error::backend(D::STORE, source);
        }
        let layout = match self.layout().await {
            Ok(layout) if layout == Q::LAYOUT => return Error::backend(D::STORE, source),
            Ok(layout) => layout,
            Err(_) => Layout::Absent,
        };
        let table = self.table.to_string();
        let obstacle = layout.obstacle(Q::LAYOUT, &self.table);
        let fault = obstacle.unwrap_or(Fault::NotMigrated { table, source });
        Error::backend(D::STORE, fault)
    }
}

/// What `call` says; if it panics, that the server made no sense: `sqlx` panics over a reply that lacks a byte.
async fn unharmed<T>(call: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    match AssertUnwindSafe(call).catch_unwind().await {
        Ok(outcome) => outcome,
        Err(_) => Err(sqlx::Error::Protocol(
            "the server's reply could not be read".into(),
        )),
    }
}

impl<D: Dialect, Q> Clone for Place<D, Q> {
    fn clone(&self) -> Self {
        Self {
            pool: self.pool.clone(),
            table: self.table.clone(),
            queries: Arc::clone(&self.queries),
            lane: self.lane.clone(),
            limit: self.limit,
        }
    }
}

impl<D: Dialect, Q> fmt::Debug for Place<D, Q> {
    /// Without the pool, whose own `Debug` shows the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place")
            .field("database", &D::STORE)
            .field("table", &self.table)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
