//! `Root`, the store's own directory: opens it, sets it up, and checks that it is usable.

use std::{
    ffi::CString,
    io,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use rustix::io::Errno;
use session_core::config::ConfigError;

use crate::{
    blocking::Permits,
    directory::Directory,
    error::{CallError, Result},
    lock::Lock,
    staged::{Staged, Staging},
};

/// A symbolic link in the store's directory that leads nowhere. Its target is a random text that
/// identifies the directory: if it is absent or another one, the file system is not mounted and the
/// path leads to the mount point. A link is created with its content in one step, takes no block of
/// the disk, and is kept by copies and backups.
const MARKER: &str = ".set-up";

const MISSING: &str = "must stay the same directory while the program runs, but is missing or \
                       another one: mount its file system again, or restart all programs that use \
                       it to go on with what is there now";

const UNWRITABLE: &str = "must be a directory that this program can write";

/// The directory that holds everything. Each access opens it by its path.
#[derive(Clone, Debug)]
pub(crate) struct Root {
    pub(crate) path: Arc<Path>,
    pub(crate) staging: Staging,
    pub(crate) permits: Permits,
    /// What the marker said when this process found the directory first.
    identity: Arc<OnceLock<CString>>,
}

impl Root {
    /// Resolves `path` against the current directory.
    pub(crate) fn new(path: PathBuf) -> Self {
        let absolute = std::path::absolute(&path).unwrap_or(path);
        // Removes a trailing slash, which would follow a symbolic link.
        let path: PathBuf = absolute.components().collect();
        Self {
            path: path.into(),
            staging: Staging::default(),
            permits: Permits::default(),
            identity: Arc::default(),
        }
    }

    /// Opens the directory, or returns `None` if this process has never found it set up.
    ///
    /// A directory that was set up and is now absent or another one is an error: its file system is
    /// not mounted. If its sessions counted as absent, everybody would be logged out, and what was
    /// written to another directory would be lost once the first one is back.
    pub(crate) fn open(&self) -> Result<Option<Directory>> {
        // Before the directory is read: another thread may set it up meanwhile.
        let was_found = self.identity.get().is_some();
        let directory = Directory::open(&self.path)?;
        let marker = self.marker();
        let found = directory.as_ref().map(|it| it.link_target(&marker));
        let known = match found.transpose()?.flatten() {
            Some(found) => *self.identity.get_or_init(|| found.clone()) == found,
            None => !was_found,
        };
        if known {
            return Ok(directory);
        }
        Err(CallError::UnsafeDirectory {
            path: self.path.to_path_buf(),
            reason: MISSING.into(),
        })
    }

    /// Opens the directory at `path` below this one, if there is one.
    pub(crate) fn open_below(&self, path: &[&str]) -> Result<Option<Directory>> {
        let mut found = self.open()?;
        for name in path {
            found = found.map_or(Ok(None), |above| above.child(*name))?;
        }
        Ok(found)
    }

    /// Opens the directory. Creates and marks it if this was never done.
    pub(crate) fn open_or_set_up(&self) -> Result<Directory> {
        let set_up = || -> Result<_> { Ok(self.open()?.filter(|_| self.identity.get().is_some())) };
        if let Some(directory) = set_up()? {
            return Ok(directory);
        }
        let random = getrandom::u64().map_err(io::Error::from)?;
        let directory = Directory::open_or_create(&self.path)?;
        directory.link_once(&self.marker(), &format!("{random:016x}"))?;
        // Another process may have been first. Its marker counts.
        set_up()?.ok_or_else(|| Errno::NOENT.into())
    }

    /// Creates the directory if it is absent, and checks that it is usable. The error names
    /// `setting` if the path came from a setting.
    pub(crate) fn check(&self, setting: Option<&str>) -> Result<(), ConfigError> {
        self.try_write().map_err(|error| {
            let (path, reason) = match error.at(&self.path) {
                CallError::UnsafeDirectory { path, reason } => (path, reason),
                CallError::At { path, error } => match *error {
                    CallError::Io(error) => (path, format!("{UNWRITABLE}: {error}")),
                    other => (path, format!("cannot be used now: {other}")),
                },
                other => (self.path.to_path_buf(), other.to_string()),
            };
            let path = path.display();
            match setting {
                Some(setting) => ConfigError::new(setting, format!("{reason} ({path})")),
                None => ConfigError::new(path.to_string(), reason),
            }
        })
    }

    fn try_write(&self) -> Result<()> {
        let directory = self.open_or_set_up()?;
        let _lock = Lock::acquire(&directory)?;
        Staged::write(&directory, &[], self.staging).map(drop)
    }

    fn marker(&self) -> String {
        format!("{MARKER}{}", self.staging.suffix)
    }
}
