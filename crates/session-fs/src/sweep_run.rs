//! `SweepRun`, one sweep with its limit and its counts.

use std::{
    ffi::{CStr, CString},
    sync::{Arc, Weak},
    time::SystemTime,
};

use crate::{
    blocking::blocking,
    directory::Directory,
    error::{CallError, Result},
    file,
    layout::HEADER,
    lock::Lock,
    root::Root,
    unix_time,
};

/// A sweep that is running, and what it has found.
#[derive(Debug)]
pub(crate) struct SweepRun {
    caller: Weak<()>,
    /// Files that expire at this instant or earlier are removed.
    pub(crate) instant: SystemTime,
    limit: u64,
    removed: u64,
    pub(crate) live: u64,
}

impl SweepRun {
    /// Runs `sweep` on a thread that may block, until it has removed `limit` files or the caller's
    /// future is dropped. Returns how many files it removed.
    pub(crate) async fn start(
        root: &Root,
        instant: SystemTime,
        limit: usize,
        sweep: impl FnOnce(&mut Self) -> Result<()> + Send + 'static,
    ) -> session_core::Result<u64> {
        let caller = Arc::new(());
        let mut run = Self {
            caller: Arc::downgrade(&caller),
            instant,
            limit: limit.try_into().unwrap_or(u64::MAX),
            removed: 0,
            live: 0,
        };
        let removed = blocking(&root.path, move || sweep(&mut run).map(|()| run.removed)).await;
        drop(caller);
        removed
    }

    pub(crate) fn is_at_limit(&self) -> bool {
        self.removed == self.limit
    }

    fn wanted(&self) -> Result<()> {
        if self.caller.strong_count() == 0 {
            let reason = "the sweep's future was dropped";
            return Err(CallError::Cancelled(reason.into()));
        }
        Ok(())
    }

    /// The name of everything in `directory`.
    pub(crate) fn names(&self, directory: &Directory) -> Result<Vec<CString>> {
        let (mut entries, mut names) = (directory.entries()?, Vec::new());
        while let Some(entry) = entries.read() {
            self.wanted()?;
            names.push(entry?.file_name().to_owned());
        }
        Ok(names)
    }

    /// Takes the `names` and calls `visit` with each, until the limit is reached.
    pub(crate) fn sweep_names(
        &mut self,
        names: &mut Vec<CString>,
        mut visit: impl FnMut(&mut Self, &CStr) -> Result<()>,
    ) -> Result<()> {
        while !self.is_at_limit()
            && let Some(name) = names.pop()
        {
            self.wanted()?;
            visit(self, &name)?;
        }
        Ok(())
    }

    /// Calls `visit` with the name of everything in `directory`, until the limit is reached.
    pub(crate) fn sweep_directory(
        &mut self,
        directory: &Directory,
        visit: impl FnMut(&mut Self, &CStr) -> Result<()>,
    ) -> Result<()> {
        let mut names = self.names(directory)?;
        self.sweep_names(&mut names, visit)
    }

    /// Removes the file called `name` if it is damaged, or if the expiry that `expiry` reads in its
    /// first bytes has passed. Checks again under the lock, when no writer can replace the file.
    pub(crate) fn remove_if_expired(
        &mut self,
        directory: &Directory,
        name: &CStr,
        expiry: fn(&[u8]) -> Result<u64>,
    ) -> Result<()> {
        let instant = self.instant;
        let is_expired = || -> Result<Option<bool>> {
            let start = file::start(directory, name, HEADER);
            match start.and_then(|it| it.map(|start| expiry(&start)).transpose()) {
                Err(CallError::Damaged) => Ok(Some(true)),
                Ok(time) => Ok(time.map(|time| unix_time::from_millis(time) <= instant)),
                Err(error) => error.or_absent(),
            }
        };
        match is_expired()? {
            None => {}
            Some(false) => self.live += 1,
            Some(true) => {
                let _lock = Lock::acquire_while(directory, || self.wanted())?;
                let removed = is_expired()? == Some(true) && directory.unlink(name)?;
                self.removed += u64::from(removed);
            }
        }
        Ok(())
    }
}
