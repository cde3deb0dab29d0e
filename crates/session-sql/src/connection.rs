//! The connections of a store, and one for each call: what becomes of it afterwards, why there was
//! none, and what happens if the server is silent or takes no writes.

use std::{panic::AssertUnwindSafe, pin::pin, sync::Arc, time::Duration};

use futures_util::{
    FutureExt as _,
    future::{Either, select},
};
use sqlx::{ConnectOptions as _, Connection as _, Pool, pool::PoolConnection};
use tokio::{
    runtime::Handle,
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout, timeout_at},
};

use crate::{
    dialect::{AfterCancel, Driver, ErrorClass, error_class},
    error::{CallError, Unreachable},
    kept::{KeptConnections, Lent},
    probe::{Cause, Probe, silence},
    retry::Operation,
    timeouts,
};

/// How often a call that can have no new connection looks for one that came back otherwise than by
/// the end of a call: the application's, or one that was drained.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The pool of a store, and the connections that its calls keep.
pub(crate) struct Connections<D: Driver> {
    pool: Pool<D>,
    /// `None` if the pool is the application's, or has a single connection.
    kept: Option<Arc<KeptConnections<D>>>,
    /// As many as the pool may have connections. Calls wait here, not in the pool: it does not know
    /// of the connections that are kept, and would let each call connect when its turn comes, also
    /// if by then the server is known to be away.
    places: Arc<Semaphore>,
    /// Wakes a call that waits for the connection of another, when one is idle.
    returned: Arc<Notify>,
    probe: Arc<Probe>,
    /// Not the same: its attempts last longer than requests should wait.
    migration_probe: Arc<Probe>,
}

impl<D: Driver> Connections<D> {
    pub(crate) fn of_application(pool: Pool<D>) -> Self {
        Self::new(pool, None, Arc::default())
    }

    pub(crate) fn own(pool: Pool<D>) -> Self {
        let returned = Arc::default();
        let kept = KeptConnections::new(&pool, &returned).map(Arc::new);
        Self::new(pool, kept, returned)
    }

    fn new(pool: Pool<D>, kept: Option<Arc<KeptConnections<D>>>, returned: Arc<Notify>) -> Self {
        let places = pool.options().get_max_connections() as usize;
        Self {
            kept,
            places: Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))),
            returned,
            probe: Arc::new(Probe::new(attempt_limit(&pool))),
            migration_probe: Arc::new(Probe::new(timeouts::MIGRATION_PROBE)),
            pool,
        }
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
        match self.place_and_connection(operation).await {
            Ok((place, connection)) => Ok(CallConnection {
                connection: Some(connection),
                connections: self.clone(),
                acquired_at: Instant::now(),
                _place: place,
            }),
            Err(source) => {
                let address = D::address(&self.pool.connect_options());
                Err(CallError::Unreachable(Unreachable { address, source }))
            }
        }
    }

    /// Waits no longer than the pool does, and then for a moment to learn why there was none.
    async fn place_and_connection(
        &self,
        operation: Operation,
    ) -> Result<(OwnedSemaphorePermit, Lent<D>), Cause> {
        let began = Instant::now();
        let end = began + self.pool.options().get_acquire_timeout();
        // A migration makes each attempt, because it may have come to a busy server to wait for it.
        // And a file has no connections to save.
        let asks_first = operation != Operation::Migration && D::AFTER_CANCEL != AfterCancel::Reuse;
        loop {
            if asks_first {
                self.wait_until_reachable(end).await?;
            }
            let acquired = timeout_at(end, async {
                let place = Arc::clone(&self.places).acquire_owned().await;
                let place = place.map_err(|_| sqlx::Error::PoolClosed)?;
                if !asks_first {
                    return Ok(Some((place, self.connection().await?)));
                }
                // An attempt may have begun while the call waited for its place.
                if self.must_not_connect() {
                    return Ok(None);
                }
                if self.probe.is_in_doubt() && !self.is_full() {
                    // One was idle. Another call may take it first, and the pool would connect.
                    let idle = timeout(timeouts::CAUSE, self.connection()).await.ok();
                    return idle.map(|it| Ok((place, it?))).transpose();
                }
                let failed = pin!(self.probe.more_failures(self.probe.failures()));
                match select(pin!(self.connection()), failed).await {
                    Either::Left((connection, _)) => Ok(Some((place, connection?))),
                    // It may be an idle one that is pinged, and would be closed.
                    Either::Right(((), connection)) => {
                        let idle = timeout(timeouts::CAUSE, connection).await.ok();
                        idle.map(|it| Ok((place, it?))).transpose()
                    }
                }
            });
            match acquired.await.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
                Ok(Some(acquired)) => return Ok(acquired),
                Ok(None) => {}
                Err(sqlx::Error::PoolTimedOut) => {
                    return Err(self.cause_of_timeout(operation, began).await);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn connection(&self) -> sqlx::Result<Lent<D>> {
        unless_unreadable(async {
            match &self.kept {
                Some(kept) => kept.acquire(&self.pool).await,
                None => self.pool.acquire().await.map(Lent::new),
            }
        })
        .await
    }

    /// Whether a call would have to open a connection although it is known, or about to be known,
    /// that this fails.
    fn must_not_connect(&self) -> bool {
        self.probe.is_in_doubt() && !self.is_full() && !self.has_idle()
    }

    fn has_idle(&self) -> bool {
        let is_kept = self.kept.as_ref().is_some_and(|it| it.has_one_for_here());
        is_kept || self.pool.num_idle() > 0
    }

    /// Waits for an attempt to connect that succeeds, or for a connection of another call. In the
    /// backoff after an attempt that failed, and without an open connection, the error comes at
    /// once.
    async fn wait_until_reachable(&self, end: Instant) -> Result<(), Cause> {
        while self.must_not_connect() {
            let in_backoff = self.probe.start(self.attempt());
            let now = Instant::now();
            match in_backoff {
                Some(cause) if now >= end || self.pool.size() == 0 => return Err(cause),
                None if now >= end => {
                    return Err(self.probe.failure().unwrap_or_else(|| silence().into()));
                }
                _ => {}
            }
            let (changed, returned) = (pin!(self.probe.changed()), pin!(self.returned.notified()));
            let _ = timeout_at(end.min(now + POLL_INTERVAL), select(changed, returned)).await;
        }
        Ok(())
    }

    /// Why the pool had no connection in time.
    ///
    /// The pool repeats attempts that fail and does not report their errors. So one more attempt is
    /// made to find the cause, unless all connections that the pool may open are open.
    async fn cause_of_timeout(&self, operation: Operation, began: Instant) -> Cause {
        // The server is back: the call has waited for the attempt that found it, and had too little
        // time left to connect.
        if self.is_full() || self.probe.has_succeeded_since(began) {
            return sqlx::Error::PoolTimedOut.into();
        }
        let (probe, patience) = match operation {
            Operation::Migration => (&self.migration_probe, timeouts::MIGRATION_PROBE),
            _ => (&self.probe, timeouts::CAUSE),
        };
        if let Some(cause) = probe.start(self.attempt()) {
            return cause;
        }
        match timeout(patience, probe.ended()).await {
            Ok(()) => probe
                .failure()
                .unwrap_or_else(|| sqlx::Error::PoolTimedOut.into()),
            Err(_) => silence().into(),
        }
    }

    fn is_full(&self) -> bool {
        self.pool.size() >= self.pool.options().get_max_connections()
    }

    fn attempt(&self) -> impl Future<Output = sqlx::Result<()>> + Send + use<D> {
        let options = self.pool.connect_options();
        // A pooler accepts a log-in also while its server is silent.
        unless_unreadable(async move { options.connect().await?.ping().await })
    }

    fn give_back(&self, connection: Option<Lent<D>>) {
        match (connection, &self.kept) {
            (Some(connection), Some(kept)) => kept.keep(connection, &self.pool),
            (Some(connection), None) => return_to_pool(connection.connection, &self.returned),
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
            places: Arc::clone(&self.places),
            returned: Arc::clone(&self.returned),
            probe: Arc::clone(&self.probe),
            migration_probe: Arc::clone(&self.migration_probe),
        }
    }
}

/// How long an attempt to connect may take that finds out why the pool had no connection.
fn attempt_limit<D: Driver>(pool: &Pool<D>) -> Duration {
    let of_pool = pool.options().get_acquire_timeout();
    of_pool.clamp(timeouts::ACQUIRE, timeouts::MIGRATION_PROBE) + timeouts::PROBE_PING
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
    _place: OwnedSemaphorePermit,
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
pub(crate) fn return_to_pool<D: Driver>(mut connection: PoolConnection<D>, returned: &Arc<Notify>) {
    if D::AFTER_CANCEL == AfterCancel::Reuse {
        return drop(connection);
    }
    let returned = Arc::clone(returned);
    tokio::spawn(async move {
        let _ = timeout(timeouts::RETURN, connection.return_to_pool()).await;
        returned.notify_one();
    });
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
    let result = timeout(timeouts::SILENCE, call).await;
    result.unwrap_or_else(|_| Err(silence()))
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
