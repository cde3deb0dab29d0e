use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Instant, SystemTime},
};

use session_core::{
    Error, Loaded, OwnerIndex, OwnerKey, Record, Result, Revision, SessionStore, StoreKey, Touch,
    Write, async_trait,
    config::{ConfigError, Env},
};

use crate::{
    blocking::blocking,
    check, clock,
    fault::Fault,
    files::{Files, Outcome},
    layout::Stored,
    limit::LARGEST,
    lock::PATIENCE,
    mode::FileMode,
    name::Name,
    pace::Pace,
    random,
    staged::Staging,
    turns::Turns,
};

/// Sessions as files below one directory, shared by every process that is given the same one.
///
/// A clone is a handle on the same files. Two stores on one directory, in one process or in several, see the same
/// sessions and keep each other's conditional writes apart.
#[derive(Clone, Debug)]
pub struct FileStore {
    pub(crate) files: Files,
    limit: usize,
    pub(crate) threshold: Option<u64>,
    turns: Arc<Turns>,
    pub(crate) pace: Arc<Pace>,
}

impl FileStore {
    /// The largest payload accepted unless [`with_limit`](Self::with_limit) says otherwise: 1 MiB.
    pub const DEFAULT_LIMIT: usize = 1 << 20;

    /// A store in `directory`, which is made with mode 0700 when the first session is stored.
    ///
    /// Does no I/O. A relative path counts from the current directory of now, not of later. See
    /// [`check`](Self::check) for what is asked of the directory.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            files: Files {
                root: check::fixed(directory.into()).into(),
                staging: Staging::default(),
            },
            limit: Self::DEFAULT_LIMIT,
            threshold: None,
            turns: Arc::default(),
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
    /// `SESSION_FILE_MODE` (`0600`) describe; does no I/O.
    ///
    /// # Errors
    ///
    /// If the threshold is no whole number, or the mode is ambiguous or open to group or others.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let mut store = Self::new(env.get("SESSION_FILE_DIR").unwrap_or("flask_session"));
        store.threshold = env.parse("SESSION_FILE_THRESHOLD", "a whole number of sessions")?;
        if let Some(mode) = env.get("SESSION_FILE_MODE") {
            store.files.staging.mode = mode.parse()?;
        }
        Ok(store)
    }

    /// Sets the permission bits of the files. Defaults to `0600`.
    #[must_use]
    pub fn with_mode(mut self, mode: FileMode) -> Self {
        self.files.staging.mode = mode;
        self
    }

    /// Sets whether a write that was answered survives a power loss, at the price of two disk flushes for each.
    ///
    /// Defaults to false: a write survives the end of the process, but the last seconds may be lost with the power.
    #[must_use]
    pub fn with_durability(mut self, durable: bool) -> Self {
        self.files.staging.durable = durable;
        self
    }

    /// Sets the largest payload in bytes; more than 64 MiB count as 64 MiB. Defaults to 1 MiB.
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
        &self.files.root
    }

    /// Makes the directory if need be and tries it out; blocks for a moment.
    ///
    /// Call it at start: every later access makes the same checks, but can only answer with an error.
    ///
    /// # Errors
    ///
    /// If it cannot be made, written to or locked, is a symbolic link, belongs to another user, or can be written by
    /// group or others. The message says what to do.
    pub fn check(&self) -> Result<(), ConfigError> {
        check::check(&self.files.root, self.files.staging)
    }

    /// Runs a write on `name` when it is its turn.
    async fn write<T: Send + 'static>(
        &self,
        name: Name,
        work: impl FnOnce(&Files, Instant) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let deadline = Instant::now() + PATIENCE;
        let _turn = self.turns.take(&name, deadline).await?;
        let files = self.files.clone();
        blocking(move || work(&files, deadline)).await
    }

    fn stored(&self, record: &Record) -> Result<Stored> {
        let size = record.payload.len();
        if size > self.limit {
            return Err(Error::TooLarge {
                size,
                limit: self.limit,
            });
        }
        Ok(Stored {
            expires: clock::millis(record.expires_at),
            revision: random::number().map_err(Fault::from)?,
            owner: record.owner.as_ref().map(|owner| Name::of(owner.as_str())),
            payload: record.payload.clone(),
        })
    }
}

#[async_trait]
impl SessionStore for FileStore {
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        let name = Name::of(key.as_str());
        let files = self.files.clone();
        let found = blocking(move || files.load(&name)).await?;
        Ok(found.map(loaded))
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        let new = self.stored(record)?;
        let revision = Revision::from(new.revision);
        let (name, key) = (Name::of(key.as_str()), key.clone());
        let outcome = self
            .write(name, move |files, deadline| {
                files.insert_owned(&name, &new, &key, deadline)
            })
            .await?;
        self.sweep_if_crowded();
        Ok(match outcome {
            Outcome::Done => Write::Stored(revision),
            Outcome::Refused => Write::Refused,
        })
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        let new = self.stored(record)?;
        let Some(expected) = revision.as_u64() else {
            return Ok(Write::Refused);
        };
        let revision = Revision::from(new.revision);
        let (name, key) = (Name::of(key.as_str()), key.clone());
        let outcome = self
            .write(name, move |files, deadline| {
                files.update_owned(&name, &new, &key, expected, deadline)
            })
            .await?;
        Ok(match outcome {
            Outcome::Done => Write::Stored(revision),
            Outcome::Refused => Write::Refused,
        })
    }

    async fn touch(&self, key: &StoreKey, expires_at: SystemTime) -> Result<Touch> {
        let name = Name::of(key.as_str());
        let expires = clock::millis(expires_at);
        let outcome = self
            .write(name, move |files, deadline| {
                files.touch(&name, expires, deadline)
            })
            .await?;
        Ok(match outcome {
            Outcome::Done => Touch::Moved,
            Outcome::Refused => Touch::Refused,
        })
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        let name = Name::of(key.as_str());
        let done = self.write(name, move |files, deadline| files.delete(&name, deadline));
        Ok(done.await?)
    }
}

#[async_trait]
impl OwnerIndex for FileStore {
    async fn owned_by(&self, owner: &OwnerKey) -> Result<Vec<(StoreKey, Loaded)>> {
        let owner = Name::of(owner.as_str());
        let files = self.files.clone();
        let found = blocking(move || files.owned_by(&owner)).await?;
        Ok(found
            .into_iter()
            .map(|(key, stored)| (key, loaded(stored)))
            .collect())
    }
}

fn loaded(stored: Stored) -> Loaded {
    Loaded {
        payload: stored.payload,
        expires_at: clock::instant(stored.expires),
        revision: Revision::from(stored.revision),
    }
}
