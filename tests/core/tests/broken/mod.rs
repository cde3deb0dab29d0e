//! A store that breaks one promise of the contract.

mod defect;
mod index;
mod mangle;
mod scan;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use session_core::{
    Bytes, Error, ExpiredSweep, IndexEntry, Loaded, MemoryStore, OwnerIndex, OwnerKey, Page,
    Record, Result, Revision, Scan, SessionStore, StoreKey, Swept, Write, async_trait,
    conformance::Fixture,
};

pub(crate) use defect::Defect;

const LIMIT: usize = 100_000;

/// A [`MemoryStore`] with a defect.
pub(crate) struct BrokenStore {
    defect: Defect,
    inner: MemoryStore,
    /// The same records, none of which is past its time.
    timeless: MemoryStore,
    /// The same records, all of which are past their time.
    outlived: MemoryStore,
    observed: Arc<Mutex<Observed>>,
    wire: Arc<tokio::sync::Mutex<VecDeque<Option<Loaded>>>>,
    pages: Arc<tokio::sync::Mutex<VecDeque<Page>>>,
}

/// What a defect remembers.
#[derive(Default)]
struct Observed {
    keys: Vec<StoreKey>,
    deleted: HashSet<StoreKey>,
    versions: HashMap<StoreKey, u64>,
    bytes: Bytes,
    heads: HashMap<StoreKey, Bytes>,
    listed: HashMap<OwnerKey, BTreeMap<StoreKey, SystemTime>>,
}

impl BrokenStore {
    fn new(defect: Defect) -> Self {
        let inner = MemoryStore::new().with_limit(LIMIT);
        Self {
            defect,
            timeless: inner.clone().with_clock(Arc::new(|| UNIX_EPOCH)),
            outlived: inner.clone().with_clock(Arc::new(|| {
                UNIX_EPOCH + Duration::from_secs(10_000_000 * 3600)
            })),
            inner,
            observed: Arc::default(),
            wire: Arc::default(),
            pages: Arc::default(),
        }
    }

    /// A store with `defect`, to be tested.
    pub(crate) fn fixture(defect: Defect) -> Fixture<Self> {
        let fixture = Fixture::new(Self::new(defect));
        match defect {
            Defect::ExpiryIsCutToSeconds | Defect::LoadTellsAnExpiry => fixture,
            _ => fixture.with_told_expiry(),
        }
    }

    fn observed(&self) -> MutexGuard<'_, Observed> {
        self.observed
            .lock()
            .expect("nobody panics while holding it")
    }

    /// Where a store that checks first and writes later gives way to others.
    async fn between() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    async fn sweep_without_care(&self) -> Result<Swept> {
        let mut past = Vec::new();
        let keys = self.observed().keys.clone();
        for key in keys {
            if self
                .inner
                .load(&key)
                .await?
                .is_some_and(|held| Self::is_past(&held))
            {
                past.push(key);
            }
        }
        Self::between().await;
        for key in &past {
            self.inner.delete(key).await?;
        }
        Ok(Swept {
            removed: past.len() as u64,
            is_done: true,
        })
    }

    async fn overwrite(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        self.inner.delete(key).await?;
        self.inner.insert(key, record).await
    }

    /// Each write removes index entries whose time has passed, for some defects none.
    fn writer(&self) -> &MemoryStore {
        match self.defect {
            Defect::IndexFillsUp | Defect::IndexHidesTheDead => &self.timeless,
            _ => &self.inner,
        }
    }

    fn is_past(held: &Loaded) -> bool {
        held.expires_at <= Some(SystemTime::now())
    }

    fn within_limit(record: &Record) -> Result<()> {
        if record.bytes.len() > LIMIT {
            return Err(Error::backend("broken", "the record is too large"));
        }
        Ok(())
    }

    fn others(&self, key: &StoreKey) -> Vec<StoreKey> {
        if self.defect != Defect::WritesSpill {
            return Vec::new();
        }
        let mut keys = self.observed().keys.clone();
        keys.retain(|other| other != key);
        keys
    }
}

impl Clone for BrokenStore {
    fn clone(&self) -> Self {
        if self.defect == Defect::HandlesAreApart {
            return Self::new(self.defect);
        }
        Self {
            defect: self.defect,
            inner: self.inner.clone(),
            timeless: self.timeless.clone(),
            outlived: self.outlived.clone(),
            observed: Arc::clone(&self.observed),
            wire: Arc::clone(&self.wire),
            pages: Arc::clone(&self.pages),
        }
    }
}

impl fmt::Debug for BrokenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = self.observed();
        let mut debug = f.debug_struct("BrokenStore");
        if self.defect == Defect::DebugShowsAll {
            debug.field("bytes", &seen.bytes);
        }
        debug.finish_non_exhaustive()
    }
}

#[async_trait]
impl SessionStore for BrokenStore {
    fn limit(&self) -> usize {
        LIMIT + usize::from(self.defect == Defect::LimitIsOverstated)
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        let key = &self.mangled_key(key)?;
        let loaded = self.inner.load(key).await?;
        Ok(match (self.defect, loaded) {
            (Defect::LoadInvents, None) => Some(Loaded::compared_by_bytes(Bytes::new())),
            (Defect::LoadProlongs, Some(mut loaded)) => {
                loaded.expires_at = Some(SystemTime::now() + Duration::from_secs(3 * 3600));
                Some(loaded)
            }
            (Defect::LoadTellsNoExpiry, Some(mut loaded)) => {
                loaded.expires_at = None;
                Some(loaded)
            }
            (Defect::LoadGoesByAClock, Some(loaded)) => {
                Some(loaded).filter(|loaded| !Self::is_past(loaded))
            }
            (Defect::ExpiryIsCutToSeconds, Some(mut loaded)) => {
                let seconds =
                    |at: SystemTime| at.duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs());
                let end = loaded.expires_at.take().map_or(0, seconds);
                Some(loaded).filter(|_| end > seconds(SystemTime::now()))
            }
            (Defect::RecordsGoEarly, Some(loaded)) => {
                let early = SystemTime::now() + Duration::from_secs(5);
                Some(loaded).filter(|loaded| loaded.expires_at > Some(early))
            }
            (Defect::LoadTakesEmptyForAbsent, loaded) => {
                loaded.filter(|loaded| !loaded.bytes.is_empty())
            }
            (Defect::LoadMixesAnswers, loaded) => {
                let mut wire = self.wire.lock().await;
                wire.push_back(loaded);
                tokio::task::yield_now().await;
                wire.pop_front().flatten()
            }
            (Defect::UpdateCountsFromOneAgain, Some(mut loaded)) => {
                loaded.revision = self.observed().versions[key].into();
                Some(loaded)
            }
            (_, loaded) => loaded,
        })
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        let (key, record) = (&self.mangled_key(key)?, &self.mangled_record(record));
        let held = self.inner.load(key).await?;
        match (self.defect, held) {
            (Defect::InsertForgets, _) => return Ok(Write::Stored(1.into())),
            (Defect::InsertOverwrites, _) => return self.overwrite(key, record).await,
            (Defect::InsertGoesByAClock, Some(held)) if Self::is_past(&held) => {
                return self.overwrite(key, record).await;
            }
            (Defect::InsertChecksThenWrites, None) => {
                Self::between().await;
                return self.overwrite(key, record).await;
            }
            (Defect::DeleteKeepsTheKeyTaken, _) if self.observed().deleted.contains(key) => {
                return Ok(Write::Refused);
            }
            (Defect::LimitIsOverstated, _) => Self::within_limit(record)?,
            _ => {}
        }
        let record = self.as_listed(key, record);
        let write = self.writer().insert(key, &record).await?;
        if write.is_stored() {
            self.remember(key, &record);
        }
        self.list(key, &record, &write).await?;
        Ok(match (self.defect, write) {
            (Defect::InsertAnswersAWrongRevision, Write::Stored(_)) => Write::Stored(0.into()),
            (Defect::UpdateCountsFromOneAgain, Write::Stored(_)) => Write::Stored(1.into()),
            (_, write) => write,
        })
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        let key = &self.mangled_key(key)?;
        let mut record = self.mangled_record(record);
        let now = SystemTime::now();
        let held = self.inner.load(key).await?;
        match (self.defect, held) {
            (Defect::UpdateGoesByAClock, Some(held)) if Self::is_past(&held) => {
                return Ok(Write::Refused);
            }
            (Defect::UpdateRefusesLittleTime, _)
                if record.expires_at < now + Duration::from_secs(1) =>
            {
                return Ok(Write::Refused);
            }
            (Defect::UpdateIntoThePastIsLost, Some(held)) if record.expires_at < now => {
                return Ok(Write::Stored(held.revision));
            }
            (Defect::UpdateRefusesTheSameBytes, Some(held)) if held.bytes == record.bytes => {
                return Ok(Write::Refused);
            }
            (Defect::UpdateUpserts, None) => return self.inner.insert(key, &record).await,
            (Defect::UpdateIgnoresTheRevision, Some(_)) => {
                return self.overwrite(key, &record).await;
            }
            (Defect::UpdateChecksThenWrites, Some(held)) if held.revision == *revision => {
                Self::between().await;
                return self.overwrite(key, &record).await;
            }
            (Defect::UpdateKeepsTheExpiry, Some(held)) => {
                record.expires_at = held.expires_at.expect("the inner store tells it");
            }
            (Defect::UpdateCountsFromOneAgain, Some(held)) => {
                return self.update_version(key, &record, revision, &held).await;
            }
            (Defect::LimitIsOverstated, _) => Self::within_limit(&record)?,
            (Defect::IndexIgnoresUpdates, _) => record.entry = None,
            _ => {}
        }
        let record = self.as_listed(key, &record);
        let write = self.writer().update(key, &record, revision).await?;
        self.list(key, &record, &write).await?;
        for other in self.others(key) {
            let held = self.inner.load(&other).await?.expect("it was inserted");
            drop(self.inner.update(&other, &record, &held.revision).await?);
        }
        Ok(match (self.defect, write) {
            (Defect::UpdateAnswersTheOldRevision, Write::Stored(_)) => {
                Write::Stored(revision.clone())
            }
            (_, write) => write,
        })
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        let key = &self.mangled_key(key)?;
        match self.defect {
            Defect::DeleteDoesNothing => return Ok(()),
            Defect::DeleteFailsOnAbsent if self.inner.load(key).await?.is_none() => {
                return Err(Error::backend("broken", "there is nothing to delete"));
            }
            Defect::DeleteGoesByAClock
                if self
                    .inner
                    .load(key)
                    .await?
                    .is_some_and(|held| Self::is_past(&held)) =>
            {
                return Ok(());
            }
            Defect::DeleteKeepsTheKeyTaken | Defect::IndexRemembersTheDeleted => {
                self.observed().deleted.insert(key.clone());
            }
            _ => {}
        }
        for other in self.others(key) {
            self.inner.delete(&other).await?;
        }
        self.inner.delete(key).await
    }

    fn owner_index(self: Arc<Self>) -> Option<Arc<dyn OwnerIndex>> {
        (self.defect != Defect::IndexIsHidden).then_some(self as Arc<dyn OwnerIndex>)
    }

    fn scan(self: Arc<Self>) -> Option<Arc<dyn Scan>> {
        (self.defect != Defect::ScanIsHidden).then_some(self as Arc<dyn Scan>)
    }
}

#[async_trait]
impl ExpiredSweep for BrokenStore {
    async fn sweep_as_of(&self, instant: SystemTime, limit: usize) -> Result<Swept> {
        let swept = self.inner.sweep_as_of(instant, limit);
        match self.defect {
            Defect::SweepTakesTheLive => self.outlived.sweep(limit).await,
            Defect::SweepMiscounts => swept.await.map(|swept| Swept {
                removed: swept.removed / 2,
                ..swept
            }),
            Defect::SweepIsDoneTooEarly | Defect::SweepIsNeverDone => swept.await.map(|it| Swept {
                is_done: self.defect == Defect::SweepIsDoneTooEarly,
                ..it
            }),
            Defect::SweepIgnoresItsLimit => self.inner.sweep_as_of(instant, usize::MAX).await,
            Defect::SweepChecksThenDeletes => self.sweep_without_care().await,
            _ => swept.await,
        }
    }
}
