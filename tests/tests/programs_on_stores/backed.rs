//! Two real stores, called by a program that has no runtime for them.

use std::{
    any::Any,
    future::Future,
    sync::{Arc, mpsc},
    time::Duration,
};

use session_core::{
    Bytes, Cursor, Error, IndexEntry, KeyPrefix, Listed, Loaded, OwnerKey, Page, Record, Result,
    Revision, SessionStore, StoreKey, Write,
};
use tokio::runtime::Runtime;

use crate::store::Backing;

/// What the keys of a program begin with.
const PREFIX: &str = "session:";

/// The programs' clock is years off the servers', which must remove nothing meanwhile.
const KEPT: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// A store on a real server.
pub(crate) struct RealStore {
    pub(crate) store: Arc<dyn SessionStore>,
    /// Shortens the record under this key to these bytes, not by the store.
    pub(crate) damage: Damage,
    /// What ends with the server.
    pub(crate) _guard: Box<dyn Any + Send>,
}

pub(crate) type Damage = Box<dyn Fn(&str, &[u8]) + Send>;

/// Two stores. Each program has a prefix of its own in them.
pub(crate) struct RealStores {
    runtime: Runtime,
    /// The old one, and the new one.
    stores: [RealStore; 2],
    program: u64,
}

impl RealStores {
    /// The stores are opened on the runtime that their calls run on.
    pub(crate) fn open(open: impl AsyncFnOnce() -> [RealStore; 2]) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let stores = runtime.block_on(open());
        Self {
            runtime,
            stores,
            program: 0,
        }
    }

    /// Waits for a call, on this thread, which may be one of another runtime.
    fn wait<T: Send + 'static>(&self, call: impl Future<Output = T> + Send + 'static) -> T {
        let (answer, answered) = mpsc::channel();
        self.runtime.spawn(async move { answer.send(call.await) });
        answered.recv().unwrap()
    }

    fn store(&self, in_new: bool) -> Arc<dyn SessionStore> {
        self.stores[usize::from(in_new)].store.clone()
    }

    fn prefix(&self) -> String {
        format!("p{}:", self.program)
    }

    fn named(&self, name: &str) -> String {
        let rest = name.strip_prefix(PREFIX).unwrap();
        format!("{}{rest}", self.prefix())
    }

    fn key(&self, key: &StoreKey) -> StoreKey {
        StoreKey::from_stored(self.named(key.as_str()))
    }

    fn owner(&self, owner: &OwnerKey) -> OwnerKey {
        OwnerKey::from_stored(self.named(owner.as_str()))
    }

    fn record(&self, record: &Record) -> Record {
        let entry = record.entry.as_ref().map(|entry| IndexEntry {
            owner: self.owner(&entry.owner),
            provider_session: entry.provider_session.as_ref().map(|it| self.owner(it)),
            expires_at: entry.expires_at + KEPT,
        });
        Record {
            bytes: record.bytes.clone(),
            expires_at: record.expires_at + KEPT,
            entry,
        }
    }

    /// The page with the keys of a program.
    fn page(&self, page: Page) -> Page {
        let prefix = self.prefix();
        let records = page.records.into_iter().map(|it| {
            let rest = it.key.as_str().strip_prefix(&prefix).unwrap();
            Listed {
                key: StoreKey::from_stored(format!("{PREFIX}{rest}")),
                head: it.head,
            }
        });
        Page {
            records: records.collect(),
            next: page.next,
        }
    }
}

impl Backing for RealStores {
    fn next_program(&mut self) {
        self.program += 1;
    }

    fn load(&mut self, in_new: bool, key: &StoreKey) -> Result<Option<Loaded>> {
        let (store, key) = (self.store(in_new), self.key(key));
        match self.wait(async move { store.load(&key).await }) {
            Err(error @ Error::Corrupt { .. }) => Err(error),
            loaded => Ok(loaded.unwrap()),
        }
    }

    fn insert(&mut self, in_new: bool, key: &StoreKey, record: &Record) -> Write {
        let (store, key, record) = (self.store(in_new), self.key(key), self.record(record));
        let written = self.wait(async move { store.insert(&key, &record).await });
        written.unwrap()
    }

    fn update(&mut self, in_new: bool, key: &StoreKey, record: &Record, at: &Revision) -> Write {
        let (store, key, record) = (self.store(in_new), self.key(key), self.record(record));
        let at = at.clone();
        let written = self.wait(async move { store.update(&key, &record, &at).await });
        written.unwrap()
    }

    fn delete(&mut self, in_new: bool, key: &StoreKey) {
        let (store, key) = (self.store(in_new), self.key(key));
        self.wait(async move { store.delete(&key).await }).unwrap();
    }

    fn damage(&mut self, in_new: bool, key: &StoreKey, bytes: &Bytes) {
        let damage = &self.stores[usize::from(in_new)].damage;
        damage(self.key(key).as_str(), bytes);
    }

    fn owned_by(&mut self, in_new: bool, owner: &OwnerKey, cursor: Option<&Cursor>) -> Page {
        let index = self.store(in_new).owner_index().unwrap();
        let (owner, cursor) = (self.owner(owner), cursor.cloned());
        let page = self.wait(async move { index.owned_by(&owner, cursor.as_ref(), 1).await });
        self.page(page.unwrap())
    }

    fn records(&mut self, in_new: bool, cursor: Option<&Cursor>) -> Page {
        let scan = self.store(in_new).scan().unwrap();
        let prefix = KeyPrefix::new(&self.prefix()).unwrap();
        let cursor = cursor.cloned();
        let page = self.wait(async move { scan.records(&prefix, cursor.as_ref(), 1).await });
        self.page(page.unwrap())
    }
}
