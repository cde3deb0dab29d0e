//! A complete store, and the lines that test it.

use std::collections::{HashMap, hash_map::Entry};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use session_core::{
    Error, Loaded, Record, Result, Revision, SessionStore, StoreKey, Touch, Write, async_trait,
    conformance::Fixture,
};

const LIMIT: usize = 64 * 1024;

#[derive(Clone, Debug, Default)]
struct MapStore(Arc<Mutex<HashMap<StoreKey, Record>>>);

impl MapStore {
    fn live(&self) -> MutexGuard<'_, HashMap<StoreKey, Record>> {
        let mut records = self.0.lock().expect("no method panics");
        records.retain(|_, record| record.expires_at > SystemTime::now());
        records
    }
}

fn checked(record: &Record) -> Result<Record> {
    let (size, limit) = (record.payload.len(), LIMIT);
    if size > limit {
        return Err(Error::TooLarge { size, limit });
    }
    Ok(record.clone())
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
        let record = checked(record)?;
        Ok(match self.live().entry(key.clone()) {
            Entry::Occupied(_) => Write::Refused,
            Entry::Vacant(free) => Write::Stored(Revision::of(&free.insert(record).payload)),
        })
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        let record = checked(record)?;
        Ok(match self.live().get_mut(key) {
            Some(held) if Revision::of(&held.payload) == *revision => {
                *held = record;
                Write::Stored(Revision::of(&held.payload))
            }
            _ => Write::Refused,
        })
    }

    async fn touch(&self, key: &StoreKey, expires_at: SystemTime) -> Result<Touch> {
        Ok(match self.live().get_mut(key) {
            Some(held) => {
                held.expires_at = expires_at;
                Touch::Moved
            }
            None => Touch::Refused,
        })
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        self.live().remove(key);
        Ok(())
    }
}

session_core::conformance_tests!(async { Fixture::new(MapStore::default(), LIMIT) });
