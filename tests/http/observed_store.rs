//! A store whose calls are counted, and that can be made to fail.

use std::{
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use session_core::{
    Cursor, Error, Loaded, MemoryStore, OwnerIndex, OwnerKey, Page, Record, Result, Revision,
    SessionStore, StoreKey, Write, async_trait,
};

type Mangle = fn(Vec<u8>) -> Vec<u8>;

/// A store that counts its calls, and fails, freezes, refuses or damages records when told to.
#[derive(Clone, Debug)]
pub(crate) struct ObservedStore {
    inner: Arc<dyn SessionStore>,
    calls: Arc<AtomicUsize>,
    down: Arc<AtomicBool>,
    frozen: Arc<AtomicBool>,
    update_fails: Arc<AtomicBool>,
    updates_frozen: Arc<AtomicBool>,
    update_refused: Arc<AtomicBool>,
    insert_fails: Arc<AtomicBool>,
    refusals: Arc<AtomicUsize>,
    mangle: Arc<Mutex<Option<Mangle>>>,
}

impl Default for ObservedStore {
    /// In the store that the test program is for.
    fn default() -> Self {
        Self::around(crate::store::fresh())
    }
}

impl ObservedStore {
    pub(crate) fn new(inner: MemoryStore) -> Self {
        Self::around(Arc::new(inner))
    }

    fn around(inner: Arc<dyn SessionStore>) -> Self {
        Self {
            inner,
            calls: Arc::default(),
            down: Arc::default(),
            frozen: Arc::default(),
            update_fails: Arc::default(),
            updates_frozen: Arc::default(),
            update_refused: Arc::default(),
            insert_fails: Arc::default(),
            refusals: Arc::default(),
            mangle: Arc::default(),
        }
    }

    fn index(&self) -> Option<Arc<dyn OwnerIndex>> {
        self.inner.clone().owner_index()
    }

    /// The number of calls since the last call of this method.
    pub(crate) fn calls(&self) -> usize {
        self.calls.swap(0, Ordering::Relaxed)
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::Relaxed);
    }

    pub(crate) fn set_frozen(&self, frozen: bool) {
        self.frozen.store(frozen, Ordering::Relaxed);
    }

    /// From now on every update fails; loading works.
    pub(crate) fn fail_updates(&self) {
        self.update_fails.store(true, Ordering::Relaxed);
    }

    /// From now on no update is answered; loading works.
    pub(crate) fn freeze_updates(&self) {
        self.updates_frozen.store(true, Ordering::Relaxed);
    }

    /// The next update is refused.
    pub(crate) fn refuse_update(&self) {
        self.update_refused.store(true, Ordering::Relaxed);
    }

    /// From now on every insert fails.
    pub(crate) fn fail_inserts(&self) {
        self.insert_fails.store(true, Ordering::Relaxed);
    }

    /// The next `count` inserts are refused.
    pub(crate) fn refuse_inserts(&self, count: usize) {
        self.refusals.store(count, Ordering::Relaxed);
    }

    /// From now on `mangle` changes the bytes of each loaded record.
    pub(crate) fn set_mangle(&self, mangle: Option<Mangle>) {
        *self.mangle.lock().unwrap() = mangle;
    }

    async fn observe(&self) -> Result<()> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        while self.frozen.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if self.down.load(Ordering::Relaxed) {
            return Err(Error::backend("observed", "secret detail of the outage"));
        }
        Ok(())
    }
}

#[async_trait]
impl SessionStore for ObservedStore {
    fn limit(&self) -> usize {
        self.inner.limit()
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        self.observe().await?;
        let mut loaded = self.inner.load(key).await?;
        let mangle = *self.mangle.lock().unwrap();
        if let (Some(loaded), Some(mangle)) = (&mut loaded, mangle) {
            loaded.bytes = mangle(loaded.bytes.to_vec()).into();
        }
        Ok(loaded)
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        self.observe().await?;
        if self.insert_fails.load(Ordering::Relaxed) {
            return Err(Error::backend("observed", "no insert"));
        }
        let taken = |left: usize| left.checked_sub(1);
        let refusal = self
            .refusals
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken);
        if refusal.is_ok() {
            return Ok(Write::Refused);
        }
        self.inner.insert(key, record).await
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        self.observe().await?;
        if self.updates_frozen.load(Ordering::Relaxed) {
            pending::<()>().await;
        }
        if self.update_fails.load(Ordering::Relaxed) {
            return Err(Error::backend("observed", "no update"));
        }
        if self.update_refused.swap(false, Ordering::Relaxed) {
            return Ok(Write::Refused);
        }
        self.inner.update(key, record, revision).await
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        self.observe().await?;
        self.inner.delete(key).await
    }

    fn owner_index(self: Arc<Self>) -> Option<Arc<dyn OwnerIndex>> {
        self.index()?;
        Some(self)
    }
}

#[async_trait]
impl OwnerIndex for ObservedStore {
    async fn owned_by(
        &self,
        owner: &OwnerKey,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page> {
        self.observe().await?;
        let index = self.index().expect("the store has one");
        index.owned_by(owner, after, limit).await
    }
}
