//! Sessions in this process's memory.

mod owners;
mod records;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use async_trait::async_trait;

use self::records::Records;
use crate::{
    error::{Error, Result},
    key::{OwnerKey, StoreKey},
    record::{Loaded, Record, Revision, Touch, Write},
    store::{ExpiredSweep, OwnerIndex, SessionStore},
};

/// Where a [`MemoryStore`] takes the time from.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// A store in this process's memory: the reference for every other, and a store for tests.
///
/// Clones share the records. Nothing survives the process, and no other process sees it. Expired records are absent
/// at once, but occupy memory until a [sweep](crate::sweep_every) or a write under the same key removes them.
#[derive(Clone)]
pub struct MemoryStore {
    records: Arc<Mutex<Records>>,
    clock: Clock,
    limit: usize,
}

impl MemoryStore {
    /// The largest payload accepted unless [`with_limit`](Self::with_limit) says otherwise: 1 MiB.
    pub const DEFAULT_LIMIT: usize = 1024 * 1024;

    /// An empty store.
    pub fn new() -> Self {
        Self {
            records: Arc::default(),
            clock: Arc::new(SystemTime::now),
            limit: Self::DEFAULT_LIMIT,
        }
    }

    /// Takes the time from `clock`, so that a test need not wait for an expiry.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Accepts payloads of up to `bytes` bytes.
    #[must_use]
    pub fn with_limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    fn now(&self) -> SystemTime {
        (self.clock)()
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        // No method of `Records` leaves it half changed, so what a panicking thread left is whole.
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_size(&self, record: &Record) -> Result<()> {
        let size = record.payload.len();
        if size > self.limit {
            return Err(Error::TooLarge {
                size,
                limit: self.limit,
            });
        }
        Ok(())
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("records", &self.records().len())
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl SessionStore for MemoryStore {
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        let now = self.now();
        let held = self.records().live(key, now).cloned();
        Ok(held.map(Into::into))
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        self.check_size(record)?;
        let now = self.now();
        let mut records = self.records();
        if records.live(key, now).is_some() {
            return Ok(Write::Refused);
        }
        Ok(Write::Stored(records.put(key, record, now)))
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        self.check_size(record)?;
        let now = self.now();
        let mut records = self.records();
        let unchanged = records
            .live(key, now)
            .is_some_and(|held| revision.as_u64() == Some(held.revision));
        if !unchanged {
            return Ok(Write::Refused);
        }
        Ok(Write::Stored(records.put(key, record, now)))
    }

    async fn touch(&self, key: &StoreKey, expires_at: SystemTime) -> Result<Touch> {
        let now = self.now();
        let mut records = self.records();
        if records.live(key, now).is_none() {
            return Ok(Touch::Refused);
        }
        records.move_expiry(key, expires_at);
        Ok(Touch::Moved)
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        self.records().remove(key);
        Ok(())
    }
}

#[async_trait]
impl ExpiredSweep for MemoryStore {
    async fn sweep(&self, limit: usize) -> Result<u64> {
        let now = self.now();
        Ok(self.records().sweep(now, limit))
    }
}

#[async_trait]
impl OwnerIndex for MemoryStore {
    async fn owned_by(&self, owner: &OwnerKey) -> Result<Vec<(StoreKey, Loaded)>> {
        let now = self.now();
        let held = self.records().owned_by(owner, now);
        Ok(held
            .into_iter()
            .map(|(key, held)| (key, held.into()))
            .collect())
    }
}

#[cfg(test)]
mod tests;
