use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use session_core::{
    Cursor, Loaded, OwnerIndex, OwnerKey, Page, Record, Result, Revision, SessionStore, StoreKey,
    Write, async_trait,
    config::{ConfigError, Env},
};

use crate::{
    blocking::blocking, layout::LARGEST, mode::FileMode, name::Name, pace::Pace, root::Root,
    staged::Staging, turns::Turns,
};

const DIRECTORY: &str = "SESSION_FILE_DIR";

/// Sessions as files below one directory, shared by every process that is given the same one.
///
/// A clone is a handle on the same files. Two stores on one directory, in one process or in several, see the same
/// sessions and keep each other's conditional writes apart.
#[derive(Clone, Debug)]
pub struct FileStore {
    pub(crate) root: Root,
    limit: usize,
    pub(crate) threshold: Option<u64>,
    turns: Arc<Turns>,
    pub(crate) pace: Arc<Pace>,
}

impl FileStore {
    /// The largest record accepted unless [`with_limit`](Self::with_limit) says otherwise: 1 MiB.
    pub const DEFAULT_LIMIT: usize = 1 << 20;

    /// A store in `directory`, which is made with mode 0700 when the first session is stored.
    ///
    /// Does no I/O. A relative path counts from the current directory of now, not of later. See
    /// [`check`](Self::check) for what is asked of the directory.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            root: Root::new(directory.into(), Staging::default()),
            limit: Self::DEFAULT_LIMIT,
            threshold: None,
            turns: Turns::new(256).into(),
            pace: Arc::default(),
        }
    }

    /// A store in `directory`, which is made if need be and checked at once: [`new`](Self::new) and
    /// [`check`](Self::check).
    ///
    /// # Errors
    ///
    /// See [`check`](Self::check).
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self, ConfigError> {
        let store = Self::new(directory);
        store.check()?;
        Ok(store)
    }

    /// The store that `SESSION_FILE_DIR` (default `flask_session`), `SESSION_FILE_THRESHOLD` (none) and
    /// `SESSION_FILE_MODE` (`0600`) describe. As with [`open`](Self::open), the directory is made if need be and checked
    /// at once, so one that cannot be used stops the start.
    ///
    /// # Errors
    ///
    /// If the threshold is no whole number, or the mode is ambiguous or open to group or others; and see
    /// [`check`](Self::check).
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let given = env.get(DIRECTORY);
        let mut store = Self::new(given.unwrap_or("flask_session"));
        store.threshold = env.parse("SESSION_FILE_THRESHOLD", "a whole number of sessions")?;
        if let Some(mode) = env.get("SESSION_FILE_MODE") {
            store.root.staging.mode = mode.parse()?;
        }
        store.root.check(given.map(|_| DIRECTORY))?;
        Ok(store)
    }

    /// Sets the permission bits of the files. Defaults to `0600`.
    #[must_use]
    pub fn with_mode(mut self, mode: FileMode) -> Self {
        self.root.staging.mode = mode;
        self
    }

    /// Sets whether a write that was answered survives a power loss, at the price of two disk flushes for each.
    ///
    /// Defaults to false: a write survives the end of the process, but the last seconds may be lost with the power.
    #[must_use]
    pub fn with_durability(mut self, durable: bool) -> Self {
        self.root.staging.durable = durable;
        self
    }

    /// Sets the largest record in bytes; more than 64 MiB count as 64 MiB. Defaults to 1 MiB.
    #[must_use]
    pub fn with_limit(mut self, bytes: usize) -> Self {
        self.limit = bytes.min(LARGEST);
        self
    }

    /// Sets the number of sessions above which new ones start a sweep of their own, in the background.
    ///
    /// Defaults to none. Expired sessions alone are removed: there can be more live ones than this.
    #[must_use]
    pub fn with_threshold(mut self, sessions: u64) -> Self {
        self.threshold = Some(sessions);
        self
    }

    /// The directory that holds the sessions.
    pub fn directory(&self) -> &Path {
        &self.root.path
    }

    /// Makes the directory if need be and tries it out; blocks for a moment.
    ///
    /// Call it at the start, unless [`open`](Self::open) or [`from_env`](Self::from_env) made the store, which do: every
    /// later access makes the same checks, but can only answer with an error.
    ///
    /// # Errors
    ///
    /// If it cannot be made, written to or locked, is a symbolic link, belongs to another user, or can be written by
    /// group or others. The message names the directory and says what to do.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.root.check(None)
    }
}

#[async_trait]
impl SessionStore for FileStore {
    fn limit(&self) -> usize {
        self.limit
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        let name = Name::of(key.as_str());
        let root = self.root.clone();
        let found = blocking(move || root.load(&name)).await?;
        Ok(found.map(|stored| Loaded::compared_by_bytes(stored.record)))
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        let (root, key, record) = (self.root.clone(), key.clone(), record.clone());
        let answer = blocking(move || root.insert(&key, &record)).await?;
        self.sweep_if_crowded();
        Ok(answer)
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        let (root, key, record) = (self.root.clone(), key.clone(), record.clone());
        let (shard, loaded) = (Name::of(key.as_str()).shard(), revision.clone());
        let update = move || root.update(&key, &record, &loaded);
        Ok(self.turns.take(shard, update).await?)
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        let (root, name) = (self.root.clone(), Name::of(key.as_str()));
        let delete = move || root.delete(&name);
        Ok(self.turns.take(name.shard(), delete).await?)
    }
}

#[async_trait]
impl OwnerIndex for FileStore {
    async fn owned_by(
        &self,
        owner: &OwnerKey,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page> {
        let (root, rest) = (self.root.clone(), cursor.cloned());
        let owner = Name::of(owner.as_str());
        let read = move || root.page(&owner, rest.as_ref().map(Cursor::as_bytes), limit);
        Ok(blocking(read).await?)
    }
}
