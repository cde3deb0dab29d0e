//! A memory store that records which keys were loaded.

use std::{
    mem::take,
    sync::{Arc, Mutex},
};

use session_core::{
    Loaded, MemoryStore, Record, Result, Revision, SessionStore, StoreKey, Write, async_trait,
};

/// A store in memory that remembers which keys it was asked for.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    inner: MemoryStore,
    asked: Arc<Mutex<Vec<StoreKey>>>,
}

impl Watched {
    /// The keys loaded since the last time.
    ///
    /// # Panics
    ///
    /// If a thread panicked inside of the store.
    #[must_use]
    pub fn asked(&self) -> Vec<StoreKey> {
        take(&mut self.asked.lock().expect("nobody panics with the lock"))
    }
}

#[async_trait]
impl SessionStore for Watched {
    fn limit(&self) -> usize {
        self.inner.limit()
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        self.asked
            .lock()
            .expect("nobody panics with the lock")
            .push(key.clone());
        self.inner.load(key).await
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        self.inner.insert(key, record).await
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        self.inner.update(key, record, revision).await
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        self.inner.delete(key).await
    }
}
