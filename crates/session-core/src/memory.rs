//! Sessions in this process's memory.

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
    key::{KeyPrefix, OwnerKey, StoreKey},
    record::{Cursor, Listed, Loaded, Page, Record, Revision, Write},
    store::{ExpiredSweep, OwnerIndex, Scan, SessionStore, Swept},
};

/// A source of the time, such as `SystemTime::now`.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// A store in this process's memory: the reference implementation, and a store for tests.
///
/// Clones share the records. The records end with the process, and no other process can load them.
/// Expired records occupy memory until a [sweep](crate::sweep_every) removes them.
#[derive(Clone)]
pub struct MemoryStore {
    records: Arc<Mutex<Records>>,
    clock: Clock,
    limit: usize,
}

impl MemoryStore {
    /// The default limit of a record: 1 MiB. [`with_limit`](Self::with_limit) changes it.
    pub const DEFAULT_LIMIT: usize = 1024 * 1024;

    /// An empty store.
    pub fn new() -> Self {
        Self {
            records: Arc::default(),
            clock: Arc::new(SystemTime::now),
            limit: Self::DEFAULT_LIMIT,
        }
    }

    /// Uses `clock` to decide when records are swept and index entries end, so that tests need not
    /// wait.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Accepts records of up to `bytes` bytes.
    #[must_use]
    pub fn with_limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    fn now(&self) -> SystemTime {
        (self.clock)()
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        // No method of `Records` leaves it in a partial state, so it is usable after a panic.
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn limit(&self) -> usize {
        self.limit
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        Ok(self.records().get(key).map(Into::into))
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        let now = self.now();
        Ok(self.records().put(key, record, None, now))
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        let now = self.now();
        let Some(revision) = revision.as_u64() else {
            return Ok(Write::Refused);
        };
        Ok(self.records().put(key, record, Some(revision), now))
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        self.records().remove(key);
        Ok(())
    }

    fn owner_index(self: Arc<Self>) -> Option<Arc<dyn OwnerIndex>> {
        Some(self)
    }

    fn scan(self: Arc<Self>) -> Option<Arc<dyn Scan>> {
        Some(self)
    }
}

#[async_trait]
impl ExpiredSweep for MemoryStore {
    async fn sweep(&self, limit: usize) -> Result<Swept> {
        self.sweep_as_of(self.now(), limit).await
    }

    async fn sweep_as_of(&self, instant: SystemTime, limit: usize) -> Result<Swept> {
        Ok(self.records().sweep(instant, limit))
    }
}

#[async_trait]
impl OwnerIndex for MemoryStore {
    async fn owned_by(
        &self,
        owner: &OwnerKey,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page> {
        let (after, now) = (key_of(cursor)?, self.now());
        Ok(page(self.records().owned_by(owner, after, limit, now)))
    }
}

#[async_trait]
impl Scan for MemoryStore {
    async fn records(
        &self,
        prefix: &KeyPrefix,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page> {
        let after = key_of(cursor)?;
        Ok(page(self.records().of_prefix(
            prefix,
            after.as_ref(),
            limit,
        )))
    }
}

/// A cursor is the last key of the page before.
fn key_of(cursor: Option<&Cursor>) -> Result<Option<StoreKey>> {
    let text = cursor.map(|cursor| std::str::from_utf8(cursor.as_bytes()));
    let text = text.transpose().map_err(Error::corrupt)?;
    Ok(text.map(StoreKey::from_stored))
}

fn page((records, last): (Vec<Listed>, Option<StoreKey>)) -> Page {
    let next = last.map(|key| Cursor::new(key.as_str().as_bytes().to_vec()));
    Page { records, next }
}

#[cfg(test)]
mod tests;
