use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use session_actix::session_core::{
    Error, Loaded, MemoryStore, OwnerIndex, OwnerKey, Record, Result, Revision, SessionStore,
    StoreKey, Touch, Write, async_trait,
};

/// A store that counts its calls, and fails or hangs when told to.
#[derive(Clone, Debug, Default)]
pub(crate) struct ObservedStore {
    inner: MemoryStore,
    calls: Arc<AtomicUsize>,
    down: Arc<AtomicBool>,
    frozen: Arc<AtomicBool>,
    touch_fails: Arc<AtomicBool>,
}

impl ObservedStore {
    pub(crate) fn new(inner: MemoryStore) -> Self {
        Self {
            inner,
            ..Self::default()
        }
    }

    /// How many calls there were since the last time this was asked.
    pub(crate) fn calls(&self) -> usize {
        self.calls.swap(0, Ordering::Relaxed)
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::Relaxed);
    }

    pub(crate) fn set_frozen(&self, frozen: bool) {
        self.frozen.store(frozen, Ordering::Relaxed);
    }

    /// From now on loading works and touching does not.
    pub(crate) fn fail_touches(&self) {
        self.touch_fails.store(true, Ordering::Relaxed);
    }

    async fn observe(&self) -> Result<()> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if self.frozen.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        if self.down.load(Ordering::Relaxed) {
            return Err(Error::backend("observed", "secret detail of the outage"));
        }
        Ok(())
    }
}

#[async_trait]
impl SessionStore for ObservedStore {
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        self.observe().await?;
        self.inner.load(key).await
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        self.observe().await?;
        self.inner.insert(key, record).await
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        self.observe().await?;
        self.inner.update(key, record, revision).await
    }

    async fn touch(&self, key: &StoreKey, expires_at: SystemTime) -> Result<Touch> {
        self.observe().await?;
        if self.touch_fails.load(Ordering::Relaxed) {
            return Err(Error::backend("observed", "no touch"));
        }
        self.inner.touch(key, expires_at).await
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        self.observe().await?;
        self.inner.delete(key).await
    }
}

#[async_trait]
impl OwnerIndex for ObservedStore {
    async fn owned_by(&self, owner: &OwnerKey) -> Result<Vec<(StoreKey, Loaded)>> {
        self.observe().await?;
        self.inner.owned_by(owner).await
    }
}
