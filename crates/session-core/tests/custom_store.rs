//! A complete store, and the lines that test it.

use std::collections::{HashMap, hash_map::Entry};
use std::sync::{Arc, Mutex, MutexGuard};

use session_core::{
    Loaded, Record, Result, Revision, SessionStore, StoreKey, Write, async_trait,
    conformance::Fixture,
};

/// It keeps records for ever; one that reclaims space may remove a record from its `expires_at` on.
#[derive(Clone, Debug, Default)]
struct MapStore(Arc<Mutex<HashMap<StoreKey, Record>>>);

impl MapStore {
    fn records(&self) -> MutexGuard<'_, HashMap<StoreKey, Record>> {
        self.0.lock().expect("no method panics")
    }
}

#[async_trait]
impl SessionStore for MapStore {
    fn limit(&self) -> usize {
        64 * 1024
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        let records = self.records();
        Ok(records
            .get(key)
            .map(|held| Loaded::compared_by_bytes(held.bytes.clone())))
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        Ok(match self.records().entry(key.clone()) {
            Entry::Occupied(_) => Write::Refused,
            Entry::Vacant(free) => {
                free.insert(record.clone());
                Write::stored_bytes(record)
            }
        })
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        Ok(match self.records().get_mut(key) {
            Some(held) if held.bytes == revision.as_bytes() => {
                *held = record.clone();
                Write::stored_bytes(record)
            }
            _ => Write::Refused,
        })
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        self.records().remove(key);
        Ok(())
    }
}

session_core::conformance_tests!(async { Fixture::new(MapStore::default()) });
