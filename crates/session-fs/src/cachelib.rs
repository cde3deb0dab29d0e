//! The files of Python's cachelib, which Flask-Session writes.

mod layout;
mod records;
mod spelling;
mod sweep;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Instant, SystemTime},
};

use session_core::{
    Error, Loaded, Record, Result, Revision, SessionStore, StoreKey, Touch, Write, async_trait,
    config::ConfigError,
};
use tokio::{sync::Mutex, time::timeout_at};

use self::{
    layout::{Entry, Names},
    records::Records,
};
use crate::{
    blocking::blocking, check, clock, fault::Fault, files::Outcome, limit::LARGEST, lock::PATIENCE,
    mode::FileMode, staged::Staging,
};

/// Sessions in the files of a cachelib `FileSystemCache`, shared with a Flask application.
///
/// Flask must write JSON (`cache.serializer = JSONSerializer()`, cachelib 0.15.1 or later, `SESSION_TYPE = "cachelib"`):
/// its pickles are unreadable to everybody else. A file holds the second at which the session ends, in four bytes, and
/// the payload: JSON as Python spells it, with blanks and nothing but ASCII.
///
/// Conditional writes hold between processes that use this store. Flask takes no lock: it can overwrite or revive what
/// is changed here. Above its threshold, 500 unless it says `threshold=0`, it removes live sessions too.
///
/// The format cannot express an end beyond February 2106: it is brought forward to then. There is no owner index. All
/// sessions lie in one directory, and one lock serialises all writes: for a directory that Flask shares; otherwise
/// [`FileStore`](crate::FileStore) is the better store.
#[derive(Clone, Debug)]
pub struct CachelibStore {
    records: Records,
    limit: usize,
    turn: Arc<Mutex<()>>,
}

impl CachelibStore {
    /// The largest payload accepted unless [`with_limit`](Self::with_limit) says otherwise: 1 MiB.
    pub const DEFAULT_LIMIT: usize = 1 << 20;

    /// A store in `directory`, the `cache_dir` of Flask's cache; does no I/O.
    ///
    /// Files are named by SHA-256, as by cachelib since 0.16; those named by MD5 before are found as well.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        let staging = Staging {
            // What ends so is no session to cachelib.
            suffix: ".__wz_cache",
            ..Staging::default()
        };
        Self {
            records: Records {
                root: check::fixed(directory.into()).into(),
                staging,
                names: Names::Sha256,
            },
            limit: Self::DEFAULT_LIMIT,
            turn: Arc::default(),
        }
    }

    /// Names new files by MD5, as cachelib did up to 0.15; those named by SHA-256 are found as well.
    #[must_use]
    pub fn with_md5_names(mut self) -> Self {
        self.records.names = Names::Md5;
        self
    }

    /// Sets the permission bits of the files. Defaults to `0600`, as cachelib.
    #[must_use]
    pub fn with_mode(mut self, mode: FileMode) -> Self {
        self.records.staging.mode = mode;
        self
    }

    /// Sets the largest payload in bytes; more than 64 MiB count as 64 MiB. Defaults to 1 MiB.
    #[must_use]
    pub fn with_limit(mut self, bytes: usize) -> Self {
        self.limit = bytes.min(LARGEST);
        self
    }

    /// The directory that holds the sessions.
    pub fn directory(&self) -> &Path {
        &self.records.root
    }

    /// Makes the directory if need be and tries it out, as [`FileStore::check`](crate::FileStore::check) does.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn check(&self) -> Result<(), ConfigError> {
        check::check(&self.records.root, self.records.staging)
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Records, Instant) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let deadline = Instant::now() + PATIENCE;
        let _turn = timeout_at(deadline.into(), self.turn.lock())
            .await
            .map_err(|_| Fault::Locked(PATIENCE))?;
        let records = self.records.clone();
        blocking(move || work(&records, deadline)).await
    }

    fn entry(&self, record: &Record) -> Result<Entry> {
        let payload = spelling::pythons(&record.payload);
        let size = payload.len();
        if size > self.limit {
            return Err(Error::TooLarge {
                size,
                limit: self.limit,
            });
        }
        Ok(Entry {
            ends: layout::second(clock::millis(record.expires_at)),
            payload,
        })
    }
}

#[async_trait]
impl SessionStore for CachelibStore {
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        let (records, key) = (self.records.clone(), key.clone());
        let found = blocking(move || records.load(&key)).await?;
        Ok(found.map(|entry| Loaded {
            expires_at: clock::instant(entry.end()),
            revision: Revision::of(&entry.payload),
            payload: entry.payload,
        }))
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        let (key, new) = (key.clone(), self.entry(record)?);
        let revision = Revision::of(&new.payload);
        let done = self.write(move |records, deadline| records.insert(&key, &new, deadline));
        Ok(answer(done.await?, revision))
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        let (key, new, loaded) = (key.clone(), self.entry(record)?, revision.clone());
        let revision = Revision::of(&new.payload);
        let done = self.write(move |records, deadline| {
            let unchanged = |old: Entry| (Revision::of(&old.payload) == loaded).then_some(new);
            records.change(&key, unchanged, deadline)
        });
        Ok(answer(done.await?, revision))
    }

    async fn touch(&self, key: &StoreKey, expires_at: SystemTime) -> Result<Touch> {
        let key = key.clone();
        let ends = layout::second(clock::millis(expires_at));
        let done = self.write(move |records, deadline| {
            records.change(&key, |old| Some(Entry { ends, ..old }), deadline)
        });
        Ok(match done.await? {
            Outcome::Done => Touch::Moved,
            Outcome::Refused => Touch::Refused,
        })
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        let key = key.clone();
        let done = self.write(move |records, deadline| records.delete(&key, deadline));
        Ok(done.await?)
    }
}

fn answer(outcome: Outcome, revision: Revision) -> Write {
    match outcome {
        Outcome::Done => Write::Stored(revision),
        Outcome::Refused => Write::Refused,
    }
}
