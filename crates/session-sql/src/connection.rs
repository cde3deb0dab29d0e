//! A connection of the pool for one call: what becomes of it afterwards, why there was none, and
//! what happens if the server is silent or takes no writes.

use std::{io, panic::AssertUnwindSafe, time::Instant};

use futures_util::FutureExt as _;
use sqlx::{ConnectOptions as _, Pool, pool::PoolConnection};
use tokio::{runtime::Handle, time::timeout};

use crate::{
    dialect::{AfterCancel, Driver, ErrorClass, error_class},
    error::{CallError, Unreachable},
    retry::Operation,
    timeouts,
};

/// A connection of the pool, held for one call.
///
/// A call that is dropped before its end leaves a part of the reply unread, and the next call must
/// not read that part. So a connection whose call did not [`finish`](Self::finish) is treated as
/// [`Driver::AFTER_CANCEL`] says.
pub(crate) struct CallConnection<D: Driver> {
    connection: Option<PoolConnection<D>>,
    pool: Pool<D>,
    acquired_at: Instant,
}

impl<D: Driver> CallConnection<D> {
    pub(crate) async fn acquire(pool: &Pool<D>, operation: Operation) -> Result<Self, CallError> {
        let source = match unless_unreadable(pool.acquire()).await {
            Ok(connection) => {
                return Ok(Self {
                    connection: Some(connection),
                    pool: pool.clone(),
                    acquired_at: Instant::now(),
                });
            }
            Err(sqlx::Error::PoolTimedOut) => cause_of_timeout(pool, operation).await,
            Err(error) => error,
        };
        let address = D::address(&pool.connect_options());
        Err(CallError::Unreachable(Unreachable { address, source }))
    }

    pub(crate) fn get_mut(&mut self) -> &mut D::Connection {
        let connection = self.connection.as_mut();
        connection.expect("it is held until the call ends")
    }

    /// Gives the connection back to the pool, or closes it if `result` shows that it broke.
    pub(crate) fn finish<T>(mut self, result: sqlx::Result<T>) -> sqlx::Result<T> {
        match &result {
            Err(error) if error_class::<D>(error) == ErrorClass::ReadOnly => {
                let connection = self.connection.take();
                drop(connection.map(PoolConnection::detach));
            }
            Ok(_) | Err(sqlx::Error::Database(_)) => return_to_pool(self.connection.take()),
            Err(sqlx::Error::Io(_) | sqlx::Error::Protocol(_))
                if D::AFTER_CANCEL != AfterCancel::Reuse =>
            {
                drop(self.connection.take().map(PoolConnection::detach));
                close_idle(&self.pool);
            }
            Err(_) => {}
        }
        result
    }
}

/// Gives a connection back to its pool.
///
/// The pool pings it first, and holds its place until the reply comes. A server or a path that is
/// silent must not use up the places, so the wait is limited here: the pool itself has no limit.
fn return_to_pool<D: Driver>(connection: Option<PoolConnection<D>>) {
    let Some(mut connection) = connection else {
        return;
    };
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

/// Closes the idle connections to a server that takes no writes any more, or to which a connection
/// broke or is silent.
///
/// It may have been demoted, and the pool's address may lead to another server by now. Loads on
/// these connections would read a replica, where sessions that have ended may still be live. And
/// what broke a connection has often broken the others: each would cost a request an error, and
/// those that are silent its whole time.
pub(crate) fn close_idle<D: Driver>(pool: &Pool<D>) {
    for _ in 0..pool.size() {
        match pool.try_acquire() {
            Some(connection) => drop(connection.detach()),
            None => return,
        }
    }
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
    match timeout(limit, unless_unreadable(options.connect())).await {
        Ok(Ok(_)) => sqlx::Error::PoolTimedOut,
        Ok(Err(cause)) => cause,
        Err(_) => io::Error::new(io::ErrorKind::TimedOut, "it does not answer").into(),
    }
}

impl<D: Driver> Drop for CallConnection<D> {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        if D::AFTER_CANCEL != AfterCancel::Reuse && self.acquired_at.elapsed() >= timeouts::SUSPECT
        {
            close_idle(&self.pool);
        }
        match (D::AFTER_CANCEL, Handle::try_current()) {
            (AfterCancel::Reuse, _) => {}
            (AfterCancel::Drain, Ok(runtime)) => {
                runtime.spawn(timeout(timeouts::DRAIN, connection.return_to_pool()));
            }
            // Not `close`, which waits for a server that may not answer.
            (AfterCancel::Drain | AfterCancel::Close, _) => drop(connection.detach()),
        }
    }
}
