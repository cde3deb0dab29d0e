//! A complete store, with the lines that run the conformance tests on it.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use session_core::{
    Cursor, Error, ExpiredSweep, Listed, Loaded, OwnerIndex, OwnerKey, Page, Record, Result,
    Revision, SessionStore, StoreKey, Swept, Write, async_trait, conformance::Fixture,
};

/// Its `Debug` shows nothing secret, because those of keys and records do not.
#[derive(Clone, Debug, Default)]
struct MapStore(Arc<Mutex<Map>>);

#[derive(Debug, Default)]
struct Map {
    records: HashMap<StoreKey, Record>,
    /// The index: which name lists which record, and until when.
    entries: BTreeMap<(OwnerKey, StoreKey), SystemTime>,
}

impl MapStore {
    fn map(&self) -> MutexGuard<'_, Map> {
        self.0.lock().expect("no method panics")
    }

    /// Stores `record` if what is under `key` now is `expected`.
    fn put(&self, key: &StoreKey, record: &Record, expected: Option<&Revision>) -> Write {
        let mut map = self.map();
        let held = map.records.get(key).map(|it| &it.bytes[..]);
        if held != expected.map(Revision::as_bytes) {
            return Write::Refused;
        }
        map.records.insert(key.clone(), record.clone());
        if let Some(entry) = &record.entry {
            for name in entry.names() {
                let listed = (name.clone(), key.clone());
                map.entries.insert(listed, entry.expires_at);
            }
        }
        Write::stored_bytes(record)
    }
}

#[async_trait]
impl SessionStore for MapStore {
    fn limit(&self) -> usize {
        64 * 1024
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        let held = self.map().records.get(key).cloned();
        Ok(held.map(|record| Loaded::compared_by_bytes(record.bytes)))
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        Ok(self.put(key, record, None))
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        Ok(self.put(key, record, Some(revision)))
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        self.map().records.remove(key);
        Ok(())
    }

    fn owner_index(self: Arc<Self>) -> Option<Arc<dyn OwnerIndex>> {
        Some(self)
    }
}

/// Only for a store that can list a user's sessions.
#[async_trait]
impl OwnerIndex for MapStore {
    async fn owned_by(
        &self,
        owner: &OwnerKey,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page> {
        let (map, now) = (self.map(), SystemTime::now());
        // Keys have an order, so the last key of a page says where the next one begins.
        let last = cursor.map_or(&[][..], Cursor::as_bytes);
        let last = StoreKey::from_stored(std::str::from_utf8(last).map_err(Error::corrupt)?);
        let mut keys = map
            .entries
            .range((Excluded((owner.clone(), last)), Unbounded))
            .take_while(|((whose, _), _)| whose == owner)
            .filter(|(_, until)| **until > now)
            .map(|((_, key), _)| key);
        let page: Vec<_> = keys.by_ref().take(limit.max(1)).collect();
        let next = keys.next().and(page.last());
        let listed = |key: &&StoreKey| {
            let bytes = &map.records.get(*key)?.bytes;
            Some(Listed {
                key: (*key).clone(),
                head: bytes.slice(..bytes.len().min(Record::HEAD)),
            })
        };
        Ok(Page {
            records: page.iter().filter_map(listed).collect(),
            next: next.map(|key| Cursor::new(key.as_str().as_bytes().to_vec())),
        })
    }
}

/// Only for a store whose backend does not remove expired records by itself.
#[async_trait]
impl ExpiredSweep for MapStore {
    async fn sweep_as_of(&self, instant: SystemTime, limit: usize) -> Result<Swept> {
        let mut map = self.map();
        map.entries.retain(|_, until| *until > instant);
        let over = map.records.iter().filter(|it| it.1.expires_at <= instant);
        let over: Vec<_> = over.map(|it| it.0.clone()).take(limit).collect();
        for key in &over {
            map.records.remove(key);
        }
        Ok(Swept {
            removed: over.len() as u64,
            is_done: over.len() < limit,
        })
    }
}

session_core::conformance_tests!(async { Fixture::new(MapStore::default()) });
session_core::owner_index_tests!(async { Fixture::new(MapStore::default()) });
session_core::expired_sweep_tests!(async { Fixture::new(MapStore::default()) });
