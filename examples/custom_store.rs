//! A store of your own, here a map; `cargo test -p examples --test custom_store` holds it to every
//! promise of a store.

use session_core::{Loaded, Record, Revision, StoreKey, Write};
use session_core::{Result, SessionStore, async_trait, conformance::Fixture};
use std::{collections::HashMap, sync::Arc, sync::Mutex, sync::MutexGuard};

#[derive(Clone, Debug, Default)]
struct MapStore(Arc<Mutex<HashMap<StoreKey, Record>>>);

impl MapStore {
    fn records(&self) -> MutexGuard<'_, HashMap<StoreKey, Record>> {
        self.0.lock().expect("nothing panics while it is held")
    }
    fn replace(&self, old: Option<&Revision>, key: &StoreKey, record: &Record) -> Write {
        let mut records = self.records();
        if records.get(key).map(|it| &it.bytes[..]) != old.map(Revision::as_bytes) {
            return Write::Refused;
        }
        records.insert(key.clone(), record.clone());
        Write::stored_bytes(record)
    }
}

#[async_trait]
impl SessionStore for MapStore {
    fn limit(&self) -> usize {
        64 * 1024
    }
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        let held = self.records().get(key).cloned();
        Ok(held.map(|record| Loaded::compared_by_bytes(record.bytes)))
    }
    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        Ok(self.replace(None, key, record))
    }
    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        Ok(self.replace(Some(revision), key, record))
    }
    async fn delete(&self, key: &StoreKey) -> Result<()> {
        self.records().remove(key);
        Ok(())
    }
}

session_core::conformance_tests!(async { Fixture::new(MapStore::default()) });
