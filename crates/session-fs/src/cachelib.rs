//! The files of Python's cachelib, which Flask-Session writes.

mod layout;
mod records;
mod spelling;
mod sweep;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use session_core::{
    Loaded, Record, Result, Revision, SessionStore, StoreKey, Write, async_trait,
    config::ConfigError,
};

use self::layout::{Entry, Names};
use crate::{
    blocking::blocking, clock, layout::LARGEST, mode::FileMode, root::Root, staged::Staging,
    turns::Turns,
};

/// How the names of what is no session to cachelib end.
const SUFFIX: &str = ".__wz_cache";

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
    root: Root,
    names: Names,
    limit: usize,
    turns: Arc<Turns>,
}

impl CachelibStore {
    /// The largest payload accepted unless [`with_limit`](Self::with_limit) says otherwise: 1 MiB.
    pub const DEFAULT_LIMIT: usize = 1 << 20;

    /// A store in `directory`, the `cache_dir` of Flask's cache; does no I/O.
    ///
    /// Files are named by SHA-256, as by cachelib since 0.16; those named by MD5 before are found as well.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        let staging = Staging {
            suffix: SUFFIX,
            ..Staging::default()
        };
        Self {
            root: Root::new(directory.into(), staging),
            names: Names::Sha256,
            limit: Self::DEFAULT_LIMIT,
            turns: Turns::new(1).into(),
        }
    }

    /// Names new files by MD5, as cachelib did up to 0.15; those named by SHA-256 are found as well.
    #[must_use]
    pub fn with_md5_names(mut self) -> Self {
        self.names = Names::Md5;
        self
    }

    /// Sets the permission bits of the files. Defaults to `0600`, as cachelib.
    #[must_use]
    pub fn with_mode(mut self, mode: FileMode) -> Self {
        self.root.staging.mode = mode;
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
        &self.root.path
    }

    /// Makes the directory if need be and tries it out, as [`FileStore::check`](crate::FileStore::check) does.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.root.check(None)
    }
}

#[async_trait]
impl SessionStore for CachelibStore {
    fn limit(&self) -> usize {
        self.limit
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        let (store, key) = (self.clone(), key.clone());
        let found = blocking(move || store.get(&key)).await?;
        Ok(found.map(|(_, entry)| Loaded {
            expires_at: Some(clock::instant(entry.ends)),
            ..Loaded::compared_by_bytes(entry.payload)
        }))
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        let (store, key, new) = (self.clone(), key.clone(), Entry::of(record));
        let insert = move || store.add(&key, &new);
        Ok(self.turns.take(0, insert).await?)
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        let (store, key, mut new) = (self.clone(), key.clone(), Entry::of(record));
        let loaded = revision.clone();
        if record.bytes == loaded.as_bytes() {
            // Only its end moves: what did not change keeps its spelling.
            new.payload = record.bytes.clone();
        }
        let update = move || store.swap(&key, &new, &loaded);
        Ok(self.turns.take(0, update).await?)
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        let (store, key) = (self.clone(), key.clone());
        let delete = move || store.remove(&key);
        Ok(self.turns.take(0, delete).await?)
    }
}
