//! `CachelibStore`, the public store over cachelib's files, and its implementation of
//! `SessionStore`.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use session_core::{
    Loaded, Record, Result, Revision, SessionStore, StoreKey, Write, async_trait,
    config::{ConfigError, Env},
};

use super::layout::{CacheFile, Naming, SUFFIX};
use crate::{
    blocking::blocking, file_mode::FileMode, layout::LARGEST, root::Root,
    sweep_position::SweepPosition, unix_time, writer_queue::WriterQueue,
};

const DIRECTORY: &str = "SESSION_CACHELIB";

/// Sessions in the files of a cachelib `FileSystemCache`, shared with a Flask application.
///
/// Needs the Cargo feature `flask`.
///
/// Flask must write JSON (`cache.serializer = JSONSerializer()`, cachelib 0.15.1 or later,
/// `SESSION_TYPE = "cachelib"`), because only Python can read its pickles. A file holds the second
/// at which the session expires, in four bytes, then the payload. The payload is JSON as Python
/// writes it: with spaces, and in ASCII.
///
/// Conditional writes are safe between processes that use this store. Flask takes no lock: it can
/// overwrite or restore what this store changes. Above its threshold, which is 500 unless it says
/// `threshold=0`, it removes live sessions too.
///
/// The format has no expiry later than February 2106. Later ones are stored as that. There is no
/// owner index. All sessions are in one directory, and one lock serialises all writes. Use this
/// store for a directory that Flask shares, and [`FileStore`](crate::FileStore) otherwise.
#[derive(Clone, Debug)]
pub struct CachelibStore {
    pub(super) root: Root,
    pub(super) naming: Naming,
    limit: usize,
    writers: Arc<WriterQueue>,
    pub(super) position: Arc<SweepPosition>,
}

impl CachelibStore {
    /// The default size limit of a payload: 1 MiB. [`with_limit`](Self::with_limit) changes it.
    pub const DEFAULT_LIMIT: usize = 1 << 20;

    /// Creates a store in `directory`, the `cache_dir` of Flask's cache. Does no I/O.
    ///
    /// Names new files by SHA-256, as cachelib does since 0.16. Also finds files that are named by
    /// MD5, as before.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        let mut root = Root::new(directory.into());
        root.staging.suffix = SUFFIX;
        Self {
            root,
            naming: Naming::Sha256,
            limit: Self::DEFAULT_LIMIT,
            writers: WriterQueue::new(1).into(),
            position: SweepPosition::new(1).into(),
        }
    }

    /// Creates a store from `SESSION_CACHELIB` (default `flask_session`), the directory; Flask has
    /// a cache object. Checks the directory at once, as [`check`](Self::check) does.
    ///
    /// # Errors
    ///
    /// See [`FileStore::check`](crate::FileStore::check).
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let directory = env.get(DIRECTORY);
        let store = Self::new(directory.unwrap_or("flask_session"));
        store.root.check(directory.map(|_| DIRECTORY))?;
        Ok(store)
    }

    /// Names new files by MD5, as cachelib does up to 0.15. Also finds files that are named by
    /// SHA-256.
    #[must_use]
    pub fn with_md5_names(mut self) -> Self {
        self.naming = Naming::Md5;
        self
    }

    /// Sets the permission bits of the files. Defaults to `0600`, as in cachelib.
    #[must_use]
    pub fn with_mode(mut self, mode: FileMode) -> Self {
        self.root.staging.mode = mode;
        self
    }

    /// Sets the size limit of a payload in bytes. Values above 64 MiB mean 64 MiB. Defaults to
    /// 1 MiB.
    #[must_use]
    pub fn with_limit(mut self, bytes: usize) -> Self {
        self.limit = bytes.min(LARGEST);
        self
    }

    /// The directory that holds the sessions.
    pub fn directory(&self) -> &Path {
        &self.root.path
    }

    /// Creates the directory if it is absent and checks that the store can use it, as
    /// [`FileStore::check`](crate::FileStore::check) does.
    ///
    /// # Errors
    ///
    /// See [`FileStore::check`](crate::FileStore::check).
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
        let found = blocking(&self.root, move || store.load_file(&key)).await?;
        Ok(found.map(|(_, file)| Loaded {
            expires_at: Some(unix_time::from_millis(file.expiry)),
            ..Loaded::compared_by_bytes(file.payload)
        }))
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        let (store, key, new) = (self.clone(), key.clone(), CacheFile::of(record));
        let insert = move || store.insert_file(&key, &new);
        self.writers.run(&self.root, 0, insert).await
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        let (store, key, mut new) = (self.clone(), key.clone(), CacheFile::of(record));
        let loaded = revision.clone();
        if record.bytes == loaded.as_bytes() {
            // Only the expiry changes, so the payload keeps its bytes.
            new.payload = record.bytes.clone();
        }
        let update = move || store.update_file(&key, &new, &loaded);
        self.writers.run(&self.root, 0, update).await
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        let (store, key) = (self.clone(), key.clone());
        let delete = move || store.delete_files(&key);
        self.writers.run(&self.root, 0, delete).await
    }
}
