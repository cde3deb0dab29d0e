use std::{
    ffi::CStr,
    sync::{Arc, Weak},
    time::SystemTime,
};

use crate::{
    blocking::blocking,
    clock,
    directory::Directory,
    fault::{Fault, Result},
    file,
    layout::HEADER,
    lock::Lock,
};

/// A sweep that is under way, and what it has found.
#[derive(Debug)]
pub(crate) struct Walk {
    caller: Weak<()>,
    /// As of when it sweeps.
    pub(crate) instant: SystemTime,
    limit: u64,
    removed: u64,
    pub(crate) live: u64,
}

impl Walk {
    /// Runs `sweep` on a thread that may block, until it has removed `limit` files or nobody waits for it any more, and
    /// says how many it removed.
    pub(crate) async fn run(
        instant: SystemTime,
        limit: usize,
        sweep: impl FnOnce(&mut Self) -> Result<()> + Send + 'static,
    ) -> Result<u64> {
        let caller = Arc::new(());
        let mut walk = Self {
            caller: Arc::downgrade(&caller),
            instant,
            limit: limit.try_into().unwrap_or(u64::MAX),
            removed: 0,
            live: 0,
        };
        let removed = blocking(move || sweep(&mut walk).map(|()| walk.removed)).await;
        drop(caller);
        removed
    }

    pub(crate) fn is_full(&self) -> bool {
        self.removed == self.limit
    }

    /// Shows `visit` the name of everything in `directory`.
    pub(crate) fn through(
        &mut self,
        directory: &Directory,
        mut visit: impl FnMut(&mut Self, &CStr) -> Result<()>,
    ) -> Result<()> {
        let mut entries = directory.entries()?;
        while !self.is_full()
            && let Some(entry) = entries.read()
        {
            if self.caller.strong_count() == 0 {
                return Err(Fault::Stopped("nobody waits for the sweep".into()));
            }
            visit(self, entry?.file_name())?;
        }
        Ok(())
    }

    /// Removes the file called `name` if it is damaged, or the time has passed that `expiry` reads in its first bytes; if
    /// that is still so when nobody can replace it any more.
    pub(crate) fn remove_if_over(
        &mut self,
        directory: &Directory,
        name: &CStr,
        expiry: fn(&[u8]) -> Result<u64>,
    ) -> Result<()> {
        let instant = self.instant;
        let is_over = || -> Result<Option<bool>> {
            let start = file::start(directory, name, HEADER);
            match start.and_then(|it| it.map(|start| expiry(&start)).transpose()) {
                Err(Fault::Damaged) => Ok(Some(true)),
                Ok(time) => Ok(time.map(|time| clock::instant(time) <= instant)),
                Err(fault) => fault.unless_unreadable(),
            }
        };
        match is_over()? {
            None => {}
            Some(false) => self.live += 1,
            Some(true) => {
                let _lock = Lock::acquire(directory)?;
                let removed = is_over()? == Some(true) && directory.unlink(name)?;
                self.removed += u64::from(removed);
            }
        }
        Ok(())
    }
}
