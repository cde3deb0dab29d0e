use std::{
    ffi::CStr,
    sync::{Arc, Weak},
};

use rustix::{
    fs::{FlockOperation, Mode, flock, fstat},
    io::Errno,
};

use crate::{
    blocking::blocking, clock, directory::Directory, fault::Fault, file, layout::HEADER, lock::Lock,
};

/// A sweep that is under way, and what it has found.
#[derive(Debug)]
pub(crate) struct Walk {
    caller: Weak<()>,
    limit: u64,
    pub(crate) removed: u64,
    pub(crate) live: u64,
}

impl Walk {
    /// Runs `sweep` on a thread that may block, until it has removed `limit` files or nobody waits for it any more, and
    /// says how many it removed.
    pub(crate) async fn run(
        limit: usize,
        sweep: impl FnOnce(&mut Self) -> Result<(), Fault> + Send + 'static,
    ) -> Result<u64, Fault> {
        let caller = Arc::new(());
        let mut walk = Self {
            caller: Arc::downgrade(&caller),
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
        mut visit: impl FnMut(&mut Self, &CStr) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut entries = directory.entries()?;
        while !self.is_full() {
            if self.caller.strong_count() == 0 {
                return Err(Fault::Stopped("nobody waits for the sweep".into()));
            }
            let Some(entry) = entries.read() else {
                break;
            };
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
        expiry: fn(&[u8]) -> Result<u64, Fault>,
    ) -> Result<(), Fault> {
        let is_over = || -> Result<Option<bool>, Fault> {
            let start = file::start(directory, name, HEADER);
            match start.and_then(|it| it.map(|(_, start)| expiry(&start)).transpose()) {
                Err(Fault::Damaged) => Ok(Some(true)),
                time => Ok(time.or_else(Fault::unless_unreadable)?.map(clock::is_over)),
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

/// Removes a staged file whose writer is no more.
pub(crate) fn remove_if_orphaned(
    directory: &Directory,
    name: &CStr,
    is_ours: fn(&[u8]) -> bool,
) -> Result<(), Fault> {
    let found = file::start(directory, name, HEADER).or_else(Fault::unless_unreadable)?;
    let Some((file, start)) = found else {
        return Ok(());
    };
    // Killed before it could write, its writer left but the name and the mode to know it by.
    let mode = Mode::from_raw_mode(fstat(&file)?.st_mode);
    if mode.intersects(Mode::RWXG | Mode::RWXO) || !is_ours(&start) {
        return Ok(());
    }
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => {}
        locked => {
            locked?;
            directory.unlink(name)?;
        }
    }
    Ok(())
}
