//! A store of your own, here a map; `cargo test -p examples --test custom_store` holds it to every promise of a store.

use session_core::{Error, Loaded, Record, Revision, StoreKey, Touch, Write};
use session_core::{Result, SessionStore, async_trait, conformance::Fixture};
use std::{collections::HashMap, sync::Arc, sync::Mutex, sync::MutexGuard, time::SystemTime};

#[derive(Clone, Debug, Default)]
struct MapStore(Arc<Mutex<HashMap<StoreKey, Record>>>);

impl MapStore {
    const LIMIT: usize = 64 * 1024;

    fn live(&self) -> MutexGuard<'_, HashMap<StoreKey, Record>> {
        let mut records = self.0.lock().expect("nothing panics while it is held");
        records.retain(|_, record| record.expires_at > SystemTime::now());
        records
    }
    fn replace(&self, old: Option<&Revision>, key: &StoreKey, record: &Record) -> Result<Write> {
        let (size, limit, mut records) = (record.payload.len(), Self::LIMIT, self.live());
        let found = records.get(key).map(|it| Revision::of(&it.payload));
        if size > limit {
            return Err(Error::TooLarge { size, limit });
        } else if found.as_ref() != old {
            return Ok(Write::Refused);
        }
        records.insert(key.clone(), record.clone());
        Ok(Write::Stored(Revision::of(&record.payload)))
    }
}

#[async_trait]
impl SessionStore for MapStore {
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        Ok(self.live().get(key).map(|record| Loaded {
            payload: record.payload.clone(),
            expires_at: record.expires_at,
            revision: Revision::of(&record.payload),
        }))
    }
    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        self.replace(None, key, record)
    }
    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        self.replace(Some(revision), key, record)
    }
    async fn touch(&self, key: &StoreKey, expires_at: SystemTime) -> Result<Touch> {
        let moved = self
            .live()
            .get_mut(key)
            .map(|it| it.expires_at = expires_at);
        Ok(moved.map_or(Touch::Refused, |()| Touch::Moved))
    }
    async fn delete(&self, key: &StoreKey) -> Result<()> {
        self.live().remove(key);
        Ok(())
    }
}

session_core::conformance_tests!(async { Fixture::new(MapStore::default(), MapStore::LIMIT) });
