//! `WriterQueue`, which lets this process's writers change a directory one after another.

use std::fmt;

use tokio::{sync::Mutex, time::timeout};

use crate::{blocking::blocking, error::CallError, lock::LOCK_TIMEOUT, root::Root};

/// A queue of this process's writers for each directory.
///
/// The locks between processes are polled. Without the queue, the tasks of one process would poll
/// for them as well.
pub(crate) struct WriterQueue(Box<[Mutex<()>]>);

impl WriterQueue {
    /// Creates queues for `directories` directories.
    pub(crate) fn new(directories: usize) -> Self {
        Self((0..directories).map(|_| Mutex::new(())).collect())
    }

    /// Waits for a permit to change the directory with this number below `root`, then runs `write`.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        root: &Root,
        directory: u8,
        write: impl FnOnce() -> Result<T, CallError> + Send + 'static,
    ) -> session_core::Result<T> {
        let _permit = timeout(LOCK_TIMEOUT, self.0[usize::from(directory)].lock())
            .await
            .map_err(|_| CallError::QueueTimeout.at(&root.path))?;
        blocking(root, write).await
    }
}

impl fmt::Debug for WriterQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WriterQueue")
    }
}
