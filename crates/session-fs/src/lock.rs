use std::{
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use crate::{directory::Directory, fault::Fault};

/// How long a write waits for its turn in this process, and then for other processes.
///
/// As long as `session-core` waits for the store by default: of a longer wait nobody would see the end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// The exclusive right to change the records of one directory, between threads and between processes.
///
/// The lock is on the directory itself: one that was removed and made anew has another lock, but in the removed one
/// nothing can be written either. The kernel releases the lock of a process that is killed.
#[derive(Debug)]
#[must_use = "dropping the lock releases it"]
pub(crate) struct Lock<'a>(&'a Directory);

impl<'a> Lock<'a> {
    /// Waits for the lock for [`PATIENCE`], so that a holder that is frozen makes an error and not a queue.
    pub(crate) fn acquire(directory: &'a Directory) -> Result<Self, Fault> {
        let deadline = Instant::now() + PATIENCE;
        let mut pause = Duration::from_micros(20);
        loop {
            match flock(directory.fd(), FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self(directory)),
                Err(Errno::WOULDBLOCK | Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            if Instant::now() >= deadline {
                return Err(Fault::Locked);
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_micros(500));
        }
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        // A failure leaves the lock to the directory's own closing, which follows.
        let _ = flock(self.0.fd(), FlockOperation::Unlock);
    }
}
