//! `FileStore`, the public store, with its constructors and options.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use session_core::config::ConfigError;

use crate::{
    file_mode::FileMode, layout::LARGEST, root::Root, sweep::DIRECTORIES,
    sweep_position::SweepPosition, sweep_schedule::SweepSchedule, writer_queue::WriterQueue,
};

/// Sessions as files below one directory, which several processes can share.
///
/// A clone is a handle on the same files. Two stores on one directory, in one process or in
/// several, see the same sessions. A conditional write in one is safe against writes in the other.
#[derive(Clone, Debug)]
pub struct FileStore {
    pub(crate) root: Root,
    pub(crate) limit: usize,
    pub(crate) threshold: Option<u64>,
    pub(crate) writers: Arc<WriterQueue>,
    pub(crate) position: Arc<SweepPosition>,
    pub(crate) schedule: Arc<SweepSchedule>,
}

impl FileStore {
    /// The default size limit of a record: 1 MiB. [`with_limit`](Self::with_limit) changes it.
    pub const DEFAULT_LIMIT: usize = 1 << 20;

    /// Creates a store in `directory`. The first insert creates the directory, with mode 0700.
    ///
    /// Does no I/O. A relative path is resolved now, against the current directory. See
    /// [`check`](Self::check) for the requirements on the directory.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            root: Root::new(directory.into()),
            limit: Self::DEFAULT_LIMIT,
            threshold: None,
            writers: WriterQueue::new(256).into(),
            position: SweepPosition::new(DIRECTORIES).into(),
            schedule: Arc::default(),
        }
    }

    /// Creates a store in `directory` and checks the directory at once. Combines
    /// [`new`](Self::new) and [`check`](Self::check).
    ///
    /// # Errors
    ///
    /// See [`check`](Self::check).
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self, ConfigError> {
        let store = Self::new(directory);
        store.check()?;
        Ok(store)
    }

    /// Sets the permission bits of the files. Defaults to `0600`.
    #[must_use]
    pub fn with_mode(mut self, mode: FileMode) -> Self {
        self.root.staging.mode = mode;
        self
    }

    /// Sets whether an acknowledged write survives a power loss. This costs two disk flushes for
    /// each write.
    ///
    /// Defaults to false: a write survives the end of the process, but a power loss can undo the
    /// writes of the last seconds.
    #[must_use]
    pub fn with_durability(mut self, durable: bool) -> Self {
        self.root.staging.durable = durable;
        self
    }

    /// Sets the size limit of a record in bytes. Values above 64 MiB mean 64 MiB. Defaults to
    /// 1 MiB.
    #[must_use]
    pub fn with_limit(mut self, bytes: usize) -> Self {
        self.limit = bytes.min(LARGEST);
        self
    }

    /// Sets the number of sessions above which an insert starts a sweep in the background.
    ///
    /// Defaults to none. The sweep removes expired sessions only, so there can be more live
    /// sessions than this.
    #[must_use]
    pub fn with_threshold(mut self, sessions: u64) -> Self {
        self.threshold = Some(sessions);
        self
    }

    /// The directory that holds the sessions.
    pub fn directory(&self) -> &Path {
        &self.root.path
    }

    /// Creates the directory if it is absent and checks that the store can use it. Blocks briefly.
    ///
    /// Call it at startup if [`new`](Self::new) made the store. [`open`](Self::open) and
    /// [`from_env`](Self::from_env) call it themselves. Every later access makes the same checks,
    /// but can only report a failure as an error of that access.
    ///
    /// # Errors
    ///
    /// If the directory cannot be created, written to or locked, is a symbolic link, belongs to
    /// another user, or is writable by group or others. The message names the directory and says
    /// what to do.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.root.check(None)
    }
}
