//! `KeptConnections`, which calls hand to the calls after them.

use std::{
    mem::take,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use sqlx::{Pool, pool::PoolConnection};
use tokio::{
    runtime::{Handle, Id},
    sync::Notify,
    time::{Instant, sleep_until},
};

use crate::{
    connection::return_to_pool,
    dialect::{AfterCancel, Driver},
    timeouts,
};

/// Connections between two calls.
///
/// The pool (`sqlx` 0.9) pings each connection that it takes back, which is a second round trip for
/// each call. So a call leaves its connection to the next one. The pool gets it back, and pings it,
/// [`timeouts::KEPT`] after it lent it, used or not. So whoever else waits for a connection of the
/// pool gets one.
///
/// A connection to a server ends with the runtime that it was used on. So only calls on the same
/// runtime get it: an Actix application has one for each worker.
pub(crate) struct KeptConnections<D: Driver> {
    state: Mutex<State<D>>,
    returned: Arc<Notify>,
}

struct State<D: Driver> {
    /// The one that was used last is the last.
    connections: Vec<Kept<D>>,
    /// The calls that have a place and wait for the pool.
    waiting: usize,
    /// The runtimes with a task that gives their connections back.
    tasks: Vec<Id>,
}

struct Kept<D: Driver> {
    connection: Lent<D>,
    runtime: Id,
}

/// A connection that the pool has lent.
pub(crate) struct Lent<D: Driver> {
    pub(crate) connection: PoolConnection<D>,
    /// When the pool gets it back at the latest, unless a call uses it.
    until: Instant,
}

impl<D: Driver> KeptConnections<D> {
    /// `None` if the pool has a single connection, which others need as well.
    pub(crate) fn new(pool: &Pool<D>, returned: &Arc<Notify>) -> Option<Self> {
        (pool.options().get_max_connections() > 1).then(|| Self {
            state: Mutex::new(State {
                connections: Vec::new(),
                waiting: 0,
                tasks: Vec::new(),
            }),
            returned: Arc::clone(returned),
        })
    }

    /// The connection of an earlier call, or one of the pool.
    pub(crate) async fn acquire(&self, pool: &Pool<D>) -> sqlx::Result<Lent<D>> {
        if let Some(kept) = self.kept_or_wait(pool) {
            return Ok(kept);
        }
        let _waits = Waits(self);
        Ok(Lent::new(pool.acquire().await?))
    }

    /// A connection that this runtime can use. Without one, the caller counts as waiting, and if the
    /// pool may open no other, it gets the one that was used least recently.
    fn kept_or_wait(&self, pool: &Pool<D>) -> Option<Lent<D>> {
        let mut state = self.state();
        if let Some(place) = state.connections.iter().rposition(is_usable_here) {
            let Kept { connection, .. } = state.connections.remove(place);
            if Instant::now() < connection.until && !pool.is_closed() {
                return Some(connection);
            }
            return_to_pool(connection.connection, &self.returned);
        } else if !state.connections.is_empty()
            && pool.size() >= pool.options().get_max_connections()
        {
            return_to_pool(
                state.connections.remove(0).connection.connection,
                &self.returned,
            );
        }
        state.waiting += 1;
        None
    }

    /// Keeps a connection for the next call, or gives it back.
    pub(crate) fn keep(self: &Arc<Self>, connection: Lent<D>, pool: &Pool<D>) {
        let runtime = Handle::current().id();
        let mut state = self.state();
        if Instant::now() >= connection.until || state.waiting > 0 || pool.is_closed() {
            drop(state);
            return return_to_pool(connection.connection, &self.returned);
        }
        state.connections.push(Kept {
            connection,
            runtime,
        });
        self.returned.notify_one();
        if !state.tasks.contains(&runtime) {
            state.tasks.push(runtime);
            drop(state);
            let kept = Arc::downgrade(self);
            tokio::spawn(Task { kept, runtime }.run(pool.clone()));
        }
    }

    /// Whether a call would get one here, and not one of the pool.
    pub(crate) fn has_one_for_here(&self) -> bool {
        let state = self.state();
        let last = state.connections.iter().rfind(|it| is_usable_here(it));
        last.is_some_and(|it| Instant::now() < it.connection.until)
    }

    /// How many no call uses.
    pub(crate) fn count(&self) -> usize {
        self.state().connections.len()
    }

    /// Closes the connections that no call uses.
    pub(crate) fn close_all(&self) {
        close(take(&mut self.state().connections));
    }

    fn state(&self) -> MutexGuard<'_, State<D>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_usable_here<D: Driver>(kept: &Kept<D>) -> bool {
    D::AFTER_CANCEL == AfterCancel::Reuse || kept.runtime == Handle::current().id()
}

impl<D: Driver> Lent<D> {
    pub(crate) fn new(connection: PoolConnection<D>) -> Self {
        Self {
            connection,
            until: Instant::now() + timeouts::KEPT,
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

/// Gives the connections of a runtime back in time. Ends when none is left, or with the runtime,
/// whose connections to a server have ended then.
struct Task<D: Driver> {
    kept: Weak<KeptConnections<D>>,
    runtime: Id,
}

impl<D: Driver> Task<D> {
    async fn run(mut self, pool: Pool<D>) {
        while let Some(next) = self.give_back(&pool) {
            sleep_until(next).await;
        }
        // The runtime may have another task by now.
        self.kept = Weak::new();
    }

    /// Gives back what is due. Returns when the next one is.
    fn give_back(&self, pool: &Pool<D>) -> Option<Instant> {
        let kept = self.kept.upgrade()?;
        let now = Instant::now();
        let is_mine = |kept: &Kept<D>| kept.runtime == self.runtime;
        let is_due = |kept: &mut Kept<D>| {
            is_mine(kept) && (now >= kept.connection.until || pool.is_closed())
        };
        let mut state = kept.state();
        let due: Vec<_> = state.connections.extract_if(.., is_due).collect();
        let mine = state.connections.iter().filter(|kept| is_mine(kept));
        let next = mine.map(|kept| kept.connection.until).min();
        if next.is_none() {
            state.tasks.retain(|task| *task != self.runtime);
        }
        drop(state);
        for lent in due {
            return_to_pool(lent.connection.connection, &kept.returned);
        }
        next
    }
}

impl<D: Driver> Drop for Task<D> {
    fn drop(&mut self) {
        let Some(kept) = self.kept.upgrade() else {
            return;
        };
        let mut state = kept.state();
        let Some(place) = state.tasks.iter().position(|task| *task == self.runtime) else {
            return;
        };
        state.tasks.swap_remove(place);
        if D::AFTER_CANCEL != AfterCancel::Reuse {
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
