//! `KeptConnections`, which calls hand to the calls after them.

use std::{
    mem::take,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Instant,
};

use sqlx::{Pool, pool::PoolConnection};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};

use crate::{connection::return_to_pool, dialect::Driver, timeouts};

/// Connections between two calls.
///
/// The pool (`sqlx` 0.9) pings each connection that it takes back, which is a second round trip for
/// each call. So a call leaves its connection to the next one. The pool gets it back, and pings it,
/// once in [`timeouts::KEPT`], and when no call has come for [`timeouts::KEPT_IDLE`].
///
/// Calls wait here for a place, not in the pool, which does not know of the connections that are
/// kept.
pub(crate) struct KeptConnections<D: Driver> {
    /// As many as the pool may have connections.
    places: Arc<Semaphore>,
    state: Mutex<State<D>>,
}

struct State<D: Driver> {
    /// The one that was used last is the last.
    connections: Vec<Kept<D>>,
    /// The calls that have a place and wait for the pool.
    waiting: usize,
    /// Whether a task gives connections back that no call uses.
    task_runs: bool,
}

struct Kept<D: Driver> {
    connection: Lent<D>,
    since: Instant,
}

/// A connection that the pool has lent.
pub(crate) struct Lent<D: Driver> {
    pub(crate) connection: PoolConnection<D>,
    since: Instant,
}

impl<D: Driver> KeptConnections<D> {
    pub(crate) fn new(pool: &Pool<D>) -> Self {
        let places = pool.options().get_max_connections() as usize;
        Self {
            places: Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))),
            state: Mutex::new(State {
                connections: Vec::new(),
                waiting: 0,
                task_runs: false,
            }),
        }
    }

    /// A place for a call. Waits as long as for a connection of the pool.
    pub(crate) async fn place(&self, pool: &Pool<D>) -> sqlx::Result<OwnedSemaphorePermit> {
        let place = Arc::clone(&self.places).acquire_owned();
        let place = timeout(pool.options().get_acquire_timeout(), place).await;
        place
            .map_err(|_| sqlx::Error::PoolTimedOut)?
            .map_err(|_| sqlx::Error::PoolClosed)
    }

    /// The connection of an earlier call, or one of the pool.
    pub(crate) async fn acquire(&self, pool: &Pool<D>) -> sqlx::Result<Lent<D>> {
        {
            let mut state = self.state();
            if !pool.is_closed()
                && let Some(kept) = state.connections.pop()
            {
                return Ok(kept.connection);
            }
            state.waiting += 1;
        }
        let _waits = Waits(self);
        pool.acquire().await.map(Lent::new)
    }

    /// Keeps a connection for the next call, or gives it back.
    pub(crate) fn keep(self: &Arc<Self>, connection: Lent<D>, pool: &Pool<D>) {
        let mut state = self.state();
        let is_due = connection.since.elapsed() >= timeouts::KEPT;
        if is_due || state.waiting > 0 || pool.is_closed() {
            drop(state);
            return return_to_pool(connection.connection);
        }
        state.connections.push(Kept {
            connection,
            since: Instant::now(),
        });
        if !state.task_runs {
            state.task_runs = true;
            drop(state);
            let task = Task {
                kept: Arc::downgrade(self),
                is_done: false,
            };
            tokio::spawn(task.run(pool.clone()));
        }
    }

    /// Closes the connections that no call uses.
    pub(crate) fn close_all(&self) {
        for kept in take(&mut self.state().connections) {
            drop(kept.connection.connection.detach());
        }
    }

    fn state(&self) -> MutexGuard<'_, State<D>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<D: Driver> Lent<D> {
    pub(crate) fn new(connection: PoolConnection<D>) -> Self {
        Self {
            connection,
            since: Instant::now(),
        }
    }
}

struct Waits<'k, D: Driver>(&'k KeptConnections<D>);

impl<D: Driver> Drop for Waits<'_, D> {
    fn drop(&mut self) {
        self.0.state().waiting -= 1;
    }
}

/// Gives connections back that no call uses. Ends when none is left, or with its runtime; then the
/// next connection that is kept begins another one.
struct Task<D: Driver> {
    kept: Weak<KeptConnections<D>>,
    is_done: bool,
}

impl<D: Driver> Task<D> {
    async fn run(mut self, pool: Pool<D>) {
        loop {
            sleep(timeouts::KEPT_IDLE).await;
            let Some(kept) = self.kept.upgrade() else {
                return;
            };
            let mut state = kept.state();
            let is_used = |kept: &Kept<D>| kept.since.elapsed() < timeouts::KEPT_IDLE;
            let first_used = state.connections.iter().position(is_used);
            let unused = match first_used {
                Some(first) if !pool.is_closed() => state.connections.drain(..first).collect(),
                _ => take(&mut state.connections),
            };
            self.is_done = state.connections.is_empty();
            state.task_runs = !self.is_done;
            drop(state);
            for kept in unused {
                return_to_pool(kept.connection.connection);
            }
            if self.is_done {
                return;
            }
        }
    }
}

impl<D: Driver> Drop for Task<D> {
    fn drop(&mut self) {
        if !self.is_done
            && let Some(kept) = self.kept.upgrade()
        {
            kept.state().task_runs = false;
        }
    }
}

impl<D: Driver> Drop for KeptConnections<D> {
    fn drop(&mut self) {
        // Giving them back needs a runtime.
        if Handle::try_current().is_err() {
            self.close_all();
        }
    }
}
