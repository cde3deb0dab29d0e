//! `Lock`, the exclusive lock on one directory, between threads and between processes.

use std::{
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use crate::{directory::Directory, error::CallError};

/// How long a write waits in this process's queue, and then again for other processes.
///
/// `session-core` waits as long for the store by default, so a longer wait would be of no use.
pub(crate) const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// The exclusive right to change the records of one directory.
///
/// The lock is on the directory itself. A directory that was removed and created again has another
/// lock, but nothing can be written into the removed one. The kernel releases the lock when its
/// process is killed.
#[derive(Debug)]
#[must_use = "dropping the lock releases it"]
pub(crate) struct Lock<'a>(&'a Directory);

impl<'a> Lock<'a> {
    /// Waits at most [`LOCK_TIMEOUT`] for the lock, so that a frozen holder causes errors and not
    /// a growing queue.
    pub(crate) fn acquire(directory: &'a Directory) -> Result<Self, CallError> {
        Self::acquire_while(directory, || Ok(()))
    }

    /// As [`acquire`](Self::acquire), and gives up with the error that `wanted` returns.
    pub(crate) fn acquire_while(
        directory: &'a Directory,
        wanted: impl Fn() -> Result<(), CallError>,
    ) -> Result<Self, CallError> {
        let deadline = Instant::now() + LOCK_TIMEOUT;
        let mut backoff = Duration::from_micros(20);
        loop {
            match flock(directory.fd(), FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self(directory)),
                Err(Errno::WOULDBLOCK | Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            wanted()?;
            if Instant::now() >= deadline {
                return Err(CallError::LockTimeout.at(&directory.path));
            }
            thread::sleep(backoff);
            backoff = (backoff * 2).min(Duration::from_micros(500));
        }
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        // If this fails, closing the directory releases the lock.
        let _ = flock(self.0.fd(), FlockOperation::Unlock);
    }
}
