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
    fault::{Fault, Result},
    lock::Lock,
    staged::{Staged, Staging},
};

/// The empty directory in the store's own that tells it from the mount point of a file system that is not mounted.
const MARKER: &str = ".set-up";

const GONE: &str = "must stay in its place, and is gone: mount its file system again, \
                    or restart the program to begin with an empty directory";

/// The directory that holds everything, found by its path at each access.
#[derive(Clone, Debug)]
pub(crate) struct Root {
    pub(crate) path: Arc<Path>,
    pub(crate) staging: Staging,
    /// Whether this process has seen the directory with its marker.
    seen: Arc<AtomicBool>,
}

impl Root {
    /// `given` as it counts from the current directory of now.
    pub(crate) fn new(given: PathBuf, staging: Staging) -> Self {
        let absolute = std::path::absolute(&given).unwrap_or(given);
        // Without a slash at its end, behind which a symbolic link would be followed.
        let path: PathBuf = absolute.components().collect();
        Self {
            path: path.into(),
            staging,
            seen: Arc::default(),
        }
    }

    /// The directory, or none if it was never set up.
    ///
    /// Where it was, one that is gone or lacks its marker is an error: its file system is not mounted. To call its
    /// sessions absent would log everybody out.
    pub(crate) fn open(&self) -> Result<Option<Directory>> {
        let directory = Directory::open(&self.path)?;
        let marked = match &directory {
            Some(directory) => directory.child(self.marker())?.is_some(),
            None => false,
        };
        if !marked && self.seen.load(Ordering::Relaxed) {
            return Err(Fault::Directory {
                path: self.path.to_path_buf(),
                reason: GONE.into(),
            });
        }
        self.seen.fetch_or(marked, Ordering::Relaxed);
        Ok(directory)
    }

    /// The directory at the end of `path`, which begins in this one, if there is one.
    pub(crate) fn below(&self, path: &[&str]) -> Result<Option<Directory>> {
        let mut found = self.open()?;
        for name in path {
            found = found.map_or(Ok(None), |above| above.child(*name))?;
        }
        Ok(found)
    }

    /// The directory, made and marked if it never was.
    pub(crate) fn open_or_set_up(&self) -> Result<Directory> {
        if let Some(directory) = self.open()?
            && self.seen.load(Ordering::Relaxed)
        {
            return Ok(directory);
        }
        let directory = Directory::open_or_create(&self.path)?;
        // Flushed, durable or not: it happens once, and records without a marker would count as absent.
        directory.ensure(self.marker().as_str(), true)?;
        self.seen.store(true, Ordering::Relaxed);
        Ok(directory)
    }

    /// Makes the directory if need be, and tries it out; `setting` is where its path was read, if it was.
    pub(crate) fn check(&self, setting: Option<&str>) -> Result<(), ConfigError> {
        self.try_out().map_err(|fault| {
            let (path, reason) = match fault {
                Fault::Directory { path, reason } => (path, reason),
                Fault::Io(error) => (
                    self.path.to_path_buf(),
                    format!("must be a directory that this program can write: {error}"),
                ),
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

    fn try_out(&self) -> Result<()> {
        let directory = self.open_or_set_up()?;
        let _lock = Lock::acquire(&directory)?;
        Staged::write(&directory, &[], self.staging).map(drop)
    }

    fn marker(&self) -> String {
        format!("{MARKER}{}", self.staging.suffix)
    }
}
