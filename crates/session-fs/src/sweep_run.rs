//! `SweepRun`, one call of a sweep with its limits and its counts.

use std::{
    ffi::{CStr, CString},
    mem::take,
    sync::{Arc, Weak},
    time::{Duration, Instant, SystemTime},
};

use session_core::Swept;

use crate::{
    blocking::blocking,
    directory::Directory,
    error::{CallError, Result},
    file,
    layout::HEADER,
    lock::Lock,
    root::Root,
    sweep_position::SweepPosition,
    unix_time,
};

/// A call of a sweep that is running, and what it has found.
#[derive(Debug)]
pub(crate) struct SweepRun {
    caller: Weak<()>,
    /// Files that expire at this instant or earlier are removed.
    pub(crate) instant: SystemTime,
    limit: u64,
    began: Instant,
    time: Duration,
    removed: u64,
    live: u64,
}

impl SweepRun {
    /// Runs `sweep` on a thread that may block, until it has removed `limit` files, `time` is over or
    /// the caller's future is dropped. `sweep` returns whether it has visited everything.
    pub(crate) async fn start(
        root: &Root,
        instant: SystemTime,
        limit: usize,
        time: Duration,
        sweep: impl FnOnce(&mut Self) -> Result<bool> + Send + 'static,
    ) -> session_core::Result<Swept> {
        if limit == 0 {
            return Ok(Swept {
                removed: 0,
                is_done: false,
            });
        }
        let caller = Arc::new(());
        let mut run = Self {
            caller: Arc::downgrade(&caller),
            instant,
            limit: limit.try_into().unwrap_or(u64::MAX),
            began: Instant::now(),
            time,
            removed: 0,
            live: 0,
        };
        let call = move || {
            let is_done = sweep(&mut run)?;
            let removed = run.removed;
            Ok(Swept { removed, is_done })
        };
        let swept = blocking(&root.path, call).await;
        drop(caller);
        swept
    }

    fn is_at_limit(&self) -> bool {
        self.removed == self.limit
    }

    fn is_over(&self) -> bool {
        self.is_at_limit() || self.began.elapsed() >= self.time
    }

    /// Visits a store's directories from `position` on, until the call is over. Returns how many live
    /// files the sweep has found, if it has visited all directories.
    ///
    /// `visit` takes the number of a directory and the names in it that are left to visit; without
    /// names, all are. It returns those that it has not visited.
    pub(crate) fn sweep_from(
        &mut self,
        position: &SweepPosition,
        visit: impl Fn(&mut Self, u16, Option<Vec<CString>>) -> Result<Vec<CString>>,
    ) -> Result<Option<u64>> {
        let mut at = position.take();
        self.live = at.live;
        loop {
            if at.names.is_empty() {
                at.directory = position.next(at.directory);
                at.left -= 1;
            }
            // A directory that cannot be swept must not keep the next call from the others.
            position.set(position.begin_after(at.directory));
            let rest = Some(take(&mut at.names)).filter(|names| !names.is_empty());
            at.names = visit(self, at.directory, rest)?;
            if at.left == position.directories {
                // It will be visited again, as a whole.
                self.live = 0;
            }
            if at.names.is_empty() && at.left == 0 {
                return Ok(Some(self.live));
            }
            if self.is_over() {
                break;
            }
        }
        at.live = self.live;
        if self.is_at_limit() {
            // Everything is visited once more: files before this may have expired meanwhile.
            (at.left, at.live) = (position.directories, 0);
        }
        position.set(at);
        Ok(None)
    }

    pub(crate) fn wanted(&self) -> Result<()> {
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

    /// Calls `visit` with each of the `names`, or with the name of everything in `directory`, until
    /// the call is over. Returns the names that are left.
    pub(crate) fn sweep_names(
        &mut self,
        directory: &Directory,
        names: Option<Vec<CString>>,
        visit: impl Fn(&mut Self, &CStr) -> Result<()>,
    ) -> Result<Vec<CString>> {
        let mut names = names.map_or_else(|| self.names(directory), Ok)?;
        while let Some(name) = names.pop() {
            self.wanted()?;
            visit(self, &name)?;
            if self.is_over() {
                break;
            }
        }
        Ok(names)
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
