use std::fmt;

use tokio::{sync::Mutex, time::timeout};

use crate::{blocking::blocking, fault::Fault, lock::PATIENCE};

/// The order in which this process's tasks change the records of a directory.
///
/// The locks between processes are polled; without turns, so would be those between the tasks of one.
pub(crate) struct Turns(Box<[Mutex<()>]>);

impl Turns {
    /// For `directories` directories.
    pub(crate) fn new(directories: usize) -> Self {
        Self((0..directories).map(|_| Mutex::new(())).collect())
    }

    /// Runs `work`, which changes the directory of that number, when it is its turn.
    pub(crate) async fn take<T: Send + 'static>(
        &self,
        directory: u8,
        work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let _turn = timeout(PATIENCE, self.0[usize::from(directory)].lock())
            .await
            .map_err(|_| Fault::Locked)?;
        blocking(work).await
    }
}

impl fmt::Debug for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Turns")
    }
}
