//! `Root`, the store's own directory: opens it, sets it up, and checks that it is usable.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use session_core::config::ConfigError;

use crate::{
    directory::Directory,
    error::{CallError, Result},
    lock::Lock,
    staged::{Staged, Staging},
};

/// An empty directory in the store's own. Its absence shows that a file system is not mounted and
/// the store's path leads to the mount point.
const MARKER: &str = ".set-up";

const MISSING: &str = "must stay while the program runs, but is missing: mount its file system \
                       again, or restart the program to start with an empty directory";

const UNWRITABLE: &str = "must be a directory that this program can write";

/// The directory that holds everything. Each access opens it by its path.
#[derive(Clone, Debug)]
pub(crate) struct Root {
    pub(crate) path: Arc<Path>,
    pub(crate) staging: Staging,
    /// Whether this process has found the directory with its marker.
    was_set_up: Arc<AtomicBool>,
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
            was_set_up: Arc::default(),
        }
    }

    /// Opens the directory, or returns `None` if this process has never found it set up.
    ///
    /// A directory that was set up and is now absent or lacks its marker is an error: its file
    /// system is not mounted. If its sessions counted as absent, everybody would be logged out.
    pub(crate) fn open(&self) -> Result<Option<Directory>> {
        let directory = Directory::open(&self.path)?;
        let marked = match &directory {
            Some(directory) => directory.child(self.marker())?.is_some(),
            None => false,
        };
        if !marked && self.was_set_up.load(Ordering::Relaxed) {
            return Err(CallError::UnsafeDirectory {
                path: self.path.to_path_buf(),
                reason: MISSING.into(),
            });
        }
        self.was_set_up.fetch_or(marked, Ordering::Relaxed);
        Ok(directory)
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
        if let Some(directory) = self.open()?
            && self.was_set_up.load(Ordering::Relaxed)
        {
            return Ok(directory);
        }
        let directory = Directory::open_or_create(&self.path)?;
        // Always flushed. It happens once, and records without a marker would count as absent.
        directory.ensure(self.marker().as_str(), true)?;
        self.was_set_up.store(true, Ordering::Relaxed);
        Ok(directory)
    }

    /// Creates the directory if it is absent, and checks that it is usable. The error names
    /// `setting` if the path came from a setting.
    pub(crate) fn check(&self, setting: Option<&str>) -> Result<(), ConfigError> {
        self.try_write().map_err(|error| {
            let (path, reason) = match error {
                CallError::UnsafeDirectory { path, reason } => (path, reason),
                CallError::Io(error) => (self.path.to_path_buf(), format!("{UNWRITABLE}: {error}")),
                other => (
                    self.path.to_path_buf(),
                    format!("cannot be used now: {other}"),
                ),
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
