//! The connections of all worker threads.

use std::{
    cell::RefCell,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use redis::{ErrorKind, RedisResult};
use tokio::runtime::{self, Handle};

use crate::{server::Server, worker_connection::WorkerConnection};

thread_local! {
    static OF_THIS_THREAD: RefCell<Vec<CacheEntry>> = const { RefCell::new(Vec::new()) };
}

/// One connection per thread and runtime, since a connection is driven best by the thread that uses
/// it.
///
/// The store owns the connections, so that they end with the store. A thread only remembers its
/// own.
#[derive(Default)]
pub(crate) struct WorkerConnections(Mutex<Vec<Arc<WorkerConnection>>>);

/// A thread's connection for one store on one runtime, so that the thread finds it without a lock.
struct CacheEntry {
    store: Weak<WorkerConnections>,
    runtime: runtime::Id,
    connection: Weak<WorkerConnection>,
}

impl WorkerConnections {
    /// The connection of the current thread and runtime.
    pub(crate) fn of_current_worker(
        self: &Arc<Self>,
        server: &Arc<Server>,
    ) -> RedisResult<Arc<WorkerConnection>> {
        let runtime = Handle::try_current()
            .map_err(|_| (ErrorKind::Client, "call the store within a Tokio runtime"))?
            .id();
        OF_THIS_THREAD.with_borrow_mut(|cache| {
            let cached = cache.iter().find(|entry| {
                entry.store.as_ptr() == Arc::as_ptr(self) && entry.runtime == runtime
            });
            if let Some(connection) = cached.and_then(|entry| entry.connection.upgrade()) {
                return Ok(connection);
            }
            cache.retain(|entry| entry.connection.strong_count() > 0);
            let connection = Arc::new(WorkerConnection::new(Arc::clone(server)));
            cache.push(CacheEntry {
                store: Arc::downgrade(self),
                runtime,
                connection: Arc::downgrade(&connection),
            });
            let mut all = self.all();
            all.retain(WorkerConnection::is_in_use);
            all.push(Arc::clone(&connection));
            Ok(connection)
        })
    }

    /// How many are open.
    pub(crate) fn open(&self) -> usize {
        self.all().iter().filter(|it| it.is_open()).count()
    }

    fn all(&self) -> MutexGuard<'_, Vec<Arc<WorkerConnection>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for CacheEntry {
    /// Closes the connection when its thread ends.
    fn drop(&mut self) {
        if let Some(store) = self.store.upgrade() {
            let mut all = store.all();
            all.retain(|it| Arc::as_ptr(it) != self.connection.as_ptr());
        }
    }
}
