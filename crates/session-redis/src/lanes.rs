use std::{
    cell::RefCell,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use redis::{ErrorKind, RedisResult};
use tokio::runtime::{self, Handle};

use crate::{
    lane::Lane,
    server::{Patience, Server},
};

thread_local! {
    static HERE: RefCell<Vec<Place>> = const { RefCell::new(Vec::new()) };
}

/// One lane per thread and runtime: a connection is driven best by the thread that uses it.
///
/// The lanes belong to the store, and a thread only remembers its own, so that connections end with their store.
pub(crate) struct Lanes {
    id: u64,
    pub(crate) server: Server,
    pub(crate) patience: Patience,
    all: Mutex<Vec<Arc<Lane>>>,
}

/// A thread's memory of its lane of one store on one runtime.
struct Place {
    store: u64,
    runtime: runtime::Id,
    lane: Weak<Lane>,
}

impl Lanes {
    pub(crate) fn new(server: Server, patience: Patience) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            server,
            patience,
            all: Mutex::default(),
        }
    }

    /// This thread's lane.
    pub(crate) fn here(&self) -> RedisResult<Arc<Lane>> {
        let runtime = Handle::try_current()
            .map_err(|_| (ErrorKind::Client, "not called from within a tokio runtime"))?
            .id();
        HERE.with_borrow_mut(|places| {
            let known = places
                .iter()
                .find(|place| place.store == self.id && place.runtime == runtime);
            if let Some(lane) = known.and_then(|place| place.lane.upgrade()) {
                return Ok(lane);
            }
            places.retain(|place| place.lane.strong_count() > 0);
            let lane = Arc::new(Lane::new(self.server.clone(), self.patience));
            self.add(&lane);
            places.push(Place {
                store: self.id,
                runtime,
                lane: Arc::downgrade(&lane),
            });
            Ok(lane)
        })
    }

    fn add(&self, lane: &Arc<Lane>) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(Lane::is_in_use);
        all.push(Arc::clone(lane));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(lane) = self.lane.upgrade() {
            lane.leave();
        }
    }
}
