//! `KeptConnections`, which calls hand to the calls after them.

use std::{
    mem::take,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Instant,
};

use sqlx::{Pool, pool::PoolConnection};
use tokio::{
    runtime::{Handle, Id},
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
///
/// A connection ends with the runtime that it was used on. So only calls on the same runtime get it:
/// an Actix application has one for each worker.
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
    runtime: Id,
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
        let runtime = Handle::current().id();
        {
            let mut state = self.state();
            let mine = |kept: &Kept<D>| kept.runtime == runtime;
            let place = state.connections.iter().rposition(mine);
            if let Some(place) = place.filter(|_| !pool.is_closed()) {
                return Ok(state.connections.remove(place).connection);
            }
            let is_full = pool.size() >= pool.options().get_max_connections();
            if is_full && !state.connections.is_empty() {
                // The pool pings it, and may open another one in its place.
                return_to_pool(state.connections.remove(0).connection.connection);
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
        let runtime = Handle::current().id();
        state.connections.push(Kept {
            connection,
            runtime,
            since: Instant::now(),
        });
        if !state.task_runs {
            state.task_runs = true;
            drop(state);
            let task = Task {
                kept: Arc::downgrade(self),
                runtime,
                is_done: false,
            };
            tokio::spawn(task.run(pool.clone()));
        }
    }

    /// Closes the connections that no call uses.
    pub(crate) fn close_all(&self) {
        close(take(&mut self.state().connections));
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

fn close<D: Driver>(connections: impl IntoIterator<Item = Kept<D>>) {
    for kept in connections {
        drop(kept.connection.connection.detach());
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
    runtime: Id,
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
            let mut state = kept.state();
            state.task_runs = false;
            close(
                state
                    .connections
                    .extract_if(.., |it| it.runtime == self.runtime),
            );
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
