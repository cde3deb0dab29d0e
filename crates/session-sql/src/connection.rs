//! The connections of a store, and one for each call: what becomes of it afterwards, why there was
//! none, and what happens if the server is silent or takes no writes.

use std::{io, panic::AssertUnwindSafe, sync::Arc, time::Instant};

use futures_util::FutureExt as _;
use sqlx::{ConnectOptions as _, Connection as _, Pool, pool::PoolConnection};
use tokio::{runtime::Handle, sync::OwnedSemaphorePermit, time::timeout};

use crate::{
    dialect::{AfterCancel, Driver, ErrorClass, error_class},
    error::{CallError, Unreachable},
    kept::{KeptConnections, Lent},
    retry::Operation,
    timeouts,
};

/// The pool of a store, and the connections that its calls keep.
pub(crate) struct Connections<D: Driver> {
    pool: Pool<D>,
    /// `None` if the pool is the application's, or has a single connection.
    kept: Option<Arc<KeptConnections<D>>>,
}

impl<D: Driver> Connections<D> {
    pub(crate) fn of_application(pool: Pool<D>) -> Self {
        Self { pool, kept: None }
    }

    pub(crate) fn own(pool: Pool<D>) -> Self {
        let kept = KeptConnections::new(&pool).map(Arc::new);
        Self { pool, kept }
    }

    pub(crate) fn pool(&self) -> &Pool<D> {
        &self.pool
    }

    /// As they are now. Those that are being opened are used.
    pub(crate) fn count(&self) -> session_core::Connections {
        let kept = self.kept.as_ref().map_or(0, |it| it.count());
        let (open, idle) = (self.pool.size() as usize, self.pool.num_idle() + kept);
        session_core::Connections {
            used: open.saturating_sub(idle) as u64,
            idle: Some(idle.min(open) as u64),
            max: Some(self.pool.options().get_max_connections().into()),
        }
    }

    pub(crate) async fn acquire(
        &self,
        operation: Operation,
    ) -> Result<CallConnection<D>, CallError> {
        let source = match self.try_acquire().await {
            Ok((connection, place)) => {
                return Ok(CallConnection {
                    connection: Some(connection),
                    connections: self.clone(),
                    acquired_at: Instant::now(),
                    _place: place,
                });
            }
            Err(sqlx::Error::PoolTimedOut) => cause_of_timeout(&self.pool, operation).await,
            Err(error) => error,
        };
        let address = D::address(&self.pool.connect_options());
        Err(CallError::Unreachable(Unreachable { address, source }))
    }

    async fn try_acquire(&self) -> sqlx::Result<(Lent<D>, Option<OwnedSemaphorePermit>)> {
        let Some(kept) = &self.kept else {
            let connection = unless_unreadable(self.pool.acquire()).await?;
            return Ok((Lent::new(connection), None));
        };
        let (connection, place) = unless_unreadable(kept.acquire(&self.pool)).await?;
        Ok((connection, Some(place)))
    }

    fn give_back(&self, connection: Option<Lent<D>>) {
        match (connection, &self.kept) {
            (Some(connection), Some(kept)) => kept.keep(connection, &self.pool),
            (Some(connection), None) => return_to_pool(connection.connection),
            (None, _) => {}
        }
    }

    /// Closes the idle connections to a server that takes no writes any more, or to which a
    /// connection broke or is silent.
    ///
    /// It may have been demoted, and the pool's address may lead to another server by now. Loads on
    /// these connections would read a replica, where sessions that have ended may still be live. And
    /// what broke a connection has often broken the others: each would cost a request an error, and
    /// those that are silent its whole time.
    pub(crate) fn close_idle(&self) {
        if let Some(kept) = &self.kept {
            kept.close_all();
        }
        for _ in 0..self.pool.size() {
            match self.pool.try_acquire() {
                Some(connection) => drop(connection.detach()),
                None => return,
            }
        }
    }
}

impl<D: Driver> Clone for Connections<D> {
    fn clone(&self) -> Self {
        Self {
            pool: self.pool.clone(),
            kept: self.kept.clone(),
        }
    }
}

/// A connection of the pool, held for one call.
///
/// A call that is dropped before its end leaves a part of the reply unread, and the next call must
/// not read that part. So a connection whose call did not [`finish`](Self::finish) is treated as
/// [`Driver::AFTER_CANCEL`] says.
pub(crate) struct CallConnection<D: Driver> {
    connection: Option<Lent<D>>,
    connections: Connections<D>,
    acquired_at: Instant,
    /// Free when the connection is kept for the next call, closed, or on its way to the pool.
    _place: Option<OwnedSemaphorePermit>,
}

impl<D: Driver> CallConnection<D> {
    pub(crate) fn get_mut(&mut self) -> &mut D::Connection {
        let lent = self.connection.as_mut();
        &mut lent.expect("it is held until the call ends").connection
    }

    /// Keeps the connection for another call, or closes it if `result` shows that it broke.
    pub(crate) fn finish<T>(mut self, result: sqlx::Result<T>) -> sqlx::Result<T> {
        let class = result.as_ref().err().map(error_class::<D>);
        match (class, &result) {
            (Some(ErrorClass::ReadOnly), _) => self.close(),
            // Also if the server's last message said so: nothing follows it on this connection.
            (Some(ErrorClass::Disconnected), _) if D::AFTER_CANCEL != AfterCancel::Reuse => {
                self.close();
                self.connections.close_idle();
            }
            (_, Ok(_) | Err(sqlx::Error::Database(_))) => {
                self.connections.give_back(self.connection.take());
            }
            (_, Err(_)) => {}
        }
        result
    }

    fn close(&mut self) {
        let lent = self.connection.take();
        drop(lent.map(|lent| lent.connection.detach()));
    }
}

/// Gives a connection back to its pool.
///
/// The pool pings it first, and holds its place until the reply comes. A server or a path that is
/// silent must not use up the places, so the wait is limited here: the pool itself has no limit.
pub(crate) fn return_to_pool<D: Driver>(mut connection: PoolConnection<D>) {
    if D::AFTER_CANCEL == AfterCancel::Reuse {
        return drop(connection);
    }
    tokio::spawn(timeout(timeouts::RETURN, connection.return_to_pool()));
}

/// The result of `call`, or an error if a reply cannot be read.
///
/// The driver panics at a reply that lacks a byte, also while it connects.
fn unless_unreadable<T>(
    call: impl Future<Output = sqlx::Result<T>>,
) -> impl Future<Output = sqlx::Result<T>> {
    let unreadable = |_| {
        Err(sqlx::Error::Protocol(
            "the server's reply could not be read".into(),
        ))
    };
    let call = AssertUnwindSafe(call).catch_unwind();
    call.map(move |result| result.unwrap_or_else(unreadable))
}

/// The result of `call`, or an error if a reply cannot be read or if the server is silent.
///
/// The time of a request ends its calls. The limit is for the others: a sweep and a migration.
pub(crate) async fn unless_silent<D: Driver, T>(
    operation: Operation,
    call: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    let call = unless_unreadable(call);
    let of_a_request = matches!(operation, Operation::Read | Operation::Write);
    if of_a_request || D::AFTER_CANCEL == AfterCancel::Reuse {
        return call.await;
    }
    let silent = |_| Err(io::Error::new(io::ErrorKind::TimedOut, "it does not answer").into());
    timeout(timeouts::SILENCE, call)
        .await
        .unwrap_or_else(silent)
}

/// Why the pool had no connection in time.
///
/// The pool repeats attempts that fail and does not report their errors. So one more attempt is
/// made to find the cause, unless all connections that the pool may open are open.
async fn cause_of_timeout<D: Driver>(pool: &Pool<D>, operation: Operation) -> sqlx::Error {
    if pool.size() >= pool.options().get_max_connections() {
        return sqlx::Error::PoolTimedOut;
    }
    let limit = match operation {
        Operation::Migration => timeouts::MIGRATION_PROBE,
        _ => timeouts::PROBE,
    };
    let options = pool.connect_options();
    // A pooler accepts a log-in also while its server is silent.
    let attempt = async { options.connect().await?.ping().await };
    match timeout(limit, unless_unreadable(attempt)).await {
        Ok(Ok(())) => sqlx::Error::PoolTimedOut,
        Ok(Err(cause)) => cause,
        Err(_) => io::Error::new(io::ErrorKind::TimedOut, "it does not answer").into(),
    }
}

impl<D: Driver> Drop for CallConnection<D> {
    fn drop(&mut self) {
        let Some(Lent { mut connection, .. }) = self.connection.take() else {
            return;
        };
        if D::AFTER_CANCEL != AfterCancel::Reuse && self.acquired_at.elapsed() >= timeouts::SUSPECT
        {
            self.connections.close_idle();
        }
        match (D::AFTER_CANCEL, Handle::try_current()) {
            (AfterCancel::Reuse, Ok(_)) => {}
            (AfterCancel::Drain, Ok(runtime)) => {
                runtime.spawn(timeout(timeouts::DRAIN, connection.return_to_pool()));
            }
            // Not `close`, which waits for a server that may not answer.
            (AfterCancel::Reuse | AfterCancel::Drain, Err(_)) | (AfterCancel::Close, _) => {
                drop(connection.detach());
            }
        }
    }
}
