//! A memory store whose calls are counted, held, slowed down, or made to fail.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use session_core::{
    Cursor, Error, ExpiredSweep, Loaded, MemoryStore, OwnerIndex, OwnerKey, Page, Record, Result,
    Revision, Scan, SessionStore, StoreKey, Write, async_trait,
};
use tokio::{sync::watch, time::sleep};

/// A method of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Load,
    Insert,
    Update,
    Delete,
    OwnedBy,
}

impl Method {
    pub(crate) const ALL: [Self; 5] = [
        Self::Load,
        Self::Insert,
        Self::Update,
        Self::Delete,
        Self::OwnedBy,
    ];
    pub(crate) const WRITES: [Self; 3] = [Self::Insert, Self::Update, Self::Delete];
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// None yet.
    Nothing,
    /// Nothing was done.
    Before,
    /// It was done, and its answer is lost.
    After,
    /// The record is too large.
    TooLarge,
}

/// At which end a call is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Before,
    After,
}

/// Which calls are held, until they are let go.
#[derive(Clone, Copy, Debug)]
enum Gate {
    Open,
    Held(&'static [Method]),
    /// Every call but the first so many.
    HeldFrom(u64, When),
}

impl Gate {
    fn holds(self, method: Method, number: u64, at: When) -> bool {
        match self {
            Self::Open => false,
            Self::Held(methods) => at == When::Before && methods.contains(&method),
            Self::HeldFrom(first, when) => at == when && number >= first,
        }
    }
}

#[derive(Debug, Default)]
struct Behaviour {
    calls: Vec<Method>,
    slow: Vec<(Method, Duration)>,
    /// The keys whose records the store cannot read.
    corrupt: Vec<StoreKey>,
    failures: VecDeque<(Method, Failure)>,
    down: Vec<Method>,
    inserted: Vec<StoreKey>,
    listed: usize,
    page: Option<usize>,
    largest: usize,
}

/// A memory store whose calls are counted, and can be held, slowed down or made to fail.
#[derive(Clone, Debug)]
pub(crate) struct TestStore {
    inner: MemoryStore,
    behaviour: Arc<Mutex<Behaviour>>,
    gate: Arc<watch::Sender<Gate>>,
}

impl TestStore {
    pub(crate) fn new(inner: MemoryStore) -> Self {
        Self {
            inner,
            behaviour: Arc::default(),
            gate: Arc::new(watch::Sender::new(Gate::Open)),
        }
    }

    fn behaviour(&self) -> MutexGuard<'_, Behaviour> {
        self.behaviour.lock().unwrap()
    }

    /// From now on calls of `methods` wait until they are let go.
    pub(crate) fn hold(&self, methods: &'static [Method]) {
        self.gate.send_replace(Gate::Held(methods));
    }

    /// Of the calls from now on, all but the first `calls` wait until they are let go.
    pub(crate) fn hold_from(&self, calls: u64, when: When) {
        let first = self.behaviour().calls.len() as u64 + calls;
        self.gate.send_replace(Gate::HeldFrom(first, when));
    }

    pub(crate) fn release(&self) {
        self.gate.send_replace(Gate::Open);
    }

    /// Every call of `method` takes so long.
    pub(crate) fn slow(&self, method: Method, time: Duration) {
        self.behaviour().slow.push((method, time));
    }

    /// The next call of `method` fails; several of them one after the other.
    pub(crate) fn fail(&self, method: Method, failure: Failure) {
        self.behaviour().failures.push_back((method, failure));
    }

    /// Each load of this record is an error that calls it corrupt.
    pub(crate) fn corrupt(&self, key: StoreKey) {
        self.behaviour().corrupt.push(key);
    }

    pub(crate) fn forget_failures(&self) {
        self.behaviour().failures.clear();
    }

    /// Every call of `methods` fails, until the store is up again.
    pub(crate) fn go_down(&self, methods: &[Method]) {
        self.behaviour().down = methods.to_vec();
    }

    pub(crate) fn come_up(&self) {
        self.behaviour().down.clear();
    }

    /// The calls since the last time this was asked.
    pub(crate) fn calls(&self) -> Vec<Method> {
        std::mem::take(&mut self.behaviour().calls)
    }

    /// The same, but only those that write.
    pub(crate) fn writes(&self) -> Vec<Method> {
        let mut calls = self.calls();
        calls.retain(|call| Method::WRITES.contains(call));
        calls
    }

    /// From now on a page of the index holds so many records.
    pub(crate) fn set_page(&self, records: usize) {
        self.behaviour().page = Some(records);
    }

    /// The size of the largest record that the store was given.
    pub(crate) fn largest(&self) -> usize {
        self.behaviour().largest
    }

    fn measure(&self, record: &Record) {
        let mut behaviour = self.behaviour();
        behaviour.largest = behaviour.largest.max(record.bytes.len());
    }

    /// The bytes that the pages of the index have carried.
    pub(crate) fn listed(&self) -> usize {
        self.behaviour().listed
    }

    /// The key that was inserted last.
    pub(crate) fn last_key(&self) -> StoreKey {
        self.behaviour().inserted.last().unwrap().clone()
    }

    pub(crate) async fn holds(&self, key: &StoreKey) -> bool {
        self.inner.load(key).await.unwrap().is_some()
    }

    /// The bytes of a record.
    pub(crate) async fn bytes(&self, key: &StoreKey) -> Vec<u8> {
        let loaded = self.inner.load(key).await.unwrap();
        loaded.expect("a record").bytes.to_vec()
    }

    /// Changes the bytes of a record, as another program might.
    pub(crate) async fn tamper(&self, key: &StoreKey, change: impl FnOnce(&mut Vec<u8>)) {
        let loaded = self.inner.load(key).await.unwrap().unwrap();
        let mut bytes = loaded.bytes.to_vec();
        change(&mut bytes);
        let record = Record {
            bytes: bytes.into(),
            expires_at: loaded.expires_at.unwrap(),
            entry: None,
        };
        let written = self.inner.update(key, &record, &loaded.revision).await;
        assert!(written.unwrap().is_stored());
    }

    /// Removes a record, as an eviction does.
    pub(crate) async fn evict(&self, key: &StoreKey) {
        self.inner.delete(key).await.unwrap();
    }

    /// Removes every record whose time has passed.
    pub(crate) async fn sweep(&self) {
        let swept = self.inner.sweep(usize::MAX).await.unwrap();
        assert!(swept.is_done);
    }

    async fn call<T>(
        &self,
        method: Method,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let (number, slow, failure) = {
            let mut behaviour = self.behaviour();
            behaviour.calls.push(method);
            let number = behaviour.calls.len() as u64 - 1;
            let slow = behaviour.slow.iter().find(|(of, _)| *of == method);
            let slow = slow.map(|(_, time)| *time);
            let place = behaviour.failures.iter().position(|(of, _)| *of == method);
            let failure = place.and_then(|place| behaviour.failures.remove(place));
            let down = behaviour.down.contains(&method).then_some(Failure::Before);
            (number, slow, failure.map(|(_, failure)| failure).or(down))
        };
        if let Some(time) = slow {
            sleep(time).await;
        }
        self.wait(method, number, When::Before).await;
        let answer = match failure {
            Some(Failure::Before) => Err(Error::backend("test", "down")),
            Some(Failure::TooLarge) => Err(Error::TooLarge { size: 2, limit: 1 }),
            Some(Failure::After) => {
                let _done = call.await?;
                Err(Error::backend("test", "the answer is lost"))
            }
            Some(Failure::Nothing) | None => call.await,
        };
        self.wait(method, number, When::After).await;
        answer
    }

    async fn wait(&self, method: Method, number: u64, at: When) {
        let mut gate = self.gate.subscribe();
        let open = gate.wait_for(|gate| !gate.holds(method, number, at));
        let _opened = open.await.unwrap();
    }
}

#[async_trait]
impl SessionStore for TestStore {
    fn limit(&self) -> usize {
        self.inner.limit()
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        if self.behaviour().corrupt.contains(key) {
            return Err(Error::corrupt("test"));
        }
        self.call(Method::Load, self.inner.load(key)).await
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        self.measure(record);
        self.behaviour().inserted.push(key.clone());
        self.call(Method::Insert, self.inner.insert(key, record))
            .await
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        self.measure(record);
        let update = self.inner.update(key, record, revision);
        self.call(Method::Update, update).await
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        self.call(Method::Delete, self.inner.delete(key)).await
    }

    /// Not counted, not held, and it does not fail.
    fn scan(self: Arc<Self>) -> Option<Arc<dyn Scan>> {
        Some(Arc::new(self.inner.clone()))
    }

    fn owner_index(self: Arc<Self>) -> Option<Arc<dyn OwnerIndex>> {
        Some(self)
    }
}

#[async_trait]
impl OwnerIndex for TestStore {
    async fn owned_by(
        &self,
        owner: &OwnerKey,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page> {
        let limit = self.behaviour().page.unwrap_or(limit);
        let page = self.inner.owned_by(owner, cursor, limit);
        let page = self.call(Method::OwnedBy, page).await?;
        self.behaviour().listed += page.records.iter().map(|it| it.head.len()).sum::<usize>();
        Ok(page)
    }
}
