use std::{
    cell::RefCell,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use redis::{ErrorKind, RedisResult};
use tokio::runtime::{self, Handle};

use crate::{lane::Lane, server::Server};

thread_local! {
    static HERE: RefCell<Vec<Place>> = const { RefCell::new(Vec::new()) };
}

/// One lane per thread and runtime: a connection is driven best by the thread that uses it.
///
/// The lanes belong to the store, and a thread only remembers its own, so that connections end with their store.
#[derive(Default)]
pub(crate) struct Lanes(Mutex<Vec<Arc<Lane>>>);

/// A thread's memory of its lane of one store on one runtime.
struct Place {
    store: Weak<Lanes>,
    runtime: runtime::Id,
    lane: Weak<Lane>,
}

impl Lanes {
    /// This thread's lane.
    pub(crate) fn here(self: &Arc<Self>, server: &Arc<Server>) -> RedisResult<Arc<Lane>> {
        let runtime = Handle::try_current()
            .map_err(|_| (ErrorKind::Client, "not called from within a tokio runtime"))?
            .id();
        HERE.with_borrow_mut(|places| {
            let known = places.iter().find(|place| {
                place.store.as_ptr() == Arc::as_ptr(self) && place.runtime == runtime
            });
            if let Some(lane) = known.and_then(|place| place.lane.upgrade()) {
                return Ok(lane);
            }
            places.retain(|place| place.lane.strong_count() > 0);
            let lane = Arc::new(Lane::new(Arc::clone(server)));
            places.push(Place {
                store: Arc::downgrade(self),
                runtime,
                lane: Arc::downgrade(&lane),
            });
            let mut all = self.all();
            all.retain(Lane::is_in_use);
            all.push(Arc::clone(&lane));
            Ok(lane)
        })
    }

    fn all(&self) -> MutexGuard<'_, Vec<Arc<Lane>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    /// The thread is gone, and its connection with it.
    fn drop(&mut self) {
        if let Some(store) = self.store.upgrade() {
            store
                .all()
                .retain(|lane| Arc::as_ptr(lane) != self.lane.as_ptr());
        }
    }
}
