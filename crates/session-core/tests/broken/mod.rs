//! A store that breaks one promise.

mod fault;
mod index;
mod mangle;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use session_core::{
    Error, ExpiredSweep, Loaded, MemoryStore, OwnerKey, Record, Result, Revision, SessionStore,
    StoreKey, Touch, Write, async_trait,
};

pub(crate) use fault::Fault;

pub(crate) const LIMIT: usize = 100_000;

/// A [`MemoryStore`] with a fault.
pub(crate) struct BrokenStore {
    fault: Fault,
    inner: MemoryStore,
    /// The same records, for which nothing ever expires.
    timeless: MemoryStore,
    /// The same records, for which everything has expired.
    outlived: MemoryStore,
    seen: Arc<Mutex<Seen>>,
    wire: Arc<tokio::sync::Mutex<VecDeque<Option<Loaded>>>>,
}

/// What a fault remembers.
#[derive(Default)]
struct Seen {
    keys: Vec<StoreKey>,
    deleted: HashSet<StoreKey>,
    versions: HashMap<StoreKey, u64>,
    payload: Vec<u8>,
    owned: HashMap<OwnerKey, Vec<(StoreKey, SystemTime)>>,
}

impl BrokenStore {
    pub(crate) fn new(fault: Fault) -> Self {
        let limit = if fault == Fault::OversizeIsAccepted {
            usize::MAX
        } else {
            LIMIT
        };
        let inner = MemoryStore::new().with_limit(limit);
        Self {
            fault,
            timeless: inner.clone().with_clock(Arc::new(|| UNIX_EPOCH)),
            outlived: inner
                .clone()
                .with_clock(Arc::new(|| UNIX_EPOCH + Duration::from_hours(10_000_000))),
            inner,
            seen: Arc::default(),
            wire: Arc::default(),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("nobody panics while holding it")
    }

    /// Where a store that checks first and writes later gives way to others.
    async fn between() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    async fn overwrite(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        self.inner.delete(key).await?;
        self.inner.insert(key, record).await
    }

    fn others(&self, key: &StoreKey) -> Vec<StoreKey> {
        let mut keys = self.seen().keys.clone();
        keys.retain(|other| other != key && self.fault == Fault::WritesSpill);
        keys
    }
}

impl Clone for BrokenStore {
    fn clone(&self) -> Self {
        if self.fault == Fault::HandlesAreApart {
            return Self::new(self.fault);
        }
        Self {
            fault: self.fault,
            inner: self.inner.clone(),
            timeless: self.timeless.clone(),
            outlived: self.outlived.clone(),
            seen: Arc::clone(&self.seen),
            wire: Arc::clone(&self.wire),
        }
    }
}

impl fmt::Debug for BrokenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = self.seen();
        let mut debug = f.debug_struct("BrokenStore");
        if self.fault == Fault::DebugShowsAll {
            debug.field("payload", &seen.payload);
        }
        debug.finish_non_exhaustive()
    }
}

#[async_trait]
impl SessionStore for BrokenStore {
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        let key = &self.mangled_key(key)?;
        let loaded = self.inner.load(key).await?;
        Ok(match self.fault {
            Fault::LoadInvents => loaded.or_else(|| {
                Some(Loaded {
                    payload: Vec::new(),
                    expires_at: SystemTime::now() + Duration::from_mins(1),
                    revision: 0.into(),
                })
            }),
            Fault::LoadIgnoresExpiry => self.timeless.load(key).await?,
            Fault::LoadProlongs => {
                let end = SystemTime::now() + Duration::from_hours(3);
                let _ = self.inner.touch(key, end).await?;
                loaded
            }
            Fault::LoadTakesEmptyForAbsent => loaded.filter(|loaded| !loaded.payload.is_empty()),
            Fault::LoadMixesAnswers => {
                let mut wire = self.wire.lock().await;
                wire.push_back(loaded);
                tokio::task::yield_now().await;
                wire.pop_front().flatten()
            }
            Fault::UpdateCountsFromOneAgain => loaded.map(|loaded| Loaded {
                revision: self.seen().versions[key].into(),
                ..loaded
            }),
            _ => loaded,
        })
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        let (key, record) = (&self.mangled_key(key)?, &self.mangled_record(record));
        match self.fault {
            Fault::InsertForgets => return Ok(Write::Stored(1.into())),
            Fault::InsertOverwrites => return self.overwrite(key, record).await,
            Fault::InsertSeesTheExpired => return self.timeless.insert(key, record).await,
            Fault::InsertChecksThenWrites if self.inner.load(key).await?.is_none() => {
                Self::between().await;
                return self.overwrite(key, record).await;
            }
            Fault::DeleteKeepsTheKeyTaken if self.seen().deleted.contains(key) => {
                return Ok(Write::Refused);
            }
            _ => {}
        }
        let write = self.inner.insert(key, record).await?;
        if write.is_stored() {
            self.remember(key, record);
            self.file(key, record).await;
        }
        Ok(match (self.fault, write) {
            (Fault::InsertAnswersAWrongRevision, Write::Stored(_)) => Write::Stored(0.into()),
            (Fault::UpdateCountsFromOneAgain, Write::Stored(_)) => Write::Stored(1.into()),
            (_, write) => write,
        })
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        let key = &self.mangled_key(key)?;
        let mut record = self.mangled_record(record);
        let loaded = self.inner.load(key).await?;
        match (self.fault, loaded) {
            (Fault::UpdateIgnoresExpiry, _) => {
                return self.timeless.update(key, &record, revision).await;
            }
            (Fault::UpdateUpserts, None) => return self.inner.insert(key, &record).await,
            (Fault::UpdateIgnoresTheRevision, Some(_)) => {
                return self.overwrite(key, &record).await;
            }
            (Fault::UpdateChecksThenWrites, Some(loaded)) if loaded.revision == *revision => {
                Self::between().await;
                return self.overwrite(key, &record).await;
            }
            (Fault::UpdateKeepsTheExpiry, Some(loaded)) => record.expires_at = loaded.expires_at,
            (Fault::OversizeEndsTheOldRecord, _) if record.payload.len() > LIMIT => {
                self.inner.delete(key).await?;
            }
            (Fault::UpdateCountsFromOneAgain, Some(loaded)) => {
                return self.update_version(key, &record, revision, &loaded).await;
            }
            _ => {}
        }
        let write = self.inner.update(key, &record, revision).await?;
        for other in self.others(key) {
            let loaded = self.inner.load(&other).await?.expect("it was inserted");
            drop(self.inner.update(&other, &record, &loaded.revision).await?);
        }
        Ok(match (self.fault, write) {
            (Fault::UpdateAnswersTheOldRevision, Write::Stored(_)) => {
                Write::Stored(revision.clone())
            }
            (_, write) => write,
        })
    }

    async fn touch(&self, key: &StoreKey, expires_at: SystemTime) -> Result<Touch> {
        let key = &self.mangled_key(key)?;
        let expires_at = self.mangled_expiry(expires_at);
        let loaded = self.inner.load(key).await?;
        match (self.fault, loaded) {
            (Fault::TouchDoesNothing, Some(_)) => return Ok(Touch::Moved),
            (Fault::TouchOnlyExtends, Some(loaded)) if loaded.expires_at > expires_at => {
                return Ok(Touch::Moved);
            }
            (Fault::TouchCreates, None) => {
                let record = Self::unowned(Vec::new(), expires_at);
                drop(self.inner.insert(key, &record).await?);
                return Ok(Touch::Moved);
            }
            (Fault::TouchIgnoresExpiry, _) => return self.timeless.touch(key, expires_at).await,
            (Fault::TouchRewrites, Some(loaded)) => {
                let record = Self::unowned(loaded.payload, expires_at);
                drop(self.inner.update(key, &record, &loaded.revision).await?);
            }
            (Fault::TouchReadsThenWrites, Some(loaded)) => {
                Self::between().await;
                let record = Self::unowned(loaded.payload, expires_at);
                drop(self.overwrite(key, &record).await?);
            }
            _ => {}
        }
        for other in self.others(key) {
            let _ = self.inner.touch(&other, expires_at).await?;
        }
        self.inner.touch(key, expires_at).await
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        let key = &self.mangled_key(key)?;
        match self.fault {
            Fault::DeleteDoesNothing => return Ok(()),
            Fault::DeleteFailsOnAbsent if self.inner.load(key).await?.is_none() => {
                return Err(Error::backend("broken", "there is nothing to delete"));
            }
            Fault::DeleteKeepsTheKeyTaken => {
                self.seen().deleted.insert(key.clone());
            }
            _ => {}
        }
        for other in self.others(key) {
            self.inner.delete(&other).await?;
        }
        self.inner.delete(key).await
    }
}

#[async_trait]
impl ExpiredSweep for BrokenStore {
    async fn sweep(&self, limit: usize) -> Result<u64> {
        match self.fault {
            Fault::SweepTakesTheLive => self.outlived.sweep(limit).await,
            Fault::SweepMiscounts => Ok(self.inner.sweep(limit).await? / 2),
            Fault::SweepIgnoresItsLimit => self.inner.sweep(usize::MAX).await,
            Fault::SweepChecksThenDeletes => self.sweep_without_care().await,
            _ => self.inner.sweep(limit).await,
        }
    }
}
