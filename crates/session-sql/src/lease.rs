use std::io;

use sqlx::{ConnectOptions as _, Connection, Pool, pool::PoolConnection};
use tokio::{runtime::Handle, time::timeout};

use crate::{
    attempts::Kind,
    dialect::{Driver, Unfinished},
    fault::{Fault, Unreachable},
    pace,
};

/// A connection of the pool for one call.
///
/// A future that is dropped in the middle of its call leaves half an exchange on the wire, and the next call must not
/// read the rest of it. Unless the call comes to its end, what happens to the connection is the dialect's to say.
pub(crate) struct Lease<D: Driver>(Option<PoolConnection<D>>);

impl<D: Driver> Lease<D> {
    pub(crate) async fn of(pool: &Pool<D>, kind: Kind) -> Result<Self, Fault> {
        let source = match pool.acquire().await {
            Ok(connection) => return Ok(Self(Some(connection))),
            Err(sqlx::Error::PoolTimedOut) => cause_of_delay(pool, kind).await,
            Err(error) => error,
        };
        let address = D::address(&pool.connect_options());
        Err(Fault::Unreachable(Unreachable { address, source }))
    }

    pub(crate) fn connection(&mut self) -> &mut D::Connection {
        self.0
            .as_mut()
            .expect("a lease holds its connection until it ends")
    }

    /// Gives the connection back, unless `outcome` shows that it broke; then nobody reads on where it went wrong.
    pub(crate) fn end<T>(mut self, outcome: sqlx::Result<T>) -> sqlx::Result<T> {
        match &outcome {
            Ok(_) | Err(sqlx::Error::Database(_)) => drop(self.0.take()),
            Err(sqlx::Error::Io(_) | sqlx::Error::Protocol(_))
                if D::UNFINISHED != Unfinished::Keep =>
            {
                drop(self.0.take().map(PoolConnection::detach));
            }
            Err(_) => {}
        }
        outcome
    }
}

/// Why the pool had no connection in time.
///
/// The pool tries again what was refused, and keeps to itself what it met. So it is tried once more, unless the pool
/// has all the connections it may have.
async fn cause_of_delay<D: Driver>(pool: &Pool<D>, kind: Kind) -> sqlx::Error {
    if pool.size() >= pool.options().get_max_connections() {
        return sqlx::Error::PoolTimedOut;
    }
    let patience = match kind {
        Kind::Migration => pace::CONNECT,
        _ => pace::PROBE,
    };
    match timeout(patience, pool.connect_options().connect()).await {
        Ok(Ok(_)) => sqlx::Error::PoolTimedOut,
        Ok(Err(cause)) => cause,
        Err(_) => io::Error::new(io::ErrorKind::TimedOut, "it does not answer").into(),
    }
}

impl<D: Driver> Drop for Lease<D> {
    fn drop(&mut self) {
        let Some(mut connection) = self.0.take() else {
            return;
        };
        match (D::UNFINISHED, Handle::try_current()) {
            (Unfinished::Keep, _) => {}
            (Unfinished::Drain, Ok(runtime)) => {
                runtime.spawn(async move {
                    let drained = timeout(pace::DRAIN, connection.ping()).await;
                    if !matches!(drained, Ok(Ok(()))) {
                        drop(connection.detach());
                    }
                });
            }
            // Not `close`, which talks to a server that may not answer.
            (Unfinished::Drain | Unfinished::Close, _) => drop(connection.detach()),
        }
    }
}
